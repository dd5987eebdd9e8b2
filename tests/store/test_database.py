"""Migrations, and what transactions promise, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from taxiway.store import projects, schema
from taxiway.store.database import Database, open_database
from taxiway.store.migrate import migrate
from tests.builders import PROJECT, a_project
from tests.postgresql import PostgreSQL


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def check_migrations(url: str) -> None:
    """From empty to the schema; again without effect."""
    database = open_database(url)
    try:
        await migrate(database)
        async with database.write() as tx:
            assert await tx.run_sync(tables) == set(schema.metadata.tables) | {"alembic_version"}
            assert await projects.insert_project(tx, a_project())
        await migrate(database)
        async with database.read() as tx:
            assert await projects.get(tx, PROJECT) == a_project()
    finally:
        await database.close()


async def test_migrations_run_from_empty_and_again_on_sqlite(tmp_path: Path) -> None:
    await check_migrations(f"sqlite:///{tmp_path / 'new' / 'taxiway.db'}")


@pytest.mark.integration
async def test_migrations_run_from_empty_and_again_on_postgresql(postgresql: PostgreSQL) -> None:
    await check_migrations(postgresql.url(postgresql.new_database()))


async def test_a_write_that_fails_leaves_no_trace(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as tx:
            await projects.insert_project(tx, a_project())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.read() as tx:
        assert await projects.search(tx, projects=None, after=None, limit=10) == []


async def test_a_read_sees_one_state_while_others_write(database: Database) -> None:
    async with database.read() as tx:
        assert await projects.search(tx, projects=None, after=None, limit=10) == []
        async with database.write() as other:
            await projects.insert_project(other, a_project())
        assert await projects.search(tx, projects=None, after=None, limit=10) == []
    async with database.read() as tx:
        assert await projects.get(tx, PROJECT) == a_project()


async def test_every_write_is_counted_also_one_that_fails(database: Database) -> None:
    before = database.writes
    async with database.read():
        pass
    assert database.writes == before
    async with database.write():
        assert database.writes == before
    assert database.writes == before + 1


async def test_many_write_at_once(database: Database) -> None:
    async with database.write() as tx:
        await projects.insert_project(tx, a_project(description=""))

    async def add(letter: str) -> None:
        async with database.write() as tx:
            before = await projects.get(tx, PROJECT, for_change=True)
            await projects.describe(tx, PROJECT, before.description + letter)

    await asyncio.gather(*(add(letter) for letter in "abcdefghij"))
    async with database.read() as tx:
        assert sorted((await projects.get(tx, PROJECT)).description) == list("abcdefghij")


async def test_sqlite_keeps_what_it_acknowledged(sqlite_database: Database) -> None:
    async with sqlite_database.read() as tx:
        pragmas = {
            name: (await tx.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
