"""FileSnapshotStore: the port SnapshotStore on a file system.

A snapshot is ``<home>/<digest>/`` with ``files/`` and ``manifest.json``, read-only, named by the SHA-256 of its
manifest. It is made beside its place under a name that begins with a dot and renamed when it is whole and on the
disk, so that it is either there or not. Model versions with equal files share one.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import ArtifactDigestMismatch, LimitReached, MalformedModel, OutOfDisk, TaxiwayError
from taxiway.domain.ids import ModelVersionId, SnapshotId
from taxiway.domain.scrubs import Found, Place
from taxiway.domain.snapshots import CopyProgress, CopyState
from taxiway.ports import Fetch, Pace, ReportBytes
from taxiway_scoring import manifest

RESERVE_BYTES = 256 << 20
"""What a copy leaves free: logs and databases must be writable after it."""
CANCEL_PATIENCE = 5.0
"""Seconds that ``cancel`` waits for a fetch that does not let go; it is thrown away when it does."""
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
MAKING, _LEAVING = ".new-", ".old-"
_TRY_AGAIN = "See the platform's log, then switch it ON to try again."
_log = structlog.get_logger()

SLOW_THREADS = 8

T = TypeVar("T")
P = ParamSpec("P")
FreeBytes = Callable[[Path], int]


class CopyFailed(TaxiwayError):
    """The model's files could not be copied, for a reason that has no name of its own."""

    reason = "CopyFailed"


class Stopped(Exception):
    """The copy was cancelled while a thread worked on it."""


@dataclass(slots=True, eq=False)
class Copy:
    """A copy as its task and its threads know it."""

    state: CopyState = CopyState.RUNNING
    bytes_done: int = 0
    bytes_total: int | None = None
    digest: SnapshotId | None = None
    """Set before the files are in place, so that ``drop`` leaves them alone from then on."""
    file_count: int = 0
    failure: Failure | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    task: asyncio.Task[None] | None = None

    def go_on(self, _count: int = 0) -> None:
        """Raise when the copy was cancelled."""
        if self.stop.is_set():
            raise Stopped

    def fail(self, error: TaxiwayError) -> None:
        """Say why the copy failed. What is wrong with the model itself will not be right another time."""
        self.state, self.digest = CopyState.FAILED, None
        self.failure = Failure(
            reason=error.reason,
            message=error.message,
            hint=error.hint or "",
            retryable=not isinstance(error, (MalformedModel, LimitReached)),
        )


def free_bytes(directory: Path) -> int:
    """Return how many bytes the user may still write on the file system of a directory."""
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize


class FileSnapshotStore:
    """Copies in tasks, works on files in threads, remembers the copies of this process only."""

    def __init__(
        self, home: Path, *, reserve_bytes: int = RESERVE_BYTES, free_bytes_of: FreeBytes = free_bytes
    ) -> None:
        """Make the directory and remove what a crash left half made. Only one process may use it at a time."""
        self._home = home
        self._reserve = reserve_bytes
        self._free_bytes_of = free_bytes_of
        self._copies: dict[ModelVersionId, Copy] = {}
        self._pinning = asyncio.Lock()
        self._slow = ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="snapshots")
        """For what may take hours; a scrub or a slow network must not take the threads that all others share."""
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in home.iterdir():
            if leftover.name.startswith((MAKING, _LEAVING)):
                delete(leftover)

    async def begin(self, key: ModelVersionId, fetch: Fetch) -> None:
        """Begin a copy and seal it when it is whole: digest, read-only, durable, moved into place at once.

        While a copy of that key runs, or when it is done and still there: no effect. After one that failed:
        begins anew.
        """
        known = self._copies.get(key)
        if known is not None:
            is_in_place = known.digest is not None and self.locate(known.digest).is_dir()
            if known.state is CopyState.RUNNING or (known.state is CopyState.DONE and is_in_place):
                return
        copy = self._copies[key] = Copy()
        copy.task = asyncio.create_task(self._run(copy, fetch), name=f"copy {key}")

    async def observe(self, key: ModelVersionId) -> CopyProgress | None:
        """Tell how the copy stands; None when this process began none."""
        copy = self._copies.get(key)
        if copy is None:
            return None
        return CopyProgress(
            state=copy.state,
            bytes_done=copy.bytes_done,
            bytes_total=copy.bytes_total,
            digest=copy.digest if copy.state is CopyState.DONE else None,
            file_count=copy.file_count,
            failure=copy.failure,
        )

    async def cancel(self, key: ModelVersionId) -> None:
        """Stop the copy, remove what it left and forget it; files in place stay. None running: no error."""
        copy = self._copies.pop(key, None)
        if copy is None or copy.task is None or copy.task.done():
            return
        copy.stop.set()
        copy.task.cancel()
        await asyncio.wait([copy.task], timeout=CANCEL_PATIENCE)

    async def verify(self, digest: SnapshotId) -> None:
        """Compare every file with the manifest. Raises ArtifactDigestMismatch, which names the file."""
        try:
            await asyncio.to_thread(manifest.verify, self.locate(digest), digest)
        except manifest.ManifestError as error:
            raise ArtifactDigestMismatch(
                f"Snapshot {digest[:12]} is not what was copied: {error.message}",
                hint="Find out who changed the snapshot; convert the run again for a new copy.",
                path=error.path,
            ) from error

    async def copy_out(self, digest: SnapshotId, into: Path, report: ReportBytes) -> None:
        """Copy a snapshot's files into an existing empty directory, and check that they are those. May be cancelled.

        Raises ArtifactDigestMismatch for what is not there or not what was sealed.
        """
        await self.verify(digest)
        files = self.locate(digest) / "files"
        entries = await asyncio.to_thread(manifest.build, files)
        total, done = sum(entry.size for entry in entries), 0
        for entry in entries:
            target = into / entry.path
            await asyncio.to_thread(_copy_file, files / entry.path, target)
            done += entry.size
            report(done, total)
        copied = manifest.digest(manifest.dump(await asyncio.to_thread(manifest.build, into)))
        if copied != digest:
            raise ArtifactDigestMismatch(
                f"What was copied of snapshot {digest[:12]} is not what was sealed.",
                hint="Find out who changed the snapshot; convert the run again for a new copy.",
                path="",
            )

    async def drop(self, digest: SnapshotId) -> None:
        """Delete a copy. An unknown one is already gone, one that a copy of this process ended in stays: no error.

        Without the second, files would vanish under a model version that came to share them a moment ago.
        """
        async with self._pinning:
            if any(copy.digest == digest for copy in self._copies.values()):
                return
            await self._withdraw(digest)
            leaving = await asyncio.to_thread(self._take_away, digest)
        if leaving is not None:
            await asyncio.to_thread(delete, leaving)

    async def stored(self) -> Sequence[SnapshotId]:
        """List the copies on disk, wanted or not."""
        return await asyncio.to_thread(self._stored)

    async def scrub(self, digest: SnapshotId, pace: Pace) -> Sequence[Found]:
        """Read every file again and name the first that is not what was sealed."""
        return await self._slowly(self._look_at, digest, pace, Place.STORE)

    def locate(self, digest: SnapshotId) -> Path:
        """Return the directory with ``files/`` and ``manifest.json``; it may be missing."""
        if not DIGEST.match(digest):
            raise AssertionError("a snapshot is named by 64 hexadecimal digits")
        return self._home / digest

    # ------------------------------------------------------------------ a copy

    async def _run(self, copy: Copy, fetch: Fetch) -> None:
        making = self._home / f"{MAKING}{secrets.token_hex(8)}"
        failure: TaxiwayError | None = None
        try:
            await self._make(copy, fetch, making)
        except TaxiwayError as error:
            failure = error
        except manifest.ManifestError as error:
            failure = MalformedModel(error.message, hint="Log the model again without that file.")
        except OSError as error:
            failure = self._explain(copy, error)
        except Exception as error:
            # A fetch that breaks must not leave a copy that seems to run for ever.
            _log.exception("copy failed")
            what = type(error).__name__
            failure = CopyFailed(f"The model's files could not be copied: {what}.", hint=_TRY_AGAIN)
        finally:
            await asyncio.shield(asyncio.to_thread(delete, making))
        # Only now, so that nothing is left behind when people see that it ended.
        if failure is None:
            copy.state = CopyState.DONE
        else:
            copy.fail(failure)

    async def _make(self, copy: Copy, fetch: Fetch, making: Path) -> None:
        files = making / "files"
        await in_thread(copy, lambda: files.mkdir(mode=0o700, parents=True))
        self._check_room(copy)

        def report(done: int, total: int | None) -> None:
            copy.go_on()
            copy.bytes_done, copy.bytes_total = done, total
            self._check_room(copy)

        await fetch(files, report)
        digest, entries = await in_thread(copy, lambda: seal(making, copy.go_on))
        async with self._pinning:
            copy.digest = digest
        await in_thread(copy, lambda: self._place(making, digest))
        await self._publish(copy, digest, entries)
        copy.bytes_done = copy.bytes_total = sum(entry.size for entry in entries)
        copy.file_count = len(entries)

    async def _publish(self, copy: Copy, digest: SnapshotId, entries: Sequence[manifest.FileEntry]) -> None:
        """Bring a copy that is in place to where else it is kept. Here that is nowhere."""

    async def _withdraw(self, digest: SnapshotId) -> None:
        """Delete a copy where else it is kept. Here that is nowhere."""

    async def _slowly(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        call = functools.partial(work, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._slow, call)

    def _look_at(self, digest: SnapshotId, pace: Pace, place: Place) -> list[Found]:
        try:
            manifest.verify(self.locate(digest), digest, pace)
        except manifest.ManifestError as error:
            return [Found(path=error.path, place=place, message=error.message)]
        return []

    def _check_room(self, copy: Copy) -> None:
        need = max(0, (copy.bytes_total or 0) - copy.bytes_done)
        free = self._free_bytes_of(self._home)
        if free - need < self._reserve:
            raise self._out_of_disk(need, free)

    def _out_of_disk(self, need: int, free: int) -> OutOfDisk:
        have = max(0, free - self._reserve)
        return OutOfDisk(
            f"The disk has no room for the model's files: {_megabytes(need)} more are needed, "
            f"{_megabytes(have)} are left beside a reserve of {_megabytes(self._reserve)}.",
            hint=f"Make room on the disk of {self._home}, then switch it ON to try again.",
            need_bytes=need,
            have_bytes=have,
        )

    def _explain(self, copy: Copy, error: OSError) -> TaxiwayError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = max(0, (copy.bytes_total or 0) - copy.bytes_done)
            return self._out_of_disk(need, self._free_bytes_of(self._home))
        _log.error("copy failed", error=error.strerror)
        return CopyFailed(f"The model's files could not be copied: {error.strerror}.", hint=_TRY_AGAIN)

    def _place(self, making: Path, digest: SnapshotId) -> None:
        """Move a sealed copy into place. An equal one that is whole is used, one that was changed is replaced."""
        target = self.locate(digest)
        if target.exists():
            try:
                manifest.verify(target, digest)
            except manifest.ManifestError as error:
                _log.warning("damaged snapshot replaced", snapshot=digest, path=error.path)
                leaving = self._take_away(digest)
                if leaving is not None:
                    delete(leaving)
            else:
                return
        making.rename(target)
        _sync(self._home)

    def _take_away(self, digest: SnapshotId) -> Path | None:
        """Rename a snapshot, so that none is ever seen half deleted; None where there is none."""
        leaving = self._home / f"{_LEAVING}{secrets.token_hex(8)}"
        try:
            self.locate(digest).rename(leaving)
        except FileNotFoundError:
            return None
        _sync(self._home)
        return leaving

    def _stored(self) -> list[SnapshotId]:
        return sorted(SnapshotId(path.name) for path in self._home.iterdir() if DIGEST.match(path.name))


# ------------------------------------------------------------------ files; all of this runs in threads


async def in_thread(copy: Copy, work: Callable[[], T], threads: Executor | None = None) -> T:
    """Run ``work`` in a thread; cancelled, tell it to stop and wait until it has, so that nothing is written after."""
    running = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        copy.stop.set()
        await asyncio.gather(running, return_exceptions=True)
        raise


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(source, target)


def seal(making: Path, go_on: Callable[[int], None]) -> tuple[SnapshotId, tuple[manifest.FileEntry, ...]]:
    """Digest the files below ``files/``, write the manifest, make all read-only and durable.

    Raises ManifestError for what a snapshot cannot hold, and what ``go_on`` raises, which is called all the time.
    """
    files = making / "files"
    entries = manifest.build(files, go_on)
    if not entries:
        raise MalformedModel("The logged model has no files.", hint="Log the model again.")
    data = manifest.dump(entries)
    (making / "manifest.json").write_bytes(data)
    for path in (*(files / entry.path for entry in entries), making / "manifest.json"):
        go_on(0)
        path.chmod(0o400)
        _sync(path)
    for directory, _, _ in os.walk(making, topdown=False):
        Path(directory).chmod(0o500)
        _sync(Path(directory))
    return SnapshotId(manifest.digest(data)), entries


def delete(directory: Path) -> None:
    """Delete a directory with all that is in it, read-only or not. A missing one: no error."""
    for parent, _, _ in os.walk(directory):
        Path(parent).chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
