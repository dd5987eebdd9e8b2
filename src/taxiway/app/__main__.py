"""The control plane's process: ``python -m taxiway.app [--settings FILE]``, started and kept by its stub."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import gc
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from taxiway.app.guard import refuse_unpickling
from taxiway.app.platform import places_of
from taxiway.domain.errors import Conflict, TaxiwayError
from taxiway.settings import Settings, read_settings
from taxiway.telemetry.logging import configure_logging

log = structlog.get_logger()

LOCK_PATIENCE = 10.0
"""Seconds in which a predecessor that was told to stop may finish."""


def import_control_plane() -> Callable[[Settings], Coroutine[Any, Any, None]]:
    """Return what runs the control plane.

    Nothing that is imported is ever garbage, and to look for some meanwhile takes a fifth of the time until it serves.
    """
    gc.disable()
    from taxiway.app.control import run

    gc.freeze()
    gc.enable()
    return run


def main() -> int:
    """Run the control plane; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taxiway.app", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML file; else taxiway.toml in the data directory")
    arguments = parser.parse_args()
    os.umask(0o077)
    run = import_control_plane()
    refuse_unpickling()
    configure_logging()
    try:
        settings = read_settings(arguments.settings)
        places = places_of(settings)
        places.make()
        lock = take_lock(places.lock)
        try:
            asyncio.run(run(settings))
        finally:
            os.close(lock)
    except TaxiwayError as error:
        log.critical("control plane not started", reason=error.reason, message=error.message, hint=error.hint)
        return 1
    return 0


def take_lock(path: Path) -> int:
    """Hold the data directory's lock for as long as this process lives. Raises Conflict when another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Conflict(
                    f"Another control plane runs with the data directory {path.parent}.",
                    hint="Stop it with `taxiway down`, or choose another data directory.",
                ) from None
            time.sleep(0.1)
        else:
            return descriptor


if __name__ == "__main__":
    sys.exit(main())
