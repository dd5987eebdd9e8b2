"""Leases ↔ rows: who may do something for a while, with a fencing token that grows each time one is taken."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update

from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import to_microseconds
from taxiway.store.waiting import insert_if_new

T = schema.leases


async def take(tx: Transaction, name: str, *, holder: str, now: datetime, life: timedelta) -> int | None:
    """Take a lease that is free, ran out, or is this holder's already; None while another holder has it.

    The token is one more than the last: whoever held the lease before, this holder's former self included, cannot
    renew it any more.
    """
    await insert_if_new(tx, T, name=name, holder="", token=0, expires_at=0)
    at = to_microseconds(now)
    result = await tx.execute(
        update(T)
        .where(T.c.name == name, (T.c.expires_at <= at) | (T.c.holder == holder))
        .values(holder=holder, token=T.c.token + 1, expires_at=at + life // timedelta(microseconds=1))
        .returning(T.c.token)
    )
    token: int | None = result.scalar_one_or_none()
    return token


async def renew(tx: Transaction, name: str, *, holder: str, token: int, now: datetime, life: timedelta) -> bool:
    """Make a lease last longer; False when it was taken by another meanwhile. One that only ran out goes on."""
    expires_at = to_microseconds(now) + life // timedelta(microseconds=1)
    result = await tx.execute(
        update(T).where(T.c.name == name, T.c.holder == holder, T.c.token == token).values(expires_at=expires_at)
    )
    return bool(result.rowcount == 1)


async def release(tx: Transaction, name: str, *, holder: str, token: int) -> None:
    """Give a lease back at once. One that another took meanwhile: no effect."""
    await tx.execute(
        update(T).where(T.c.name == name, T.c.holder == holder, T.c.token == token).values(holder="", expires_at=0)
    )
