"""Databases for tests: every test with a ``database`` runs on SQLite, and marked ``integration`` on PostgreSQL too."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taxiway.store.database import Database, open_database
from taxiway.store.migrate import migrate
from tests.postgresql import PostgreSQL, postgresql
from tests.sqlite import open_quickly

__all__ = ["database", "database_url", "migrated_file", "migrated_name", "postgresql", "sqlite_database"]


async def _migrate(url: str) -> None:
    database = open_database(url)
    await migrate(database)
    await database.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate once; each test gets a copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_name(postgresql: PostgreSQL) -> str:
    """Migrate once; each test gets it empty."""
    name = postgresql.new_database()
    asyncio.run(_migrate(postgresql.url(name)))
    return name


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "taxiway.db")
        return f"sqlite:///{tmp_path / 'taxiway.db'}"
    name: str = request.getfixturevalue("migrated_name")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    server.clear(name, but="alembic_version")
    return server.url(name)


@pytest.fixture
async def database(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """SQLite does without threads where the test is not marked ``concurrent``."""
    file = database_url.removeprefix("sqlite:///")
    needs_threads = file == database_url or request.node.get_closest_marker("concurrent")
    opened = open_database(database_url) if needs_threads else open_quickly(Path(file))
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """For what does not depend on the database at all."""
    shutil.copy(migrated_file, tmp_path / "taxiway.db")
    opened = open_database(f"sqlite:///{tmp_path / 'taxiway.db'}")
    yield opened
    await opened.close()
