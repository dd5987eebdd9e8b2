"""A builder over a wheel store of its own, an index that never answers, and what is seen of builds."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.ids import EnvironmentId
from taxiway.environments import UvEnvironmentBuilder
from taxiway.environments.interpreters import Interpreters

INTERPRETERS = Interpreters()
"""Looked for once in all tests; that takes a while where a version manager has many shims."""
OVER = (BuildState.READY, BuildState.FAILED)


class Lines:
    """A build log in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_closed = False

    def write(self, text: str, *, is_error: bool = False) -> None:
        assert not self.is_closed
        self.lines.append(text)

    def close(self) -> None:
        self.is_closed = True

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Shop:
    """Directories of one test, and builders over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "environments"
        self.cache = root / "cache"
        self.store = root / "wheels"
        self.store.mkdir()
        self.logs: dict[EnvironmentId, Lines] = {}

    def builder(self, **changes: Any) -> UvEnvironmentBuilder:
        values: dict[str, Any] = {
            "wheel_store": self.store, "is_offline": True, "cache": self.cache, "interpreters": INTERPRETERS,
        }  # fmt: skip
        return UvEnvironmentBuilder(self.home, open_log=self.open_log, **(values | changes))

    def open_log(self, environment: EnvironmentId) -> Lines:
        self.logs[environment] = Lines()
        return self.logs[environment]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.home.iterdir()) if self.home.exists() else []


async def build(
    builder: UvEnvironmentBuilder, request: EnvironmentRequest, *, seconds: float = 60
) -> tuple[BuildProgress, list[BuildProgress]]:
    """Begin a build and wait for its end; return the end and all that was seen on the way."""
    await builder.begin(request)
    seen: list[BuildProgress] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress = await builder.observe(request.id)
        assert progress is not None
        if not seen or seen[-1] != progress:
            seen.append(progress)
        if progress.state in OVER:
            return progress, seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"still {seen[-1]}")


async def come_true(what: Callable[[], bool], *, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.02)


def run_in(directory: Path, code: str) -> str:
    """Run Python code in an environment, as a pod would."""
    return run_program(directory / "bin" / "python", "-I", "-c", code)


def run_program(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def uv_of(home: Path) -> int | None:
    """Return the pid of the uv that builds in a home."""
    for note in home.glob(".building-*/process"):
        with suppress(OSError, ValueError):
            return int(json.loads(note.read_text())["pid"])
    return None


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class SilentIndex:
    """Takes connections and never answers: a build that hangs."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://robot:s3cret@127.0.0.1:{self._socket.getsockname()[1]}/simple"

    def close(self) -> None:
        self._socket.close()
