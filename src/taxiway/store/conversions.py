"""Accepted conversions ↔ rows. A row keeps its document until the conversion is done, and its key for a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from taxiway.domain.conversions import Conversion
from taxiway.domain.ids import ModelVersionId, UserId
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import to_microseconds

T = schema.conversions


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A conversion that was accepted before under the same idempotency key."""

    id: ModelVersionId
    request_digest: str
    unfinished: Conversion | None


async def find(tx: Transaction, user: UserId, idempotency_key: str) -> Known | None:
    """Return what was accepted under a user's idempotency key, or None."""
    query = select(T).where(T.c.user_id == user, T.c.idempotency_key == idempotency_key)
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    unfinished = None if row.document is None else mapping.conversion.load(row.document)
    return Known(id=ModelVersionId(row.id), request_digest=row.request_digest, unfinished=unfinished)


async def insert_conversion(
    tx: Transaction, conversion: Conversion, *, idempotency_key: str, request_digest: str, at: datetime
) -> None:
    """Remember an accepted conversion."""
    await tx.execute(
        insert(T).values(
            id=conversion.id,
            user_id=conversion.asking.principal.user,
            idempotency_key=idempotency_key,
            request_digest=request_digest,
            document=mapping.conversion.dump(conversion),
            created_at=to_microseconds(at),
        )
    )


async def finish(tx: Transaction, key: ModelVersionId) -> bool:
    """Mark a conversion as done; tell whether it was not done before."""
    result = await tx.execute(update(T).where(T.c.id == key, T.c.document.is_not(None)).values(document=None))
    return bool(result.rowcount == 1)


async def forget(tx: Transaction, key: ModelVersionId) -> None:
    """Delete a conversion that could not be done."""
    await tx.execute(delete(T).where(T.c.id == key))


async def unfinished(tx: Transaction, *, before: datetime) -> Sequence[Conversion]:
    """List conversions that were accepted before a time and are not done."""
    query = select(T.c.document).where(T.c.document.is_not(None), T.c.created_at < to_microseconds(before))
    return [mapping.conversion.load(document) for document in (await tx.execute(query)).scalars()]


async def forget_done(tx: Transaction, *, before: datetime) -> None:
    """Delete the keys of conversions that were accepted before a time and are done."""
    await tx.execute(delete(T).where(T.c.document.is_(None), T.c.created_at < to_microseconds(before)))
