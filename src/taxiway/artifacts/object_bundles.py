"""ObjectBundleStore: the port BundleStore over object storage, with a copy on this host that is checked offline."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from taxiway.artifacts.bundles import KEYS, FileBundleStore, Sign, opened, write
from taxiway.artifacts.objects import Objects
from taxiway.artifacts.s3 import ObjectMissing
from taxiway.domain.errors import ArtifactDigestMismatch
from taxiway.domain.ids import ModelVersionId
from taxiway.domain.scrubs import Found, Place

BUNDLES = "bundles/"


class ObjectBundleStore(FileBundleStore):
    """A bundle is on this host when the object store has it: pods that run again ask nothing of the object store."""

    def __init__(self, objects: Objects, home: Path, *, sign: Sign, public_keys: Mapping[str, bytes]) -> None:
        """Make the directories of this host; asks nothing of the object store."""
        super().__init__(home, sign=sign, public_keys=public_keys)
        self._objects = objects
        self._keys = home / KEYS
        self._public_keys = dict(public_keys)

    async def _publish(self, key: ModelVersionId, content: bytes) -> bytes:
        return await asyncio.to_thread(self._store, key, content)

    async def _withdraw(self, key: ModelVersionId) -> None:
        await asyncio.to_thread(self._objects.delete, f"{BUNDLES}{key}.json")

    async def scrub(self, key: ModelVersionId) -> Sequence[Found]:
        """Check the bundle of this host and that of the object store; what one of them lacks comes from the other."""
        return await asyncio.to_thread(self._scrub, key)

    def _scrub(self, key: ModelVersionId) -> list[Found]:
        name = f"{key}.json"
        ours, theirs = self._content(key), self._read(f"{BUNDLES}{name}")
        if ours is None and theirs is None:
            return []
        local, remote = (
            [Found(path=name, place=place, message=f"{name} is missing.")]
            if content is None
            else self._look_at(key, content, place)
            for content, place in ((ours, Place.LOCAL), (theirs, Place.STORE))
        )
        if local and not remote and theirs is not None:
            write(self._home, name, theirs)
            return [replace(found, is_mended=True) for found in local]
        if theirs is None and ours is not None and not local:
            self._store(key, ours)
            return [replace(found, is_mended=True) for found in remote]
        return [*remote, *local]

    def _store(self, key: ModelVersionId, content: bytes) -> bytes:
        present = self._objects.names(f"{BUNDLES}{KEYS}/")
        for name, raw in self._public_keys.items():
            if name not in present:
                self._objects.put_bytes(f"{BUNDLES}{KEYS}/{name}", base64.b64encode(raw) + b"\n")
        where = f"{BUNDLES}{key}.json"
        kept = self._read(where)
        if kept is not None:
            # Of an attempt that was interrupted, or of a host that is no more. A bundle never changes.
            opened(kept, key, self._keys)
            return kept
        self._objects.put_bytes(where, content)
        if self._read(where) != content:
            raise ArtifactDigestMismatch(
                f"{key}.json was not stored as it was sent.",
                hint="See the object store's own log; it is tried again by itself.",
                path=f"{key}.json",
            )
        return content

    def _read(self, where: str) -> bytes | None:
        try:
            return b"".join(self._objects.read(where))
        except ObjectMissing:
            return None
