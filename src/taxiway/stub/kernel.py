"""System calls that Python does not offer: prctl, capset, unshare, mount, Landlock, seccomp. Linux only.

Thin wrappers that raise OSError. Runs inside the stub, mostly between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import struct

# PyDLL keeps the interpreter's lock, so that nothing else of Python runs meanwhile; fine for calls this short.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18

_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
_CAPSET = {"x86_64": 126, "aarch64": 91}

# Landlock's rights on files, by bit; see linux/landlock.h.
FS_EXECUTE, FS_WRITE_FILE, FS_READ_FILE, FS_READ_DIR = 1, 2, 4, 8
FS_TRUNCATE, FS_IOCTL_DEV = 1 << 14, 1 << 15
FS_READ = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR
_FS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
NET_TCP = 0b11
SCOPES = 0b11


def _call(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """Change a property of the calling thread."""
    zero = ctypes.c_ulong(0)
    _call(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero))


def unshare(flags: int) -> None:
    """Leave the namespaces given by flags for new ones (the next child, for processes)."""
    _call(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind a file descriptor."""
    _call(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def make_mounts_private() -> None:
    """Keep later mounts of this namespace from reaching others."""
    _call(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))


def mount(kind: str, target: str) -> None:
    """Mount a fresh file system of a kind (proc, tmpfs) over a directory."""
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    options = b"mode=1777" if kind == "tmpfs" else None
    _call(_libc.mount(kind.encode(), target.encode(), kind.encode(), flags, options))


def drop_capabilities() -> None:
    """Give up every capability, for ever and also for programs that root runs."""
    last = 40
    try:
        with open("/proc/sys/kernel/cap_last_cap", "rb") as file:  # noqa: PTH123
            last = int(file.read())
    except OSError:
        pass
    if os.geteuid() == 0:
        for number in range(last + 1):
            try:
                prctl(PR_CAPBSET_DROP, number)
            except OSError:
                break
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    machine = os.uname().machine
    if machine in _CAPSET:
        header = struct.pack("=Ii", 0x20080522, 0)
        _call(_libc.syscall(ctypes.c_long(_CAPSET[machine]), header, struct.pack("=6I", 0, 0, 0, 0, 0, 0)))


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has; 0 for none."""
    try:
        return _call(_libc.syscall(ctypes.c_long(_SYS_LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint(1)))
    except OSError:
        return 0


def landlock_ruleset(abi: int, *, allow_network: bool) -> tuple[int, int]:
    """Make a ruleset that denies all this ABI can deny; returns (file descriptor, rights on files it handles)."""
    files = (1 << _FS_BITS_BY_ABI.get(abi, 16)) - 1
    net = NET_TCP if abi >= 4 and not allow_network else 0
    scopes = SCOPES if abi >= 6 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("=QQQ", files, net, scopes)[:size]
    create = ctypes.c_long(_SYS_LANDLOCK_CREATE)
    return _call(_libc.syscall(create, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))), files


def landlock_allow(ruleset: int, path: str, rights: int) -> None:
    """Allow rights on a file, or on a directory and all below. What does not exist needs no rule."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112
            rights &= FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV
        rule = struct.pack("=Qi", rights, fd)
        add = ctypes.c_long(_SYS_LANDLOCK_ADD)
        _call(_libc.syscall(add, ctypes.c_int(ruleset), ctypes.c_uint(1), rule, ctypes.c_uint(0)))
    finally:
        os.close(fd)


def landlock_enforce(ruleset: int) -> None:
    """Put the ruleset in force for this thread and all it will start."""
    restrict = ctypes.c_long(_SYS_LANDLOCK_RESTRICT)
    _call(_libc.syscall(restrict, ctypes.c_int(ruleset), ctypes.c_uint(0)))
    os.close(ruleset)


def enforce_seccomp(program: bytes) -> None:
    """Put a filter of system calls (classic BPF, 8 bytes an instruction) in force."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count, padding, a pointer.
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(pointer))
