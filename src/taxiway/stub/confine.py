"""How a child is shut in: bubblewrap's arguments for ``sandbox``, and Landlock with seccomp for ``landlock``.

``sandbox_argv`` is pure; the rest acts on the calling process, between fork and exec. Runs inside the stub.
"""

from __future__ import annotations

import os

from taxiway.stub import kernel, seccomp

_SYSTEM_DIRECTORIES = (
    "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/local/lib", "/usr/share/zoneinfo",
)  # fmt: skip
_SYSTEM_LINKS = ("/lib", "/lib32", "/lib64", "/libx32")
_SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/nsswitch.conf", "/etc/mime.types",
)  # fmt: skip
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/services")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PROC_FILES = (
    "cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "sys", "vmstat",
)  # fmt: skip


def sandbox_argv(
    shut_in: dict[str, object], argv: list[str], *, cwd: str, info_fd: int, filter_fd: int | None
) -> list[str]:
    """Return the command line of bubblewrap that runs ``argv`` with nothing in sight but what is given.

    The environment is the caller's, which is the child's own already; so are inheritable file descriptors.
    """
    bwrap = [
        str(shut_in["bwrap"]), "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--cap-drop", "ALL", "--hostname", "pod", "--info-fd", str(info_fd),
    ]  # fmt: skip
    if os.geteuid() != 0:
        bwrap += ["--unshare-user"]
    if filter_fd is not None:
        bwrap += ["--seccomp", str(filter_fd)]
    if not shut_in.get("allow_network"):
        bwrap += ["--unshare-net"]
    for path in _SYSTEM_DIRECTORIES:
        bwrap += ["--ro-bind-try", path, path]
    for path in _SYSTEM_LINKS:
        if os.path.islink(path):  # noqa: PTH114
            bwrap += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        else:
            bwrap += ["--ro-bind-try", path, path]
    for path in (*_SYSTEM_FILES, *(_NETWORK_FILES if shut_in.get("allow_network") else ())):
        bwrap += ["--ro-bind-try", path, path]
    bwrap += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp"]  # noqa: S108
    for path in _paths(shut_in, "read_only"):
        bwrap += ["--ro-bind", path, path]
    for path in _paths(shut_in, "writable"):
        bwrap += ["--bind", path, path]
    # The new root and /dev were writable tmpfs so far; nothing may be put beside the binds any more.
    bwrap += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*bwrap, "--chdir", cwd, "--", *argv]


def open_sandbox_filter() -> int | None:
    """Return an inheritable file descriptor with the sandbox's filter of calls; None where it cannot be made."""
    machine = os.uname().machine
    if not seccomp.is_known(machine):
        return None
    fd = os.memfd_create("filter", 0)
    os.write(fd, seccomp.build_sandbox_filter(machine))
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def enter_namespaces(*, allow_network: bool) -> bool:
    """Leave the host's processes, mounts, IPC and network for new ones; False where this user may not.

    Processes change with the next fork. Called in the stub's guard, before it forks the child.
    """
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC
    try:
        kernel.unshare(flags if allow_network else flags | kernel.CLONE_NEWNET)
    except OSError:
        return False
    try:
        kernel.make_mounts_private()
        kernel.mount("tmpfs", "/dev/shm")  # noqa: S108
    except OSError:
        return False
    return True


def drop_privileges() -> None:
    """Give up all capabilities and the way to get them back."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()


def enforce_landlock(shut_in: dict[str, object], *, has_namespaces: bool) -> None:
    """Shut the calling process in with Landlock and seccomp. Raises OSError where the kernel refuses."""
    abi = kernel.landlock_abi()
    if abi == 0:
        raise OSError(0, "this kernel has no Landlock")
    allow_network = bool(shut_in.get("allow_network"))
    ruleset, handled = kernel.landlock_ruleset(abi, allow_network=allow_network)
    readable = [*_SYSTEM_DIRECTORIES, *_SYSTEM_LINKS, *_SYSTEM_FILES, *_paths(shut_in, "read_only")]
    if allow_network:
        readable += _NETWORK_FILES
    if has_namespaces:
        readable.append("/proc")
    else:
        own = os.readlink("/proc/self")  # noqa: PTH115
        readable += [f"/proc/{own}", *(f"/proc/{name}" for name in _PROC_FILES)]
    for path in readable:
        kernel.landlock_allow(ruleset, path, kernel.FS_READ & handled)
    for path in _paths(shut_in, "writable"):
        kernel.landlock_allow(ruleset, path, handled & ~(1 << 6) & ~(1 << 11))
    for path in _DEVICES:
        kernel.landlock_allow(
            ruleset, path, handled & (kernel.FS_READ_FILE | kernel.FS_WRITE_FILE | kernel.FS_IOCTL_DEV)
        )
    if has_namespaces:
        kernel.landlock_allow(ruleset, "/dev/shm", handled & ~(1 << 6) & ~(1 << 11))  # noqa: S108
    kernel.landlock_enforce(ruleset)
    machine = os.uname().machine
    if seccomp.is_known(machine):
        kernel.enforce_seccomp(seccomp.build_filter(machine, allow_network=allow_network))


def not_covered(shut_in: dict[str, object], *, abi: int, machine: str, has_namespaces: bool) -> list[str]:
    """Say in sentences what the level in force does not keep a child from. Pure."""
    level, allow_network = shut_in["level"], bool(shut_in.get("allow_network"))
    if level == "sandbox":
        return ["It may use the network."] if allow_network else []
    if level == "plain":
        return [
            "It can read and change every file of the user that Taxiway runs as.",
            "It can reach the network, MLflow, the gateway's administration and the control sockets.",
            "It can see and, without cgroups and namespaces, signal other processes of that user.",
        ]
    gaps = []
    filtered = seccomp.is_known(machine)
    if allow_network:
        gaps.append("It may use the network, and connect to Unix sockets that this user may open.")
    elif not filtered and not has_namespaces:
        gaps.append("It can send UDP, and connect to Unix sockets that this user may open.")
    elif not filtered:
        gaps.append("It can connect to Unix sockets that this user may open.")
    if abi < 4 and not filtered and not has_namespaces and not allow_network:
        gaps.append("It can connect to TCP ports.")
    if abi < 6 and not has_namespaces:
        gaps.append("It can signal other processes of this user.")
    if not has_namespaces:
        gaps.append("It can see that other processes exist, though not look into them.")
    if not filtered:
        gaps.append("It can change the mode and times of files of this user.")
    gaps.append("It can see whether a path exists, and a file's size, owner and times.")
    return gaps


def _paths(shut_in: dict[str, object], key: str) -> list[str]:
    paths = shut_in.get(key)
    return [str(path) for path in paths] if isinstance(paths, list) else []
