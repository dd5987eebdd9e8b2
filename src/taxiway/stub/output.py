"""From the child's pipes to its log: bounded in memory, on disk and in the work it makes.

Runs inside the stub. ``logs.py`` writes the lines that come out of here.
"""

from __future__ import annotations

import os
from collections import deque

from taxiway.stub.logs import LineSplitter, LogWriter, clean_text

_READ_BYTES = 1 << 16
_DRAIN_READS = 16
_RECENT_LINES = 80
BURST_BYTES = 16 << 20
"""How much may be written at once before the rate below counts."""
RATE_BYTES = 2 << 20
"""How many bytes a second are kept in the long run; what is more is counted and left out, and never blocks."""


class Output:
    """Takes in what a child writes to stdout and stderr."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._splitters = {"o": LineSplitter(), "e": LineSplitter()}
        self._credit = float(BURST_BYTES)
        self._credited_at = 0.0
        self._left_out = 0
        self.recent: deque[tuple[str, str]] = deque(maxlen=_RECENT_LINES)
        """The last lines as (stream, text)."""

    def pump(self, stream: str, fd: int, now: float) -> bool:
        """Take in what can be read now, up to 64 KiB; False at the end of the stream."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        self._take(stream, data, now)
        return True

    def drain(self, fds: dict[str, int], now: float) -> None:
        """Take in what the pipes still hold after the child's end, up to a mebibyte each, and unfinished lines."""
        for stream, fd in fds.items():
            for _ in range(_DRAIN_READS):
                try:
                    data = os.read(fd, _READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                self._take(stream, data, now)
        self._admit_loss()
        for stream, splitter in self._splitters.items():
            self._store(stream, splitter.flush())

    def _take(self, stream: str, data: bytes, now: float) -> None:
        self._credit = min(BURST_BYTES, self._credit + (now - self._credited_at) * RATE_BYTES)
        self._credited_at = now
        if self._credit <= 0:
            self._left_out += len(data)
            return
        self._credit -= len(data)
        self._admit_loss()
        self._store(stream, self._splitters[stream].feed(data))

    def _admit_loss(self) -> None:
        if self._left_out:
            self._log.write("s", f"{self._left_out} bytes of output were left out here: too much at once.")
            self._left_out = 0

    def _store(self, stream: str, lines: list[tuple[bytes, int]]) -> None:
        batch = []
        for raw, left_out in lines:
            text = clean_text(raw)
            if left_out:
                text += f" … ({left_out} more bytes)"
            batch.append((stream, text))
        if batch:
            self.recent.extend(batch)
            self._log.write_all(batch)
