"""Files that Envoy watches: written beside their target, made durable, moved over it; read back for comparison."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from taxiway.domain.errors import OutOfDisk
from taxiway.gateway.names import Json

_STRAY = re.compile(r"\..+\.[0-9a-f]{8}\Z")


def encode(document: Json) -> bytes:
    """Write a document so that equal ones are equal bytes, whatever the order they were put together in."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def deliver(path: Path, content: bytes, *, again: bool = False) -> bool:
    """Put content into place, so that Envoy sees the old or the whole new file.

    What is there already has no effect, and the answer is False; ``again`` moves it into place nevertheless, so
    that Envoy looks at it once more. Raises OutOfDisk.
    """
    if not again and read(path) == content:
        return False
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        # The directory is not flushed: after a loss of power the old file is as good, for it is whole too.
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutOfDisk(f"{path} cannot be written: {error.strerror}.", hint="Free some space on that disk.") from error
    return True


def read(path: Path) -> bytes | None:
    """Return a file's content; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def clear_strays(directory: Path) -> None:
    """Delete what a crash left of files that were never moved into place."""
    for path in directory.iterdir():
        if _STRAY.match(path.name):
            path.unlink(missing_ok=True)
