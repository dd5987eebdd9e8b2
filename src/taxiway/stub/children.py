"""Start, identify, observe and stop children: the library that the rest of Taxiway calls.

A child has a directory of its own (0700), made here: ``spec.json`` (what it is to be), ``lock`` (held by its
stub), ``status.json`` (what the stub wrote down), ``log/`` (its log, also of earlier starts), ``stub.err``.
Nothing here waits long: ``start`` takes some 60 ms (``start_in_thread`` keeps them off an event loop),
``status`` well under one, stopping is begun and then observed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from taxiway.domain.errors import Conflict, OutOfDisk, TaxiwayError
from taxiway.domain.logs import LogPage
from taxiway.stub import identity, limits, reading
from taxiway.stub.spec import (
    Backoff,
    ChildSpec,
    Descendants,
    Level,
    Limits,
    LogCaps,
    Probe,
    ReadyWhen,
    Restart,
    Sandboxing,
    to_json,
)
from taxiway.stub.status import ChildPhase, ChildStatus, Exit, Report, Trouble, load_status, read_status

__all__ = [
    "Backoff", "ChildPhase", "ChildSpec", "ChildStatus", "Descendants", "Exit", "Level", "Limits", "LogCaps",
    "Probe", "ReadyWhen", "Report", "Restart", "Sandboxing", "StubNotStarted", "Trouble",
    "begin_stop", "kill", "read_log", "remove", "restart", "start", "start_in_thread", "status", "stop",
    "tail_log",
]  # fmt: skip

_PROGRAM = Path(__file__).with_name("stub.py")
_HANDSHAKE_SECONDS = 15.0
_POLL_SECONDS = 0.05


class StubNotStarted(TaxiwayError):
    """A stub could not take over its child; the message has its own words."""

    reason = "StubNotStarted"


def start(child_dir: Path, spec: ChildSpec) -> ChildStatus:
    """Write the spec, start a stub for it and return its first status (the child itself may not run yet).

    Makes the directory where it is missing. One whose stub died is used again: log and exits are kept. Takes
    some 60 ms. Raises Conflict when a stub lives there, StubNotStarted or OutOfDisk when none could be started.
    """
    _prepare(child_dir)
    if identity.is_locked(str(child_dir / "lock")):
        raise Conflict(f"The child in {child_dir.name} runs already.", hint="Stop it first.")
    nonce = secrets.token_hex(16)
    _write_private(child_dir / "spec.json", json.dumps(to_json(spec, nonce=nonce, group=_group_name(child_dir))))
    _spawn(child_dir)
    seen = status(child_dir)
    if seen is None or seen.nonce != nonce:
        raise StubNotStarted(
            f"The stub in {child_dir.name} ended at once: {_last_words(child_dir)}",
            hint=f"See {child_dir / 'stub.err'}.",
        )
    return seen


async def start_in_thread(child_dir: Path, spec: ChildSpec) -> ChildStatus:
    """Do what ``start`` does without holding up the event loop."""
    return await asyncio.to_thread(start, child_dir, spec)


def status(child_dir: Path) -> ChildStatus | None:
    """Tell what is known of the child; None when no stub ever wrote anything readable there."""
    data = _load(child_dir)
    if data is None:
        return None
    try:
        return read_status(data, is_alive=_is_stub_alive(child_dir, data))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def begin_stop(child_dir: Path) -> bool:
    """Ask the stub to stop its child and then itself; False when none lives. Twice is once.

    The child gets SIGTERM, after the spec's ``stop_grace`` it is killed with all it started. Watch ``status``:
    when ``is_alive`` is False, nothing of it runs any more.
    """
    return _signal_stub(child_dir, signal.SIGTERM)


def restart(child_dir: Path) -> bool:
    """Ask the stub to stop the child gracefully and start it anew, at once and without back-off.

    Returns False when no stub lives there.
    """
    return _signal_stub(child_dir, signal.SIGHUP)


def kill(child_dir: Path) -> bool:
    """Ask the stub to kill its child with all it started, without grace, and to end. False when none lives."""
    return _signal_stub(child_dir, signal.SIGQUIT)


async def stop(child_dir: Path, *, timeout: timedelta | None = None) -> bool:
    """Stop the child and wait until it is gone; killed when ``timeout`` passes. True when it went by itself."""
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
    went_by_itself = True
    begin_stop(child_dir)
    while (seen := status(child_dir)) is not None and seen.is_alive:
        if deadline is not None and time.monotonic() > deadline:
            went_by_itself = False
            kill(child_dir)
        await asyncio.sleep(_POLL_SECONDS)
    return went_by_itself


def remove(child_dir: Path, *, keep_log_in: Path | None = None) -> None:
    """Delete a child's directory, its log moved to ``keep_log_in`` (which must not exist) where one is given.

    What a killed stub left behind (processes in its own cgroups, the cgroups) goes too. An unknown directory is
    already gone: no error. Raises Conflict while the stub lives.
    """
    if not child_dir.exists():
        return
    if identity.is_locked(str(child_dir / "lock")):
        raise Conflict(f"The child in {child_dir.name} still runs.", hint="Stop it first.")
    limits.sweep(_group_name(child_dir))
    log = child_dir / "log"
    if keep_log_in is not None and log.is_dir():
        keep_log_in.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(log, keep_log_in)
    shutil.rmtree(child_dir, ignore_errors=True)
    if child_dir.exists():
        raise Conflict(f"The directory {child_dir.name} could not be deleted whole.")


def read_log(child_dir: Path, *, after: int = 0, limit: int = 1000, contains: str | None = None) -> LogPage:
    """Return at most ``limit`` lines with a greater sequence than ``after``, over all files of the log.

    With ``contains``, only lines with that text (letter case ignored). To follow, ask again with the
    page's ``next_sequence``; the page is complete when the stub is gone and all was read.
    """
    writer_lives = identity.is_locked(str(child_dir / "lock"))
    page = reading.read(child_dir / "log", after=after, limit=limit, contains=contains)
    return page if not writer_lives else reading.open_ended(page)


def tail_log(child_dir: Path, *, limit: int = 100) -> LogPage:
    """Return the last lines of the log, oldest first."""
    writer_lives = identity.is_locked(str(child_dir / "lock"))
    page = reading.tail(child_dir / "log", limit=limit)
    return page if not writer_lives else reading.open_ended(page)


def _prepare(child_dir: Path) -> None:
    try:
        child_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (child_dir / "log").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise StubNotStarted(f"{child_dir} cannot be made: {error.strerror}.") from error


def _write_private(path: Path, text: str) -> None:
    """Write a 0600 file so that a reader sees the old or the whole new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutOfDisk(f"{path} cannot be written: {error.strerror}.", hint="Free some space on that disk.") from error


def _spawn(child_dir: Path) -> None:
    """Run the stub program, which forks itself into a session of its own and lets its parent go."""
    err = os.open(child_dir / "stub.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), str(child_dir.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=err,
            stderr=err,
            cwd="/",
            env={"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
            start_new_session=True,
        ) as starter:
            if not _has_ended_within(starter.pid, _HANDSHAKE_SECONDS):
                starter.kill()
    except OSError as error:
        raise StubNotStarted(f"The stub in {child_dir.name} could not be started: {error}.") from error
    finally:
        os.close(err)
    if starter.returncode != 0:
        raise StubNotStarted(
            f"The stub in {child_dir.name} ended with code {starter.returncode}: {_last_words(child_dir)}",
            hint=f"See {child_dir / 'stub.err'}.",
        )


def _has_ended_within(pid: int, seconds: float) -> bool:
    """Wait for the end of a child of ours; through a pidfd, for ``Popen.wait`` would sleep 50 ms at a time."""
    pidfd = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(pidfd)


def _last_words(child_dir: Path) -> str:
    """Return the last line that the stub program wrote for people, or a remark that there is none."""
    try:
        lines = (child_dir / "stub.err").read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "it said nothing."


def _load(child_dir: Path) -> dict[str, object] | None:
    try:
        return load_status((child_dir / "status.json").read_bytes())
    except OSError:
        return None


def _is_stub_alive(child_dir: Path, data: dict[str, object]) -> bool:
    """Prove by lock, pid, start time and boot that the stub which wrote the status still lives."""
    stub = data["stub"]
    if not isinstance(stub, dict):
        return False
    pid, ticks, boot = stub.get("pid"), stub.get("start_ticks"), stub.get("boot_id")
    if not (isinstance(pid, int) and isinstance(ticks, int) and isinstance(boot, str)):
        return False
    return identity.is_same_process(pid, ticks, boot) and identity.is_locked(str(child_dir / "lock"))


def _signal_stub(child_dir: Path, number: signal.Signals) -> bool:
    """Signal the stub through a pidfd that was open before the proof, so that no other process can be hit."""
    data = _load(child_dir)
    stub = data["stub"] if data else None
    if data is None or not isinstance(stub, dict) or not isinstance(stub.get("pid"), int):
        return False
    try:
        pidfd = os.pidfd_open(stub["pid"])
    except (OSError, OverflowError):
        return False
    try:
        if not _is_stub_alive(child_dir, data):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _group_name(child_dir: Path) -> str:
    """Name the child's cgroups after its directory, so that the next stub there finds what the last one left."""
    return "taxiway-" + hashlib.sha256(str(child_dir.absolute()).encode()).hexdigest()[:16]
