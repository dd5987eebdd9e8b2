"""Logs as they are kept and read: build logs and pods' logs, of the dead too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LogKind(StrEnum):
    """Whose log it is."""

    BUILD = "build"
    POD = "pod"
    GATEWAY = "gateway"
    TRACKING = "tracking"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogName:
    """Names one log: a build by its EnvironmentId, a pod by its PodId; the platform's own have one each."""

    kind: LogKind
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line. ``sequence`` increases within a log and never repeats; ``stream`` is stdout, stderr or stub."""

    sequence: int
    at: datetime
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Lines in order. ``next_sequence`` is what to ask for next (also when nothing more is there yet).

    ``is_complete`` says that nothing will follow: the writer is gone and all was read.
    """

    lines: tuple[LogLine, ...]
    next_sequence: int
    is_complete: bool
