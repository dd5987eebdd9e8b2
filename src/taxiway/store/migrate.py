"""Brings the database to the schema of this version; safe to run at every start and again after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from taxiway.domain.errors import InvalidInput
from taxiway.store.database import Database
from taxiway.store.schema import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
"""The newest migration. A test compares it with the directory."""


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]


def _upgrade(connection: Connection) -> None:
    # Loaded only where there is something to migrate: it takes a tenth of a second at every start otherwise.
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise InvalidInput(
            "The database is another program's, or that of a newer Taxiway: what was done to it is not known here.",
            hint="Choose another with the setting database.url, or install the newer Taxiway.",
        ) from error


def _check_columns(connection: Connection) -> None:
    """Refuse a database whose tables are not those of this version, rather than fail at some later write."""
    for (_, table), columns in inspect(connection).get_multi_columns(filter_names=list(metadata.tables)).items():
        lacking = {column.name for column in metadata.tables[table].columns} - {column["name"] for column in columns}
        if lacking:
            raise InvalidInput(
                f"The database was made by an unreleased version: its table {table} has no {min(lacking)}.",
                hint="Begin with an empty data directory, or run the version that made it.",
            )


def configuration(connection: Connection) -> Any:
    """Return Alembic's configuration, for migrations over this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """Run all migrations that have not run yet, in one transaction (SQLite and PostgreSQL roll back DDL).

    Raises InvalidInput for a database that somebody else's migrations made, or one of an unreleased version.
    """
    async with database.read() as tx:
        is_current = await tx.run_sync(_is_current)
    if not is_current:
        async with database.write() as tx:
            await tx.run_sync(_upgrade)
    async with database.read() as tx:
        await tx.run_sync(_check_columns)
