"""A scoring server whose model tries everything that a model must not do, and tells what it could.

Run as a pod; the plan of the attack is in the file ``plan.json`` of the pod's home. Each attempt that succeeds is a
hole. Standard library only: it runs in whatever environment the pod has.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def read(path: str) -> object:
    return Path(path).read_bytes()[:10]


def write(path: str) -> object:
    with Path(path).open("ab") as file:
        file.write(b"x")
    return True


def create(directory: str) -> object:
    return write(f"{directory}/planted")


def sees(path: str) -> object:
    """Find a name by listing its directory."""
    return Path(path).name in os.listdir(Path(path).parent)  # noqa: PTH208


def unix(path: str) -> object:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(2)
    peer.connect(path)
    return True


def abstract(name: str) -> object:
    return unix("\0" + name)


def tcp(port: str) -> object:
    return socket.create_connection(("127.0.0.1", int(port)), timeout=2)


def outside(address: str) -> object:
    return socket.create_connection((address, 53), timeout=2)


def udp(port: str) -> object:
    """Send to a port of the host, which looks whether something came."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.sendto(b"x", ("127.0.0.1", int(port)))
    return False


def listen(_: str) -> object:
    server = socket.socket(socket.AF_INET)
    server.bind(("0.0.0.0", 0))
    server.listen()
    return tcp(str(server.getsockname()[1]))


def peek(pid: str) -> object:
    return Path(f"/proc/{pid}/environ").read_bytes()


def trace(pid: str) -> object:
    if ctypes.CDLL(None, use_errno=True).ptrace(16, int(pid), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return True


def kill(pid: str) -> object:
    os.kill(int(pid), signal.SIGKILL)
    return True


def delete(path: str) -> object:
    Path(path).unlink()
    return True


def link(path: str) -> object:
    """A hard link into the own home, then written there, changes the original."""
    os.link(path, "linked")
    return write("linked")


def mode(path: str) -> object:
    """Asking may be answered with success; what counts is whether anything changed."""
    before = Path(path).stat().st_mode
    Path(path).chmod(0o777)
    return Path(path).stat().st_mode != before


def mount(path: str) -> object:
    if ctypes.CDLL(None, use_errno=True).mount(b"none", path.encode(), b"tmpfs", 0, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return True


def namespace(_: str) -> object:
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return True


def run_program(path: str) -> object:
    pid = os.posix_spawn(path, [path], {})
    return os.waitpid(pid, 0)[1] == 0


def fork_bomb(_: str) -> object:
    """More than 600 processes at once."""
    born: list[int] = []
    try:
        while len(born) < 600:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            born.append(pid)
    finally:
        for pid in born:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return True


def survive(_: str) -> object:
    """Leave a daemon behind; the test looks for it after the stub's end. Succeeding here is no hole yet."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        os._exit(0)
    return False


def attempt(deed: Callable[[str], object], target: str) -> str | None:
    """Return what was got, None where it failed."""
    try:
        got = deed(target)
    except (OSError, ValueError):
        return None
    return repr(got)[:200] if got else None


def main() -> None:
    plan = json.loads(Path("plan.json").read_text())
    holes = {}
    for name, target in plan:
        got = attempt(globals()[name], target)
        if got is not None:
            holes[f"{name} {target}"] = got
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    Path("holes.json.new").write_text(json.dumps({"holes": holes, "tried": len(plan)}))
    Path("holes.json.new").rename("holes.json")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = socket.socket(socket.AF_UNIX)
    server.bind(config["socket"])
    server.listen()
    os.write(int(os.environ["TAXIWAY_REPORT_FD"]), b'{"phase": "ready", "seconds": 0.1}\n')
    while True:
        peer, _ = server.accept()
        peer.recv(4096)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        peer.close()


if __name__ == "__main__":
    main()
