"""The files of a snapshot and their digests. Standard library only; used by Taxiway and by every pod at its start.

A manifest is canonical JSON, ``{"files":[{"path","sha256","size"}, …],"version":1}``, files sorted by path; the
SHA-256 of its bytes is the snapshot's id. Paths are relative, ``/``-separated, normalised (NFC) and unique also
when letter case is ignored, so that a snapshot means the same on every file system.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
CHUNK_BYTES = 1 << 20
MAX_FILES = 100_000


class ManifestError(Exception):
    """A file is missing, added, changed or of a kind that a snapshot cannot hold; ``path`` names it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


@dataclass(frozen=True)
class FileEntry:
    """One file: its path below ``files/``, its size in bytes, the SHA-256 (hex) of its content."""

    path: str
    size: int
    sha256: str


def check_path(path: str) -> str:
    """Return the path when a snapshot may hold it. Raises ManifestError."""
    parts = path.split("/")
    if (
        not path
        or len(path.encode("utf-8", "surrogatepass")) > 1000
        or any(part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > 255 for part in parts)
        or "\\" in path
        or any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in path)
    ):
        raise ManifestError("A file of the model has a name that a snapshot cannot hold.", repr(path)[1:-1])
    return path


def _walk(root: Path, below: str = "") -> list[str]:
    found: list[str] = []
    with os.scandir(root / below if below else root) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            path = f"{below}/{entry.name}" if below else entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                found += _walk(root, path)
            elif stat.S_ISREG(mode):
                found.append(path)
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
                raise ManifestError(f"{path} is {kind}; a snapshot holds regular files only.", path)
            if len(found) > MAX_FILES:
                raise ManifestError(f"The model has more than {MAX_FILES} files.", path)
    return found


def digest_file(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> tuple[int, str]:
    """Return size and SHA-256 (hex) of a regular file; symbolic links are not followed."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            on_bytes(len(chunk))
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


def build(files: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> tuple[FileEntry, ...]:
    """Digest every file below a directory. Raises ManifestError for what a snapshot cannot hold.

    ``on_bytes`` is told of every piece that is read; what it raises stops the work.
    """
    entries, seen = [], dict[str, str]()
    for path in _walk(files):
        check_path(path)
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            raise ManifestError(f"{seen[folded]} and {path} differ only in letter case or composition.", path)
        seen[folded] = path
        size, sha256 = digest_file(files / path, on_bytes)
        entries.append(FileEntry(path, size, sha256))
    return tuple(sorted(entries, key=lambda entry: entry.path))


def dump(entries: tuple[FileEntry, ...]) -> bytes:
    """Return the canonical bytes of a manifest."""
    document = {
        "version": VERSION,
        "files": [{"path": e.path, "size": e.size, "sha256": e.sha256} for e in entries],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii")


def load(data: bytes) -> tuple[FileEntry, ...]:
    """Read a manifest. Raises ManifestError for bytes that ``dump`` would not have written."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            raise ValueError("version")
        entries = tuple(
            FileEntry(check_path(str(e["path"])), int(e["size"]), str(e["sha256"])) for e in document["files"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError("manifest.json is not a manifest of this version.", "manifest.json") from error
    if dump(entries) != data:
        raise ManifestError("manifest.json is not in its canonical form.", "manifest.json")
    return entries


def digest(data: bytes) -> str:
    """Return the SHA-256 (hex) of a manifest's bytes: the snapshot's id."""
    return hashlib.sha256(data).hexdigest()


def verify(
    snapshot: Path, expected: str, on_bytes: Callable[[int], None] = lambda _count: None
) -> tuple[FileEntry, ...]:
    """Compare ``manifest.json`` with the expected digest and every file below ``files/`` with the manifest.

    Raises ManifestError, which names the first file that is missing, added or changed. ``on_bytes`` is as in ``build``.
    """
    for name, is_right in (("manifest.json", stat.S_ISREG), ("files", stat.S_ISDIR)):
        try:
            mode = (snapshot / name).lstat().st_mode
        except OSError as error:
            raise ManifestError(f"{name} is missing.", name) from error
        if not is_right(mode):
            raise ManifestError(f"{name} was replaced by something else.", name)
    try:
        data = (snapshot / "manifest.json").read_bytes()
    except OSError as error:
        raise ManifestError(f"manifest.json cannot be read: {error.strerror}.", "manifest.json") from error
    if digest(data) != expected:
        raise ManifestError("manifest.json was changed.", "manifest.json")
    entries = load(data)
    root = snapshot / "files"
    try:
        present = set(_walk(root))
        for name in sorted({path.name for path in snapshot.iterdir()} - {"files", "manifest.json"}):
            raise ManifestError(f"{name} was added.", name)
    except OSError as error:
        raise ManifestError(f"files cannot be read: {error.strerror}.", "files") from error
    for entry in entries:
        if entry.path not in present:
            raise ManifestError(f"{entry.path} is missing.", entry.path)
    for path in sorted(present - {entry.path for entry in entries}):
        raise ManifestError(f"{path} was added.", path)
    for entry in entries:
        try:
            size, sha256 = digest_file(root / entry.path, on_bytes)
        except OSError as error:
            raise ManifestError(f"{entry.path} cannot be read: {error.strerror}.", entry.path) from error
        if (size, sha256) != (entry.size, entry.sha256):
            raise ManifestError(f"{entry.path} was changed.", entry.path)
    return entries
