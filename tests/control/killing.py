"""Kills at every point: before and after each call of a port and each commit, found by wrapping and not listed.

A kill is not an exception: nothing of the process runs any more, no ``finally``, no answer. So at each point the world
is copied as it is then, and later a new control plane is started over each copy. Points at which the world is the same
but for the time are one.
"""

from __future__ import annotations

import functools
import inspect
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.store.database import Database, Transaction
from tests.control.harness import World

Hook = Callable[[str], None]

TIMES = {
    "at",
    "created_at",
    "changed_at",
    "began_at",
    "phases",
    "conditions",
    "hash",
    "previous_hash",
    "before",
    "after",
}
"""Columns in which worlds may differ that are the same to a control plane that starts over them."""


class Watched:
    """A port, every call of which is told before it begins and after it ended well."""

    def __init__(self, port: object, name: str, hook: Hook) -> None:
        self._port, self._name, self._hook = port, name, hook

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if not inspect.iscoroutinefunction(value):
            return value

        @functools.wraps(value)
        async def call(*arguments: Any, **named: Any) -> Any:
            self._hook(f"before {self._name}.{attribute}")
            result = await value(*arguments, **named)
            self._hook(f"after {self._name}.{attribute}")
            return result

        return call


class WatchedDatabase(Database):
    """A database, every commit of which is told."""

    def __init__(self, database: Database, hook: Hook) -> None:
        super().__init__(database.engine)
        self._hook = hook

    @asynccontextmanager
    async def write(self, *, dry_run: bool = False) -> AsyncIterator[Transaction]:
        async with super().write(dry_run=dry_run) as tx:
            yield tx
            self._hook("before commit")
        self._hook("after commit")


def watched(hook: Hook) -> Callable[[Any, str], Any]:
    """Return a ``wrap`` for ``ControlPlane`` that tells the hook of every call."""
    return lambda port, name: Watched(port, name, hook)


@dataclass(kw_only=True)
class Killed:
    """The world at one point. ``was_answered``: whoever asked had got the answer by then."""

    point: str
    world: World
    was_answered: bool


class Killer:
    """A hook that keeps the world of each point."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._directory = directory
        self._seen: set[object] = set()
        self.is_armed = False
        self.was_answered = False
        self.killed: list[Killed] = []
        self.points: Counter[str] = Counter()
        """How often each kind of point was passed, also those where the world was one that is kept already."""

    def __call__(self, name: str) -> None:
        if not self.is_armed:
            return
        self.points[name] += 1
        gist = (self.was_answered, gist_of(self._world))
        if gist in self._seen:
            return
        self._seen.add(gist)
        twin = self._world.twin(self._directory / f"{len(self.killed)}.db")
        point = f"{len(self.killed)}: {name}, the {self.points[name]}th time"
        self.killed.append(Killed(point=point, world=twin, was_answered=self.was_answered))


def gist_of(world: World) -> object:
    """Return what of a world matters to a control plane that starts over it."""
    runtime, gateway = world.runtime, world.gateway
    return repr(
        (
            remembered(world.file),
            sorted((pod.revision, pod.draining_since is None) for pod in runtime.living()),
            gateway.in_force,
            gateway.is_waiting(),
            sorted(world.registry.versions.items()),
            sorted(world.store.contents),
            sorted(world.builder.ready),
            sorted(world.logs.lines, key=str),
        )
    )


def remembered(file: Path) -> list[tuple[Any, ...]]:
    """Return all rows of a database as the next process would find them, but for times."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows: list[tuple[Any, ...]] = []
        for table in sorted(tables):
            found = connection.execute(f"SELECT * FROM {table}")  # noqa: S608
            kept = [n for n, column in enumerate(found.description) if column[0] not in TIMES]
            rows += [(table, *(row[n] for n in kept)) for row in found]
        return rows
    finally:
        connection.close()
