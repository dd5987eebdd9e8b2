"""The audit log ↔ rows. Rows are only ever appended; the database itself refuses all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select

from taxiway.domain.audit import AuditEntry, Link, Outcome, next_entry
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Asking
from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds
from taxiway.store.waiting import Turn, wait_for_turn

T = schema.audit_entries


def _entry(row: Row[Any]) -> AuditEntry:
    values = row._asdict()
    return AuditEntry(**values | {"at": _time(row.at)})


def _time(value: int) -> datetime:
    """Read a time. One that there cannot be, since somebody tampered, is shown as the last that there is."""
    try:
        return from_microseconds(value)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


async def append(
    tx: Transaction,
    *,
    at: datetime,
    asking: Asking,
    action: str,
    object_kind: str,
    object: str,  # noqa: A002
    project: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str = "",
    outcome: Outcome = Outcome.DONE,
) -> None:
    """Append one entry to the chain. On PostgreSQL one transaction at a time appends: let it be the last thing done."""
    await wait_for_turn(tx, Turn.AUDIT)
    entry = next_entry(
        await head(tx),
        at=at,
        asking=asking,
        action=action,
        object_kind=object_kind,
        object=object,
        project=project,
        before=before,
        after=after,
        reason=reason,
        outcome=outcome,
    )
    values = {column.name: getattr(entry, column.name) for column in T.c} | {"at": to_microseconds(entry.at)}
    await tx.execute(insert(T).values(values))


async def head(tx: Transaction) -> Link:
    """Return the end of the chain."""
    row = (await tx.execute(select(T.c.sequence, T.c.hash).order_by(T.c.sequence.desc()).limit(1))).first()
    return Link() if row is None else Link(sequence=row.sequence, hash=row.hash)


async def page(tx: Transaction, *, after: int, limit: int) -> Sequence[AuditEntry]:
    """List entries with a greater sequence than ``after``, oldest first."""
    query = select(T).where(T.c.sequence > after).order_by(T.c.sequence).limit(limit)
    return [_entry(row) for row in (await tx.execute(query)).all()]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What a list shows; each field narrows where it is set. ``since ≤ at < until``."""

    actor: str | None = None
    action: str | None = None
    project: ProjectName | None = None
    object: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


async def search(tx: Transaction, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """List entries, newest first, whose sequence is less than ``before``."""
    query = select(T).order_by(T.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(T.c.sequence < before)
    for column, value in (
        (T.c.actor, wanted.actor),
        (T.c.action, wanted.action),
        (T.c.project, wanted.project),
        (T.c.object, wanted.object),
        (T.c.outcome, wanted.outcome),
    ):
        if value is not None:
            query = query.where(column == str(value))
    if wanted.since is not None:
        query = query.where(T.c.at >= to_microseconds(wanted.since))
    if wanted.until is not None:
        query = query.where(T.c.at < to_microseconds(wanted.until))
    return [_entry(row) for row in (await tx.execute(query)).all()]
