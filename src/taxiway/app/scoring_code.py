"""Lays the scoring server's code where pods run it from: a read-only directory named by the digest of its files."""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import os
import py_compile
import shutil
import tempfile
from pathlib import Path

PACKAGE = "taxiway_scoring"
_MAIN = f"from {PACKAGE}.__main__ import main\n\nmain()\n"


def source_of_scoring() -> Path:
    """Return the directory of the installed package, without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"The package {PACKAGE} is not installed beside taxiway.")
    return Path(next(iter(spec.submodule_search_locations)))


def lay_out_scoring(home: Path, source: Path | None = None) -> Path:
    """Return ``home/<digest>``, a directory that Python can run, made where it is missing. Twice is once.

    Byte code of this Python's version comes along, since pods cannot write there; a pod of another version compiles
    in memory at each start.
    """
    source = source or source_of_scoring()
    files = sorted(source.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(source)}\0".encode() + file.read_bytes() + b"\0")
    target = home / digest.hexdigest()[:32]
    if target.exists():
        return target
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
    for file in files:
        copy = made / PACKAGE / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    (made / "__main__.py").write_text(_MAIN)
    # The path in tracebacks is the final one; nothing checks the sources again at a start.
    compileall.compile_dir(
        str(made),
        quiet=2,
        stripdir=str(made),
        prependdir=str(target),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    for directory, _, names in os.walk(made, topdown=False):
        for name in names:
            Path(directory, name).chmod(0o400)
        Path(directory).chmod(0o500)
    made.chmod(0o700)  # a directory must be writable to be renamed by anybody but root
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise
        _delete(made)
        return target
    target.chmod(0o500)
    _delete_others(home, target)
    return target


def _delete_others(home: Path, kept: Path) -> None:
    """Delete half-made directories. Code of earlier versions stays: pods may still be running from it."""
    for path in home.glob(".new-*"):
        if path != kept:
            _delete(path)


def _delete(directory: Path) -> None:
    for parent, _, _ in os.walk(directory):
        Path(parent).chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)
