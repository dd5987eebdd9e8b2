"""Which isolation levels this host has, and what a program needs to see. The library's side of ``confine.py``.

Called by the process runtime and by ``taxiway doctor``; not by the stub.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from taxiway.domain.errors import IsolationUnavailable
from taxiway.stub import kernel, limits, seccomp
from taxiway.stub.spec import Level

_TRIAL_SECONDS = 10.0
_STRENGTH = (Level.SANDBOX, Level.LANDLOCK, Level.PLAIN)


def find_bwrap() -> Path | None:
    """Return the bubblewrap program of this host; None when it is not installed."""
    found = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin")
    return Path(found).resolve() if found else None


def missing_for(level: Level) -> str | None:
    """Say what this host lacks for a level, in a sentence; None when it has it. May take a tenth of a second."""
    if level is Level.SANDBOX:
        return _missing_for_sandbox()
    if level is Level.LANDLOCK:
        abi = kernel.landlock_abi()
        if abi == 0:
            return "This kernel has no Landlock, or it is switched off."
        if abi < 4 and not seccomp.is_known(os.uname().machine):
            return f"This kernel's Landlock (ABI {abi}) does not govern the network."
    return None


def choose_level(demanded: Level | None, missing: Mapping[Level, str | None]) -> Level:
    """Return the demanded level, or the strongest that nothing is missing for. Pure.

    ``missing`` holds for each level what the host lacks for it. Raises IsolationUnavailable for a demand that
    cannot be met: nothing weaker is taken instead.
    """
    if demanded is None:
        return next(level for level in _STRENGTH if missing.get(level) is None)
    lack = missing.get(demanded)
    if lack is not None:
        raise IsolationUnavailable(
            f"The isolation level {demanded} is demanded by the settings and cannot be had here: {lack}",
            hint="Install what is missing, or leave the level to Taxiway with the setting `strongest`.",
            level=str(demanded),
        )
    return demanded


def survey() -> dict[Level, str | None]:
    """Return for each level what this host lacks for it."""
    return {level: missing_for(level) for level in _STRENGTH}


def survey_limits() -> dict[str, str]:
    """Return by what ``memory``, ``cpus`` and ``processes`` of a pod are bounded here, from a trial.

    ``cgroup2`` and ``cgroup1`` are the kernel's; ``watched`` means that the stub measures and kills, ``affinity``
    that whole CPUs are assigned and not enforced further.
    """
    asked: dict[str, object] = {"memory_bytes": 1 << 28, "cpus": 1.0, "processes": 64, "use_cgroups": True}
    groups = limits.open_limits(asked, f"taxiway-trial-{os.getpid()}")
    try:
        return dict(groups.enforcement)
    finally:
        groups.close()


def interpreter_paths(python: Path) -> tuple[Path, ...]:
    """Return the directories that an interpreter needs to see: its environment, its installation, links between.

    ``python`` may be a chain of links, as virtual environments and uv's own installations have them; each
    step's prefix is named by the path by which it is reached.
    """
    found: list[Path] = []
    step = Path(os.path.abspath(python))  # noqa: PTH100
    for _ in range(40):
        prefix = step.parent.parent
        if step.parent.name == "bin" and prefix != Path("/"):
            found += [prefix, Path(os.path.realpath(prefix))]
        if not step.is_symlink():
            break
        step = Path(os.path.normpath(step.parent / step.readlink()))
    home = _base_home(Path(os.path.abspath(python)).parent.parent / "pyvenv.cfg")  # noqa: PTH100
    if home is not None:
        found += [home.parent, Path(os.path.realpath(home)).parent]
    return _outermost(found)


def _outermost(paths: list[Path]) -> tuple[Path, ...]:
    """Leave out repetitions and what lies within another path."""
    unique = list(dict.fromkeys(paths))
    return tuple(p for p in unique if not any(q in p.parents for q in unique))


def _base_home(config: Path) -> Path | None:
    """Return the ``bin`` directory that a virtual environment names as its interpreter's home."""
    try:
        lines = config.read_text("utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return Path(value.strip())
    return None


def _missing_for_sandbox() -> str | None:
    bwrap = find_bwrap()
    if bwrap is None:
        return "The program bwrap (Debian package bubblewrap) is not installed."
    command = [str(bwrap), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"]
    if os.geteuid() != 0:
        command.append("--unshare-user")
    command += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
    try:
        trial = subprocess.run(command, capture_output=True, timeout=_TRIAL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap could not be tried: {error}"
    if trial.returncode != 0:
        words = trial.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"bwrap may not make namespaces here: {words[0] if words else trial.returncode}"
    return None
