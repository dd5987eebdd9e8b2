"""FileSnapshotStore: sealed whole or not at all, shared by content, and every change is found."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from taxiway.artifacts.files import FileSnapshotStore, delete
from taxiway.domain.errors import ArtifactDigestMismatch, MalformedModel, TrackingUnavailable
from taxiway.domain.ids import ModelVersionId, SnapshotId
from taxiway.domain.snapshots import CopyProgress, CopyState
from taxiway.ports import Fetch, ReportBytes
from taxiway_scoring import manifest

KEY, OTHER = ModelVersionId("version-1"), ModelVersionId("version-2")
FILES = {"MLmodel": b"flavors: {}\n", "model/weights.bin": bytes(range(256)) * 8, "code/rules.py": b"X = 1\n"}


def a_fetch(files: dict[str, bytes] = FILES, *, before_end: Callable[[], None] | None = None) -> Fetch:
    async def fetch(into: Path, report: ReportBytes) -> None:
        total, done = sum(map(len, files.values())), 0
        report(0, total)
        for name, content in files.items():
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            done += len(content)
            report(done, total)
        if before_end is not None:
            before_end()

    return fetch


async def ended(store: FileSnapshotStore, key: ModelVersionId = KEY) -> CopyProgress:
    while True:
        seen = await store.observe(key)
        assert seen is not None
        if seen.state is not CopyState.RUNNING:
            return seen
        await asyncio.sleep(0)


async def a_snapshot(store: FileSnapshotStore, key: ModelVersionId = KEY, fetch: Fetch | None = None) -> SnapshotId:
    await store.begin(key, fetch or a_fetch())
    seen = await ended(store, key)
    assert seen.state is CopyState.DONE, seen.failure
    assert seen.digest is not None
    return seen.digest


def names(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


async def test_a_copy_is_named_by_its_content_and_read_only(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path / "s")
    assert await store.observe(KEY) is None
    digest = await a_snapshot(store)
    seen = await ended(store)
    assert (seen.bytes_done, seen.bytes_total, seen.file_count) == (2066, 2066, 3)
    place = store.locate(digest)
    assert {str(p.relative_to(place / "files")): p.read_bytes() for p in place.rglob("*") if p.is_file()
            and p.name != "manifest.json"} == FILES  # fmt: skip
    assert digest == manifest.digest((place / "manifest.json").read_bytes())
    for path in (place, *place.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o500 if path.is_dir() else 0o400), path
    await store.verify(digest)
    assert await store.stored() == [digest]
    assert names(tmp_path / "s") == [digest]


async def test_the_digest_does_not_depend_on_order(tmp_path: Path) -> None:
    one = await a_snapshot(FileSnapshotStore(tmp_path / "a"))
    two = await a_snapshot(FileSnapshotStore(tmp_path / "b"), fetch=a_fetch(dict(reversed(FILES.items()))))
    assert one == two


async def test_equal_content_is_kept_once(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    digest = await a_snapshot(store)
    inode = store.locate(digest).stat().st_ino
    assert await a_snapshot(store, OTHER) == digest
    assert names(tmp_path) == [digest]
    assert store.locate(digest).stat().st_ino == inode


async def test_a_damaged_copy_is_replaced_by_the_next_equal_one(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    digest = await a_snapshot(store)
    damaged = store.locate(digest) / "files" / "MLmodel"
    damaged.chmod(0o600)
    damaged.write_bytes(b"flavors: !!python/object\n")
    assert await a_snapshot(store, OTHER) == digest
    await store.verify(digest)
    assert names(tmp_path) == [digest]


async def test_what_a_copy_of_another_version_ended_in_is_not_dropped(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    digest = await a_snapshot(store)
    await a_snapshot(store, OTHER)
    await store.cancel(KEY)
    await store.drop(digest)
    await store.verify(digest)
    await store.cancel(OTHER)
    await store.drop(digest)
    await store.drop(digest)
    assert names(tmp_path) == []


async def test_a_copy_is_begun_once_and_anew_after_a_failure(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    calls = []
    may_end = asyncio.Event()

    async def fails(into: Path, report: ReportBytes) -> None:
        calls.append(into)
        (into / "half").write_bytes(b"x")
        report(1, 10)
        await may_end.wait()
        raise TrackingUnavailable("MLflow does not answer.", hint="Wait.")

    await store.begin(KEY, fails)
    await store.begin(KEY, fails)
    while not calls:
        await asyncio.sleep(0)
    seen = await store.observe(KEY)
    assert seen is not None
    assert (seen.state, seen.bytes_done, seen.bytes_total, seen.digest) == (CopyState.RUNNING, 1, 10, None)
    may_end.set()
    seen = await ended(store)
    assert seen.failure is not None
    assert (seen.failure.reason, seen.failure.message, seen.failure.hint, seen.failure.retryable) == (
        "TrackingUnavailable", "MLflow does not answer.", "Wait.", True,
    )  # fmt: skip
    assert len(calls) == 1
    await a_snapshot(store)


async def test_nothing_is_left_of_a_failed_copy(tmp_path: Path) -> None:
    async def fails(into: Path, report: ReportBytes) -> None:
        (into / "sub").mkdir()
        (into / "sub" / "half").write_bytes(b"x")
        (into / "sub").chmod(0o500)
        raise MalformedModel("It is broken.")

    store = FileSnapshotStore(tmp_path)
    await store.begin(KEY, fails)
    seen = await ended(store)
    assert seen.failure is not None
    assert not seen.failure.retryable
    await store.cancel(KEY)
    assert names(tmp_path) == []


async def test_an_unforeseen_error_is_a_failure_without_its_text(tmp_path: Path) -> None:
    async def fails(into: Path, report: ReportBytes) -> None:
        raise LookupError("a secret")

    store = FileSnapshotStore(tmp_path)
    await store.begin(KEY, fails)
    seen = await ended(store)
    assert seen.failure is not None
    assert seen.failure.reason == "CopyFailed"
    assert "LookupError" in seen.failure.message
    assert "secret" not in str(seen.failure)


async def test_a_known_size_that_does_not_fit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    free = [300_000_000]
    store = FileSnapshotStore(tmp_path, free_bytes_of=lambda _: free[0])
    written = []

    async def large(into: Path, report: ReportBytes) -> None:
        report(0, 84_000_000)
        written.append(into)

    await store.begin(KEY, large)
    seen = await ended(store)
    assert seen.failure is not None
    assert seen.failure.reason == "OutOfDisk"
    assert "84.0 MB more are needed, 31.6 MB are left" in seen.failure.message
    assert seen.failure.retryable
    assert not written
    await store.cancel(KEY)
    assert names(tmp_path) == []
    free[0] = 300_000_000 + 84_000_000
    await a_snapshot(store)


async def test_the_reserve_holds_when_the_size_is_unknown(tmp_path: Path) -> None:
    free = iter([900, 900, 90])
    store = FileSnapshotStore(tmp_path, reserve_bytes=100, free_bytes_of=lambda _: next(free, 90))

    async def fetch(into: Path, report: ReportBytes) -> None:
        for done in range(10):
            report(done, None)

    await store.begin(KEY, fetch)
    seen = await ended(store)
    assert seen.failure is not None
    assert seen.failure.reason == "OutOfDisk"
    assert seen.bytes_done == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_fills_up_meanwhile(tmp_path: Path, number: int) -> None:
    def full() -> None:
        raise OSError(number, os.strerror(number))

    store = FileSnapshotStore(tmp_path, reserve_bytes=0)
    await store.begin(KEY, a_fetch(before_end=full))
    seen = await ended(store)
    assert seen.failure is not None
    assert seen.failure.reason == "OutOfDisk"
    await store.cancel(KEY)
    assert names(tmp_path) == []


async def test_another_trouble_with_the_disk_is_said(tmp_path: Path) -> None:
    def broken() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = FileSnapshotStore(tmp_path)
    await store.begin(KEY, a_fetch(before_end=broken))
    seen = await ended(store)
    assert seen.failure is not None
    assert (seen.failure.reason, seen.failure.retryable) == ("CopyFailed", True)
    assert "Input/output error" in seen.failure.message


async def test_a_cancelled_copy_is_gone_at_once(tmp_path: Path) -> None:
    began, was_cancelled = asyncio.Event(), asyncio.Event()

    async def hangs(into: Path, report: ReportBytes) -> None:
        (into / "half").write_bytes(b"x")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    store = FileSnapshotStore(tmp_path)
    await store.begin(KEY, hangs)
    await began.wait()
    await store.cancel(KEY)
    assert was_cancelled.is_set()
    assert await store.observe(KEY) is None
    assert names(tmp_path) == []
    await store.cancel(KEY)


async def test_sealing_stops_when_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that digests is told, and the directory is deleted only after it has stopped."""
    store = FileSnapshotStore(tmp_path)
    loop = asyncio.get_running_loop()
    is_digesting, pieces = asyncio.Event(), 0

    def build(files: Path, on_bytes: Callable[[int], None]) -> tuple[manifest.FileEntry, ...]:
        nonlocal pieces
        while True:
            on_bytes(1)
            pieces += 1
            loop.call_soon_threadsafe(is_digesting.set)

    monkeypatch.setattr(manifest, "build", build)
    await store.begin(KEY, a_fetch())
    await is_digesting.wait()
    await store.cancel(KEY)
    then = pieces
    await asyncio.sleep(0)
    assert pieces == then
    assert names(tmp_path) == []


async def test_leftovers_of_a_crash_are_never_seen_and_removed_at_start(tmp_path: Path) -> None:
    digest = await a_snapshot(FileSnapshotStore(tmp_path))
    for name in (".new-0123", ".old-0123"):
        shutil.copytree(tmp_path / digest, tmp_path / name)
    (tmp_path / "notes.txt").write_text("somebody's own")
    store = FileSnapshotStore(tmp_path)
    assert names(tmp_path) == sorted([digest, "notes.txt"])
    assert await store.stored() == [digest]
    assert await store.observe(KEY) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda files: (files / "link").symlink_to("/etc/passwd"), "link is a symbolic link"),
        (lambda files: (files / "up").symlink_to(".."), "up is a symbolic link"),
        (lambda files: os.mkfifo(files / "pipe"), "pipe is no regular file"),
        (lambda files: ((files / "a").write_text(""), (files / "A").write_text("")), "differ only in letter case"),
        (lambda files: (files / "a\nb").write_text(""), "has a name that a snapshot cannot hold"),
        (lambda files: (files / os.fsdecode(b"\xff")).write_text(""), "has a name that a snapshot cannot hold"),
        (lambda files: (files / "folder").mkdir(), "has no files"),
    ],
    ids=["link", "link_up", "pipe", "case", "newline", "no_utf8", "empty"],
)
async def test_what_a_snapshot_cannot_hold_is_refused(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    async def fetch(into: Path, report: ReportBytes) -> None:
        make(into)

    store = FileSnapshotStore(tmp_path)
    await store.begin(KEY, fetch)
    seen = await ended(store)
    assert seen.failure is not None
    assert (seen.failure.reason, seen.failure.retryable) == ("MalformedModel", False)
    assert says in seen.failure.message
    await store.cancel(KEY)
    assert names(tmp_path) == []


def _write(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def _content(path: Path, change: Callable[[bytes], bytes]) -> None:
    _write(path, change(path.read_bytes()))


async def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    digest = await a_snapshot(store)
    place, dice = store.locate(digest), random.Random(11)
    for name in (*(f"files/{name}" for name in FILES), "manifest.json"):
        path = place / name
        original = path.read_bytes()
        positions = {0, len(original) - 1, *(dice.randrange(len(original)) for _ in range(12))}
        for position in positions:
            bit = 1 << dice.randrange(8)
            flipped = original[:position] + bytes([original[position] ^ bit]) + original[position + 1 :]
            _write(path, flipped)
            with pytest.raises(ArtifactDigestMismatch, match=name.removeprefix("files/")):
                await store.verify(digest)
            _write(path, original)
    await store.verify(digest)


def _swap(place: Path) -> None:
    one, two = place / "files" / "MLmodel", place / "files" / "code" / "rules.py"
    first, second = one.read_bytes(), two.read_bytes()
    _content(one, lambda _: second)
    _content(two, lambda _: first)


def _link(path: Path, beside: Path) -> None:
    """Put a link to an equal file in a file's place: what it says is right until somebody changes it."""
    path.rename(beside / "same")
    path.symlink_to(beside / "same")


MUTATIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: _content(p / "files/model/weights.bin", lambda d: d[:-1]), "weights.bin was changed"),
    "emptied": (lambda p: _content(p / "files/MLmodel", lambda _: b""), "MLmodel was changed"),
    "longer": (lambda p: _content(p / "files/MLmodel", lambda d: d + b"\n"), "MLmodel was changed"),
    "deleted": (lambda p: (p / "files/code/rules.py").unlink(), "code/rules.py is missing"),
    "directory deleted": (lambda p: shutil.rmtree(p / "files/model"), "model/weights.bin is missing"),
    "added": (lambda p: (p / "files/code/sitecustomize.py").write_text(""), "code/sitecustomize.py was added"),
    "added beside": (lambda p: (p / "extra").write_text(""), "extra was added"),
    "renamed": (lambda p: (p / "files/MLmodel").rename(p / "files/mlmodel"), "MLmodel is missing"),
    "swapped": (_swap, "MLmodel was changed"),
    "linked": (lambda p: _link(p / "files/MLmodel", p.parent), "MLmodel is a symbolic link"),
    "all linked": (lambda p: _link(p / "files", p.parent), "files was replaced"),
    "manifest linked": (lambda p: _link(p / "manifest.json", p.parent), "manifest.json was replaced"),
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "manifest.json is missing"),
    "no files": (lambda p: delete(p / "files"), "files is missing"),
    "nothing": (delete, "manifest.json is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
async def test_every_mutation_is_found_and_the_file_named(tmp_path: Path, name: str) -> None:
    mutate, says = MUTATIONS[name]
    store = FileSnapshotStore(tmp_path / "s")
    digest = await a_snapshot(store)
    place = store.locate(digest)
    for directory in (place, *(path for path in place.rglob("*") if path.is_dir())):
        directory.chmod(0o700)
    mutate(place)
    with pytest.raises(ArtifactDigestMismatch) as found:
        await store.verify(digest)
    assert says in found.value.message
    assert str(found.value.facts["path"]) in found.value.message


async def test_a_manifest_that_fits_changed_files_has_another_digest(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    digest = await a_snapshot(store)
    place = store.locate(digest)
    _content(place / "files" / "MLmodel", lambda data: data + b"# more\n")
    _content(place / "manifest.json", lambda _: manifest.dump(manifest.build(place / "files")))
    with pytest.raises(ArtifactDigestMismatch, match=r"manifest\.json was changed"):
        await store.verify(digest)


def test_a_name_that_is_no_digest_never_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        FileSnapshotStore(tmp_path).locate(SnapshotId("../../etc"))
