"""ObjectSnapshotStore: the port SnapshotStore over object storage, with a verified copy on this host for pods.

Below the bucket's prefix lie ``files/<snapshot>/<SHA-256 of a file>`` and ``manifests/<snapshot>.json``. The manifest
is written last, when every file was read again out of the store and is what was sealed; a snapshot without one is not
there. Files are named by content: a path of a model may be longer than a key may be. On this host lies what
FileSnapshotStore keeps, from before the first object to after the last: so ``stored`` knows what an interruption left,
and nothing is ever deleted of an object store that this host did not bring there, or was not told by name to delete.
A copy that was lost here is made again out of the object store.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import structlog

from taxiway.artifacts.files import (
    MAKING,
    RESERVE_BYTES,
    Copy,
    FileSnapshotStore,
    FreeBytes,
    delete,
    free_bytes,
    in_thread,
    seal,
)
from taxiway.artifacts.s3 import ObjectMissing
from taxiway.domain.errors import ArtifactDigestMismatch
from taxiway.domain.ids import SnapshotId
from taxiway.domain.scrubs import Found, Place
from taxiway.ports import Pace, ReportBytes
from taxiway_scoring import manifest

MANIFESTS, FILES = "manifests/", "files/"
MANIFEST = "manifest.json"
_MISSING, _CHANGED = "is missing", "was changed"
_log = structlog.get_logger()


class Objects(Protocol):
    """What is asked of an object store; every method blocks. See S3Objects."""

    def put(self, key: str, source: Path, go_on: Callable[[int], None]) -> None:
        """Store a file, whole or not at all; ``go_on`` is told how much has gone, and may raise to stop it."""

    def put_bytes(self, key: str, content: bytes) -> None:
        """Store bytes, whole or not at all."""

    def read(self, key: str) -> Iterator[bytes]:
        """Read an object to its end, piece by piece. Raises ObjectMissing."""

    def names(self, below: str) -> Sequence[str]:
        """List the names right below a key that ends in a slash."""

    def delete(self, key: str) -> None:
        """Delete an object. One that is not there: no error."""


class ObjectSnapshotStore(FileSnapshotStore):
    """A copy is done when the object store has it, checked, and this host has it too."""

    def __init__(
        self,
        objects: Objects,
        cache: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        free_bytes_of: FreeBytes = free_bytes,
    ) -> None:
        """Make the directory for copies of this host; asks nothing of the object store."""
        super().__init__(cache, reserve_bytes=reserve_bytes, free_bytes_of=free_bytes_of)
        self._objects = objects
        self._read_whole: set[SnapshotId] = set()
        """Read out of the store to its end by a copy that is to end in it: need not be read once more."""

    async def verify(self, digest: SnapshotId) -> None:
        """Compare every object with the manifest, and this host's copy where there is one."""
        handle = Copy()
        found = await in_thread(handle, lambda: self._look_at_objects(digest, handle.go_on), self._slow)
        if found:
            raise _damaged(digest, found[0])
        if self.locate(digest).is_dir():
            await super().verify(digest)

    async def copy_out(self, digest: SnapshotId, into: Path, report: ReportBytes) -> None:
        """Copy a snapshot out of the object store into an existing empty directory, and check every file."""
        handle = Copy()
        self._read_whole.discard(digest)

        def tell(done: int, total: int | None) -> None:
            handle.go_on()
            report(done, total)

        await in_thread(handle, lambda: self._copy_out(digest, into, tell), self._slow)
        self._read_whole.add(digest)

    async def scrub(self, digest: SnapshotId, pace: Pace) -> Sequence[Found]:
        """Read objects and this host's copy again; what one of them lacks, or this host has damaged, is made whole.

        An object that is damaged stays as it is: it tells what happened.
        """
        remote = await self._slowly(self._look_at_objects, digest, pace)
        has_copy = self.locate(digest).is_dir()
        local = await self._slowly(self._look_at, digest, pace, Place.LOCAL) if has_copy else []
        if local and not remote:
            return await self._mend_copy(digest, local, pace)
        if has_copy and not local and remote and all(found.message.endswith(f"{_MISSING}.") for found in remote):
            return await self._mend_objects(digest, remote, pace)
        return [*remote, *local]

    # ------------------------------------------------------------------ to the object store

    async def _publish(self, copy: Copy, digest: SnapshotId, entries: Sequence[manifest.FileEntry]) -> None:
        if digest in self._read_whole:
            self._read_whole.discard(digest)
            return
        size = sum(entry.size for entry in entries)
        copy.bytes_done, copy.bytes_total = size, 2 * size

        def go_on(count: int) -> None:
            copy.go_on()
            copy.bytes_done = min(copy.bytes_done + count, 2 * size)

        await in_thread(copy, lambda: self._upload(digest, entries, go_on), self._slow)

    def _upload(self, digest: SnapshotId, entries: Sequence[manifest.FileEntry], go_on: Pace) -> None:
        place = self.locate(digest)
        present = set(self._objects.names(f"{FILES}{digest}/"))
        for entry in _each_content(entries):
            key = f"{FILES}{digest}/{entry.sha256}"
            if entry.sha256 in present and self._wrong(key, entry, go_on) is None:
                continue  # an attempt that was interrupted brought it here
            go_on(0)
            sent = 0

            def tell(so_far: int) -> None:
                nonlocal sent
                go_on(so_far - sent)
                sent = so_far

            self._objects.put(key, place / "files" / entry.path, tell)
            wrong = self._wrong(key, entry, lambda _count: go_on(0))
            if wrong is not None:
                raise _damaged(digest, Found(path=entry.path, place=Place.STORE, message=wrong))
        go_on(0)
        data = manifest.dump(tuple(entries))
        self._objects.put_bytes(f"{MANIFESTS}{digest}.json", data)
        if b"".join(self._objects.read(f"{MANIFESTS}{digest}.json")) != data:
            raise _damaged(digest, Found(path=MANIFEST, place=Place.STORE, message=f"{MANIFEST} {_CHANGED}."))

    async def _withdraw(self, digest: SnapshotId) -> None:
        """Delete the manifest first: what is left of an interruption is then no snapshot, and swept away."""
        self._read_whole.discard(digest)
        await self._slowly(self._delete, digest)

    def _delete(self, digest: SnapshotId) -> None:
        self._objects.delete(f"{MANIFESTS}{digest}.json")
        for name in self._objects.names(f"{FILES}{digest}/"):
            self._objects.delete(f"{FILES}{digest}/{name}")

    # ------------------------------------------------------------------ out of the object store; runs in threads

    def _manifest(self, digest: SnapshotId) -> tuple[manifest.FileEntry, ...]:
        """Read a snapshot's manifest. Raises ManifestError."""
        try:
            data = b"".join(self._objects.read(f"{MANIFESTS}{digest}.json"))
        except ObjectMissing as error:
            raise manifest.ManifestError(f"{MANIFEST} {_MISSING}.", MANIFEST) from error
        if manifest.digest(data) != digest:
            raise manifest.ManifestError(f"{MANIFEST} {_CHANGED}.", MANIFEST)
        return manifest.load(data)

    def _wrong(
        self, key: str, entry: manifest.FileEntry, pace: Pace, keep: Callable[[bytes], object] = len
    ) -> str | None:
        """Read an object to its end; tell what is wrong with it, in a sentence. None: it is what was sealed."""
        hashed, size = hashlib.sha256(), 0
        try:
            for piece in self._objects.read(key):
                pace(len(piece))
                hashed.update(piece)
                size += len(piece)
                keep(piece)
        except ObjectMissing:
            return f"{entry.path} {_MISSING}."
        if size != entry.size:
            return f"{entry.path} {_CHANGED}: it has {size} bytes instead of {entry.size}."
        return None if hashed.hexdigest() == entry.sha256 else f"{entry.path} {_CHANGED}."

    def _look_at_objects(self, digest: SnapshotId, pace: Pace) -> list[Found]:
        try:
            entries = self._manifest(digest)
        except manifest.ManifestError as error:
            return [Found(path=error.path, place=Place.STORE, message=error.message)]
        wrong = {}
        for entry in _each_content(entries):
            key = f"{FILES}{digest}/{entry.sha256}"
            # Twice before it is called damaged: a proxy on the way can cut an answer short as well.
            wrong[entry.sha256] = self._wrong(key, entry, pace) and self._wrong(key, entry, pace)
        return [
            Found(path=entry.path, place=Place.STORE, message=message)
            for entry in entries
            if (message := wrong[entry.sha256]) is not None
        ]

    def _copy_out(self, digest: SnapshotId, into: Path, report: ReportBytes) -> None:
        try:
            entries = self._manifest(digest)
        except manifest.ManifestError as error:
            raise _damaged(digest, Found(path=error.path, place=Place.STORE, message=error.message)) from error
        total, done = sum(entry.size for entry in entries), 0
        report(0, total)

        def tell(count: int) -> None:
            nonlocal done
            done = min(done + count, total)
            report(done, total)

        for entry in entries:
            target = into / entry.path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with target.open("wb") as file:
                message = self._wrong(f"{FILES}{digest}/{entry.sha256}", entry, tell, file.write)
            if message is not None:
                raise _damaged(digest, Found(path=entry.path, place=Place.STORE, message=message))

    # ------------------------------------------------------------------ mending

    async def _mend_copy(self, digest: SnapshotId, local: Sequence[Found], pace: Pace) -> Sequence[Found]:
        """Take the place of this host's copy with another one out of the object store, which is whole."""
        making = self._home / f"{MAKING}{secrets.token_hex(8)}"
        try:
            await self._slowly(self._make_copy, digest, making, pace)
            async with self._pinning:
                # Dropped meanwhile, it stays away.
                if self.locate(digest).is_dir():
                    await asyncio.to_thread(self._place, making, digest)
        finally:
            await asyncio.shield(asyncio.to_thread(delete, making))
        _log.warning("local copy of a snapshot made whole again", snapshot=digest, path=local[0].path)
        return [replace(found, is_mended=True) for found in local]

    def _make_copy(self, digest: SnapshotId, making: Path, pace: Pace) -> None:
        files = making / "files"
        files.mkdir(mode=0o700, parents=True)
        self._copy_out(digest, files, lambda _done, _total: pace(0))
        made, _ = seal(making, pace)
        if made != digest:
            raise _damaged(digest, Found(path=MANIFEST, place=Place.STORE, message=f"{MANIFEST} {_CHANGED}."))

    async def _mend_objects(self, digest: SnapshotId, remote: Sequence[Found], pace: Pace) -> Sequence[Found]:
        """Store what is missing anew; what is there and whole is not touched."""
        try:
            entries = await self._slowly(manifest.verify, self.locate(digest), digest, pace)
            await self._slowly(self._upload, digest, entries, pace)
        except manifest.ManifestError as error:
            return [*remote, Found(path=error.path, place=Place.LOCAL, message=error.message)]
        finally:
            async with self._pinning:
                # Dropped meanwhile, it stays away.
                if not self.locate(digest).is_dir():
                    await self._slowly(self._delete, digest)
        _log.warning("missing objects of a snapshot stored anew", snapshot=digest, path=remote[0].path)
        return [replace(found, is_mended=True) for found in remote]


def _each_content(entries: Sequence[manifest.FileEntry]) -> list[manifest.FileEntry]:
    """Return one file of each content: equal ones share an object."""
    return list({entry.sha256: entry for entry in entries}.values())


def _damaged(digest: SnapshotId, found: Found) -> ArtifactDigestMismatch:
    return ArtifactDigestMismatch(
        f"Snapshot {digest[:12]} in the object store is not what was copied: {found.message}",
        hint="Find out who changed the object, or restore its earlier version; else promote the model version again.",
        path=found.path,
    )
