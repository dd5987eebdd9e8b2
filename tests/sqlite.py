"""SQLite for tests that care for time: no threads, no waiting for the disk, migrated once.

For tests with one task at a time: a connection works in the event loop's own thread, and one that waits for another's
write lock would wait for ever.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import Dialect, Engine, event

from taxiway.store.database import Database, open_database
from taxiway.store.migrate import migrate

T = TypeVar("T")

_migrated: bytes | None = None
_dialect: Dialect | None = None
_compiled: dict[Any, Any] = {}


class _AtOnce:
    """Stands for the queue of a thread: what is put is done."""

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = item
        result = function()
        if future is not None:
            future.set_result(result)


class _Connection(aiosqlite.Connection):
    """A connection that does at once, in the caller's thread, what another would queue for its own."""

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._open().__await__()

    async def _open(self) -> aiosqlite.Connection:
        self._tx = _AtOnce()  # type: ignore[assignment]
        self._connection = self._connector()
        return self

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return fn(*args, **kwargs)

    def stop(self) -> asyncio.Future[Any] | None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return None


def _connect(database: str, **options: Any) -> aiosqlite.Connection:
    return _Connection(lambda: sqlite3.connect(database, **options), 64)


def _choose_connection(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    parameters["async_creator_fn"] = _connect


def _do_not_sync(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _share_compiled(engine: Engine) -> None:
    """Let all engines use what one compiled: a statement takes longer to compile than to run.

    It is compiled for one dialect, which has what it must know of SQLite once it connected.
    """

    def remember(_connection: object, _record: object) -> None:
        global _dialect
        _dialect = _dialect or engine.dialect

    if _dialect is None:
        event.listen(engine, "connect", remember)
    else:
        engine.dialect = _dialect
        engine.update_execution_options(compiled_cache=_compiled)


def open_quickly(file: Path) -> Database:
    """Open a SQLite file as ``open_database`` does, but without threads and without syncing."""
    database = open_database(f"sqlite:///{file}")
    engine = database.engine.sync_engine
    event.listen(engine, "do_connect", _choose_connection)
    event.listen(engine, "connect", _do_not_sync)
    _share_compiled(engine)
    return database


async def migrated(file: Path) -> Database:
    """Make a SQLite file with the schema of this version and nothing in it, and open it."""
    global _migrated
    if _migrated is None:
        database = open_quickly(file)
        await migrate(database)
        async with database.engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        await database.close()
        _migrated = file.read_bytes()
    else:
        file.write_bytes(_migrated)
    return open_quickly(file)
