"""Which Pythons are on this host, as uv sees them. Asks uv and nobody else; downloads nothing.

Read by the builder and by ``taxiway doctor``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from uv import find_uv_bin

from taxiway.domain.errors import EnvironmentFailed
from taxiway.environments.failures import uv_is_missing

_SECONDS = 30
_LOOK_AGAIN_SECONDS = 5.0
_NOT_INHERITED = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")
_VERSION = re.compile(r"(\d+)\.(\d+)\.")


def find_interpreters(host: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Return the interpreter of each minor version (``3.11``) that uv sees: CPython, the newest patch of it.

    Also the one that runs Taxiway itself, wherever it is. ``host`` is the environment to look in, by default this
    process's own. Raises FileNotFoundError when uv is missing, OSError and SubprocessError when it does not answer.
    """
    environment = _environment(os.environ if host is None else host)
    found: dict[str, Path] = {}
    # `uv python find 3.10` gives up at the first broken shim of a version manager; the list goes on behind it.
    for minor, path in read_list(_ask(["list", "--only-installed", "--output-format", "json"], environment)):
        if minor not in found:
            resolved = _resolve(path, environment)
            if resolved is not None:
                found[minor] = resolved
    return found


def read_list(answer: str) -> list[tuple[str, Path]]:
    """Read what ``uv python list`` says into minor versions and paths, in uv's order: newest patch first."""
    entries = json.loads(answer or "[]")
    return [
        (f"{match[1]}.{match[2]}", Path(entry["path"]))
        for entry in entries
        if entry["implementation"] == "cpython" and entry["variant"] == "default" and entry["path"]
        for match in [_VERSION.match(entry["version"])]
        if match
    ]


class Interpreters:
    """What was found, kept; looked for again when a version is missing, at most every five seconds.

    For any thread, since looking takes up to a second where a version manager has many shims.
    """

    def __init__(
        self,
        find: Callable[[], dict[str, Path]] = find_interpreters,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._found: dict[str, Path] = {}
        self._looked_at: float | None = None

    def get(self, minor: str) -> Path | None:
        """Return the interpreter of a minor version; None where there is none.

        Raises EnvironmentFailed when uv is missing or does not answer.
        """
        with self._lock:
            known = self._found.get(minor)
            if known is not None and known.exists():
                return known
            now = self._monotonic()
            if self._looked_at is None or now - self._looked_at >= _LOOK_AGAIN_SECONDS:
                self._found = self._look()
                self._looked_at = now
            return self._found.get(minor)

    def versions(self) -> tuple[str, ...]:
        """Return the minor versions that were found, oldest first."""
        with self._lock:
            return tuple(sorted(self._found, key=lambda minor: [int(part) for part in minor.split(".")]))

    def _look(self) -> dict[str, Path]:
        try:
            return self._find()
        except FileNotFoundError:
            missing = uv_is_missing()
            raise EnvironmentFailed(missing.message, hint=missing.hint) from None
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise EnvironmentFailed(
                f"uv does not say which Pythons are installed: {type(error).__name__}.",
                hint="See `taxiway doctor`, then try again.",
            ) from error


def _environment(host: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in host.items() if key not in _NOT_INHERITED and not key.startswith("TAXIWAY_")}
    # The interpreter that runs Taxiway is good for models, also where it is on nobody's PATH.
    own = str(Path(sys.base_prefix) / "bin")
    kept["PATH"] = os.pathsep.join(part for part in (host.get("PATH", os.defpath), own) if part)
    return kept | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def _ask(arguments: list[str], environment: dict[str, str]) -> str:
    # From the root directory, so that no project's files in the working directory have a say.
    answer = subprocess.run(
        [find_uv_bin(), "python", *arguments],
        capture_output=True, text=True, timeout=_SECONDS, check=True, env=environment, cwd="/",
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return answer.stdout


def _resolve(path: Path, environment: dict[str, str]) -> Path | None:
    """Return the program behind a version manager's shim; None for one that does not run."""
    try:
        answer = _ask(["find", "--system", "--no-project", str(path)], environment)
    except subprocess.SubprocessError:
        return None
    return Path(answer.strip()) if answer.strip() else None
