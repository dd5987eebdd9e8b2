"""SnapshotStore in memory."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import (
    ArtifactDigestMismatch,
    OutOfDisk,
    TaxiwayError,
)
from taxiway.domain.ids import (
    ModelVersionId,
    SnapshotId,
)
from taxiway.domain.scrubs import Found, Place
from taxiway.domain.snapshots import CopyProgress, CopyState
from taxiway.ports import Fetch, Pace, ReportBytes
from tests.fakes.clock import FakeClock


class CopyFate(Enum):
    """What becomes of copies."""

    WELL = auto()
    COPY_FAILS = auto()
    COPY_HANGS = auto()
    BEGIN_FAILS = auto()
    """``begin`` itself raises: the disk is full."""


@dataclass(kw_only=True)
class _Copy:
    ends_at: float
    fetch: Fetch | None
    progress: CopyProgress


class FakeBundleStore:
    """Keeps documents, unsigned."""

    def __init__(self) -> None:
        self.documents: dict[ModelVersionId, Mapping[str, Any]] = {}
        self.tampered: set[ModelVersionId] = set()

    async def keep(self, key: ModelVersionId, document: Mapping[str, Any]) -> None:
        self.documents.setdefault(key, document)

    async def drop(self, key: ModelVersionId) -> None:
        self.documents.pop(key, None)

    async def scrub(self, key: ModelVersionId) -> Sequence[Found]:
        name = f"{key}.json"
        return [Found(path=name, place=Place.STORE, message=f"{name} is not what was signed.")] * (key in self.tampered)


class FakeSnapshotStore:
    """Copies end when they are looked at after their time. Digests are of the files' names and contents."""

    def __init__(self, clock: FakeClock, *, seconds: float = 0.2) -> None:
        self._clock = clock
        self._seconds = seconds
        self.fate = CopyFate.WELL
        self.contents: dict[SnapshotId, dict[str, bytes]] = {}
        self.tampered: dict[SnapshotId, str] = {}
        """The file that ``verify`` will name."""
        self.not_at_hand: set[SnapshotId] = set()
        """Kept elsewhere, and not on this host."""
        self.away: TaxiwayError | None = None
        """What a scrub and a copy out raise: the store does not answer."""
        self.place, self.mends = Place.STORE, False
        """Which copy a scrub finds tampered with, and whether it makes it whole again."""
        self.begun = 0
        self._copies: dict[ModelVersionId, _Copy] = {}

    async def begin(self, key: ModelVersionId, fetch: Fetch) -> None:
        if self.fate is CopyFate.BEGIN_FAILS:
            raise OutOfDisk("2 GB are needed and 1 GB is free.", hint="Free some room.")
        known = self._copies.get(key)
        if known is not None:
            state, digest = known.progress.state, known.progress.digest
            if state is CopyState.RUNNING or (state is CopyState.DONE and self._has(digest)):
                return
        self.begun += 1
        progress = CopyProgress(state=CopyState.RUNNING, bytes_done=0, bytes_total=None)
        self._copies[key] = _Copy(ends_at=self._clock.elapsed() + self._seconds, fetch=fetch, progress=progress)

    async def observe(self, key: ModelVersionId) -> CopyProgress | None:
        copy = self._copies.get(key)
        if copy is None:
            return None
        if copy.fetch is not None and self._clock.elapsed() >= copy.ends_at and self.fate is not CopyFate.COPY_HANGS:
            fetch, copy.fetch = copy.fetch, None
            copy.progress = await self._seal(copy.progress, fetch)
        return copy.progress

    async def _seal(self, running: CopyProgress, fetch: Fetch) -> CopyProgress:
        if self.fate is CopyFate.COPY_FAILS:
            failure = Failure(reason="OutOfDisk", message="The disk is full.", hint="Free some room.")
            return replace(running, state=CopyState.FAILED, failure=failure)
        directory = Path(tempfile.mkdtemp(prefix="tw-copy-"))
        try:
            await fetch(directory, lambda _done, _total: None)
            files = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
        except TaxiwayError as error:
            failure = Failure(reason=error.reason, message=error.message, hint=error.hint or "")
            return replace(running, state=CopyState.FAILED, failure=failure)
        except OSError as error:
            failure = Failure(reason="TrackingUnavailable", message=str(error), hint="Try again.")
            return replace(running, state=CopyState.FAILED, failure=failure)
        finally:
            shutil.rmtree(directory)
        size = sum(len(content) for content in files.values())
        digest = SnapshotId(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
        self.contents[digest] = files
        self.not_at_hand.discard(digest)
        return CopyProgress(
            state=CopyState.DONE, bytes_done=size, bytes_total=size, digest=digest, file_count=len(files)
        )

    async def cancel(self, key: ModelVersionId) -> None:
        self._copies.pop(key, None)

    async def verify(self, digest: SnapshotId) -> None:
        if digest not in self.contents:
            raise ArtifactDigestMismatch("The snapshot is not there.", hint="Convert the run again.")
        if digest in self.tampered:
            raise ArtifactDigestMismatch(f"The file '{self.tampered[digest]}' was changed.", hint="Convert it again.")

    async def copy_out(self, digest: SnapshotId, into: Path, report: ReportBytes) -> None:
        if self.away is not None:
            raise self.away
        await self.verify(digest)
        for name, content in self.contents[digest].items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(content)
        report(1, 1)

    async def drop(self, digest: SnapshotId) -> None:
        if not any(copy.progress.digest == digest for copy in self._copies.values()):
            self.contents.pop(digest, None)

    async def stored(self) -> Sequence[SnapshotId]:
        return sorted(self.contents.keys() - self.not_at_hand)

    def _has(self, digest: SnapshotId | None) -> bool:
        return digest in self.contents and digest not in self.not_at_hand

    async def scrub(self, digest: SnapshotId, pace: Pace) -> Sequence[Found]:
        if self.away is not None:
            raise self.away
        if digest not in self.contents:
            return [Found(path="manifest.json", place=Place.STORE, message="manifest.json is missing.")]
        pace(sum(len(content) for content in self.contents[digest].values()))
        name = self.tampered.get(digest)
        if name is None:
            return []
        return [Found(path=name, place=self.place, message=f"{name} was changed.", is_mended=self.mends)]

    def locate(self, digest: SnapshotId) -> Path:
        return Path("/snapshots") / digest

    def control_plane_died(self) -> None:
        """Copies die with the process that made them; what is sealed stays."""
        self._copies.clear()
