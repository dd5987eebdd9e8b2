"""Rollouts ↔ rows. One of a deployment is active at most; those that ended are kept as its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select, update

from taxiway.domain.errors import Conflict
from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.rollouts import ENDED, Rollout, RolloutState, RolloutWanted
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_microseconds, optional_time, to_microseconds

T = schema.rollouts
IS_ACTIVE = T.c.state.not_in([state.value for state in ENDED])


def _rollout(row: Row[Any]) -> Rollout:
    return Rollout(
        id=row.id,
        deployment=DeploymentId(row.deployment),
        old=RevisionId(row.old_revision),
        new=RevisionId(row.new_revision),
        before=mapping.served.load(row.before),
        strategy=mapping.strategy.load(row.strategy),
        by=row.made_by,
        created_at=from_microseconds(row.created_at),
        wanted=RolloutWanted(row.wanted),
        wanted_percent=row.wanted_percent,
        generation=row.generation,
        state=RolloutState(row.state),
        step=row.step,
        percent=row.percent,
        reason=row.reason,
        message=row.message,
        changed_at=optional_time(row.changed_at),
    )


def _wanted(rollout: Rollout) -> dict[str, Any]:
    return {
        "new_revision": rollout.new,
        "wanted": rollout.wanted.value,
        "wanted_percent": rollout.wanted_percent,
        "generation": rollout.generation,
    }


def _seen(rollout: Rollout) -> dict[str, Any]:
    return {
        "state": rollout.state.value,
        "step": rollout.step,
        "percent": rollout.percent,
        "reason": rollout.reason,
        "message": rollout.message,
        "changed_at": optional_microseconds(rollout.changed_at),
    }


async def insert_rollout(tx: Transaction, rollout: Rollout) -> None:
    """Remember a new rollout."""
    await tx.execute(
        insert(T).values(
            id=rollout.id,
            deployment=rollout.deployment,
            old_revision=rollout.old,
            before=mapping.served.dump(rollout.before),
            strategy=mapping.strategy.dump(rollout.strategy),
            made_by=rollout.by,
            created_at=to_microseconds(rollout.created_at),
            **_wanted(rollout),
            **_seen(rollout),
        )
    )


async def want(tx: Transaction, rollout: Rollout) -> None:
    """Write what people want, whose generation must be one more than the remembered. Raises Conflict."""
    result = await tx.execute(
        update(T).where(T.c.id == rollout.id, T.c.generation == rollout.generation - 1).values(_wanted(rollout))
    )
    if result.rowcount != 1:
        raise Conflict(
            "The rollout was changed by somebody else at the same time.", hint="Look at it again and repeat the change."
        )


async def record(tx: Transaction, rollout: Rollout) -> bool:
    """Write what was seen, unless the wanted part has moved on; tell whether it was written."""
    result = await tx.execute(
        update(T).where(T.c.id == rollout.id, T.c.generation == rollout.generation).values(_seen(rollout))
    )
    return bool(result.rowcount == 1)


async def active(tx: Transaction) -> Sequence[Rollout]:
    """List the rollouts that decide who gets requests."""
    return [_rollout(row) for row in (await tx.execute(select(T).where(IS_ACTIVE))).all()]


async def active_of(tx: Transaction, deployment: DeploymentId) -> Rollout | None:
    """Return the deployment's active rollout, or None."""
    row = (await tx.execute(select(T).where(T.c.deployment == deployment, IS_ACTIVE))).first()
    return None if row is None else _rollout(row)


async def aborted_of(tx: Transaction, deployment: DeploymentId) -> frozenset[RevisionId]:
    """Return the deployment's revisions whose rollout was aborted."""
    query = select(T.c.new_revision).where(T.c.deployment == deployment, T.c.state == RolloutState.ABORTED.value)
    return frozenset(RevisionId(key) for key in (await tx.execute(query)).scalars())


async def of_deployment(tx: Transaction, deployment: DeploymentId) -> Sequence[Rollout]:
    """List the deployment's rollouts, oldest first."""
    query = select(T).where(T.c.deployment == deployment).order_by(T.c.id)
    return [_rollout(row) for row in (await tx.execute(query)).all()]


async def newest_of(tx: Transaction, deployment: DeploymentId) -> Rollout | None:
    """Return the deployment's newest rollout, active or not; None where there never was one."""
    query = select(T).where(T.c.deployment == deployment).order_by(T.c.id.desc()).limit(1)
    row = (await tx.execute(query)).first()
    return None if row is None else _rollout(row)
