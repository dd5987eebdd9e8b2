"""Promotions ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select

from taxiway.domain.ids import DeploymentId, ModelVersionId, SnapshotId
from taxiway.domain.promotions import Promotion
from taxiway.domain.snapshots import SnapshotState, SnapshotWanted
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.promotions
S = schema.snapshots


def _promotion(row: Row[Any]) -> Promotion:
    return Promotion(
        model_version=ModelVersionId(row.model_version),
        deployment=DeploymentId(row.deployment),
        digest=SnapshotId(row.digest),
        gates=mapping.gates.load(row.gates),
        reason=row.reason,
        promoted_by=row.promoted_by,
        promoted_at=from_microseconds(row.promoted_at),
    )


async def insert_promotion(tx: Transaction, promotion: Promotion) -> None:
    """Remember an act."""
    await tx.execute(
        insert(T).values(
            model_version=promotion.model_version,
            deployment=promotion.deployment,
            digest=promotion.digest,
            gates=mapping.gates.dump(promotion.gates),
            reason=promotion.reason,
            promoted_by=promotion.promoted_by,
            promoted_at=to_microseconds(promotion.promoted_at),
        )
    )


async def find(tx: Transaction, key: ModelVersionId) -> Promotion | None:
    """Return the promotion that made a model version of production; None for one of staging."""
    row = (await tx.execute(select(T).where(T.c.model_version == key))).first()
    return None if row is None else _promotion(row)


async def kept(tx: Transaction) -> Sequence[tuple[ModelVersionId, SnapshotId]]:
    """List the model versions of production whose files are there, with their digests."""
    is_there = (S.c.state == SnapshotState.READY.value) & (S.c.wanted == SnapshotWanted.KEEP.value)
    query = select(T.c.model_version, T.c.digest).join(S, S.c.model_version == T.c.model_version).where(is_there)
    rows = (await tx.execute(query.order_by(T.c.model_version))).all()
    return [(ModelVersionId(key), SnapshotId(digest)) for key, digest in rows]


async def of_deployment(tx: Transaction, key: DeploymentId) -> Sequence[Promotion]:
    """List a deployment's promotions, oldest first."""
    query = select(T).where(T.c.deployment == key).order_by(T.c.promoted_at, T.c.model_version)
    return [_promotion(row) for row in (await tx.execute(query)).all()]
