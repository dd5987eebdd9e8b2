"""FileLogStore: the port LogStore over the logs that stubs and builders write, also those of the dead.

A living pod's log lies in its directory, a dead one's below ``logs/pods/<pod id>/`` with a note of its revision, a
build's below ``logs/builds/<environment id>/``; all in the stubs' own form, so that one reader does. Who builds
writes with ``open_build_log``. ``sweep`` pushes out what is over the cap and is called now and then by the app.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taxiway.domain.ids import EnvironmentId, RevisionId
from taxiway.domain.logs import LogKind, LogName, LogPage
from taxiway.stub import children, reading
from taxiway.stub.logs import LogWriter

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}\Z")
_MOST_LINES = 10_000
BUILD_FILE_BYTES = 2 << 20
BUILD_FILES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlaces:
    """Where logs are found. ``platform`` holds a child's directory for each of the platform's own logs."""

    pods: Path
    dead_pods: Path
    builds: Path
    platform: dict[LogKind, Path] = field(default_factory=dict)


class FileLogStore:
    """Reads logs in a thread; remembers nothing."""

    def __init__(self, places: LogPlaces, *, dead_bytes: int = 512 << 20) -> None:
        """Keep at most ``dead_bytes`` of dead pods' and builds' logs together."""
        self._places = places
        self._dead_bytes = dead_bytes

    async def read(self, name: LogName, *, after: int = 0, limit: int = 1000, contains: str | None = None) -> LogPage:
        """Return lines with a greater sequence than ``after``, those that contain the text where one is given.

        An unknown log is empty and complete. A page without lines that is not complete says: go on from
        ``next_sequence``, more is there to be searched or will come.
        """
        count = max(1, min(limit, _MOST_LINES))
        return await asyncio.to_thread(self._read, name, max(0, after), count, contains)

    async def tail(self, name: LogName, *, limit: int = 100) -> LogPage:
        """Return the last lines, oldest first."""
        return await asyncio.to_thread(self._tail, name, max(1, min(limit, _MOST_LINES)))

    async def pods_of(self, revision: RevisionId) -> Sequence[str]:
        """List the ids of all pods of the revision, living and dead, whose logs are kept; oldest first."""
        return await asyncio.to_thread(self._pods_of, revision)

    async def forget(self, name: LogName) -> None:
        """Delete a log. One that is being written, and an unknown one, are left alone: no error."""
        await asyncio.to_thread(self._forget, name)

    async def sweep(self) -> int:
        """Delete the oldest logs of the dead and of builds until the cap holds; returns how many went."""
        return await asyncio.to_thread(self._sweep)

    def _read(self, name: LogName, after: int, limit: int, contains: str | None) -> LogPage:
        child, kept = self._find(name)
        if child is not None:
            return children.read_log(child, after=after, limit=limit, contains=contains)
        if kept is None:
            return LogPage(lines=(), next_sequence=after, is_complete=True)
        page = reading.read(kept, after=after, limit=limit, contains=contains)
        return reading.open_ended(page) if is_being_written(kept) else page

    def _tail(self, name: LogName, limit: int) -> LogPage:
        child, kept = self._find(name)
        if child is not None:
            return children.tail_log(child, limit=limit)
        if kept is None:
            return LogPage(lines=(), next_sequence=0, is_complete=True)
        page = reading.tail(kept, limit=limit)
        return reading.open_ended(page) if is_being_written(kept) else page

    def _find(self, name: LogName) -> tuple[Path | None, Path | None]:
        """Return (a child's directory, a directory of log files), at most one of them."""
        if name.kind in self._places.platform:
            return self._places.platform[name.kind], None
        if not _ID.match(name.id):
            return None, None
        if name.kind is LogKind.BUILD:
            return None, self._places.builds / name.id
        if name.kind is LogKind.POD:
            living = self._places.pods / name.id
            return (living, None) if living.is_dir() else (None, self._places.dead_pods / name.id / "log")
        return None, None

    def _pods_of(self, revision: RevisionId) -> list[str]:
        found = set()
        for pod in _names(self._places.pods):
            status = children.status(self._places.pods / pod)
            if status is not None and status.labels.get("revision") == revision:
                found.add(pod)
        for pod in _names(self._places.dead_pods):
            if _revision_of(self._places.dead_pods / pod / "pod.json") == revision:
                found.add(pod)
        # Pods' ids begin with the time at which they were made.
        return sorted(found)

    def _forget(self, name: LogName) -> None:
        if not _ID.match(name.id):
            return
        if name.kind is LogKind.POD:
            shutil.rmtree(self._places.dead_pods / name.id, ignore_errors=True)
        elif name.kind is LogKind.BUILD:
            shutil.rmtree(self._places.builds / name.id, ignore_errors=True)

    def _sweep(self) -> int:
        kept = [
            (directory.stat().st_mtime, size_of(directory), directory)
            for root in (self._places.dead_pods, self._places.builds)
            for directory in (root / name for name in _names(root))
            if directory.is_dir() and not is_being_written(directory)
        ]
        total, deleted = sum(size for _, size, _ in kept), 0
        for _, size, directory in sorted(kept):
            if total <= self._dead_bytes:
                break
            shutil.rmtree(directory, ignore_errors=True)
            total, deleted = total - size, deleted + 1
        return deleted


def open_build_log(builds: Path, environment: EnvironmentId) -> BuildLog:
    """Begin to write a build's log; a log of an earlier build of the same is replaced."""
    directory = builds / environment
    shutil.rmtree(directory, ignore_errors=True)
    return BuildLog(directory)


class BuildLog:
    """A build's log while it is written. Not for two writers."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, mode=0o700)
        self._mark = directory / "writing"
        self._mark.write_text(str(os.getpid()), "ascii")
        self._log = LogWriter(str(directory), file_bytes=BUILD_FILE_BYTES, files=BUILD_FILES)

    def write(self, text: str, *, is_error: bool = False) -> None:
        """Append one line, at once readable."""
        self._log.write("e" if is_error else "o", text.replace("\n", " "))

    def close(self) -> None:
        """Say that nothing more comes."""
        self._log.close()
        self._mark.unlink(missing_ok=True)


def is_being_written(directory: Path) -> bool:
    """Say whether a build that still runs writes here; the mark of one that was killed does not count."""
    try:
        pid = int((directory / "writing").read_text("ascii"))
    except (OSError, ValueError):
        return False
    return Path(f"/proc/{pid}").exists()


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir() if _ID.match(path.name))
    except OSError:
        return []


def _revision_of(note: Path) -> str | None:
    try:
        data = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return data.get("revision") if isinstance(data, dict) else None
