"""The filter of system calls that closes what Landlock leaves open, as classic BPF. Pure.

Landlock does not govern connecting to a Unix socket by its path, UDP, or changing the mode, owner and times of
files. A scoring server accepts connections and never makes one, so ``connect`` is refused as such.
"""

from __future__ import annotations

import errno
import struct

# Per machine: audit architecture, then the numbers of the calls by name.
_NAMES = (
    "socket", "socketpair", "connect", "clone", "ptrace", "process_vm_readv", "process_vm_writev",
    "open_by_handle_at", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "kexec_load", "init_module",
    "fchmodat", "fchownat", "fchmod", "fchown", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "utimensat",
)  # fmt: skip
_NUMBERS = {
    "x86_64": (
        0xC000003E,
        (41, 53, 42, 56, 101, 310, 311, 304, 321, 298, 323, 250, 248, 249, 272, 308, 165, 166, 155, 161, 246,
         175, 268, 260, 91, 93, 188, 189, 190, 197, 280),
        # Older calls that only this machine has: chmod chown lchown utime utimes futimesat.
        (90, 92, 94, 132, 235, 261),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 199, 203, 220, 117, 270, 271, 265, 280, 241, 282, 219, 217, 218, 97, 268, 40, 39, 41, 51, 104,
         105, 53, 54, 52, 55, 5, 6, 7, 14, 88),
        (),
    ),
}  # fmt: skip
# The same on every machine: io_uring_setup, io_uring_enter, io_uring_register, pidfd_getfd.
_ALWAYS_DENIED = (425, 426, 427, 438)
_FCHMODAT2 = 452
_METADATA = (
    "fchmodat", "fchownat", "fchmod", "fchown", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "utimensat",
)  # fmt: skip
_CLONE3 = 435
_X32_BIT = 0x40000000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_BITS = 1, 1, 0xF
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def is_known(machine: str) -> bool:
    """Say whether a filter can be made for this machine."""
    return machine in _NUMBERS


def build_sandbox_filter(machine: str) -> bytes:
    """Return the filter for a child that namespaces shut in already: no new ones, nothing that opens the kernel."""
    architecture, numbers, _ = _NUMBERS[machine]
    by_name = dict(zip(_NAMES, numbers, strict=True))
    for harmless in ("socket", "socketpair", "connect", *_METADATA):
        by_name.pop(harmless)
    clone = by_name.pop("clone")
    code = [*_beginning(machine, architecture), *_refusals([*by_name.values(), *_ALWAYS_DENIED])]
    code += [*_no_new_namespaces(clone), _statement(_RETURN, _ALLOW)]
    return b"".join(code)


def build_filter(machine: str, *, allow_network: bool) -> bytes:
    """Return the filter's instructions for a child that Landlock shuts in.

    Changes of file metadata are answered with success and not done: libraries that copy files treat a refusal
    as an error, and nothing a model may write depends on them. With network allowed, sockets are not filtered,
    and paths of Unix sockets are not either.
    """
    architecture, numbers, old_metadata = _NUMBERS[machine]
    by_name = dict(zip(_NAMES, numbers, strict=True))
    quiet = [*(by_name.pop(name) for name in _METADATA), *old_metadata, _FCHMODAT2]
    socket, socketpair = by_name.pop("socket"), by_name.pop("socketpair")
    connect, clone = by_name.pop("connect"), by_name.pop("clone")
    code = _beginning(machine, architecture)
    for number in quiet:
        code += [_jump(_JUMP_EQUAL, number, 0, 1), _statement(_RETURN, _ERRNO)]
    code += _refusals([*by_name.values(), *_ALWAYS_DENIED, *([] if allow_network else [connect])])
    code += _no_new_namespaces(clone)
    if not allow_network:
        code += _only_unix_streams(socket) + _only_unix_streams(socketpair)
    code.append(_statement(_RETURN, _ALLOW))
    return b"".join(code)


def _beginning(machine: str, architecture: int) -> list[bytes]:
    """Load the call's number, after refusing other tables of calls, whose numbers mean something else."""
    code = [
        _statement(_LOAD, _ARCHITECTURE),
        _jump(_JUMP_EQUAL, architecture, 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_jump(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _statement(_RETURN, _ERRNO | errno.ENOSYS)]
    return code


def _refusals(numbers: list[int]) -> list[bytes]:
    code = []
    for number in numbers:
        code += [_jump(_JUMP_EQUAL, number, 0, 1), _statement(_RETURN, _ERRNO | errno.EPERM)]
    # A C library falls back to clone, whose flags can be seen.
    return [*code, _jump(_JUMP_EQUAL, _CLONE3, 0, 1), _statement(_RETURN, _ERRNO | errno.ENOSYS)]


def _no_new_namespaces(clone: int) -> list[bytes]:
    return [
        _jump(_JUMP_EQUAL, clone, 0, 4),
        _statement(_LOAD, _FIRST),
        _jump(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _statement(_RETURN, _ERRNO | errno.EPERM),
        _statement(_RETURN, _ALLOW),
    ]


def _only_unix_streams(call: int) -> list[bytes]:
    """Refuse sockets of other families, and datagrams, which need no connect to reach a path."""
    return [
        _jump(_JUMP_EQUAL, call, 0, 7),
        _statement(_LOAD, _FIRST),
        _jump(_JUMP_EQUAL, _AF_UNIX, 0, 4),
        _statement(_LOAD, _SECOND),
        _statement(_AND, _SOCK_TYPE_BITS),
        _jump(_JUMP_EQUAL, _SOCK_STREAM, 0, 1),
        _statement(_RETURN, _ALLOW),
        _statement(_RETURN, _ERRNO | errno.EACCES),
    ]


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_so: int, if_not: int) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
