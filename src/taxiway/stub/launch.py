"""Starting one child: pipes, fork, what happens between fork and exec, and the guard that stands in between.

Three shapes, each ending in exec of the child's own program:

- sandboxed: the stub's child is bubblewrap, which keeps a process namespace of its own;
- ``descendants: die``: the stub's child is a *guard*, a fork of the stub that runs no other program. It takes
  all that descends from it along when the stub is killed, and passes signals on. Where it may, it begins a
  process namespace, and then the kernel does that;
- ``descendants: live``: the child itself.

Runs inside the stub.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

from taxiway.stub import confine, kernel, processes
from taxiway.stub.limits import Groups, pick_cpus

Spec = dict[str, object]
EXEC_FAILED = 126
_PROCESSES_OF_OTHERS = 2048
"""How many processes the user may start elsewhere before a watched child feels it."""
_OWN_PIDNS = "/proc/self/ns/pid"


class Launched:
    """What a started child is to the stub: its direct process and the read ends of the pipes."""

    def __init__(self, pid: int, kind: str, pipes: dict[str, int], *, has_namespaces: bool) -> None:
        self.pid = pid
        self.has_namespaces = has_namespaces
        self.kind = kind
        """``sandbox``, ``guard`` or ``bare``."""
        self.pipes = pipes
        """``o`` stdout, ``e`` stderr, ``i`` what guard or bubblewrap tell, ``x`` why exec failed, ``r`` reports."""


def launch(spec: Spec, groups: Groups, *, close_in_child: list[int]) -> Launched:
    """Fork and start the child; returns at once. What goes wrong after the fork comes through the pipe ``x``.

    ``close_in_child`` are descriptors that no forked process may hold, the stub's lock above all.
    """
    ends = {name: os.pipe2(os.O_CLOEXEC) for name in ("o", "e", "i", "x", "r")}
    shut_in = spec.get("sandboxing")
    level = shut_in["level"] if isinstance(shut_in, dict) else None
    kind = "sandbox" if level == "sandbox" else "guard" if spec["descendants"] == "die" else "bare"
    begins_pids = kind == "guard" and level is not None and _begin_pid_namespace(shut_in)
    stub = os.getpid()
    try:
        pid = os.fork()
    finally:
        if begins_pids and os.getpid() == stub:
            _end_pid_namespace()
    if pid == 0:
        _in_child(spec, groups, kind, ends, close_in_child, stub=stub, owns_pids=begins_pids)
    pipes = {}
    for name, (reader, writer) in ends.items():
        os.close(writer)
        os.set_blocking(reader, False)
        pipes[name] = reader
    return Launched(pid, kind, pipes, has_namespaces=begins_pids or kind == "sandbox")


def _begin_pid_namespace(shut_in: object) -> bool:
    """Make the next fork the first process of a new namespace; False where this user may not."""
    if not isinstance(shut_in, dict) or not shut_in.get("use_namespaces") or shut_in["level"] != "landlock":
        return False
    try:
        kernel.unshare(kernel.CLONE_NEWPID)
    except OSError:
        return False
    return True


def _end_pid_namespace() -> None:
    """Let later forks be in the stub's own namespace again."""
    fd = os.open(_OWN_PIDNS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(fd, kernel.CLONE_NEWPID)
    finally:
        os.close(fd)


def _in_child(
    spec: Spec,
    groups: Groups,
    kind: str,
    ends: dict[str, tuple[int, int]],
    close_in_child: list[int],
    *,
    stub: int,
    owns_pids: bool,
) -> None:
    """Become the child. Never returns."""
    try:
        _die_with(stub, signal.SIGUSR2 if kind == "guard" and not owns_pids else signal.SIGKILL, owns_pids)
        for fd in close_in_child:
            os.close(fd)
        for reader, _ in ends.values():
            os.close(reader)
        writers = {name: writer for name, (_, writer) in ends.items()}
        if kind == "guard":
            _guard(spec, groups, writers, owns_pids=owns_pids)
        else:
            _become_program(spec, groups, kind, writers, has_namespaces=False)
    except BaseException as error:
        _tell_failure(ends["x"][1], error)
    os._exit(EXEC_FAILED)


def _die_with(parent: int, number: int, in_new_pids: bool) -> None:
    """Have the kernel signal this process when its parent dies; one that died already is noticed too."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, number)
    # In a new namespace the parent's pid shows as 0, dead or not; the pipe's end then tells it soon enough.
    if not in_new_pids and os.getppid() != parent:
        os._exit(EXEC_FAILED)


def _guard(spec: Spec, groups: Groups, writers: dict[str, int], *, owns_pids: bool) -> None:
    """Start the program, pass signals on to it, wait for it, take its descendants along. Never returns."""
    program = 0
    signal.set_wakeup_fd(-1)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    own = os.getpid()

    def end_all(_number: int, _frame: object) -> None:
        processes.kill_descendants(own)
        os._exit(EXEC_FAILED)

    def pass_on(number: int, _frame: object) -> None:
        if program:
            try:
                os.killpg(program, number)
            except OSError:
                return

    signal.signal(signal.SIGUSR2, end_all)
    for passed in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
        signal.signal(passed, pass_on if passed == signal.SIGTERM else signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    has_namespaces = False
    if owns_pids:
        shut_in = spec["sandboxing"]
        assert isinstance(shut_in, dict)  # noqa: S101
        has_namespaces = confine.enter_namespaces(allow_network=bool(shut_in.get("allow_network")))
    program = os.fork()
    if program == 0:
        try:
            _die_with(own, signal.SIGKILL, in_new_pids=False)
            _become_program(spec, groups, "guard", writers, has_namespaces=has_namespaces)
        except BaseException as error:
            _tell_failure(writers["x"], error)
        os._exit(EXEC_FAILED)
    # From now on nobody of the same user may trace the guard or look into its memory.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    for name in ("o", "e", "x", "r"):
        os.close(writers[name])
    _silence()
    code, number = _wait_for(program)
    if not owns_pids:
        processes.kill_descendants(own)
    os.write(writers["i"], f"exit {code} {number}\n".encode())
    os._exit(0)


def _wait_for(program: int) -> tuple[int, int]:
    """Reap until the program ends; returns its exit code and the signal that ended it, one of them 0."""
    while True:
        try:
            pid, wait_status = os.waitpid(-1, 0)
        except ChildProcessError:
            return EXEC_FAILED, 0
        if pid == program:
            if os.WIFSIGNALED(wait_status):
                return 0, os.WTERMSIG(wait_status)
            return os.WEXITSTATUS(wait_status), 0


def _become_program(spec: Spec, groups: Groups, kind: str, writers: dict[str, int], *, has_namespaces: bool) -> None:
    """Set up the process and exec the program. Returns never, or raises."""
    os.setsid()
    _restore_signals()
    os.umask(int(str(spec["umask"])))
    if kind == "guard":
        # The pid as the host knows it; within a namespace of its own the process cannot ask for it by call.
        os.write(writers["i"], f"pid {os.readlink('/proc/self')}\n".encode())  # noqa: PTH115
    groups.join()
    _limit_resources(spec, groups)
    _connect_output(writers)
    env = {str(key): str(value) for key, value in _mapping(spec["env"]).items()}
    if spec.get("reports"):
        os.set_inheritable(writers["r"], True)
        env["TAXIWAY_REPORT_FD"] = str(writers["r"])
    argv, cwd = [str(word) for word in _list(spec["argv"])], str(spec["cwd"])
    shut_in = spec.get("sandboxing")
    if isinstance(shut_in, dict):
        if kind == "sandbox":
            os.set_inheritable(writers["i"], True)
            argv = confine.sandbox_argv(shut_in, argv, cwd=cwd, info_fd=writers["i"],
                                        filter_fd=confine.open_sandbox_filter())  # fmt: skip
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            cwd = "/"
        else:
            if has_namespaces:
                kernel.mount("proc", "/proc")
            confine.drop_privileges()
    os.chdir(cwd)
    if isinstance(shut_in, dict) and shut_in["level"] == "landlock":
        confine.enforce_landlock(shut_in, has_namespaces=has_namespaces)
    os.execve(argv[0], argv, env)  # noqa: S606


def _limit_resources(spec: Spec, groups: Groups) -> None:
    limits = _mapping(spec["limits"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = int(limits["open_files"])
    files = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if groups.enforcement["processes"] == "watched" and os.geteuid() != 0:
        # The kernel counts all of the user's processes here, so this only slows a fork bomb down until the stub
        # sees it; root is not bound by it at all.
        most = processes.count_of_user(os.geteuid()) + int(limits["processes"]) + _PROCESSES_OF_OTHERS
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    score = int(limits["oom_score"])
    if score:
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(str(score))
        except OSError:
            pass
    if limits["nice"]:
        os.setpriority(os.PRIO_PROCESS, 0, int(limits["nice"]))
    if groups.enforcement["cpus"] == "affinity":
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, pick_cpus(cpus, float(limits["cpus"]), os.getpid()))


def _restore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR2,
                   signal.SIGPIPE):  # fmt: skip
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _connect_output(writers: dict[str, int]) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(writers["o"], 1)
    os.dup2(writers["e"], 2)
    if null > 2:
        os.close(null)


def _silence() -> None:
    """Keep the guard from holding on to the stub's own output."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _tell_failure(fd: int, error: BaseException) -> None:
    words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    try:
        os.write(fd, (words or type(error).__name__)[:500].encode("utf-8", "replace"))
    except OSError:
        sys.exit(EXEC_FAILED)


def parse_told(told: bytes) -> dict[str, int]:
    """Read what came through the pipe ``i``: the guard's lines, or bubblewrap's JSON.

    The keys are pid, code, signal and init; what is not there yet is missing.
    """
    if told.lstrip().startswith(b"{"):
        try:
            return {"init": int(json.loads(told)["child-pid"])}
        except (ValueError, KeyError):
            return {}
    found: dict[str, int] = {}
    for line in told.split(b"\n")[:-1]:
        words = line.split()
        if len(words) == 2 and words[0] == b"pid":
            found["pid"] = int(words[1])
        elif len(words) == 3 and words[0] == b"exit":
            found["code"], found["signal"] = int(words[1]), int(words[2])
    return found


def _mapping(value: object) -> dict[str, str]:
    assert isinstance(value, dict)  # noqa: S101
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)  # noqa: S101
    return value
