"""Snapshot copies ↔ rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from taxiway.domain.ids import DeploymentId, ModelVersionId, ProjectName, SnapshotId
from taxiway.domain.models import Environment, LoggedModelRef
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState, SnapshotWanted
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import optional_microseconds, optional_time

T = schema.snapshots
P = schema.promotions
D = schema.deployments


def _snapshot(row: Row[Any]) -> SnapshotCopy:
    return SnapshotCopy(
        model_version=ModelVersionId(row.model_version),
        wanted=SnapshotWanted(row.wanted),
        state=SnapshotState(row.state),
        digest=None if row.digest is None else SnapshotId(row.digest),
        began_at=optional_time(row.began_at),
        bytes_done=row.bytes_done,
        bytes_total=row.bytes_total,
        failure=mapping.failure.load(row.failure),
    )


def _seen(copy: SnapshotCopy) -> dict[str, Any]:
    return {
        "state": copy.state.value,
        "digest": copy.digest,
        "began_at": optional_microseconds(copy.began_at),
        "bytes_done": copy.bytes_done,
        "bytes_total": copy.bytes_total,
        "failure": mapping.failure.dump(copy.failure),
    }


async def insert_copy(
    tx: Transaction,
    copy: SnapshotCopy,
    *,
    project: ProjectName,
    source: LoggedModelRef,
    environment: Environment = Environment.STAGING,
) -> None:
    """Remember that a model version's files are wanted in an environment's store."""
    values = {"project": project, "source": mapping.logged_model_ref.dump(source), "wanted": copy.wanted.value}
    values |= {"environment": environment.value}
    await tx.execute(insert(T).values(model_version=copy.model_version, **values, **_seen(copy)))


async def get(tx: Transaction, key: ModelVersionId) -> SnapshotCopy:
    """Return the copy of a model version, which must be known."""
    return _snapshot((await tx.execute(select(T).where(T.c.model_version == key))).one())


async def digests_by_version(tx: Transaction) -> Mapping[ModelVersionId, SnapshotId]:
    """Return the digests of all copies that have one, by model version."""
    query = select(T.c.model_version, T.c.digest).where(T.c.digest.is_not(None))
    return {ModelVersionId(row.model_version): SnapshotId(row.digest) for row in (await tx.execute(query)).all()}


async def record(tx: Transaction, copy: SnapshotCopy) -> None:
    """Write what was seen of a copy."""
    await tx.execute(update(T).where(T.c.model_version == copy.model_version).values(_seen(copy)))


async def want_drop(tx: Transaction, key: ModelVersionId) -> None:
    """Say that the copy is not wanted any more."""
    await tx.execute(update(T).where(T.c.model_version == key).values(wanted=SnapshotWanted.DROP.value))


async def forget(tx: Transaction, key: ModelVersionId) -> None:
    """Delete the row of a copy."""
    await tx.execute(delete(T).where(T.c.model_version == key))


async def users_of(tx: Transaction, digest: SnapshotId, environment: Environment) -> int:
    """Count the model versions that share the files of this digest in a store, and still want them.

    In staging these are also the promoted ones whose files are not in production yet.
    """
    is_used = (T.c.digest == digest) & (T.c.environment == environment.value)
    query = select(func.count()).select_from(T).where(is_used, T.c.wanted == SnapshotWanted.KEEP.value)
    count = int((await tx.execute(query)).scalar_one())
    return count + (digest in await _leaving(tx) if environment is Environment.STAGING else 0)


async def digests(tx: Transaction, environment: Environment) -> Sequence[SnapshotId]:
    """List the digests that are in use in a store."""
    query = select(T.c.digest).where(T.c.digest.is_not(None), T.c.environment == environment.value).distinct()
    found = {SnapshotId(value) for value in (await tx.execute(query)).scalars()}
    return sorted(found | (await _leaving(tx) if environment is Environment.STAGING else set()))


async def kept(tx: Transaction, environment: Environment) -> Sequence[SnapshotId]:
    """List the digests that model versions keep in a store and that are there whole, as far as is known."""
    query = select(T.c.digest).where(T.c.digest.is_not(None), T.c.environment == environment.value).distinct()
    query = query.where(T.c.state == SnapshotState.READY.value, T.c.wanted == SnapshotWanted.KEEP.value)
    return sorted(SnapshotId(value) for value in (await tx.execute(query)).scalars())


async def holders(
    tx: Transaction, digest: SnapshotId, environment: Environment
) -> Sequence[tuple[ProjectName, DeploymentId]]:
    """List the deployments whose revisions have this snapshot, with their projects."""
    deployment = func.coalesce(P.c.deployment, D.c.id)
    query = select(T.c.project, deployment).distinct()
    query = query.outerjoin(P, P.c.model_version == T.c.model_version)
    query = query.outerjoin(D, D.c.model_version == T.c.model_version).where(
        T.c.digest == digest, T.c.environment == environment.value, deployment.is_not(None)
    )
    rows = (await tx.execute(query.order_by(deployment))).all()
    return [(ProjectName(project), DeploymentId(key)) for project, key in rows]


async def _leaving(tx: Transaction) -> set[SnapshotId]:
    """Return the digests of staging that are still to be copied to production."""
    is_on_its_way = (T.c.state != SnapshotState.READY.value) & (T.c.wanted == SnapshotWanted.KEEP.value)
    query = select(P.c.digest).join(T, T.c.model_version == P.c.model_version).where(is_on_its_way)
    return {SnapshotId(value) for value in (await tx.execute(query)).scalars()}
