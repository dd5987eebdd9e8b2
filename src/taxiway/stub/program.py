"""The stub's life: take the lock, start the child, watch it, restart it, end with it. See the package's text.

One thread, one poll loop, no asyncio: memory is paid once per pod. ``main`` is called by ``stub.py``.
Signals: SIGTERM stops child and stub, SIGHUP starts the child anew, SIGQUIT kills it and ends.
"""

from __future__ import annotations

import json
import os
import sys
import time

from taxiway.stub import identity, kernel
from taxiway.stub.limits import open_limits, sweep
from taxiway.stub.logs import LogWriter
from taxiway.stub.record import Record
from taxiway.stub.supervisor import Supervisor

_LOCK_TRIES = 60
_CODES = {"usage": 64, "locked": 75, "spec": 65, "disk": 73}


def main(argv: list[str]) -> int:
    """Detach from the starter and run. The starter sees 0 once the first status is written, else why not."""
    if len(argv) != 2:
        return _refuse("usage", "usage: stub.py <child dir>")
    directory = argv[1]
    os.umask(0o077)
    try:
        with open(f"{directory}/spec.json", "rb") as file:  # noqa: PTH123
            spec = json.loads(file.read())
    except (OSError, ValueError) as error:
        return _refuse("spec", f"spec.json cannot be read: {error}")
    lock = _take_lock(f"{directory}/lock")
    if lock is None:
        return _refuse("locked", "another stub holds the lock")
    reader, writer = os.pipe()
    if os.fork() != 0:
        os.close(writer)
        # One byte when the first status is written; the end of the pipe when the stub died before that.
        return 0 if os.read(reader, 1) == b"1" else _CODES["spec"]
    os.close(reader)
    # In a session of its own; the starter goes, so nobody but init is its parent.
    os.setsid()
    return _run(directory, spec, lock, writer)


def _take_lock(path: str) -> int | None:
    """Take the lock, trying for a little while: somebody who only looks holds it for an instant."""
    for _ in range(_LOCK_TRIES):
        lock = identity.take_lock(path)
        if lock is not None:
            return lock
        time.sleep(0.005)
    return None


def _run(directory: str, spec: dict[str, object], lock: int, ready_fd: int) -> int:
    limits = spec["limits"]
    assert isinstance(limits, dict)  # noqa: S101
    if spec["descendants"] == "die":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    group = str(spec["group"])
    sweep(group)
    groups = open_limits(limits, group)
    record = Record(directory, spec)
    record.data["enforcement"] = groups.enforcement
    caps = spec["log"]
    assert isinstance(caps, dict)  # noqa: S101
    log = LogWriter(f"{directory}/log", file_bytes=caps["file_bytes"], files=caps["files"])
    supervisor = Supervisor(spec, record, log, groups, close_in_child=[lock])
    try:
        # A stub that cannot say that it is there could not be found nor stopped again.
        if not record.write():
            return _refuse("disk", "status.json cannot be written; the disk may be full")
        os.write(ready_fd, b"1")
        os.close(ready_fd)
        supervisor.run()
    finally:
        groups.close()
        log.close()
    return 0


def _refuse(kind: str, words: str) -> int:
    sys.stderr.write(words + "\n")
    return _CODES[kind]
