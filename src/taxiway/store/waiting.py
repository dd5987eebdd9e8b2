"""What two writers on PostgreSQL need so as not to tread on each other. On SQLite there is one writer at a time."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from taxiway.store.database import Transaction


class Turn(IntEnum):
    """What only one transaction at a time does. The numbers are keys of PostgreSQL's advisory locks."""

    AUDIT = 7_284_001
    LOGIN_ATTEMPTS = 7_284_002


async def wait_for_turn(tx: Transaction, turn: Turn) -> None:
    """Wait until no other transaction has this turn, and keep it to the end of this one.

    Take it after all row locks that the transaction needs: then two transactions never wait for each other.
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(select(func.pg_advisory_xact_lock(int(turn))))


async def insert_if_new(tx: Transaction, table: Table, **values: Any) -> bool:
    """Insert a row unless one with the same key is there, or is being inserted; tell whether it was inserted."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    query = insert(table).values(**values).on_conflict_do_nothing().returning(*table.primary_key)
    return (await tx.execute(query)).first() is not None
