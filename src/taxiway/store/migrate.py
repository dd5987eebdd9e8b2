"""Brings the database to the schema of this version; safe to run at every start and again after a kill."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from taxiway.store.database import Database


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(database: Database) -> None:
    """Run all migrations that have not run yet, in one transaction (SQLite and PostgreSQL roll back DDL)."""
    async with database.write() as tx:
        await tx.run_sync(_upgrade)
