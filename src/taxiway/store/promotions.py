"""Promotions ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select

from taxiway.domain.ids import DeploymentId, ModelVersionId, SnapshotId
from taxiway.domain.promotions import Promotion
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.promotions


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


async def of_deployment(tx: Transaction, key: DeploymentId) -> Sequence[Promotion]:
    """List a deployment's promotions, oldest first."""
    query = select(T).where(T.c.deployment == key).order_by(T.c.promoted_at, T.c.model_version)
    return [_promotion(row) for row in (await tx.execute(query)).all()]
