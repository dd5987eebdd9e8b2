"""ObjectBundleStore: a bundle is in the object store before it counts, and never changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from taxiway.artifacts.bundles import KEYS, FileBundleStore, bundles_in, opened, write
from taxiway.artifacts.object_bundles import ObjectBundleStore
from taxiway.domain.errors import ArtifactDigestMismatch, StoreUnavailable
from taxiway.domain.scrubs import Place
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


async def test_a_scrub_mends_what_is_whole_elsewhere_and_leaves_a_damaged_object(
    bucket: Bucket, tmp_path: Path
) -> None:
    home = tmp_path / "one"
    store = a_store(bucket, home, private=tmp_path / "private")
    assert list(await store.scrub(FIRST)) == []
    await store.keep(FIRST, DOCUMENT)
    assert list(await store.scrub(FIRST)) == []
    whole, ours = bucket.read(WHERE), home / f"{FIRST}.json"

    damages: tuple[Callable[[], None], ...] = (
        ours.unlink,
        lambda: write(home, ours.name, b"{}"),
        lambda: link(ours, tmp_path / "x"),
    )
    for damage in damages:
        damage()
        (found,) = await store.scrub(FIRST)
        assert (found.path, found.place, found.is_mended) == (ours.name, Place.LOCAL, True)
        assert (ours.read_bytes(), ours.is_symlink()) == (whole, False)

    bucket.delete(WHERE)
    (found,) = await store.scrub(FIRST)
    assert (found.place, found.is_mended, bucket.read(WHERE)) == (Place.STORE, True, whole)

    bucket.write(WHERE, b"{}")
    (found,) = await store.scrub(FIRST)
    assert (found.place, found.is_mended, bucket.read(WHERE)) == (Place.STORE, False, b"{}")
    assert ours.read_bytes() == whole


def link(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


async def test_a_scrub_of_files_names_a_bundle_that_is_not_what_was_signed(tmp_path: Path) -> None:
    signer = FileSigner(tmp_path / "private", BUNDLES)
    store = FileBundleStore(tmp_path / "one", sign=signer.sign_bytes, public_keys=signer.public_keys())
    await store.keep(FIRST, DOCUMENT)
    assert list(await store.scrub(FIRST)) == list(await store.scrub(SECOND)) == []
    write(tmp_path / "one", f"{FIRST}.json", (tmp_path / "one" / f"{FIRST}.json").read_bytes().replace(b"asked", b"a"))
    (found,) = await store.scrub(FIRST)
    assert (found.path, found.place, found.is_mended) == (f"{FIRST}.json", Place.STORE, False)
