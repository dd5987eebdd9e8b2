"""Migrations, and what transactions promise, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.ids import ModelVersionId
from taxiway.store import deployments, models, projects, schema
from taxiway.store.database import Database, open_database
from taxiway.store.migrate import HEAD, MIGRATIONS, migrate
from tests.builders import MODEL, PROJECT, a_project
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


async def test_a_database_of_somebody_else_is_refused(sqlite_database: Database) -> None:
    async with sqlite_database.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '1bd49d398cd23'"))

    with pytest.raises(InvalidInput, match="another program's"):
        await migrate(sqlite_database)


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


@pytest.mark.concurrent
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


@pytest.mark.parametrize("name", ["nul\0", "surrogate\ud800"])
async def test_a_text_that_no_database_takes_is_refused_and_not_a_crash(database: Database, name: str) -> None:
    async with database.read() as tx:
        try:
            found = await models.get_version_by_id(tx, ModelVersionId(name))
        except InvalidInput as error:
            assert name not in str(error)  # noqa: PT017
        else:
            assert found is None


@pytest.mark.parametrize("number", [2**31, 2**63, 10**40])
async def test_a_number_that_no_database_takes_is_refused_and_not_a_crash(database: Database, number: int) -> None:
    async with database.read() as tx:
        with pytest.raises((InvalidInput, NotFound)):
            await deployments.get_of_version(tx, PROJECT, MODEL, number)


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    assert max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")) == HEAD


async def test_a_database_of_an_unreleased_version_is_refused(sqlite_database: Database) -> None:
    async with sqlite_database.write() as tx:
        await tx.execute(text("ALTER TABLE events DROP COLUMN topic"))
    with pytest.raises(InvalidInput, match="events has no topic"):
        await migrate(sqlite_database)
