"""Trees of processes as /proc tells them: who descends from whom, what they use, and ending them.

Runs inside the stub, for what cgroups do not cover.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


def kill_if(pid: int, is_ours: Callable[[int], bool]) -> None:
    """Kill a process that is still what it was taken for; one that is gone is no error.

    The question is asked while a pidfd is held, so that a pid that was used again meanwhile is not hit.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if is_ours(pid):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return
    finally:
        os.close(pidfd)


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123
                found.extend(int(child) for child in file.read().split())
        except FileNotFoundError:
            if os.path.exists("/proc/self/task/" + str(os.getpid()) + "/children"):  # noqa: PTH110
                continue
            return _children_by_search(pid)
        except OSError:
            continue
    return found


def descendants(pid: int) -> dict[int, int]:
    """Return all processes below one, each with its parent; parents come before their children."""
    found: dict[int, int] = {}
    queue = [pid]
    while queue:
        parent = queue.pop()
        for child in children(parent):
            if child not in found:
                found[child] = parent
                queue.append(child)
    return found


def parent(pid: int) -> int | None:
    """Return the parent of a process; None when it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields is not None and len(fields) > 1 else None


def kill_descendants(pid: int, *, spare: int | None = None, seconds: float = 2.0) -> bool:
    """Kill everything below a process, also what forks meanwhile, and reap what is its own.

    False when something is left after so many seconds.
    """
    end = time.monotonic() + seconds
    while True:
        below = descendants(pid)
        if spare is not None:
            below.pop(spare, None)
        if pid == os.getpid():
            reap_all(spare=spare)
        alive = {child: above for child, above in below.items() if not is_zombie(child)}
        if not alive:
            return True
        if time.monotonic() > end:
            return False
        for child, above in alive.items():
            kill_if(child, lambda candidate, above=above: parent(candidate) == above)  # type: ignore[misc]
        time.sleep(0.005)


def reap_all(*, spare: int | None = None) -> None:
    """Reap the dead children of this process, but for one whose end somebody else waits for."""
    for child in children(os.getpid()):
        if child == spare:
            continue
        try:
            os.waitpid(child, os.WNOHANG)
        except OSError:
            continue


def is_zombie(pid: int) -> bool:
    """Say whether a process is dead and only waits to be reaped, or is gone."""
    fields = _stat(pid)
    return fields is None or fields[0] in (b"Z", b"X")


def memory_bytes(pids: list[int]) -> int:
    """Return the resident memory of processes together; pages that they share are counted for each."""
    return sum(_resident(pid) for pid in pids)


def proportional_bytes(pids: list[int]) -> int:
    """Return the memory of processes together, each shared page divided among those that share it (slow)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
                lines = file.read().split(b"\n")
        except OSError:
            total += _resident(pid)
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(b"Pss:"))
    return total


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time of processes together, with that of their children who ended."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None and len(fields) > 14:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICK


def count_of_user(uid: int) -> int:
    """Return how many processes and threads a user has."""
    total = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:  # noqa: PTH116
                total += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
        except OSError:
            continue
    return total


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/<pid>/stat from the state on."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            stat = file.read()
    except OSError:
        return None
    return stat[stat.rfind(b")") + 2 :].split()


def _children_by_search(pid: int) -> list[int]:
    """Find children on kernels that do not list them."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            fields = _stat(int(name))
            if fields is not None and len(fields) > 1 and int(fields[1]) == pid:
                found.append(int(name))
    return found
