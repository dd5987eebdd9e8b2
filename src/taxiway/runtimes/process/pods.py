"""What a pod is as a child of a stub, and what its status says in the domain's words. Pure.

``runtime.py`` makes directories and stubs of what is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taxiway.domain.conditions import Failure
from taxiway.domain.ids import PodId, RevisionId
from taxiway.domain.pods import Isolation, PodObservation, PodPhase, ReportedPhase
from taxiway.domain.revisions import RevisionSpec, RowsAreIndependent, Serving
from taxiway.stub.children import (
    Backoff,
    ChildPhase,
    ChildSpec,
    ChildStatus,
    Level,
    Limits,
    LogCaps,
    Probe,
    ReadyWhen,
    Restart,
    Sandboxing,
    Trouble,
)

DRAIN = timedelta(seconds=30)
"""How long a scoring server finishes what it has before it is killed."""
POD_PROCESSES = 512
"""How many processes and threads a pod may have."""
START_CPUS = 1.0
"""How many CPUs a pod may use until it is ready, if it has fewer: a start is nearly all work, and somebody waits."""
POD_OPEN_FILES = 16_384
"""Ten thousand clients that keep their connections open, and some."""
POD_QUEUE = 128
"""How many requests may wait in a pod. The scoring server refuses earlier what could not be answered in time."""
POD_OOM_SCORE = 500
MAX_WORKERS = 16
"""A pod has a worker for each whole CPU, up to this many."""
SPOOL = "spool"
SPOOL_EVERY = 1_000
PROOF_MEMORY = 1 << 30
"""What MLflow and a small model need at least."""
POD_NICE = 5
LOG_FILES = 5
_INDEPENDENT = {RowsAreIndependent.AS_PROVEN: None, RowsAreIndependent.YES: True, RowsAreIndependent.NO: False}
_KEPT_BY_CGROUPS = ("cgroup1", "cgroup2")

_PHASES = {
    ChildPhase.PENDING: PodPhase.PENDING,
    ChildPhase.STARTING: PodPhase.STARTING,
    ChildPhase.READY: PodPhase.READY,
    ChildPhase.UNREADY: PodPhase.UNREADY,
    ChildPhase.BACKOFF: PodPhase.UNREADY,
    ChildPhase.DRAINING: PodPhase.DRAINING,
    ChildPhase.STOPPED: PodPhase.STOPPED,
    ChildPhase.FAILED: PodPhase.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlaces:
    """Where one pod's things lie. ``home`` and ``socket``'s directory are all that it may write."""

    directory: Path
    home: Path
    config: Path
    socket: Path
    environment: Path
    snapshot: Path
    scoring: Path
    proof: Path
    """A file that may come later, in a directory of its own; what is proven of the model."""
    interpreter: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How pods are shut in on this host."""

    level: Level
    bwrap: Path | None
    allow_network: bool = False
    use_cgroups: bool = True
    log_bytes: int = 20 << 20
    use_namespaces: bool = True


def pod_config(pod: PodId, spec: RevisionSpec, places: PodPlaces) -> dict[str, object]:
    """Return what the scoring server reads: the contents of its ``config.json``."""
    return {
        "pod": pod,
        "revision": spec.id,
        "project": spec.project,
        "model": spec.model,
        "version": spec.version,
        "snapshot": str(places.snapshot),
        "manifest_digest": spec.snapshot,
        "socket": str(places.socket),
        "limits": {
            "body_bytes": spec.options.body_bytes,
            "timeout_seconds": spec.options.timeout_seconds,
            "concurrency": 1,
            "queue": POD_QUEUE,
            "drain_seconds": DRAIN.total_seconds(),
            "header_seconds": 10,
            "idle_seconds": 300,
        },
        "threads": whole_cpus(spec.resources.cpus),
        "workers": min(MAX_WORKERS, whole_cpus(spec.resources.cpus)),
        "on_output_mismatch": str(spec.options.on_output_mismatch),
        "proof_file": str(places.proof),
        "serving": str(spec.options.serving),
        "spool": _spool(spec, places),
        "rows_are_independent": _INDEPENDENT[spec.options.rows_are_independent],
        "method": str(spec.options.method),
    }


def _spool(spec: RevisionSpec, places: PodPlaces) -> dict[str, object] | None:
    """Return where a pod keeps one request in many, to be compared with pyfunc; None where differences are wanted."""
    options = spec.options
    if options.serving is Serving.PYFUNC or options.rows_are_independent is RowsAreIndependent.YES:
        return None
    return {"directory": str(places.home / SPOOL), "every": SPOOL_EVERY}


def check_config(spec: RevisionSpec, places: PodPlaces) -> dict[str, object]:
    """Return what the scoring server reads when it is to compare requests that pods kept."""
    return proof_config(spec, places) | {
        "job": "check", "spool": {"directory": str(places.home / SPOOL), "every": SPOOL_EVERY},
    }  # fmt: skip


def proof_config(spec: RevisionSpec, places: PodPlaces) -> dict[str, object]:
    """Return what the scoring server reads when it is to prove a path instead of serving."""
    return {
        "job": "prove",
        "snapshot": str(places.snapshot),
        "manifest_digest": spec.snapshot,
        "threads": 1,
        "method": str(spec.options.method),
    }


def whole_cpus(cpus: float) -> int:
    """Return how many processes of one thread, or threads of one process, a pod's CPUs suffice for: at least one."""
    return max(1, math.floor(cpus))


def pod_environment(places: PodPlaces) -> dict[str, str]:
    """Return a pod's whole environment. Nothing of the platform's own is in it."""
    return {
        "HOME": str(places.home),
        "TMPDIR": str(places.home / "tmp"),
        "XDG_CACHE_HOME": str(places.home / ".cache"),
        "PATH": str(places.environment / "bin"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "USER": "pod",
        "LOGNAME": "pod",
        "TZ": "UTC",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def pod_labels(pod: PodId, spec: RevisionSpec, places: PodPlaces, *, created_at: datetime) -> dict[str, str]:
    """Return what a pod's directory says of itself, so that it needs nobody else's memory."""
    return {
        "kind": "pod",
        "pod": pod,
        "revision": spec.id,
        "socket": str(places.socket),
        "created_at": created_at.astimezone(UTC).isoformat(),
    }


def pod_child(
    spec: RevisionSpec, places: PodPlaces, confinement: Confinement, *, labels: Mapping[str, str]
) -> ChildSpec:
    """Return the child that a pod's stub is to keep."""
    options = spec.options
    return ChildSpec(
        # -u: what a model prints is in the log when it is printed, also if the model dies next.
        argv=(str(places.environment / "bin" / "python"), "-I", "-u", str(places.scoring), "--config",
              str(places.config)),
        env=pod_environment(places),
        cwd=places.home,
        labels=labels,
        restart=Restart.ALWAYS,
        backoff=Backoff(),
        ready_when=ReadyWhen.REPORTED,
        probe=Probe(
            socket=places.socket,
            path="/health",
            every=timedelta(seconds=2),
            timeout=timedelta(seconds=3),
            unready_after=1,
            restart_after=6,
        ),
        start_deadline=timedelta(seconds=options.start_deadline_seconds),
        stop_grace=DRAIN + timedelta(seconds=5),
        reports=True,
        log=LogCaps(file_bytes=confinement.log_bytes // LOG_FILES, files=LOG_FILES),
        limits=Limits(
            memory_bytes=spec.resources.memory_bytes,
            cpus=spec.resources.cpus,
            start_cpus=START_CPUS,
            processes=POD_PROCESSES,
            open_files=POD_OPEN_FILES,
            oom_score=POD_OOM_SCORE,
            nice=POD_NICE,
            use_cgroups=confinement.use_cgroups,
        ),
        sandboxing=Sandboxing(
            level=confinement.level,
            read_only=(
                *places.interpreter, places.environment, places.scoring, places.snapshot, places.config,
                places.proof.parent,
            ),
            writable=(places.home, places.socket.parent),
            allow_network=confinement.allow_network,
            bwrap=confinement.bwrap,
            use_namespaces=confinement.use_namespaces,
        ),
    )  # fmt: skip


def proof_child(
    spec: RevisionSpec, places: PodPlaces, confinement: Confinement, *, limit: timedelta, labels: Mapping[str, str]
) -> ChildSpec:
    """Return the child that proves a path for a revision's pods: as shut in as they are, and it ends.

    It is given up after ``limit``, since it never says that it is ready; it needs MLflow beside the model, and so at
    least a gigabyte.
    """
    child = pod_child(spec, replace(places, socket=places.home / "unused"), confinement, labels=labels)
    return replace(
        child,
        restart=Restart.NEVER,
        probe=None,
        start_deadline=limit,
        stop_grace=timedelta(seconds=1),
        limits=replace(child.limits, memory_bytes=max(spec.resources.memory_bytes, PROOF_MEMORY), cpus=None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSeen:
    """A pod's directory as it was found: its labels, and what its stub says, None where it never said anything."""

    id: PodId
    revision: RevisionId
    created_at: datetime
    socket: str
    status: ChildStatus | None

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to stop, or stopped; such a pod counts for nothing any more."""
        return self.status is not None and self.status.phase in (ChildPhase.DRAINING, ChildPhase.STOPPED)

    @property
    def has_failed(self) -> bool:
        """Whether it ended for good by itself."""
        return self.status is not None and self.status.phase is ChildPhase.FAILED and not self.status.is_alive

    @property
    def lost_its_stub(self) -> bool:
        """Whether it should run and nobody keeps it: its stub was killed, or never came up."""
        if self.status is None:
            return True
        return not self.status.is_alive and not self.status.has_ended and not self.is_leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlan:
    """What is to be done so that a revision has its pods."""

    spawn_again: tuple[PodId, ...] = ()
    stop: tuple[PodId, ...] = ()
    clear_away: tuple[PodId, ...] = ()
    new_pods: int = 0


def plan_pods(seen: Sequence[PodSeen], *, scale: int | None) -> PodPlan:
    """Decide for one revision's pods. ``scale`` None: nobody said anything of the revision yet.

    Never more than ``scale`` count. Pods that failed for good count, so that a broken revision is not tried
    for ever under new names; of too many, those not ready go first, then the youngest.
    """
    gone = [pod for pod in seen if pod.is_leaving and (pod.status is None or not pod.status.is_alive)]
    if scale is None:
        return PodPlan(clear_away=tuple(pod.id for pod in gone))
    counted = [pod for pod in seen if not pod.is_leaving]
    counted.sort(key=lambda pod: (not _is_ready(pod), pod.has_failed, pod.created_at, pod.id))
    kept, surplus = counted[:scale], counted[scale:]
    running = [pod.id for pod in surplus if pod.status is not None and pod.status.is_alive]
    return PodPlan(
        spawn_again=tuple(pod.id for pod in kept if pod.lost_its_stub),
        stop=tuple(running),
        clear_away=tuple(pod.id for pod in [*gone, *surplus] if pod.id not in running),
        new_pods=scale - len(kept),
    )


def observe_pod(pod: PodSeen) -> PodObservation:
    """Say in the domain's words what is seen of a pod."""
    status = pod.status
    address = f"unix:{pod.socket}"
    if status is None:
        return PodObservation(
            id=pod.id, revision=pod.revision, phase=PodPhase.PENDING, address=address, created_at=pod.created_at
        )
    phase, failure, started_at = _PHASES[status.phase], _failure(status.trouble), status.child_started_at
    if status.phase is ChildPhase.DRAINING and not status.is_alive:
        phase = PodPhase.STOPPED
    elif pod.lost_its_stub:
        phase, failure, started_at = PodPhase.UNREADY, failure or _STUB_GONE, None
    kept_by = status.enforcement
    return PodObservation(
        id=pod.id,
        revision=pod.revision,
        phase=phase,
        address=address,
        created_at=pod.created_at,
        started_at=started_at,
        phases=tuple(
            ReportedPhase(name=report.phase, seconds=report.seconds, detail=report.detail) for report in status.reports
        ),
        restarts=status.restarts,
        restart_at=status.restart_at,
        failure=failure,
        memory_bytes=status.memory_bytes,
        memory_peak_bytes=status.memory_peak_bytes,
        cpu_seconds=status.cpu_seconds,
        rows=status.rows,
        isolation=Isolation(status.level.value) if status.level else None,
        memory_is_enforced=kept_by.get("memory") in (*_KEPT_BY_CGROUPS, "watched"),
        cpus_are_enforced=kept_by.get("cpus") in _KEPT_BY_CGROUPS,
    )


_STUB_GONE = Failure(
    reason="StubGone",
    message="The process that keeps this pod is gone, and the pod with it; both are started again.",
)


def _is_ready(pod: PodSeen) -> bool:
    return pod.status is not None and pod.status.is_alive and pod.status.phase is ChildPhase.READY


def _failure(trouble: Trouble | None) -> Failure | None:
    if trouble is None:
        return None
    return Failure(
        reason=trouble.reason,
        message=trouble.message,
        hint=trouble.hint,
        retryable=trouble.retryable,
        lines=trouble.lines,
    )
