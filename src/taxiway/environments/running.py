"""Running a program to its end: in a process group of its own, its complaints line by line, killed when cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from taxiway.stub import identity

NICE = 10
"""Builds come after predictions."""
_LONGEST_LINE = 16_384
_CHUNK = 65_536
_ORPHAN_SECONDS = 2.0


async def run(
    argv: Sequence[str], *, env: Mapping[str, str], say: Callable[[str], None], note: Path | None = None
) -> int:
    """Run a program and return its exit code; ``say`` gets each line of its standard error.

    ``note`` is a file that remembers the process while it runs, for ``end_orphan`` after a crash. When this is
    cancelled, the program and all that it started are killed at once: what it was making is thrown away anyhow.
    Raises FileNotFoundError for a missing program.
    """
    # From the root directory, so that no project's files in the working directory have a say.
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=env, cwd="/", start_new_session=True
    )
    try:
        _prepare(process.pid, note)
        await _read_lines(process, say)
        return await process.wait()
    finally:
        await _end(process)
        if note is not None:
            note.unlink(missing_ok=True)


def end_orphan(note: Path) -> None:
    """Kill what a builder that died left running, if it is provably that; wait until it is gone."""
    try:
        kept = json.loads(note.read_text("ascii"))
        pid, ticks, boot = int(kept["pid"]), int(kept["ticks"]), str(kept["boot"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    end = time.monotonic() + _ORPHAN_SECONDS
    while identity.is_same_process(pid, ticks, boot) and time.monotonic() < end:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.01)


def _prepare(pid: int, note: Path | None) -> None:
    with contextlib.suppress(OSError):  # it may have ended already
        os.setpriority(os.PRIO_PGRP, pid, NICE)
    ticks = identity.start_ticks(pid)
    if note is not None and ticks is not None:
        note.write_text(json.dumps({"pid": pid, "ticks": ticks, "boot": identity.boot_id()}), "ascii")


async def _read_lines(process: Process, say: Callable[[str], None]) -> None:
    stream = process.stderr
    if stream is None:
        return
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            say(line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip())
        rest = rest[:_LONGEST_LINE]
    if rest:
        say(rest.decode("utf-8", "replace").rstrip())


async def _end(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
