"""Manifests: canonical bytes, safe names, refusals that name the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway_scoring import manifest
from taxiway_scoring.manifest import FileEntry, ManifestError

ENTRIES = (FileEntry("MLmodel", 3, "0" * 64), FileEntry("a/b.bin", 0, "f" * 64))


def test_a_manifest_survives_writing_and_reading() -> None:
    data = manifest.dump(ENTRIES)
    assert manifest.load(data) == ENTRIES
    assert manifest.digest(data) == manifest.digest(manifest.dump(ENTRIES))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d | {"version": 2}, lambda _: {"version": 1}, lambda d: d | {"files": [{"path": "x"}]},
        lambda d: d | {"files": [*d["files"], {"path": "../x", "size": 1, "sha256": "0"}]},
        lambda d: d | {"extra": 1}, lambda _: [], lambda _: None,
    ],
)  # fmt: skip
def test_what_is_no_manifest(change: object) -> None:
    document = json.loads(manifest.dump(ENTRIES))
    assert callable(change)
    with pytest.raises(ManifestError):
        manifest.load(json.dumps(change(document), sort_keys=True, separators=(",", ":")).encode())


def test_a_manifest_in_other_clothes_is_refused() -> None:
    with pytest.raises(ManifestError, match="canonical"):
        manifest.load(manifest.dump(ENTRIES) + b"\n")


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a//b", "a/", "../a", "a/../b", ".", "a/./b", "a\\b", "a\nb", "a\0b", "\ud800", "x" * 256,
     "a/" * 501 + "b"],
)  # fmt: skip
def test_names_that_a_snapshot_cannot_hold(path: str) -> None:
    with pytest.raises(ManifestError):
        manifest.check_path(path)


@given(st.lists(st.sampled_from(["a", "B", "..", ".", "", "ü", "c.txt", "\\", "\x1f"]), max_size=5).map("/".join))
def test_a_name_that_is_held_stays_below_its_directory(path: str) -> None:
    try:
        manifest.check_path(path)
    except ManifestError:
        return
    assert Path("/root/files", path).resolve().is_relative_to("/root/files")


def test_names_that_differ_only_in_composition_collide(tmp_path: Path) -> None:
    (tmp_path / "\u00e4").write_text("1")
    (tmp_path / "a\u0308").write_text("2")
    with pytest.raises(ManifestError, match="differ only"):
        manifest.build(tmp_path)


def test_digesting_tells_its_progress_and_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (2 * manifest.CHUNK_BYTES + 5))
    seen: list[int] = []
    manifest.build(tmp_path, seen.append)
    assert seen == [manifest.CHUNK_BYTES, manifest.CHUNK_BYTES, 5]

    def stop(_count: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        manifest.build(tmp_path, stop)
