"""Which cgroups are made for which limits, on a made-up tree of cgroup v2; and what CPUs are picked."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from taxiway.domain.errors import IsolationUnavailable
from taxiway.stub import confine, kernel, levels, limits, seccomp
from taxiway.stub.spec import Level

LIMITS: dict[str, object] = {"use_cgroups": True, "memory_bytes": 1 << 28, "cpus": 1.5, "processes": 64}
FILES = ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.procs")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A v2 hierarchy whose group ``unit`` gives out controllers and whose ``unit/control`` holds us."""
    own = tmp_path / "unit" / "control"
    own.mkdir(parents=True)
    for place in (tmp_path, tmp_path / "unit", own):
        (place / "cgroup.procs").write_text("")
        (place / "cgroup.controllers").write_text("cpu memory pids")
        (place / "cgroup.subtree_control").write_text("cpu memory pids" if place.name == "unit" else "")
    monkeypatch.setattr(limits, "find_hierarchies", lambda _: {"unified": str(own)})

    def make(path: str) -> bool:
        Path(path).mkdir(exist_ok=True)
        for name in FILES:
            (Path(path) / name).write_text("")
        return True

    def enable(path: str, text: str) -> bool:
        if path.endswith("subtree_control"):
            return False
        if not Path(path).exists():
            return False
        Path(path).write_text(text)
        return True

    monkeypatch.setattr(limits, "_mkdir", make)
    monkeypatch.setattr(limits, "_write", enable)
    monkeypatch.setattr(limits, "_may_join", lambda path: "refused" not in path)
    return tmp_path


def test_the_group_is_made_where_controllers_can_be_had(tree: Path) -> None:
    # The own group holds processes and so gives nothing below; the one above it does.
    (tree / "unit" / "control" / "cgroup.controllers").write_text("")
    groups = limits.open_limits(LIMITS, "taxiway-x", root=str(tree))
    assert groups.unified == str(tree / "unit" / "taxiway-x")
    assert groups.enforcement == {"memory": "cgroup2", "cpus": "cgroup2", "processes": "cgroup2"}
    read = {name: (Path(groups.unified) / name).read_text() for name in FILES}
    assert read["memory.max"] == str(1 << 28)
    assert read["memory.swap.max"] == "0"
    assert read["memory.oom.group"] == "1"
    assert read["cpu.max"] == "150000 100000"
    assert read["pids.max"] == "64"


def test_without_any_cgroup_the_stub_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "find_hierarchies", lambda _: {})
    groups = limits.open_limits(LIMITS, "taxiway-x", root=str(tmp_path))
    assert groups.enforcement == {"memory": "watched", "cpus": "affinity", "processes": "watched"}
    assert groups.memory() is None
    assert groups.oom_kills() is None
    assert groups.kill_all(64)


def test_what_is_not_limited_is_not_enforced(tmp_path: Path) -> None:
    nothing: dict[str, object] = {"use_cgroups": True, "memory_bytes": None, "cpus": None, "processes": None}
    groups = limits.open_limits(nothing, "taxiway-x", root=str(tmp_path))
    assert groups.enforcement == {"memory": "none", "cpus": "none", "processes": "none"}
    assert groups.all_paths() == []


@pytest.mark.parametrize(
    ("available", "cpus", "seed", "expected"),
    [([0, 1, 2, 3], 1.0, 0, [0]), ([0, 1, 2, 3], 1.2, 3, [0, 3]), ([5], 4.0, 9, [5]), ([0, 1], 0.1, 7, [1])],
)
def test_whole_cpus_stand_in_for_a_quota(available: list[int], cpus: float, seed: int, expected: list[int]) -> None:
    assert limits.pick_cpus(available, cpus, seed) == expected


def run_filter(program: bytes, number: int, *, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """Interpret the few BPF instructions that the filter uses."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, loaded = 0, 0
    while True:
        operation, if_so, if_not, value = code[at]
        at += 1
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif operation == 0x54:
            loaded &= value
        elif operation == 0x06:
            return int(value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[operation]
            at += if_so if holds else if_not


ALLOW, X86 = 0x7FFF0000, 0xC000003E
DENIED = 0x00050000


@pytest.mark.parametrize(
    ("number", "arguments", "allow_network", "expected"),
    [
        (0, (), False, ALLOW),  # read
        (42, (), False, DENIED | errno.EPERM),  # connect
        (42, (), True, ALLOW),
        (41, (1, 1), False, ALLOW),  # socket(AF_UNIX, SOCK_STREAM)
        (41, (1, 1 | 0o2000000), False, ALLOW),  # … | SOCK_CLOEXEC
        (41, (1, 2), False, DENIED | errno.EACCES),  # datagrams need no connect
        (41, (2, 1), False, DENIED | errno.EACCES),  # AF_INET
        (41, (2, 1), True, ALLOW),
        (53, (1, 1), False, ALLOW),  # socketpair
        (53, (1, 2), False, DENIED | errno.EACCES),
        (101, (), True, DENIED | errno.EPERM),  # ptrace
        (425, (), True, DENIED | errno.EPERM),  # io_uring_setup
        (56, (0x01200011,), False, ALLOW),  # a plain fork
        (56, (0x10000011,), False, DENIED | errno.EPERM),  # a new user namespace
        (435, (), False, DENIED | errno.ENOSYS),  # clone3
        (90, (), False, DENIED),  # chmod: answered, not done
        (0x40000000 | 42, (), False, DENIED | errno.ENOSYS),  # the same by another table of calls
    ],
)
def test_the_filter_refuses_what_landlock_leaves_open(
    number: int, arguments: tuple[int, ...], *, allow_network: bool, expected: int
) -> None:
    program = seccomp.build_filter("x86_64", allow_network=allow_network)
    assert run_filter(program, number, architecture=X86, arguments=arguments) == expected


def test_in_the_sandbox_sockets_and_modes_stay_usable_but_namespaces_do_not() -> None:
    program = seccomp.build_sandbox_filter("x86_64")
    for number in (41, 42, 53, 90, 91, 280):
        assert run_filter(program, number, architecture=X86, arguments=(2, 2)) == ALLOW
    for number in (272, 308, 165, 425, 101):
        assert run_filter(program, number, architecture=X86) == DENIED | errno.EPERM
    assert run_filter(program, 56, architecture=X86, arguments=(0x10000011,)) == DENIED | errno.EPERM
    assert run_filter(program, 56, architecture=X86, arguments=(0x01200011,)) == ALLOW


def test_another_architecture_is_no_way_around_the_filter() -> None:
    program = seccomp.build_filter("x86_64", allow_network=True)
    assert run_filter(program, 0, architecture=0x40000003) == 0x80000000
    assert run_filter(seccomp.build_filter("aarch64", allow_network=False), 203, architecture=0xC00000B7) == (
        DENIED | errno.EPERM
    )


def test_the_strongest_level_is_taken_and_a_demand_is_kept_or_refused() -> None:
    all_there = dict.fromkeys(Level)
    assert levels.choose_level(None, all_there) is Level.SANDBOX
    assert levels.choose_level(None, all_there | {Level.SANDBOX: "no bwrap"}) is Level.LANDLOCK
    assert levels.choose_level(Level.PLAIN, all_there) is Level.PLAIN
    with pytest.raises(IsolationUnavailable, match=r"sandbox is demanded .* no bwrap"):
        levels.choose_level(Level.SANDBOX, all_there | {Level.SANDBOX: "no bwrap"})


def test_an_interpreter_brings_all_links_on_the_way(tmp_path: Path) -> None:
    real = tmp_path / "installed" / "cpython-3.11.9" / "bin"
    real.mkdir(parents=True)
    (real / "python3.11").write_text("")
    (tmp_path / "installed" / "cpython-3.11").symlink_to("cpython-3.11.9")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(tmp_path / "installed" / "cpython-3.11" / "bin" / "python3.11")
    (environment / "pyvenv.cfg").write_text(f"home = {tmp_path}/installed/cpython-3.11/bin\n")
    assert set(levels.interpreter_paths(environment / "bin" / "python")) == {
        environment,
        tmp_path / "installed" / "cpython-3.11",
        tmp_path / "installed" / "cpython-3.11.9",
    }


def test_what_a_level_leaves_open_is_said() -> None:
    def gaps(level: str, abi: int = 7, machine: str = "x86_64", **how: bool) -> str:
        shut_in: dict[str, object] = {"level": level, "allow_network": how.pop("allow_network", False)}
        return " ".join(
            confine.not_covered(shut_in, abi=abi, machine=machine, has_namespaces=how.get("namespaces", False))
        )

    assert gaps("sandbox") == ""
    assert "network" in gaps("sandbox", allow_network=True)
    assert "every file" in gaps("plain")
    assert "signal" in gaps("landlock", abi=5)
    assert "signal" not in gaps("landlock", abi=6)
    assert "Unix sockets" in gaps("landlock", machine="riscv64")
    assert "Unix sockets" not in gaps("landlock")


def test_the_sandbox_binds_what_is_given_and_nothing_else() -> None:
    shut_in: dict[str, object] = {
        "level": "sandbox", "bwrap": "/usr/bin/bwrap", "allow_network": False,
        "read_only": ["/env", "/snapshot"], "writable": ["/pod/home"],
    }  # fmt: skip
    argv = confine.sandbox_argv(shut_in, ["/env/bin/python", "x"], cwd="/pod/home", info_fd=9, filter_fd=8)
    assert argv[argv.index("--") :] == ["--", "/env/bin/python", "x"]
    assert "--unshare-net" in argv
    assert argv[argv.index("--seccomp") + 1] == "8"
    assert "--die-with-parent" in argv
    writable = [argv[at + 2] for at, word in enumerate(argv) if word == "--bind"]
    assert writable == ["/pod/home"]
    assert [argv[at + 2] for at, word in enumerate(argv) if word == "--ro-bind"] == ["/env", "/snapshot"]


def test_this_kernel_is_asked_for_landlock_without_harm() -> None:
    assert kernel.landlock_abi() >= 0
    assert os.getpid() > 0
