"""Is every change of what went to production found, and the file named?"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from taxiway.artifacts.bundles import KEYS, FileBundleStore, bundles_in, verify
from taxiway.domain.errors import ArtifactDigestMismatch
from taxiway.domain.ids import ModelVersionId
from taxiway.keys.signer import BUNDLES, FileSigner
from taxiway_scoring import manifest

FIRST, SECOND = ModelVersionId("0" * 27 + "1"), ModelVersionId("0" * 27 + "2")
FILES = {"MLmodel": b"flavors: {}\n" * 20, "model.pkl": bytes(range(256)) * 4, "code/rules.py": b"LIMIT = 3\n"}


def a_snapshot(home: Path, more: dict[str, bytes]) -> str:
    making = home / "making"
    for name, content in {**FILES, **more}.items():
        (making / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (making / "files" / name).write_bytes(content)
    data = manifest.dump(manifest.build(making / "files"))
    (making / "manifest.json").write_bytes(data)
    making.rename(home / manifest.digest(data))
    return manifest.digest(data)


@pytest.fixture
async def production(tmp_path: Path) -> Path:
    """Two bundles of two snapshots, below ``production``; the public keys are kept elsewhere too."""
    home = tmp_path / "production"
    signer = FileSigner(tmp_path / "private", BUNDLES)
    store = FileBundleStore(home / "bundles", sign=signer.sign_bytes, public_keys=signer.public_keys())
    for key, more in ((FIRST, {}), (SECOND, {"extra.json": b"{}"})):
        digest = a_snapshot(home / "snapshots", more)
        await store.keep(key, {"snapshot": digest, "deployment": "fraud-acme", "reason": "They asked for it."})
    shutil.copytree(home / "bundles" / KEYS, tmp_path / "trusted")
    return home


def check(home: Path) -> None:
    for key in bundles_in(home / "bundles"):
        verify(home / "bundles", key, home / "snapshots", public_keys=home.parent / "trusted")


def test_what_nobody_touched_is_whole_with_either_keys(production: Path) -> None:
    check(production)
    found = verify(production / "bundles", FIRST, production / "snapshots")
    assert (found["deployment"], found["model_version"]) == ("fraud-acme", FIRST)


async def test_a_bundle_is_made_once(production: Path) -> None:
    signer = FileSigner(production.parent / "private", BUNDLES)
    store = FileBundleStore(production / "bundles", sign=signer.sign_bytes, public_keys=signer.public_keys())
    await store.keep(FIRST, {"snapshot": "another"})
    check(production)
    await store.drop(FIRST)
    await store.drop(FIRST)
    assert bundles_in(production / "bundles") == [SECOND]


def flipped(place: Path, dice: random.Random) -> None:
    data = bytearray(place.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    place.write_bytes(data)


def cut(place: Path, dice: random.Random) -> None:
    place.write_bytes(place.read_bytes()[: dice.randrange(place.stat().st_size)])


def swapped(place: Path, dice: random.Random) -> None:
    """Put another file of the same kind in its place."""
    others = [each for each in files_of(place.parents[1]) if each != place and each.read_bytes() != place.read_bytes()]
    shutil.copyfile(dice.choice(others), place)


def removed(place: Path, _dice: random.Random) -> None:
    place.unlink()


def linked(place: Path, _dice: random.Random) -> None:
    """Put a symbolic link to the very same bytes in its place."""
    kept = next(each for each in place.parents if each.name == "production").with_name(f"kept-{place.name}")
    place.rename(kept)
    place.symlink_to(kept)


def added(place: Path, dice: random.Random) -> None:
    place.with_name(f"added-{dice.randrange(99)}.json").write_bytes(b"{}")


MUTATIONS: list[Callable[[Path, random.Random], None]] = [flipped, cut, swapped, removed, linked, added]


def files_of(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file() and KEYS not in path.parts)


def test_five_hundred_changes_are_found_and_the_file_is_named(production: Path) -> None:
    dice = random.Random(11)
    whole = production.with_name("whole")
    shutil.copytree(production, whole)
    done = 0
    while done < 500:
        change, place = dice.choice(MUTATIONS), dice.choice(files_of(production))
        if change is removed and place.parent.name == "bundles":
            continue  # nobody knows offline how many there were
        before = place.read_bytes()
        change(place, dice)
        if change in (flipped, cut, swapped) and says_the_same(place, before):
            continue
        done += 1
        with pytest.raises(ArtifactDigestMismatch) as found:
            check(production)
        name = "added-" if change is added else place.name
        assert name in str(found.value), f"{change.__name__} {place}: {found.value}"
        shutil.rmtree(production)
        shutil.copytree(whole, production)
        for left in production.parent.glob("kept-*"):
            left.unlink()


def says_the_same(place: Path, before: bytes) -> bool:
    """Tell whether nothing was changed, or only spaces between a bundle's words, which are nobody's business."""
    after = place.read_bytes()
    try:
        return after == before or (place.parent.name == "bundles" and bool(json.loads(after) == json.loads(before)))
    except ValueError:
        return False


async def test_a_key_that_is_not_trusted_signs_nothing(production: Path) -> None:
    """Who can write to the directory can also put keys there; a copy kept elsewhere tells."""
    stranger = FileSigner(production.parent / "stranger", BUNDLES)
    place = production / "bundles" / f"{FIRST}.json"
    document = json.loads(place.read_bytes())["bundle"] | {"reason": "Nobody asked."}
    place.chmod(0o600)
    place.unlink()
    for key in (production / "bundles" / KEYS).iterdir():
        key.unlink()
    forged = FileBundleStore(production / "bundles", sign=stranger.sign_bytes, public_keys=stranger.public_keys())
    await forged.keep(FIRST, {key: value for key, value in document.items() if key != "model_version"})
    assert verify(production / "bundles", FIRST, production / "snapshots")["reason"] == "Nobody asked."
    with pytest.raises(ArtifactDigestMismatch, match="keys/"):
        verify(production / "bundles", FIRST, production / "snapshots", public_keys=production.parent / "trusted")
