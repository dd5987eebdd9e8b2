"""LogStore in memory."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.domain.ids import (
    RevisionId,
)
from taxiway.domain.logs import LogKind, LogLine, LogName, LogPage
from tests.fakes.clock import FakeClock


class FakeLogStore:
    """Logs as lists of lines. What is in ``writing`` is not complete."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.lines: dict[LogName, list[LogLine]] = {}
        self.pods: dict[RevisionId, list[str]] = {}
        self.writing: set[LogName] = set()

    def write(self, name: LogName, text: str, *, stream: str = "stdout") -> None:
        """Have somebody write a line."""
        lines = self.lines.setdefault(name, [])
        lines.append(LogLine(sequence=len(lines) + 1, at=self._clock(), stream=stream, text=text))

    def belongs(self, revision: RevisionId, pod: str) -> None:
        """Say whose log a pod's is."""
        pods = self.pods.setdefault(revision, [])
        if pod not in pods:
            pods.append(pod)

    async def read(self, name: LogName, *, after: int = 0, limit: int = 1000, contains: str | None = None) -> LogPage:
        later = [line for line in self.lines.get(name, ()) if line.sequence > after]
        lines = [line for line in later if contains is None or contains in line.text][:limit]
        next_sequence = lines[-1].sequence if len(lines) == limit else (later[-1].sequence if later else after)
        return LogPage(
            lines=tuple(lines),
            next_sequence=next_sequence,
            is_complete=name not in self.writing and (not later or next_sequence == later[-1].sequence),
        )

    async def tail(self, name: LogName, *, limit: int = 100) -> LogPage:
        lines = self.lines.get(name, [])
        return LogPage(
            lines=tuple(lines[-limit:]),
            next_sequence=lines[-1].sequence if lines else 0,
            is_complete=name not in self.writing,
        )

    async def pods_of(self, revision: RevisionId) -> Sequence[str]:
        return [pod for pod in self.pods.get(revision, ()) if LogName(kind=LogKind.POD, id=pod) in self.lines]

    async def forget(self, name: LogName) -> None:
        self.lines.pop(name, None)
