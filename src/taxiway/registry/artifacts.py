"""The files of runs and logged models in MLflow's artifact store: where they are, what they are called, how they come.

Paths here are those of the store: below its root, without a slash at either end. A project's all begin with
``workspaces/<project>/``; nothing else is ever asked for.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from taxiway.domain.errors import InvalidInput, LimitReached, MalformedModel
from taxiway.domain.ids import ProjectName
from taxiway.domain.tracking import Artifact
from taxiway.ports import ReportBytes
from taxiway.registry.connection import MLflowConnection, unavailable
from taxiway.registry.reading import Unreadable, mapping, read_artifact

SCHEME = "mlflow-artifacts:/"
MOST_DEPTH = 32
WRITE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLimits:
    """How much a logged model may be."""

    files: int = 10_000
    total_bytes: int = 50 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a logged model: its path below the model's folder, and its size."""

    path: str
    size_bytes: int


def root_of(uri: str, project: ProjectName) -> str:
    """Return the store's path of an artifact URI that MLflow gave out. Raises MalformedModel for any other place."""
    path = uri.removeprefix(SCHEME).rstrip("/")
    is_ours = uri.startswith(SCHEME) and path.startswith(f"workspaces/{project}/")
    if not is_ours or not is_safe_path(path):
        raise MalformedModel(
            "The artifacts of this run are not kept in the project's own store.",
            hint="Log to an experiment that was made here, without an artifact location of its own.",
        )
    return path


def is_safe_name(name: str) -> bool:
    """Tell whether a name can be one file's or folder's and nothing else, on every file system."""
    return (
        name not in ("", ".", "..")
        and "/" not in name
        and "\\" not in name
        and name.isprintable()
        and len(name.encode("utf-8", "surrogatepass")) <= 255
        and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in name)
    )


def is_safe_path(path: str) -> bool:
    """Tell whether every part of a relative path is a safe name."""
    return all(is_safe_name(part) for part in path.split("/"))


def check_path(path: str) -> str:
    """Return a path that somebody asked for, without slashes at its end. Raises InvalidInput when it is not safe."""
    trimmed = path.rstrip("/")
    if trimmed and not is_safe_path(trimmed):
        raise InvalidInput(
            "An artifact's path is relative and has no empty, '.' or '..' parts.",
            hint="Give it as lists of artifacts show it.",
            field="/path",
        )
    return trimmed


def check_names(files: Iterable[ModelFile]) -> None:
    """Refuse names that would leave a directory, or that some file systems take for the same."""
    seen: dict[str, str] = {}
    for file in files:
        if not is_safe_path(file.path):
            raise MalformedModel(
                "The logged model has a file whose name cannot be used: it has an unprintable letter, "
                "a backslash or a '..' part, or is longer than 255 bytes.",
                hint="Log the model again without that file.",
            )
        parts = file.path.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            known = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
            if known != path:
                raise MalformedModel(
                    "Two names in the logged model differ only in case or in how a letter is composed.",
                    hint="Rename one of them and log the model again.",
                )


async def list_folder(connection: MLflowConnection, project: ProjectName, folder: str) -> list[Artifact]:
    """List one folder of the store; the paths are single names."""
    try:
        entries = [read_artifact(mapping(item)) for item in await connection.list_artifacts(project, folder)]
    except Unreadable as error:
        raise unavailable("MLflow's list of artifacts is not understood.") from error
    # Relative to the folder as MLflow has it now; its last part is the name however that may change.
    return [
        Artifact(path=entry.path.rpartition("/")[2], is_folder=entry.is_folder, size_bytes=entry.size_bytes)
        for entry in entries
    ]


async def list_files(
    connection: MLflowConnection, project: ProjectName, root: str, *, limits: FolderLimits
) -> tuple[ModelFile, ...]:
    """List all files below a folder, sorted. Raises MalformedModel for bad names, LimitReached for too much."""
    files: list[ModelFile] = []
    waiting, folders = [""], 0
    while waiting:
        folder = waiting.pop()
        folders += 1
        for entry in await list_folder(connection, project, f"{root}/{folder}".rstrip("/")):
            path = f"{folder}/{entry.path}".lstrip("/")
            if not is_safe_name(entry.path):
                check_names([ModelFile(path=path, size_bytes=0)])
            if entry.is_folder:
                waiting.append(path)
            else:
                files.append(ModelFile(path=path, size_bytes=entry.size_bytes or 0))
        if len(files) + folders + len(waiting) > limits.files or folder.count("/") > MOST_DEPTH:
            raise LimitReached(
                f"The logged model has more than {limits.files} files and folders, or more than {MOST_DEPTH} levels.",
                hint="Pack small files into one archive that the model reads.",
            )
    if (total := sum(file.size_bytes for file in files)) > limits.total_bytes:
        raise LimitReached(
            f"The logged model has {total >> 20} MiB, more than the {limits.total_bytes >> 20} MiB that are taken.",
            hint="Log a smaller model.",
        )
    check_names(files)
    return tuple(sorted(files, key=lambda file: file.path))


async def read_small(connection: MLflowConnection, project: ProjectName, path: str, *, most: int) -> bytes:
    """Read a small file whole. Raises MalformedModel when it has more than ``most`` bytes."""
    parts, size = [], 0
    async with connection.open_artifact(project, path) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise MalformedModel(
                    f"The file {path.rpartition('/')[2]} is larger than the {most >> 10} KiB that are read.",
                    hint="Shorten it and log the model again.",
                )
            parts.append(chunk)
    return b"".join(parts)


async def copy_files(
    connection: MLflowConnection,
    project: ProjectName,
    root: str,
    files: tuple[ModelFile, ...],
    into: Path,
    report: ReportBytes,
) -> None:
    """Copy files into an existing directory, one after the other, never more of one than it was listed with."""
    done, total = 0, sum(file.size_bytes for file in files)
    report(done, total)
    for file in files:
        target = into / file.path
        await asyncio.to_thread(_make_parents, into, target)
        with await asyncio.to_thread(_create, target) as stream:
            async for size in _copy_one(connection, project, f"{root}/{file.path}", file, stream):
                done += size
                report(done, total)


async def _copy_one(
    connection: MLflowConnection, project: ProjectName, source: str, file: ModelFile, stream: BinaryIO
) -> AsyncIterator[int]:
    """Copy a file and say after each write how much it was."""
    size, waiting = 0, bytearray()
    async with connection.open_artifact(project, source) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            waiting += chunk
            if size > file.size_bytes:
                raise _changed(file)
            if len(waiting) >= WRITE_BYTES:
                await asyncio.to_thread(stream.write, bytes(waiting))
                yield len(waiting)
                waiting.clear()
    if size != file.size_bytes:
        raise _changed(file)
    await asyncio.to_thread(_finish, stream, bytes(waiting))
    yield len(waiting)


def _changed(file: ModelFile) -> MalformedModel:
    return MalformedModel(
        f"The file {file.path} of the logged model changed while it was copied.", hint="Convert the run again."
    )


def _finish(stream: BinaryIO, rest: bytes) -> None:
    stream.write(rest)
    stream.flush()


def _make_parents(into: Path, target: Path) -> None:
    missing = []
    for parent in target.parents:
        if parent == into or parent.is_dir():
            break
        missing.append(parent)
    for parent in reversed(missing):
        parent.mkdir(mode=0o700)


def _create(target: Path) -> BinaryIO:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "wb", buffering=0)
