"""What a stub wrote down about its child, as the library's callers read it.

``program.py`` writes ``status.json``; here it is read back, with nothing taken on trust: the file may be old,
torn or from another boot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from taxiway.stub.spec import Level


class ChildPhase(StrEnum):
    """Where a child is in its life; the words mean what they mean for pods. ``BACKOFF`` waits for a restart."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKOFF = "backoff"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A phase that the child reported, how long it took, and what it said of it."""

    phase: str
    seconds: float
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a child is not well, in words for people; ``lines`` are the last lines of its log that mattered."""

    reason: str
    message: str
    hint: str = ""
    retryable: bool = True
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One end of the child. ``code`` or ``signal`` is None where it ended by the other."""

    at: datetime
    started_at: datetime
    code: int | None
    signal: int | None
    was_ready: bool
    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStatus:
    """What is known of a child.

    ``is_alive`` says that its stub provably lives: it holds the lock, and pid, start time and boot are those it
    wrote. Without it, ``phase`` is the last one written: ``STOPPED`` and ``FAILED`` are final, anything else
    means that the stub was killed, and its child with it. ``memory_*`` are bytes. ``enforcement`` says per
    limit by what it is kept: ``cgroup2``, ``cgroup1``, ``watched``, ``affinity`` or ``none``. ``rows`` is how many
    predictions the child says that it returned, in all its runs.
    """

    is_alive: bool
    phase: ChildPhase
    nonce: str
    labels: Mapping[str, str]
    stub_pid: int
    stub_started_at: datetime
    child_pid: int | None = None
    child_started_at: datetime | None = None
    reports: tuple[Report, ...] = ()
    trouble: Trouble | None = None
    restarts: int = 0
    restart_at: datetime | None = None
    exits: tuple[Exit, ...] = ()
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    cpu_seconds: float | None = None
    rows: int = 0
    level: Level | None = None
    not_covered: tuple[str, ...] = ()
    enforcement: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether the child ended for good: told to stop, done, or failed beyond mending."""
        return not self.is_alive and self.phase in (ChildPhase.STOPPED, ChildPhase.FAILED)


def load_status(text: bytes) -> dict[str, Any] | None:
    """Parse a status file; None when it is torn or not one of ours."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("stub"), dict):
        return None
    return data


def read_status(data: Mapping[str, Any], *, is_alive: bool) -> ChildStatus:
    """Turn a parsed status file into values. One that is not ours raises as Python does.

    That is KeyError, TypeError, ValueError or AttributeError.
    """
    child = data["child"] or {}
    isolation = data["isolation"] or {}
    return ChildStatus(
        is_alive=is_alive,
        phase=ChildPhase(data["phase"]),
        nonce=str(data["nonce"]),
        labels={str(key): str(value) for key, value in data["labels"].items()},
        stub_pid=int(data["stub"]["pid"]),
        stub_started_at=_time(data["stub"]["started_at"]),
        child_pid=child.get("pid"),
        child_started_at=_time(child["started_at"]) if child else None,
        reports=tuple(
            Report(phase=r["phase"], seconds=float(r["seconds"]), detail=r.get("detail") or {}) for r in data["reports"]
        ),
        trouble=_trouble(data["trouble"]) if data["trouble"] else None,
        restarts=int(data["restarts"]),
        restart_at=_time(data["restart_at"]) if data["restart_at"] else None,
        exits=tuple(_exit(item) for item in data["exits"]),
        memory_bytes=data["memory_bytes"],
        memory_peak_bytes=data["memory_peak_bytes"],
        cpu_seconds=data["cpu_seconds"],
        rows=int(data["rows"]),
        level=Level(isolation["level"]) if isolation else None,
        not_covered=tuple(isolation.get("not_covered", ())),
        enforcement=dict(data["enforcement"]),
    )


def _exit(item: Mapping[str, Any]) -> Exit:
    return Exit(
        at=_time(item["at"]),
        started_at=_time(item["started_at"]),
        code=item["code"],
        signal=item["signal"],
        was_ready=bool(item["was_ready"]),
        trouble=_trouble(item["trouble"]),
    )


def _trouble(item: Mapping[str, Any]) -> Trouble:
    return Trouble(
        reason=str(item["reason"]),
        message=str(item["message"]),
        hint=str(item.get("hint") or ""),
        retryable=bool(item.get("retryable", True)),
        lines=tuple(str(line) for line in item.get("lines") or ()),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
