"""The engine and its transactions: the only place where a connection is opened.

SQLite: WAL, ``synchronous=FULL`` (what was acknowledged survives power loss), foreign keys on, writes begin
IMMEDIATE and one at a time. PostgreSQL: ``postgresql+psycopg``, serialised by row locks that the callers take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from taxiway.domain.errors import DatabaseUnavailable, InvalidInput, OutOfDisk, TaxiwayError

CONNECT_SECONDS = 2
Transaction = AsyncConnection
"""What the functions of the store take: an open transaction."""


class Database:
    """Hands out transactions. Use ``read()`` for looking and ``write()`` for changing."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.writes = 0
        """How many writing transactions ended here: while it stays, nothing that was read from here has changed."""
        self._writer = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one consistent state and changes nothing."""
        async with self.engine.connect() as connection:
            if not self.is_sqlite:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            try:
                yield connection
            finally:
                await connection.rollback()

    @asynccontextmanager
    async def write(self, *, dry_run: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that commits when the block ends without an error, and else leaves no trace.

        A ``dry_run`` leaves none either: all is done and checked as it would be, and taken back at the end. On SQLite
        one writer at a time holds the file's write lock from the beginning.
        """
        try:
            if self.is_sqlite:
                async with self._writer, self.engine.connect() as connection:
                    await connection.execution_options(taxiway_immediate=True)
                    async with connection.begin() as transaction:
                        yield connection
                        if dry_run:
                            await transaction.rollback()
            else:
                async with self.engine.connect() as connection, connection.begin() as transaction:
                    yield connection
                    if dry_run:
                        await transaction.rollback()
        finally:
            self.writes += 1

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def open_database(url: str) -> Database:
    """Open ``sqlite:///<path>`` or ``postgresql://…``; the driver is ours to choose. Connects at first use."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        engine = create_async_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=8,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    event.listen(engine.sync_engine, "handle_error", _explain)
    return Database(engine)


def _explain(context: ExceptionContext) -> TaxiwayError | None:
    """Turn into errors of ours what is no mistake of ours.

    InvalidInput: what a database cannot take, such as lone surrogates, on PostgreSQL NUL, numbers out of range.
    OutOfDisk, DatabaseUnavailable: what passes by itself, or when somebody sees to it.
    """
    error = context.sqlalchemy_exception
    is_odd = isinstance(context.original_exception, UnicodeEncodeError | OverflowError)
    if is_odd or isinstance(error, DataError):
        return InvalidInput("A text or a number is one that cannot be kept or looked up.", hint="Give another value.")
    if not isinstance(error, OperationalError | InterfaceError):
        return None
    words = str(context.original_exception)
    if "disk is full" in words or "No space left" in words:
        return OutOfDisk("The disk of the database is full; nothing was changed.", hint="Free some space on it.")
    is_file = context.dialect.name == "sqlite"
    if is_file and "locked" not in words and "unable to open" not in words and "disk I/O" not in words:
        return None
    return DatabaseUnavailable(
        "The database does not answer at the moment; nothing was changed.",
        hint="Look whether it runs and has room; endpoints are not affected.",
    )


def _configure_sqlite(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    immediate = connection.get_execution_options().get("taxiway_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
