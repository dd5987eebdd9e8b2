"""ObjectBundleStore: a bundle is in the object store before it counts, and never changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taxiway.artifacts.bundles import KEYS, bundles_in, opened
from taxiway.artifacts.object_bundles import ObjectBundleStore
from taxiway.domain.errors import ArtifactDigestMismatch, StoreUnavailable
from taxiway.keys.signer import BUNDLES, FileSigner
from tests.artifacts.test_bundles import FIRST, SECOND
from tests.objectstore import Bucket, Proxy, bucket, object_server, proxy

__all__ = ["bucket", "object_server", "proxy"]
pytestmark = pytest.mark.integration
WHERE = f"models/production/bundles/{FIRST}.json"
DOCUMENT = {"snapshot": "ab" * 32, "reason": "They asked for it."}


def a_store(bucket: Bucket, home: Path, *, private: Path) -> ObjectBundleStore:
    signer = FileSigner(private, BUNDLES)
    return ObjectBundleStore(bucket.objects, home, sign=signer.sign_bytes, public_keys=signer.public_keys())


async def test_a_bundle_and_the_public_keys_are_in_the_object_store_and_here(bucket: Bucket, tmp_path: Path) -> None:
    store = a_store(bucket, tmp_path / "one", private=tmp_path / "private")
    await store.keep(FIRST, DOCUMENT)
    assert bucket.read(WHERE) == (tmp_path / "one" / f"{FIRST}.json").read_bytes()
    keys = [key for key in bucket.listed() if f"/{KEYS}/" in key]
    assert {Path(key).name for key in keys} == {path.name for path in (tmp_path / "one" / KEYS).iterdir()}
    assert opened(bucket.read(WHERE), FIRST, tmp_path / "one" / KEYS)["reason"] == "They asked for it."
    await store.drop(FIRST)
    await store.drop(FIRST)
    assert WHERE not in bucket.listed()
    assert bundles_in(tmp_path / "one") == []


async def test_one_that_is_kept_asks_nothing_of_a_store_that_is_away(
    bucket: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    through = Bucket(server=bucket.server, name=bucket.name, endpoint=f"http://127.0.0.1:{proxy.port}")
    store = a_store(through, tmp_path / "one", private=tmp_path / "private")
    await store.keep(FIRST, DOCUMENT)
    proxy.faults.status, proxy.faults.code = 500, "InternalError"
    await store.keep(FIRST, {"snapshot": "another"})
    with pytest.raises(StoreUnavailable):
        await store.keep(SECOND, DOCUMENT)
    assert bundles_in(tmp_path / "one") == [FIRST], "what is not in the object store does not count here"
    proxy.faults.clear()
    await store.keep(SECOND, DOCUMENT)
    assert bundles_in(tmp_path / "one") == [FIRST, SECOND]


async def test_one_of_before_is_taken_over_as_it_was_signed(bucket: Bucket, tmp_path: Path) -> None:
    await a_store(bucket, tmp_path / "one", private=tmp_path / "private").keep(FIRST, DOCUMENT)
    store = a_store(bucket, tmp_path / "two", private=tmp_path / "private")
    await store.keep(FIRST, {"snapshot": "another"})
    kept = json.loads((tmp_path / "two" / f"{FIRST}.json").read_bytes())
    assert kept["bundle"]["reason"] == "They asked for it."


async def test_one_that_somebody_changed_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    await a_store(bucket, tmp_path / "one", private=tmp_path / "private").keep(FIRST, DOCUMENT)
    bucket.write(WHERE, bucket.read(WHERE).replace(b"asked", b"begged"))
    store = a_store(bucket, tmp_path / "two", private=tmp_path / "private")
    with pytest.raises(ArtifactDigestMismatch, match=f"{FIRST}.json is not what was signed"):
        await store.keep(FIRST, DOCUMENT)
    assert bundles_in(tmp_path / "two") == []
