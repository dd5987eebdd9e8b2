"""An environment's directory on disk: begun beside its final place, sealed, moved there at once, deleted.

| name in the home        | what it is                                                              |
| ----------------------- | ----------------------------------------------------------------------- |
| ``<environment id>``    | a whole environment, read-only; ``sealed.json`` was written last        |
| ``.building-…``         | one that is being built, or a list about it; after a crash, rubbish     |
| ``.dropped-…``          | one that is being deleted; after a crash, rubbish                       |

All lie in one directory: a read-only directory can be renamed there, not moved elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import secrets
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import EnvironmentFailed
from taxiway.domain.ids import EnvironmentId
from taxiway.environments.running import end_orphan

REQUEST = "request.json"
ASKED = "requirements.in"
LOCK = "requirements.lock"
MARK = "sealed.json"
PROCESS = "process"
_ID = re.compile(r"[0-9a-f]{64}\Z")
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_LEFTOVERS = (".building-", ".dropped-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The files that make a directory an environment, as uv made them, before anything was installed.

    Wheels may bring files for the environment's root. One that replaced ``pyvenv.cfg`` could name any directory of
    the host as the home of its Python, and pods are shown that directory.
    """

    config: bytes
    links: tuple[tuple[str, str], ...]

    @staticmethod
    def of(directory: Path) -> Skeleton:
        """Read it."""
        programs = sorted(path for path in (directory / "bin").iterdir() if path.name.startswith("python"))
        return Skeleton(
            config=(directory / "pyvenv.cfg").read_bytes(),
            links=tuple((path.name, str(path.readlink()) if path.is_symlink() else "") for path in programs),
        )


def new_building(home: Path, environment: EnvironmentId) -> Path:
    """Return a new place to build in; it is not made yet."""
    return home / f".building-{environment[:12]}-{secrets.token_hex(4)}"


def packages_in(home: Path, environment: EnvironmentId) -> int | None:
    """Return how many packages a sealed environment holds; None where there is none whose Python still runs."""
    directory = home / environment
    if not _ID.match(environment) or not (directory / "bin" / "python").exists():
        return None
    try:
        return int(json.loads((directory / MARK).read_bytes())["packages"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sealed_in(home: Path) -> list[EnvironmentId]:
    """List the environments of a home, also those whose Python is gone."""
    try:
        names = sorted(path.name for path in home.iterdir() if _ID.match(path.name))
    except FileNotFoundError:
        return []
    return [EnvironmentId(name) for name in names]


def seal(building: Path, request: EnvironmentRequest, *, skeleton: Skeleton, packages: int) -> None:
    """Write down what it is and make it read-only.

    Raises EnvironmentFailed when a package replaced what makes it an environment.
    """
    if Skeleton.of(building) != skeleton:
        raise EnvironmentFailed(
            "A package replaced pyvenv.cfg or the Python of the model environment.",
            hint="Leave out the package that brings these files; it is not a usual one.",
        )
    (building / ".lock").unlink(missing_ok=True)
    (building / PROCESS).unlink(missing_ok=True)
    _write_new(building / REQUEST, json.dumps(asdict(request), indent=2, sort_keys=True))
    _write_new(building / MARK, json.dumps({"packages": packages}))
    _make_read_only(building)


def sync_all(directory: Path) -> None:
    """Bring the file system to the disk at once: one call for tens of thousands of files."""
    number = os.open(directory, os.O_RDONLY)
    try:
        # Unlike os.sync, this waits for no other file system, which may be a dead network's.
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is None or syncfs(number) != 0:
            os.sync()
    finally:
        os.close(number)


def move_into_place(building: Path, home: Path, environment: EnvironmentId) -> None:
    """Let all see a sealed environment that is on the disk."""
    # One that is there is not whole, or its Python is gone; else nobody would have begun.
    drop(home, environment)
    building.rename(home / environment)
    _sync(home)


def drop(home: Path, environment: EnvironmentId) -> None:
    """Delete an environment: gone for all who look, then deleted. An unknown one is no error."""
    if not _ID.match(environment):
        return
    doomed = home / f".dropped-{environment[:12]}-{secrets.token_hex(4)}"
    try:
        (home / environment).rename(doomed)
    except FileNotFoundError:
        return
    remove(doomed)


def clear_leftovers(home: Path) -> int:
    """Delete what builds and deletions left when they were cut off, with the processes that still write there."""
    if not home.is_dir():
        return 0
    found = [path for path in home.iterdir() if path.name.startswith(_LEFTOVERS)]
    for path in found:
        if path.is_dir():
            end_orphan(path / PROCESS)
            remove(path)
        else:
            path.unlink()
    return len(found)


def remove(directory: Path) -> None:
    """Delete a directory, also a read-only one. A missing one is no error."""
    for parent, names, _ in os.walk(directory):
        for path in (Path(parent), *(Path(parent, name) for name in names)):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _write_new(path: Path, text: str) -> None:
    """Write a file that was not there; what a package put at its place goes."""
    if path.is_dir() and not path.is_symlink():
        remove(path)
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)


def _make_read_only(directory: Path) -> None:
    """Take all rights to write away.

    Most files are hard links to uv's cache and to other environments, so their mode changes there too. That is
    wanted: a package that writes to its own files would change them for all. uv only reads and links what is in
    its cache, and copies what it writes itself (``RECORD``).
    """
    for parent, _, files in os.walk(directory):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & _WRITE_BITS:
                path.chmod(stat.S_IMODE(mode) & ~_WRITE_BITS)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
