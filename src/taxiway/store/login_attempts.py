"""Log-ins that failed, or are under way, ↔ rows. Accounts stand here as digests: what was typed may be a password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.login_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One log-in that did not succeed."""

    account: str
    source: str
    at: datetime


async def since(tx: Transaction, at: datetime, *, account: str, source: str) -> Sequence[Attempt]:
    """List the attempts since a time on the account or from the source, oldest first."""
    query = select(T).where((T.c.account == account) | (T.c.source == source), T.c.at > to_microseconds(at))
    rows = (await tx.execute(query.order_by(T.c.at, T.c.id))).all()
    return [Attempt(account=row.account, source=row.source, at=from_microseconds(row.at)) for row in rows]


async def insert_attempt(tx: Transaction, attempt: Attempt) -> None:
    """Remember an attempt."""
    values = {"account": attempt.account, "source": attempt.source, "at": to_microseconds(attempt.at)}
    await tx.execute(insert(T).values(values))


async def forget(tx: Transaction, *, account: str, source: str) -> None:
    """Delete the attempts on an account from a source: it succeeded."""
    await tx.execute(delete(T).where(T.c.account == account, T.c.source == source))


async def forget_old(tx: Transaction, *, before: datetime) -> None:
    """Delete attempts that count no longer."""
    await tx.execute(delete(T).where(T.c.at < to_microseconds(before)))
