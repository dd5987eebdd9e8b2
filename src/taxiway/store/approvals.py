"""Promotions that wait for approval ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from taxiway.domain.approvals import Decided, Decision
from taxiway.domain.errors import NotFound
from taxiway.domain.ids import SnapshotId
from taxiway.domain.people import Asking
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_microseconds, optional_time, to_microseconds

T = schema.approvals


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A promotion that was asked for. ``wanted`` is its document, as the service wrote it."""

    id: str
    deployment: str
    digest: SnapshotId
    wanted: Any
    asking: Asking
    asked_at: datetime
    decided: Decided = field(default_factory=Decided)


def _asked(row: Row[Any]) -> Asked:
    return Asked(
        id=row.id,
        deployment=row.deployment,
        digest=SnapshotId(row.digest),
        wanted=row.wanted,
        asking=mapping.asking.load(row.asking),
        asked_at=from_microseconds(row.asked_at),
        decided=Decided(
            decision=Decision(row.decision), by=row.decided_by, at=optional_time(row.decided_at), reason=row.reason
        ),
    )


async def insert_asked(tx: Transaction, asked: Asked) -> None:
    """Remember a promotion that waits."""
    await tx.execute(
        insert(T).values(
            id=asked.id,
            deployment=asked.deployment,
            digest=asked.digest,
            wanted=asked.wanted,
            asking=mapping.asking.dump(asked.asking),
            asked_at=to_microseconds(asked.asked_at),
            **_decided(asked.decided),
        )
    )


def _decided(decided: Decided) -> dict[str, Any]:
    return {
        "decision": decided.decision.value,
        "decided_by": decided.by,
        "decided_at": optional_microseconds(decided.at),
        "reason": decided.reason,
    }


async def decide(tx: Transaction, key: str, decided: Decided) -> None:
    """Write a decision."""
    await tx.execute(update(T).where(T.c.id == key).values(_decided(decided)))


async def get(tx: Transaction, key: str, *, for_update: bool = False) -> Asked:
    """Return one. Raises NotFound."""
    query = select(T).where(T.c.id == key)
    row = (await tx.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise NotFound("No such promotion was asked for.", hint="List them with `taxiway production requests`.")
    return _asked(row)


async def newest(tx: Transaction, *, limit: int) -> Sequence[Asked]:
    """List those that wait, then the others; the newest first."""
    waits = T.c.decision == Decision.WAITING.value
    query = select(T).order_by(waits.desc(), T.c.asked_at.desc(), T.c.id.desc()).limit(limit)
    return [_asked(row) for row in (await tx.execute(query)).all()]
