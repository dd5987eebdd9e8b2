"""The reading half of a child's log: pages, search and tail by sequence, over all files that are left.

Works the same for a log that is being written and for one whose child is long dead. Called by ``children.py``
and by the log store; ``logs.py`` writes what is read here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from taxiway.domain.logs import LogLine, LogPage
from taxiway.stub.logs import log_files

_STREAMS = {b"o": "stdout", b"e": "stderr", b"s": "stub"}
_BLOCK = 1 << 16
_SEARCHED_BYTES = 64 << 20
"""What one call looks through at most when it searches; the page then says where to go on."""


def read(directory: Path, *, after: int, limit: int, contains: str | None) -> LogPage:
    """Return at most ``limit`` lines after a sequence, in order; complete when all there is was read."""
    needle = contains.casefold() if contains else None
    found: list[LogLine] = []
    last, seen_bytes = after, 0
    for line, size in _lines(directory, after=after):
        seen_bytes += size
        last = line.sequence
        if needle is None or needle in line.text.casefold():
            found.append(line)
        if len(found) >= limit or seen_bytes > _SEARCHED_BYTES:
            return LogPage(lines=tuple(found), next_sequence=last, is_complete=False)
    return LogPage(lines=tuple(found), next_sequence=last, is_complete=True)


def tail(directory: Path, *, limit: int) -> LogPage:
    """Return the last lines, oldest first."""
    return read(directory, after=max(0, last_sequence(directory) - limit), limit=limit + 1, contains=None)


def open_ended(page: LogPage) -> LogPage:
    """Return the page of a log that is still being written."""
    return dataclasses.replace(page, is_complete=False)


def last_sequence(directory: Path) -> int:
    """Return the sequence of the last whole line; 0 for a log without lines."""
    for name in reversed(log_files(str(directory))):
        try:
            with (directory / name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2 * _BLOCK))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            continue
        for raw in reversed(lines):
            line = parse_line(raw)
            if line is not None:
                return line.sequence
    return 0


def parse_line(raw: bytes) -> LogLine | None:
    """Parse one stored line without its newline; None for a torn one."""
    parts = raw.split(b" ", 3)
    if len(parts) != 4 or not parts[0].isdigit() or parts[2] not in _STREAMS:
        return None
    try:
        at = datetime.fromtimestamp(float(parts[1]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    text = parts[3].decode("utf-8", "replace")
    return LogLine(sequence=int(parts[0]), at=at, stream=_STREAMS[parts[2]], text=text)


def _lines(directory: Path, *, after: int) -> Iterator[tuple[LogLine, int]]:
    """Yield whole lines with a greater sequence, each with its size in bytes; rotation meanwhile is no error."""
    names = log_files(str(directory))
    # A file whose successor starts at or below the next wanted line holds nothing of interest.
    passed = sum(int(successor[:20]) <= after + 1 for successor in names[1:])
    wanted = names[passed:]
    for name in wanted:
        try:
            file = (directory / name).open("rb")
        except OSError:
            continue
        with file:
            file.seek(_offset(file.fileno(), after))
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                line = parse_line(raw[:-1])
                if line is not None and line.sequence > after:
                    yield line, len(raw)


def _offset(fd: int, after: int) -> int:
    """Find by bisection an offset at the start of a line, not beyond the first line after the sequence."""
    low, high = 0, os.fstat(fd).st_size
    while high - low > _BLOCK:
        middle = (low + high) // 2
        block = os.pread(fd, _BLOCK, middle)
        begin = block.find(b"\n") + 1
        end = block.find(b"\n", begin)
        line = parse_line(block[begin:end]) if begin and end >= 0 else None
        if line is None:
            return low
        if line.sequence <= after:
            low = middle + begin
        else:
            high = middle
    return low
