"""``taxiway doctor``: looks at the host and at the data directory, changes nothing, says what to do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from packaging.version import Version

from taxiway.domain.errors import TaxiwayError
from taxiway.settings import Settings
from taxiway.stub import levels

RESERVE_BYTES = 256 << 20
FLOORS = {
    # package: (lowest version, why)
    "mlflow": ("3.17.2", "earlier ones have known holes (CVE-2026-116690, CVE-2026-116692, CVE-2026-115886)"),
    "starlette": ("1.3.0", "earlier ones have known holes (CVE-2026-48710)"),
    "pydantic-settings": ("2.14.2", "earlier ones have a known hole (GHSA-4xgf-cpjx-pc3j)"),
}
"""Versions below which a package must not be used. Our own table: an audit tool is silent without its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Literal["good", "note", "bad"]
    message: str
    hint: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises."""
    findings: list[Finding] = []
    for look in (_python, _packages, _programs, _interpreters, _isolation, _limits, _disk, _data, _database, _store):
        findings += _guarded(look, settings)
    return findings


def _guarded(look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(look(settings))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return [Finding(what=look.__name__.strip("_"), verdict="bad", message=f"could not be looked at: {error}")]


def _python(_settings: Settings) -> Iterator[Finding]:
    version = sys.version.split()[0]
    yield Finding(what="python", verdict="good", message=f"{version} in {sys.prefix}")


def _packages(_settings: Settings) -> Iterator[Finding]:
    for name, (floor, why) in FLOORS.items():
        installed = metadata.version(name)
        if Version(installed) < Version(floor):
            yield Finding(
                what=name,
                verdict="bad",
                message=f"{installed} is installed; {why}",
                hint=f"Install {name} {floor} or newer.",
            )
        else:
            yield Finding(what=name, verdict="good", message=installed)


def _programs(_settings: Settings) -> Iterator[Finding]:
    for name in ("uv", "envoy"):
        beside = shutil.which(name, path=os.path.dirname(sys.executable))  # noqa: PTH120
        found = beside or shutil.which(name)
        if found is None:
            yield Finding(
                what=name, verdict="bad", message="is not installed", hint="Install Taxiway again with its packages."
            )
            continue
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=False)
        words = [line for line in answer.stdout.splitlines() if line.strip()]
        yield Finding(what=name, verdict="good", message=words[0].strip() if words else found)


def _interpreters(_settings: Settings) -> Iterator[Finding]:
    from taxiway.environments.interpreters import find_interpreters

    found = find_interpreters()
    yield Finding(
        what="interpreters",
        verdict="good" if found else "bad",
        message=", ".join(sorted(found)) or "none was found",
        hint="A model needs the minor version that it was logged with.",
    )


def _isolation(settings: Settings) -> Iterator[Finding]:
    wanted = settings.pods.isolation
    for level, reason in levels.survey().items():
        if reason is None:
            yield Finding(what=f"isolation {level}", verdict="good", message="available")
        else:
            needed = wanted == str(level)
            yield Finding(
                what=f"isolation {level}",
                verdict="bad" if needed else "note",
                message=reason,
                hint="Install bubblewrap for it." if str(level) == "sandbox" else "",
            )


def _limits(_settings: Settings) -> Iterator[Finding]:
    kept_by = levels.survey_limits()
    for what, name in (("memory limits", "memory"), ("CPU limits", "cpus")):
        yield Finding(
            what=what,
            verdict="good" if kept_by[name].startswith("cgroup") else "note",
            message=_ENFORCEMENT[kept_by[name]],
        )


_ENFORCEMENT = {
    "cgroup2": "enforced by the kernel (cgroup v2)",
    "cgroup1": "enforced by the kernel (cgroup v1)",
    "watched": "watched: a pod over its limit is killed within a second",
    "affinity": "not enforced: a pod gets whole CPUs and as many threads",
    "none": "not enforced",
}


def _disk(settings: Settings) -> Iterator[Finding]:
    directory = settings.data
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    is_enough = free > 4 * RESERVE_BYTES
    yield Finding(
        what="disk",
        verdict="good" if is_enough else "bad",
        message=f"{free / 1e9:.1f} GB free where {settings.data} is",
        hint="" if is_enough else "Free some: model environments take 0.3 to 2 GB each.",
    )


def _data(settings: Settings) -> Iterator[Finding]:
    if not settings.data.exists():
        yield Finding(what="data directory", verdict="note", message=f"{settings.data} is not there yet")
        return
    wide = [
        path
        for path in (settings.data, *settings.data.glob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077 and path.is_dir()
    ]
    yield Finding(
        what="data directory",
        verdict="bad" if wide else "good",
        message=f"{len(wide)} directories can be read by others" if wide else f"{settings.data} is private",
        hint=f"chmod 700 {wide[0]}" if wide else "",
    )


def _database(settings: Settings) -> Iterator[Finding]:
    file = settings.data / "taxiway.db"
    if settings.database.url.get_secret_value() or not file.exists():
        return
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        (answer,) = connection.execute("PRAGMA quick_check").fetchone()
    yield Finding(
        what="database",
        verdict="good" if answer == "ok" else "bad",
        message="SQLite says ok" if answer == "ok" else "SQLite found damage",
        hint="" if answer == "ok" else "Restore a backup of the data directory.",
    )


def _store(settings: Settings) -> Iterator[Finding]:
    if not settings.production.store_url:
        return
    from taxiway.app.adapters import open_objects

    try:
        found = open_objects(settings).names("manifests/")
    except TaxiwayError as error:
        yield Finding(what="production store", verdict="bad", message=error.message, hint=error.hint or "")
    else:
        yield Finding(what="production store", verdict="good", message=f"it answers, and has {len(found)} snapshots")
