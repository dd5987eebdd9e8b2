"""Snapshot copies ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from taxiway.domain.ids import ModelVersionId, ProjectName, SnapshotId
from taxiway.domain.models import LoggedModelRef
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState, SnapshotWanted
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import optional_microseconds, optional_time

T = schema.snapshots


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


async def insert_copy(tx: Transaction, copy: SnapshotCopy, *, project: ProjectName, source: LoggedModelRef) -> None:
    """Remember that a model version's files are wanted."""
    values = {"project": project, "source": mapping.logged_model_ref.dump(source), "wanted": copy.wanted.value}
    await tx.execute(insert(T).values(model_version=copy.model_version, **values, **_seen(copy)))


async def get(tx: Transaction, key: ModelVersionId) -> SnapshotCopy:
    """Return the copy of a model version, which must be known."""
    return _snapshot((await tx.execute(select(T).where(T.c.model_version == key))).one())


async def record(tx: Transaction, copy: SnapshotCopy) -> None:
    """Write what was seen of a copy."""
    await tx.execute(update(T).where(T.c.model_version == copy.model_version).values(_seen(copy)))


async def want_drop(tx: Transaction, key: ModelVersionId) -> None:
    """Say that the copy is not wanted any more."""
    await tx.execute(update(T).where(T.c.model_version == key).values(wanted=SnapshotWanted.DROP.value))


async def forget(tx: Transaction, key: ModelVersionId) -> None:
    """Delete the row of a copy."""
    await tx.execute(delete(T).where(T.c.model_version == key))


async def users_of(tx: Transaction, digest: SnapshotId) -> int:
    """Count the model versions that share the files of this digest and still want them."""
    query = select(func.count()).select_from(T).where(T.c.digest == digest, T.c.wanted == SnapshotWanted.KEEP.value)
    return int((await tx.execute(query)).scalar_one())


async def digests(tx: Transaction) -> Sequence[SnapshotId]:
    """List the digests that are in use."""
    query = select(T.c.digest).where(T.c.digest.is_not(None)).distinct()
    return [SnapshotId(value) for value in (await tx.execute(query)).scalars()]
