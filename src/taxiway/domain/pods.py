"""Pods: what is observed of the scoring servers that run. Nothing here is wanted; it is seen.

| phase    | what is so                                             |
| -------- | ------------------------------------------------------ |
| PENDING  | its stub was told, no scoring server runs yet          |
| STARTING | the scoring server runs: verifying, loading, example   |
| READY    | it answers, and its example was scored                 |
| UNREADY  | it was ready and does not answer now, or waits to be restarted |
| DRAINING | it was told to stop and finishes what it has           |
| STOPPED  | it ended because it was told to                        |
| FAILED   | it ended otherwise, and will not be restarted by itself |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from taxiway.domain.conditions import Failure
from taxiway.domain.ids import PodId, RevisionId


class PodPhase(StrEnum):
    """Where a pod is in its life."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    UNREADY = "Unready"
    DRAINING = "Draining"
    STOPPED = "Stopped"
    FAILED = "Failed"


class Isolation(StrEnum):
    """How a pod is kept from what is not its own, strongest first."""

    SANDBOX = "sandbox"
    LANDLOCK = "landlock"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAnswer:
    """What a pod answered to somebody who asked it directly."""

    status: int
    body: bytes
    content_type: str
    milliseconds: float


def in_order(pods: Sequence[PodObservation]) -> list[PodObservation]:
    """Return pods so that of too many those at the end go: those not ready first, then the youngest."""
    return sorted(
        pods, key=lambda pod: (pod.phase is not PodPhase.READY, pod.phase is PodPhase.FAILED, pod.created_at, pod.id)
    )


def was_ready(pod: PodObservation) -> bool:
    """Tell whether a pod answered before, or does; one that is only restarted finds its place again by itself."""
    return pod.phase not in (PodPhase.PENDING, PodPhase.STARTING) or pod.restarts > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPhase:
    """A phase that the scoring server reported: ``verified``, ``loaded``, ``example``, ``ready``."""

    name: str
    seconds: float
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodObservation:
    """One pod as it is seen now.

    ``address`` is what the gateway connects to (``unix:/path`` or ``host:port``). ``failure`` is the newest
    reason why the scoring server is not running or not ready; None while all is well. ``started_at`` is None where
    none runs that is known, ``restart_at`` when one that ended is started again. ``restarts`` counts since the pod was
    made, ``rows`` the predictions it returned. Memory in bytes, CPU in seconds used.
    """

    id: PodId
    revision: RevisionId
    phase: PodPhase
    address: str
    created_at: datetime
    started_at: datetime | None = None
    phases: tuple[ReportedPhase, ...] = ()
    restarts: int = 0
    restart_at: datetime | None = None
    failure: Failure | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    rows: int = 0
    isolation: Isolation | None = None
    memory_is_enforced: bool = False
    cpus_are_enforced: bool = False
