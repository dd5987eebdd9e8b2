"""The store of compiled sources that ``compiling.py`` takes from: what comes in, and what goes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROGRAM = Path(__file__).with_name("compiling.py")


def publish(listed: Path) -> None:
    """Put what was newly compiled into the store; the list names each file and its place there, in turn.

    Only after all of it is on the disk: what a power cut truncated would break every later environment.
    """
    try:
        lines = listed.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return
    for target, kept in zip(lines[::2], lines[1::2], strict=True):
        place = Path(kept)
        # Two builds may compile the same, and a file system has a most of links; the store is a convenience.
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.hardlink_to(target)


def prune(store: Path) -> int:
    """Delete what no environment links any more; return how many files went."""
    count = 0
    for parent, _, files in os.walk(store):
        for path in (Path(parent, name) for name in files):
            with suppress(OSError):
                if path.stat().st_nlink == 1:
                    path.unlink()
                    count += 1
    return count
