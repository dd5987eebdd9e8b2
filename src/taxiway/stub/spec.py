"""What a child is to be: the values that a starter writes and a stub reads as ``spec.json``.

Only values and their form on disk are here. ``children.py`` writes them, ``program.py`` acts on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

SPEC_VERSION = 1


class Restart(StrEnum):
    """Whether a child that ended by itself is started again. A failure that no retry can mend never is."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class ReadyWhen(StrEnum):
    """What makes a child ready: that it runs, that it said so on its report pipe, or that its probe succeeds."""

    STARTED = "started"
    REPORTED = "reported"
    PROBED = "probed"


class Descendants(StrEnum):
    """What becomes of the processes that a child started when the child ends.

    ``LIVE`` is for the control plane alone: what it starts (other stubs) must survive it.
    """

    DIE = "die"
    LIVE = "live"


class Level(StrEnum):
    """How a child is kept from what is not its own, strongest first."""

    SANDBOX = "sandbox"
    LANDLOCK = "landlock"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays before restarts: ``initial``, doubling to ``maximum``; forgotten after ``healthy_after`` ready."""

    initial: timedelta = timedelta(seconds=1)
    maximum: timedelta = timedelta(seconds=300)
    healthy_after: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """An HTTP GET over a Unix socket; a 2xx answer is good.

    After ``unready_after`` failures in a row the child is unready, after ``restart_after`` it is killed and
    started again (reason ``ProbeFailed``). ``restart_after=0`` never kills. Until the child is ready, failures
    only mean "not yet", and the probe is tried every 0.1 s.
    """

    socket: Path
    path: str = "/health"
    every: timedelta = timedelta(seconds=2)
    timeout: timedelta = timedelta(seconds=2)
    unready_after: int = 2
    restart_after: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCaps:
    """A log is kept in at most ``files`` files of at most ``file_bytes`` bytes each; the oldest goes first."""

    file_bytes: int = 4 << 20
    files: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use. None means not limited. ``processes`` counts threads too."""

    memory_bytes: int | None = None
    cpus: float | None = None
    start_cpus: float | None = None
    """What it may use until it is ready, where that is more."""
    processes: int | None = None
    open_files: int = 4096
    oom_score: int = 0
    """Added to the kernel's score of whom to kill first, -1000 to 1000; lowering it needs privileges."""
    nice: int = 0
    use_cgroups: bool = True
    """False watches the child from the stub instead, as on hosts without cgroups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxing:
    """How a child that runs foreign code is shut in. Everything not named here is out of its reach.

    ``read_only`` are files and directories that it may read and execute, ``writable`` directories that it may
    also change. System libraries are always readable.
    """

    level: Level
    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    allow_network: bool = False
    bwrap: Path | None = None
    """The bubblewrap program; needed for the level ``sandbox``."""
    use_namespaces: bool = True
    """For ``landlock``: add namespaces where the user may make them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """All that a stub must know to run one child.

    ``env`` is the whole environment; nothing is inherited. ``cwd`` must exist. ``start_deadline`` bounds the
    time from start to ready, each time anew; None waits for ever. ``labels`` are given back in the status.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = Restart.ALWAYS
    backoff: Backoff = field(default_factory=Backoff)
    ready_when: ReadyWhen = ReadyWhen.STARTED
    probe: Probe | None = None
    start_deadline: timedelta | None = None
    stop_grace: timedelta = timedelta(seconds=10)
    descendants: Descendants = Descendants.DIE
    reports: bool = False
    """Give the child a pipe, ``TAXIWAY_REPORT_FD``, on which it tells its phases as JSON lines."""
    log: LogCaps = field(default_factory=LogCaps)
    limits: Limits = field(default_factory=Limits)
    sandboxing: Sandboxing | None = None
    umask: int = 0o077


def to_json(spec: ChildSpec, *, nonce: str, group: str) -> dict[str, object]:
    """Return the form on disk. ``nonce`` tells this start from others, ``group`` names the child's cgroups."""
    fields = _plain(asdict(spec))
    assert isinstance(fields, dict)  # noqa: S101
    return {"spec_version": SPEC_VERSION, "nonce": nonce, "group": group, **fields}


def _plain(value: object) -> object:
    """Turn timedeltas into seconds and paths into strings, throughout."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
