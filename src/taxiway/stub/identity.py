"""Which process is which: proofs that a pid still names the process that it named before.

A pid alone proves nothing, for pids are used again. A process is (pid, start time, boot id); a stub also holds
a lock on its directory. Imported by the stub and by the library.
"""

from __future__ import annotations

import fcntl
import os


def boot_id() -> str:
    """Return the id that this boot of the kernel got; differs after each reboot."""
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123
        return file.read().decode("ascii").strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            stat = file.read()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; what follows its last parenthesis are plain fields.
    fields = stat[stat.rfind(b")") + 2 :].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def is_same_process(pid: int, ticks: int, boot: str) -> bool:
    """Say whether ``pid`` is still the process that started at ``ticks`` in that boot."""
    return pid > 0 and boot == boot_id() and start_ticks(pid) == ticks


def take_lock(path: str) -> int | None:
    """Take the lock and return its file descriptor; None when another process holds it.

    The lock lasts until the last copy of the descriptor is closed, so forked children must close theirs.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def is_locked(path: str) -> bool:
    """Say whether a living process holds the lock. A missing file is not locked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        # Shared, so that two observers do not take each other for the stub; a starting stub tries again.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
