"""Gates: what every call of a port and every commit passes, put around them at the composition root.

Two kinds exist. The lease's gate keeps a control plane that lost its lease from acting. The fault tests' gate kills
the process at a chosen place; it is there only where two environment variables ask for it.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from taxiway.store.database import Database, Transaction

P = TypeVar("P")
Gate = Callable[[str], None]
"""Called with ``<port>.<method>.before`` or ``….after``; raises to keep the call from happening."""


class _Gated:
    """Stands for a port's adapter; each of its coroutine methods passes the gate twice."""

    def __init__(self, target: object, name: str, gate: Gate) -> None:
        self._target = target
        self._name = name
        self._gate = gate

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        if not inspect.iscoroutinefunction(value):
            return value

        @functools.wraps(value)
        async def call(*arguments: Any, **named: Any) -> Any:
            self._gate(f"{self._name}.{attribute}.before")
            result = await value(*arguments, **named)
            self._gate(f"{self._name}.{attribute}.after")
            return result

        self.__dict__[attribute] = call
        return call


def gated(port: P, name: str, gate: Gate | None) -> P:
    """Return the port with the gate around every call; the port itself where there is no gate."""
    return port if gate is None else cast("P", _Gated(port, name, gate))


class GatedDatabase(Database):
    """A database whose every commit passes the gate, before and after."""

    def __init__(self, database: Database, gate: Gate) -> None:
        super().__init__(database.engine)
        self._gate = gate

    @asynccontextmanager
    async def write(self, *, dry_run: bool = False) -> AsyncIterator[Transaction]:
        """Open a writing transaction; see Database."""
        async with super().write(dry_run=dry_run) as transaction:
            yield transaction
            self._gate("Database.commit.before")
        self._gate("Database.commit.after")


def fault_gate() -> Gate | None:
    """Return the fault tests' gate: only with TAXIWAY_FAILPOINTS (a directory) and TAXIWAY_TESTING=1 both set."""
    directory = os.environ.get("TAXIWAY_FAILPOINTS")
    if not directory or os.environ.get("TAXIWAY_TESTING") != "1":
        return None
    return FaultGate(Path(directory))


class FaultGate:
    """Writes every name that passes to ``trace``, and kills the process at the one that ``armed`` names.

    ``armed`` holds ``<name> <n>``: die when ``name`` passes for the n-th time since that was written. The file is
    removed first, so that the next process lives.
    """

    def __init__(self, directory: Path) -> None:
        self._armed = directory / "armed"
        self._trace = directory / "trace"
        self._known = ""
        self._counts: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        """Pass the gate, or die."""
        try:
            armed = self._armed.read_text().strip()
        except OSError:
            armed = ""
        if armed != self._known:
            self._known = armed
            self._counts.clear()
        if not armed:
            return
        self._counts[name] += 1
        passed = f"{name} {self._counts[name]}"
        with self._trace.open("a") as trace:
            trace.write(passed + "\n")
        if passed == armed:
            self._armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
