"""How a child's memory, CPU and processes are bounded: cgroup v2, else v1, else the stub watches.

``open_limits`` makes the groups below the stub's own, so that limits around Taxiway go on to hold; what could
not be had is said in ``enforcement``. Imported by the stub; ``children.py`` calls ``sweep``.
"""

from __future__ import annotations

import os
import time

from taxiway.stub import processes

CGROUP_ROOT = "/sys/fs/cgroup"
_V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
_PERIOD_US = 100_000
_KILL_ROUNDS = 200


class Groups:
    """The cgroups of one child. Empty where there are none; then every question is answered with None."""

    def __init__(self) -> None:
        self.unified: str | None = None
        """The directory of the cgroup v2 group."""
        self.v1: dict[str, str] = {}
        """Controller → directory of the cgroup v1 group."""
        self.enforcement = {"memory": "none", "cpus": "none", "processes": "none"}

    def all_paths(self) -> list[str]:
        """Return the directories, each once."""
        paths = [*self.v1.values()] + ([self.unified] if self.unified else [])
        return list(dict.fromkeys(paths))

    def join(self) -> None:
        """Move the calling process in. Called between fork and exec."""
        for path in self.all_paths():
            _write(f"{path}/cgroup.procs", "0")

    def oom_kills(self) -> int | None:
        """Return how many processes the kernel killed for the group's memory so far."""
        if self.unified and self.enforcement["memory"] == "cgroup2":
            return _field(f"{self.unified}/memory.events", "oom_kill")
        if "memory" in self.v1:
            return _field(f"{self.v1['memory']}/memory.oom_control", "oom_kill")
        return None

    def memory(self) -> tuple[int, int] | None:
        """Return (bytes in use without cache that can be dropped, most bytes in use since ``begin``)."""
        if self.unified and self.enforcement["memory"] == "cgroup2":
            path, use, peak, cache = self.unified, "memory.current", "memory.peak", "inactive_file"
        elif "memory" in self.v1:
            path, cache = self.v1["memory"], "total_inactive_file"
            use, peak = "memory.usage_in_bytes", "memory.max_usage_in_bytes"
        else:
            return None
        used = _number(f"{path}/{use}")
        if used is None:
            return None
        droppable = _field(f"{path}/memory.stat", cache) or 0
        return max(0, used - droppable), _number(f"{path}/{peak}") or used

    def cpu_seconds(self) -> float | None:
        """Return the CPU time used in the group so far."""
        if "cpuacct" in self.v1:
            nanoseconds = _number(f"{self.v1['cpuacct']}/cpuacct.usage")
            return None if nanoseconds is None else nanoseconds / 1e9
        if self.unified:
            micros = _field(f"{self.unified}/cpu.stat", "usage_usec")
            return None if micros is None else micros / 1e6
        return None

    def allow_cpus(self, cpus: float) -> None:
        """Let the group use so many CPUs from now on, where the kernel keeps the limit."""
        if self.unified and self.enforcement["cpus"] == "cgroup2":
            _write(f"{self.unified}/cpu.max", f"{_quota(cpus)} {_PERIOD_US}")
        elif self.enforcement["cpus"] == "cgroup1":
            _write(f"{self.v1['cpu']}/cpu.cfs_quota_us", _quota(cpus))

    def begin(self) -> None:
        """Forget the peak of an earlier start, and let processes in again."""
        if "memory" in self.v1:
            _write(f"{self.v1['memory']}/memory.max_usage_in_bytes", "0")

    def kill_all(self, processes_limit: int | None) -> bool:
        """Kill every process in the groups, also those that fork meanwhile; False when some are left."""
        paths = self.all_paths()
        if not paths:
            return True
        if self.unified and _write(f"{self.unified}/cgroup.kill", "1") and not self.v1:
            return _wait_empty([self.unified])
        if "pids" in self.v1:
            # No process can be added any more, so one round of kills is enough.
            _write(f"{self.v1['pids']}/pids.max", "0")
        is_empty = _wait_empty(paths)
        if "pids" in self.v1:
            _write(f"{self.v1['pids']}/pids.max", str(processes_limit or "max"))
        return is_empty

    def close(self) -> None:
        """Remove the groups; they must be empty."""
        for path in self.all_paths():
            _rmdir(path)


def open_limits(limits: dict[str, object], group: str, *, root: str = CGROUP_ROOT) -> Groups:
    """Make the groups for these limits; where that is not possible, say by what else they are kept.

    ``group`` is the directory name of the groups, so that a later stub of the same child finds them.
    """
    groups = Groups()
    if limits.get("use_cgroups") and _wants_any(limits):
        mounts = find_hierarchies(root)
        unified = mounts.get("unified")
        if unified is not None:
            _open_unified(groups, unified, group, limits)
        _open_v1(groups, mounts, group, limits)
    memory, cpus, count = limits.get("memory_bytes"), limits.get("cpus"), limits.get("processes")
    if memory and groups.enforcement["memory"] == "none":
        groups.enforcement["memory"] = "watched"
    if cpus and groups.enforcement["cpus"] == "none" and hasattr(os, "sched_setaffinity"):
        groups.enforcement["cpus"] = "affinity"
    if count and groups.enforcement["processes"] == "none":
        groups.enforcement["processes"] = "watched"
    return groups


def sweep(group: str, *, root: str = CGROUP_ROOT) -> None:
    """Kill what runs in groups of this name and remove them: what a killed stub left behind."""
    for path in _existing(group, root=root):
        _wait_empty([path])
        _rmdir(path)


def find_hierarchies(root: str) -> dict[str, str]:
    """Return the stub's own group directories: controller name → directory for v1, ``unified`` for v2."""
    own: dict[str, str] = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if controllers else ["unified"]:
            own[controller] = path
    found: dict[str, str] = {}
    for line in _read("/proc/self/mounts").splitlines():
        fields = line.split(" ")
        if len(fields) < 4 or not fields[1].startswith(root) or fields[2] not in ("cgroup", "cgroup2"):
            continue
        names = ["unified"] if fields[2] == "cgroup2" else fields[3].split(",")
        for name in names:
            if name in own and name not in found:
                found[name] = _own_directory(fields[1], own[name])
    return found


def pick_cpus(available: list[int], cpus: float, seed: int) -> list[int]:
    """Choose as many whole CPUs as a quota covers, beginning at a place that differs from child to child."""
    count = min(len(available), max(1, -int(-cpus // 1)))
    begin = seed % len(available)
    return sorted((available * 2)[begin : begin + count])


def _quota(cpus: float) -> str:
    return str(max(1000, int(cpus * _PERIOD_US)))


def _wants_any(limits: dict[str, object]) -> bool:
    return any(limits.get(name) for name in ("memory_bytes", "cpus", "processes"))


def _own_directory(mount: str, path: str) -> str:
    """Return the own group's directory; the mount's root where the path lies outside of it (in a container)."""
    directory = mount + ("" if path == "/" else path)
    return directory if os.path.isdir(directory) else mount  # noqa: PTH112


def _open_unified(groups: Groups, own: str, group: str, limits: dict[str, object]) -> None:
    """Make a v2 group in the nearest place at or above the own one where its controllers can be had.

    A group that holds processes cannot give controllers to groups below it, so it is often one level up.
    """
    wanted = [
        name for name, key in (("memory", "memory_bytes"), ("cpu", "cpus"), ("pids", "processes")) if limits.get(key)
    ]
    place: str | None = own
    while place is not None:
        usable = _enable(place, wanted)
        path = f"{place}/{group}"
        if usable and _mkdir(path):
            if _may_join(path):
                groups.unified = path
                _set_unified(groups, path, usable, limits)
                return
            _rmdir(path)
        parent = os.path.dirname(place)  # noqa: PTH120
        place = parent if os.path.exists(f"{parent}/cgroup.procs") else None  # noqa: PTH110


def _enable(place: str, wanted: list[str]) -> list[str]:
    """Return which of the wanted controllers groups below a place have, after asking for those that they lack."""
    offered = _read(f"{place}/cgroup.controllers").split()
    enabled = _read(f"{place}/cgroup.subtree_control").split()
    for name in wanted:
        if name in offered and name not in enabled:
            _write(f"{place}/cgroup.subtree_control", f"+{name}")
    enabled = _read(f"{place}/cgroup.subtree_control").split()
    return [name for name in wanted if name in enabled]


def _may_join(path: str) -> bool:
    """Say whether a process of ours can really be moved into the group: a short-lived one tries."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _write(f"{path}/cgroup.procs", "0") else 1)
    _, wait_status = os.waitpid(pid, 0)
    return wait_status == 0


def _set_unified(groups: Groups, path: str, usable: list[str], limits: dict[str, object]) -> None:
    memory, cpus, count = limits.get("memory_bytes"), limits.get("cpus"), limits.get("processes")
    if "memory" in usable and _write(f"{path}/memory.max", str(memory)):
        _write(f"{path}/memory.swap.max", "0")
        _write(f"{path}/memory.oom.group", "1")
        groups.enforcement["memory"] = "cgroup2"
    quota = _quota(cpus) if isinstance(cpus, (int, float)) else ""
    if "cpu" in usable and quota and _write(f"{path}/cpu.max", f"{quota} {_PERIOD_US}"):
        groups.enforcement["cpus"] = "cgroup2"
    if "pids" in usable and _write(f"{path}/pids.max", str(count)):
        groups.enforcement["processes"] = "cgroup2"


def _open_v1(groups: Groups, mounts: dict[str, str], group: str, limits: dict[str, object]) -> None:
    memory, cpus, count = limits.get("memory_bytes"), limits.get("cpus"), limits.get("processes")
    for name in _V1_CONTROLLERS:
        if name not in mounts:
            continue
        path = f"{mounts[name]}/{group}"
        if not _mkdir(path):
            continue
        done = False
        if name == "memory" and memory and groups.enforcement["memory"] == "none":
            done = _limit_memory_v1(path, str(memory))
        elif name == "cpu" and isinstance(cpus, (int, float)) and groups.enforcement["cpus"] == "none":
            done = _write(f"{path}/cpu.cfs_period_us", str(_PERIOD_US)) and _write(
                f"{path}/cpu.cfs_quota_us", _quota(cpus)
            )
        elif name == "pids" and count and groups.enforcement["processes"] == "none":
            done = _write(f"{path}/pids.max", str(count))
        if name == "cpuacct" and groups.unified is None:
            groups.v1[name] = path
        elif done:
            groups.v1[name] = path
            groups.enforcement[{"memory": "memory", "cpu": "cpus", "pids": "processes"}[name]] = "cgroup1"
        elif path not in groups.v1.values():
            _rmdir(path)


def _limit_memory_v1(path: str, memory: str) -> bool:
    """Set memory and memory with swap to the same; the second must never be below the first on the way."""
    swap = f"{path}/memory.memsw.limit_in_bytes"
    if os.path.exists(swap):  # noqa: PTH110
        _write(swap, "-1")
    if not _write(f"{path}/memory.limit_in_bytes", memory):
        return False
    if os.path.exists(swap):  # noqa: PTH110
        _write(swap, memory)
    return True


def _existing(group: str, *, root: str) -> list[str]:
    found = []
    for name, own in find_hierarchies(root).items():
        place: str | None = own
        while place is not None:
            if os.path.isdir(f"{place}/{group}"):  # noqa: PTH112
                found.append(f"{place}/{group}")
            parent = os.path.dirname(place)  # noqa: PTH120
            is_group = os.path.exists(f"{parent}/cgroup.procs")  # noqa: PTH110
            place = parent if name == "unified" and is_group else None
    return list(dict.fromkeys(found))


def _wait_empty(paths: list[str]) -> bool:
    """Kill the groups' processes until none is left, for at most two seconds."""
    for _ in range(_KILL_ROUNDS):
        pids = _members(paths)
        if not pids:
            return True
        for pid in pids - {0}:
            processes.kill_if(pid, lambda candidate: candidate in _members(paths))
        time.sleep(0.01)
    return False


def _members(paths: list[str]) -> set[int]:
    return {int(line) for path in paths for line in _read(f"{path}/cgroup.procs").split()}


def _mkdir(path: str) -> bool:
    try:
        os.mkdir(path)  # noqa: PTH102
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _rmdir(path: str) -> None:
    for _ in range(20):
        try:
            os.rmdir(path)  # noqa: PTH106
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)
        else:
            return


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _field(path: str, name: str) -> int | None:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
