"""ObjectSnapshotStore: seen whole or not at all, whatever the object store, the way to it or a kill does."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taxiway.artifacts import s3
from taxiway.artifacts.files import FileSnapshotStore, delete
from taxiway.artifacts.objects import ObjectSnapshotStore
from taxiway.domain.conditions import Failure
from taxiway.domain.errors import ArtifactDigestMismatch, StoreRefused, StoreUnavailable
from taxiway.domain.ids import SnapshotId
from taxiway.domain.scrubs import Place
from taxiway.domain.snapshots import CopyState
from taxiway.ports import Fetch, ReportBytes
from tests.artifacts.test_files import FILES, KEY, OTHER, a_fetch, a_snapshot, ended
from tests.objectstore import ACCESS_KEY, SECRET, Bucket, Proxy, bucket, object_server, proxy

__all__ = ["bucket", "object_server", "proxy"]
pytestmark = pytest.mark.integration
PREFIX = "models/production/"


def a_store(bucket: Bucket, home: Path) -> ObjectSnapshotStore:
    return ObjectSnapshotStore(bucket.objects, home, reserve_bytes=0)


def through(bucket: Bucket, proxy: Proxy) -> Bucket:
    return Bucket(server=bucket.server, name=bucket.name, endpoint=f"http://127.0.0.1:{proxy.port}")


def refilled(store: ObjectSnapshotStore, digest: SnapshotId) -> Fetch:
    """What makes this host's copy anew."""

    async def fetch(into: Path, report: ReportBytes) -> None:
        await store.copy_out(digest, into, report)

    return fetch


def no_pace(_count: int) -> None:
    return


async def failed(store: FileSnapshotStore) -> Failure:
    seen = await ended(store)
    assert seen.state is CopyState.FAILED
    assert seen.failure is not None
    return seen.failure


async def test_objects_are_named_by_content_and_the_manifest_comes_last(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)
    digest = await a_snapshot(store, fetch=a_fetch({**FILES, "again.py": FILES["code/rules.py"]}))
    keys = bucket.listed()
    assert len(keys) == 4, "equal files share an object"
    assert keys[-1] == f"{PREFIX}manifests/{digest}.json"
    assert all(key.startswith(f"{PREFIX}files/{digest}/") for key in keys[:-1])
    await store.verify(digest)


async def test_a_large_file_goes_in_parts_and_tells_how_far_it_is(bucket: Bucket, tmp_path: Path) -> None:
    content = random.Random(5).randbytes(3 * s3.PART_BYTES + 12_345)
    store = a_store(bucket, tmp_path)
    await store.begin(KEY, a_fetch({"model.bin": content}))
    seen: set[int] = set()
    while (progress := await store.observe(KEY)) is not None and progress.state is CopyState.RUNNING:
        seen.add(progress.bytes_done)
        await asyncio.sleep(0)
    assert progress is not None
    assert (progress.state, progress.bytes_done, progress.bytes_total) == (CopyState.DONE, len(content), len(content))
    assert len(seen) > 2
    (key,) = (key for key in bucket.listed() if "/files/" in key)
    assert bucket.read(key) == content


async def test_another_host_makes_its_copy_of_the_objects(bucket: Bucket, tmp_path: Path) -> None:
    digest = await a_snapshot(a_store(bucket, tmp_path / "one"))
    store = a_store(bucket, tmp_path / "two")
    assert await store.stored() == []
    assert await a_snapshot(store, fetch=refilled(store, digest)) == digest
    assert digest in await store.stored()
    assert (store.locate(digest) / "files" / "code" / "rules.py").read_bytes() == FILES["code/rules.py"]


def flipped(content: bytes) -> bytes:
    position = random.Random(3).randrange(len(content))
    return content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "truncated": lambda content: content[:-1],
    "emptied": lambda _content: b"",
    "longer": lambda content: content + b"x",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_object_is_found_and_named_before_a_pod_gets_it(
    bucket: Bucket, tmp_path: Path, change: str
) -> None:
    digest = await a_snapshot(a_store(bucket, tmp_path / "one"))
    store = a_store(bucket, tmp_path / "two")
    (key,) = (key for key in bucket.listed() if "files" in key and bucket.read(key) == FILES["model/weights.bin"])
    bucket.write(key, CHANGES[change](bucket.read(key)))
    await store.begin(KEY, refilled(store, digest))
    failure = await failed(store)
    assert failure.reason == "ArtifactDigestMismatch"
    assert "model/weights.bin was changed" in failure.message
    assert digest not in await store.stored()
    with pytest.raises(ArtifactDigestMismatch, match=r"model/weights\.bin was changed"):
        await store.verify(digest)
    # Promoted again, from where it is whole.
    assert await a_snapshot(store) == digest
    await store.verify(digest)


async def test_a_changed_manifest_and_a_missing_object_are_named(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path / "one")
    digest = await a_snapshot(store)
    manifest_key = bucket.listed()[-1]
    whole = bucket.read(manifest_key)
    bucket.write(manifest_key, flipped(whole))
    with pytest.raises(ArtifactDigestMismatch, match=r"manifest\.json was changed"):
        await store.verify(digest)
    bucket.write(manifest_key, whole)
    bucket.delete(bucket.listed()[0])
    with pytest.raises(ArtifactDigestMismatch, match="is missing"):
        await store.verify(digest)


# ------------------------------------------------------------------ scrubs


async def test_a_scrub_makes_a_damaged_copy_whole_from_whole_objects(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)
    digest = await a_snapshot(store)
    damaged = store.locate(digest) / "files" / "MLmodel"
    damaged.chmod(0o600)
    damaged.write_bytes(b"other")
    (found,) = await store.scrub(digest, no_pace)
    assert (found.path, found.place, found.is_mended) == ("MLmodel", Place.LOCAL, True)
    assert damaged.read_bytes() == FILES["MLmodel"]
    assert list(await store.scrub(digest, no_pace)) == []


async def test_a_scrub_leaves_a_damaged_object_and_says_so(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)
    digest = await a_snapshot(store)
    key = bucket.listed()[0]
    bucket.write(key, b"other")
    (found,) = await store.scrub(digest, no_pace)
    assert (found.place, found.is_mended) == (Place.STORE, False)
    assert found.path in FILES
    assert bucket.read(key) == b"other"
    assert digest in await store.stored(), "pods go on with this host's copy"


async def test_where_both_are_damaged_nothing_is_made_of_either(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path)
    digest = await a_snapshot(store)
    bucket.write(bucket.listed()[0], b"other")
    damaged = store.locate(digest) / "files" / "MLmodel"
    damaged.chmod(0o600)
    damaged.write_bytes(b"other")
    found = await store.scrub(digest, no_pace)
    assert [each.place for each in found] == [Place.STORE, Place.LOCAL]
    assert not any(each.is_mended for each in found)
    assert damaged.read_bytes() == b"other"


async def test_a_scrub_stores_anew_what_the_object_store_lacks(bucket: Bucket, tmp_path: Path) -> None:
    digest = await a_snapshot(FileSnapshotStore(tmp_path))
    store = a_store(bucket, tmp_path)  # the store was files until today
    (found,) = await store.scrub(digest, no_pace)
    assert (found.path, found.is_mended) == ("manifest.json", True)
    bucket.delete(bucket.listed()[1])
    (found,) = await store.scrub(digest, no_pace)
    assert (found.place, found.is_mended) == (Place.STORE, True)
    assert list(await store.scrub(digest, no_pace)) == []


async def test_what_is_dropped_while_a_scrub_stores_it_anew_stays_away(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store(bucket, tmp_path)
    digest = await a_snapshot(store)
    bucket.delete(bucket.listed()[-1])
    upload = store._upload

    def slowly(*arguments: Any) -> None:
        upload(*arguments)
        delete(store.locate(digest))  # what a deletion does in the end

    monkeypatch.setattr(store, "_upload", slowly)
    await store.scrub(digest, no_pace)
    assert bucket.listed() == []


# ------------------------------------------------------------------ a store that does not answer as it should

WRONG: dict[str, tuple[dict[str, object], str, str]] = {
    "403": ({"status": 403, "code": "AccessDenied"}, "StoreRefused", "AccessDenied, status 403"),
    "unknown key": ({"status": 403, "code": "InvalidAccessKeyId"}, "StoreRefused", "InvalidAccessKeyId"),
    "no bucket": ({"status": 404, "code": "NoSuchBucket"}, "StoreRefused", "NoSuchBucket"),
    "500": ({"status": 500, "code": "InternalError"}, "StoreUnavailable", "InternalError, status 500"),
    "503": ({"status": 503, "code": "SlowDown"}, "StoreUnavailable", "SlowDown, status 503"),
    "writes refused": ({"status": 403, "code": "AccessDenied", "method": "PUT"}, "StoreRefused", "AccessDenied"),
    "odd words": ({"status": 418, "code": "<secret&gt;"}, "StoreRefused", "status 418"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_refusal_and_an_outage_have_their_reason_and_leave_pods_files(
    bucket: Bucket, proxy: Proxy, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    faults, reason, says = WRONG[name]
    store = a_store(through(bucket, proxy), tmp_path)
    there = await a_snapshot(store, OTHER, a_fetch({"MLmodel": b"another"}))
    for field, value in faults.items():
        setattr(proxy.faults, field, value)
    await store.begin(KEY, a_fetch())
    failure = await failed(store)
    assert (failure.reason, failure.retryable) == (reason, True)
    assert says in failure.message
    assert failure.hint
    assert there in await store.stored()
    told = f"{failure} {caplog.text}"
    assert SECRET not in told
    assert ACCESS_KEY not in failure.message + failure.hint
    proxy.faults.clear()
    digest = await a_snapshot(store)
    await store.verify(digest)


async def test_a_passing_error_is_not_even_noticed(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    store = a_store(through(bucket, proxy), tmp_path)
    proxy.faults.status, proxy.faults.code, proxy.faults.times = 500, "InternalError", 1
    await store.verify(await a_snapshot(store))
    assert len(proxy.faults.seen) > len(set(proxy.faults.seen)), "nothing was tried again"


async def test_an_answer_that_is_cut_short_is_read_again(bucket: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    store = a_store(through(bucket, proxy), tmp_path)
    digest = await a_snapshot(store)
    proxy.faults.is_cut, proxy.faults.method, proxy.faults.times = True, "GET", 1
    await store.verify(digest)
    proxy.faults.times = 1_000_000
    with pytest.raises(StoreUnavailable) as caught:
        await store.verify(digest)
    assert caught.value.hint


async def test_a_store_that_does_not_answer_in_time_holds_up_nobody(
    bucket: Bucket, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 1)
    monkeypatch.setattr(s3, "TRIES", 1)
    store = a_store(through(bucket, proxy), tmp_path)
    proxy.faults.seconds = 2.5
    await store.begin(KEY, a_fetch())
    turns = 0
    while (seen := await store.observe(KEY)) is not None and seen.state is CopyState.RUNNING:
        await asyncio.sleep(0.01)
        turns += 1
    failure = await failed(store)
    assert failure.reason == "StoreUnavailable"
    # Counted, not measured: a loop that waits for the store itself gets one or two turns, one that does not, dozens.
    assert turns > 10, "the event loop stood still"


async def test_a_store_that_is_away_is_unavailable_and_one_of_nobody_refuses(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Bucket(server=bucket.server, name=bucket.name, endpoint="http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable):
        await a_store(away, tmp_path).verify(SnapshotId("ab" * 32))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    objects = s3.S3Objects(s3.S3Place(bucket=bucket.name, endpoint=bucket.server.endpoint))
    with pytest.raises(StoreRefused, match="no credentials"):
        objects.names("")


async def test_credentials_are_found_in_the_standard_file(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    objects = s3.S3Objects(s3.S3Place(bucket=bucket.name, endpoint=bucket.server.endpoint))
    objects.put_bytes("a/b", b"1")
    assert objects.names("a/") == ["b"]


def test_a_place_shows_no_secret() -> None:
    assert SECRET not in repr(s3.S3Place(bucket="b", secret_access_key=SECRET, session_token=SECRET))


# ------------------------------------------------------------------ interruptions


async def test_a_copy_that_is_cancelled_leaves_no_snapshot_and_can_be_begun_again(
    bucket: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    store = a_store(through(bucket, proxy), tmp_path)
    proxy.faults.seconds, proxy.faults.method = 0.4, "PUT"
    await store.begin(KEY, a_fetch())
    while not any(seen.startswith("PUT") for seen in proxy.faults.seen):
        await asyncio.sleep(0.01)
    await store.cancel(KEY)
    assert not any("manifests/" in key for key in bucket.listed())
    assert await store.observe(KEY) is None
    proxy.faults.clear()
    await store.verify(await a_snapshot(store))


async def test_what_is_under_way_is_not_dropped_and_nothing_of_others_ever(
    bucket: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    stranger = SnapshotId("ab" * 32)
    strange = [f"{PREFIX}files/{stranger}/{'cd' * 32}", f"{PREFIX}manifests/{stranger}.json"]
    for key in strange:
        bucket.write(key, b"not ours")
    store = a_store(through(bucket, proxy), tmp_path)
    proxy.faults.seconds, proxy.faults.method = 0.3, "PUT"
    await store.begin(KEY, a_fetch())
    while not any(seen.startswith("PUT") for seen in proxy.faults.seen):
        await asyncio.sleep(0.01)
    (running,) = await store.stored()
    await store.drop(running)
    assert (await ended(store)).state is CopyState.DONE
    assert await store.stored() == [running]
    await store.verify(running)
    await store.cancel(KEY)
    await store.drop(running)
    assert bucket.listed() == strange


async def test_a_copy_that_failed_half_way_is_known_and_dropped_as_a_whole(
    bucket: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    store = a_store(through(bucket, proxy), tmp_path)
    await store.begin(KEY, a_fetch())
    while not bucket.listed():
        await asyncio.sleep(0)
    proxy.faults.status, proxy.faults.code = 500, "InternalError"
    await failed(store)
    assert bucket.listed()
    proxy.faults.clear()
    (left,) = await store.stored()
    await store.drop(left)
    assert bucket.listed() == await store.stored() == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from taxiway.artifacts.objects import ObjectSnapshotStore
from taxiway.artifacts.s3 import S3Objects, S3Place
from tests.artifacts.test_files import a_fetch, a_snapshot, KEY

at, count = int(sys.argv[1]), 0

def passes():
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    def __init__(self, objects):
        self._objects = objects
    def __getattr__(self, name):
        def call(*arguments):
            passes()
            result = getattr(self._objects, name)(*arguments)
            if name == "read":
                result = list(result)
            passes()
            return iter(result) if name == "read" else result
        return call

async def main():
    place = S3Place(bucket=sys.argv[2], prefix="models/production", endpoint=sys.argv[3], region="us-east-1",
        access_key_id="a", secret_access_key="b")
    store = ObjectSnapshotStore(Dying(S3Objects(place)), Path(sys.argv[4]), reserve_bytes=0)
    digest = await a_snapshot(store)
    if sys.argv[5] == "drop":
        global at, count
        at, count = at - 1000, 0
        await store.cancel(KEY)
        await store.drop(digest)
    print(digest, count)

asyncio.run(main())
"""


def killed_at(point: int, bucket: Bucket, home: Path, what: str) -> bool:
    """Run a copy that dies at its given step; tell whether there was such a step."""
    arguments = [str(point), bucket.name, bucket.server.endpoint, str(home), what]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def points() -> Iterator[int]:
    yield from range(1, 200)


@pytest.mark.fault
@pytest.mark.timeout(300)
async def test_killed_at_any_step_of_a_copy_it_is_there_whole_or_not_at_all_and_done_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    last = 0
    for point in points():
        home = tmp_path / str(point)
        was_killed = killed_at(point, bucket, home, "copy")
        store = a_store(bucket, home)
        for digest in [key for key in bucket.listed() if "manifests/" in key]:
            await store.verify(SnapshotId(Path(digest).stem))
        assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []
        digest = await a_snapshot(store)
        await store.verify(digest)
        await store.cancel(KEY)
        await store.drop(digest)
        assert bucket.listed() == []
        delete(home)
        last = point
        if not was_killed:
            break
    assert last >= 16, f"only {last} steps"


@pytest.mark.fault
@pytest.mark.timeout(300)
async def test_killed_at_any_step_of_a_deletion_it_ends_deleted(bucket: Bucket, tmp_path: Path) -> None:
    last = 0
    for point in points():
        home = tmp_path / str(point)
        was_killed = killed_at(1000 + point, bucket, home, "drop")
        store = a_store(bucket, home)
        for digest in await store.stored():
            await store.drop(digest)
        assert bucket.listed() == []
        assert await store.stored() == []
        last = point
        if not was_killed:
            break
    assert last >= 8, f"only {last} steps"
