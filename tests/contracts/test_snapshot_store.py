"""What every SnapshotStore does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.artifacts.files import FileSnapshotStore
from taxiway.artifacts.objects import ObjectSnapshotStore
from taxiway.domain.errors import ArtifactDigestMismatch, TrackingUnavailable
from taxiway.domain.ids import ModelVersionId, SnapshotId
from taxiway.domain.snapshots import CopyProgress, CopyState
from taxiway.ports import Fetch, ReportBytes, SnapshotStore
from tests.contracts.waiting import Pass, fake_time, real_time, until
from tests.fakes import FakeClock, FakeSnapshotStore
from tests.objectstore import Bucket, bucket, object_server

__all__ = ["bucket", "object_server"]

A, B = ModelVersionId("va"), ModelVersionId("vb")
UNKNOWN = SnapshotId("0" * 64)


@dataclass(kw_only=True)
class Kit:
    store: SnapshotStore
    a_moment: Pass

    async def over(self, key: ModelVersionId) -> CopyProgress:
        """Wait for a copy's end."""

        def is_over(progress: CopyProgress | None) -> bool:
            return progress is not None and progress.state is not CopyState.RUNNING

        progress = await until(lambda: self.store.observe(key), is_over, self.a_moment)
        assert progress is not None
        return progress

    async def copied(self, key: ModelVersionId, content: bytes = b"model") -> SnapshotId:
        await self.store.begin(key, files(content))
        progress = await self.over(key)
        assert progress.digest is not None
        return progress.digest


@pytest.fixture(
    params=[
        "fake",
        pytest.param("files", marks=pytest.mark.integration),
        pytest.param("objects", marks=pytest.mark.integration),
    ]
)
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    if request.param == "fake":
        clock = FakeClock()
        yield Kit(store=FakeSnapshotStore(clock), a_moment=fake_time(clock))
        return
    if request.param == "objects":
        bucket: Bucket = request.getfixturevalue("bucket")
        objects = ObjectSnapshotStore(bucket.objects, tmp_path / "snapshots", reserve_bytes=0)
        made = Kit(store=objects, a_moment=real_time)
    else:
        made = Kit(store=FileSnapshotStore(tmp_path / "snapshots", reserve_bytes=0), a_moment=real_time)
    yield made
    for key in (A, B):
        await made.store.cancel(key)


def files(content: bytes = b"model") -> Fetch:
    async def fetch(into: Path, report: ReportBytes) -> None:
        (into / "MLmodel").write_bytes(b"flavors: {}\n")
        (into / "model.pkl").write_bytes(content)
        report(len(content), len(content))

    return fetch


async def fails(_into: Path, _report: ReportBytes) -> None:
    raise TrackingUnavailable("MLflow does not answer.", hint="Try again.")


async def test_a_copy_becomes_a_snapshot(kit: Kit) -> None:
    assert await kit.store.observe(A) is None
    assert await kit.store.stored() == []
    digest = await kit.copied(A)
    progress = await kit.over(A)
    assert (progress.state, progress.file_count, progress.failure) == (CopyState.DONE, 2, None)
    assert progress.bytes_done == progress.bytes_total
    assert await kit.store.stored() == [digest]
    assert kit.store.locate(digest).name == digest
    await kit.store.verify(digest)


async def test_a_snapshot_is_copied_out_as_it_was_sealed(kit: Kit, tmp_path: Path) -> None:
    digest = await kit.copied(A)
    seen: list[tuple[int, int | None]] = []
    into = tmp_path / "into"
    into.mkdir()
    await kit.store.copy_out(digest, into, lambda done, total: seen.append((done, total)))
    assert sorted(path.name for path in into.iterdir()) == ["MLmodel", "model.pkl"]
    assert (into / "model.pkl").read_bytes() == b"model"
    assert seen
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(ArtifactDigestMismatch):
        await kit.store.copy_out(SnapshotId("00" * 32), into, lambda _done, _total: None)


async def test_beginning_again_while_and_after_it_ran_has_no_effect(kit: Kit) -> None:
    await kit.store.begin(A, files())
    await kit.store.begin(A, fails)
    digest = (await kit.over(A)).digest
    await kit.store.begin(A, fails)
    assert (await kit.over(A)).digest == digest


async def test_equal_files_share_a_digest_and_other_files_have_another(kit: Kit) -> None:
    first, second = await kit.copied(A), await kit.copied(B)
    assert first == second
    assert len(await kit.store.stored()) == 1
    await kit.store.cancel(B)
    assert await kit.copied(B, b"other") != first
    assert len(await kit.store.stored()) == 2


async def test_a_fetch_that_fails_is_a_failure_with_its_reason_and_can_be_begun_again(kit: Kit) -> None:
    await kit.store.begin(A, fails)
    progress = await kit.over(A)
    assert progress.state is CopyState.FAILED
    assert progress.failure is not None
    assert (progress.failure.reason, progress.failure.message) == ("TrackingUnavailable", "MLflow does not answer.")
    assert progress.digest is None
    assert await kit.store.stored() == []
    assert await kit.copied(A)


async def test_cancelling_forgets_and_an_unknown_copy_is_no_error(kit: Kit) -> None:
    await kit.store.cancel(A)
    await kit.store.begin(A, files())
    await kit.store.cancel(A)
    assert await kit.store.observe(A) is None
    await kit.a_moment()
    assert await kit.copied(A)


async def test_dropping_deletes_but_not_what_another_copy_ended_in(kit: Kit) -> None:
    await kit.store.drop(UNKNOWN)
    digest = await kit.copied(A)
    await kit.copied(B)
    await kit.store.cancel(A)
    await kit.store.drop(digest)
    assert await kit.store.stored() == [digest]
    await kit.store.cancel(B)
    await kit.store.drop(digest)
    await kit.store.drop(digest)
    assert await kit.store.stored() == []
    assert await kit.copied(A) == digest


async def test_what_is_not_there_cannot_be_verified(kit: Kit) -> None:
    with pytest.raises(ArtifactDigestMismatch):
        await kit.store.verify(UNKNOWN)


async def test_a_scrub_finds_nothing_in_what_is_whole_and_all_in_what_is_not_there(kit: Kit) -> None:
    digest = await kit.copied(A)
    seen: list[int] = []
    assert list(await kit.store.scrub(digest, seen.append)) == []
    assert sum(seen) >= len(b"flavors: {}\n" + b"model")
    assert await kit.store.scrub(UNKNOWN, seen.append)


async def test_a_scrub_ends_when_its_pace_says_so(kit: Kit) -> None:
    digest = await kit.copied(A)

    def stop(_count: int) -> None:
        raise TrackingUnavailable("Stop.")

    with pytest.raises(TrackingUnavailable):
        await kit.store.scrub(digest, stop)
