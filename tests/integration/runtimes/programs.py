"""Small programs that stand for children and scoring servers, and how tests wait for what they do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from taxiway.stub import children, identity
from taxiway.stub.children import ChildSpec, ChildStatus

SLEEP = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"

SERVER = """
import json, os, signal, socket, sys, threading, time
config = json.load(open(sys.argv[sys.argv.index("--config") + 1])) if "--config" in sys.argv else {}
path = config.get("socket") or os.environ["SOCKET"]
fd = int(os.environ["TAXIWAY_REPORT_FD"])
def report(**line): os.write(fd, json.dumps(line).encode() + b"\\n")
def drain(*_):
    report(phase="draining", seconds=0.0)
    os._exit(0)
signal.signal(signal.SIGTERM, drain)
if os.path.exists(path): os.unlink(path)
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen(16)
for phase in ("verified", "loaded", "example", "ready"): report(phase=phase, seconds=0.1, detail={"n": 1})
print("serving", flush=True)
while True:
    peer, _ = server.accept()
    asked = peer.recv(4096)
    if b"GET /die" in asked: os.kill(os.getpid(), signal.SIGKILL)
    body = json.dumps({"pid": os.getpid(), "env": dict(os.environ)}).encode()
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    peer.close()
"""


@contextmanager
def short_directory(parent: str = "/tmp") -> Iterator[Path]:
    """A directory with a path short enough for sockets; its children are ended and it is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="tw-", dir=parent))
    try:
        yield directory
    finally:
        for status in directory.rglob("status.json"):
            children.kill(status.parent)
        for status in list(directory.rglob("status.json")):
            wait_for(lambda child=status.parent: not identity.is_locked(str(child / "lock")))  # type: ignore[misc]
            children.remove(status.parent)
        shutil.rmtree(directory, ignore_errors=True)


def wait_for(holds: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Look again and again until something holds; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


async def come_true(holds: Callable[[], object], *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        await asyncio.sleep(0.02)


def seen(child_dir: Path) -> ChildStatus:
    status = children.status(child_dir)
    assert status is not None
    return status


def wait_phase(child_dir: Path, phase: str, *, seconds: float = 10.0) -> ChildStatus:
    wait_for(lambda: seen(child_dir).phase == phase, seconds=seconds)
    return seen(child_dir)


def lines(child_dir: Path) -> list[str]:
    return [line.text for line in children.read_log(child_dir, limit=100_000).lines]


def python(code: str, child_dir: Path, **changes: object) -> ChildSpec:
    """A child that runs a piece of Python."""
    values: dict[str, object] = {
        "argv": (sys.executable, "-I", "-c", code),
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": child_dir.parent,
    }
    return ChildSpec(**(values | changes))  # type: ignore[arg-type]


def runs(pid: int | None) -> bool:
    """Whether a process exists and is not dead."""
    return pid is not None and identity.start_ticks(pid) is not None


def kill_stub(child_dir: Path) -> None:
    """Kill a stub as nobody asks for: SIGKILL, at once."""
    status = seen(child_dir)
    assert status.is_alive
    os.kill(status.stub_pid, 9)
    wait_for(lambda: not seen(child_dir).is_alive)
