"""Scrubs ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from taxiway.domain.scrubs import Scrub
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_microseconds, optional_time, to_microseconds

T = schema.scrubs
KEPT = 100


def _scrub(row: Row[Any]) -> Scrub:
    return Scrub(
        id=row.id,
        asked_at=from_microseconds(row.asked_at),
        asked_by=row.asked_by,
        began_at=optional_time(row.began_at),
        ended_at=optional_time(row.ended_at),
        snapshots=row.snapshots,
        bytes_read=row.bytes_read,
        damages=mapping.damages.load(row.damages),
        trouble=row.trouble,
    )


def _seen(scrub: Scrub) -> dict[str, Any]:
    return {
        "began_at": optional_microseconds(scrub.began_at),
        "ended_at": optional_microseconds(scrub.ended_at),
        "snapshots": scrub.snapshots,
        "bytes_read": scrub.bytes_read,
        "damages": mapping.damages.dump(scrub.damages),
        "trouble": scrub.trouble,
    }


async def insert_scrub(tx: Transaction, scrub: Scrub) -> None:
    """Ask for a scrub; of the old ones the newest are kept."""
    asked_at = to_microseconds(scrub.asked_at)
    await tx.execute(insert(T).values(id=scrub.id, asked_at=asked_at, asked_by=scrub.asked_by, **_seen(scrub)))
    newest = select(T.c.id).order_by(T.c.asked_at.desc(), T.c.id.desc()).limit(KEPT)
    await tx.execute(delete(T).where(T.c.id.not_in(list((await tx.execute(newest)).scalars()))))


async def record(tx: Transaction, scrub: Scrub) -> None:
    """Write what was seen of a scrub."""
    await tx.execute(update(T).where(T.c.id == scrub.id).values(_seen(scrub)))


async def newest(tx: Transaction, *, limit: int = 1, only_ended: bool = False) -> Sequence[Scrub]:
    """List scrubs, newest first."""
    query = select(T).order_by(T.c.asked_at.desc(), T.c.id.desc()).limit(limit)
    if only_ended:
        query = query.where(T.c.ended_at.is_not(None))
    return [_scrub(row) for row in (await tx.execute(query)).all()]
