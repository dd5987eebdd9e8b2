"""Brings the database to the schema of this version; safe to run at every start and again after a kill."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from taxiway.domain.errors import InvalidInput
from taxiway.store.database import Database


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(database: Database) -> None:
    """Run all migrations that have not run yet, in one transaction (SQLite and PostgreSQL roll back DDL).

    Raises InvalidInput for a database that somebody else's migrations made.
    """
    try:
        async with database.write() as tx:
            await tx.run_sync(_upgrade)
    except CommandError as error:
        raise InvalidInput(
            "The database is another program's, or that of a newer Taxiway: what was done to it is not known here.",
            hint="Choose another with the setting database.url, or install the newer Taxiway.",
        ) from error
