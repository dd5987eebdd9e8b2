"""ObjectBundleStore: the port BundleStore over object storage, with a copy on this host that is checked offline."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path

from taxiway.artifacts.bundles import KEYS, FileBundleStore, Sign, opened
from taxiway.artifacts.objects import Objects
from taxiway.artifacts.s3 import ObjectMissing
from taxiway.domain.errors import ArtifactDigestMismatch
from taxiway.domain.ids import ModelVersionId

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
