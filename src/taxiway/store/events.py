"""Events ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select

from taxiway.domain.events import Event, SubjectKind, Topic
from taxiway.domain.ids import ProjectName
from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.events


def _event(row: Row[Any]) -> Event:
    return Event(
        sequence=row.sequence,
        at=from_microseconds(row.at),
        actor=row.actor,
        project=ProjectName(row.project),
        subject_kind=SubjectKind(row.subject_kind),
        subject=row.subject,
        topic=Topic(row.topic),
        was=row.was,
        became=row.became,
        reason=row.reason,
        message=row.message,
    )


async def append(tx: Transaction, event: Event) -> None:
    """Write one event; its sequence is the database's to give."""
    await tx.execute(
        insert(T).values(
            at=to_microseconds(event.at),
            actor=event.actor,
            project=event.project,
            subject_kind=event.subject_kind.value,
            subject=event.subject,
            topic=event.topic.value,
            was=event.was,
            became=event.became,
            reason=event.reason,
            message=event.message,
        )
    )


async def find(
    tx: Transaction,
    *,
    projects: Sequence[ProjectName] | None = None,
    subject_kind: SubjectKind | None = None,
    subject: str | None = None,
    after: int = 0,
    before: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
) -> Sequence[Event]:
    """List events with ``after < sequence < before``; of these projects (None: all) and this subject."""
    query = select(T).where(T.c.sequence > after).limit(limit)
    query = query.order_by(T.c.sequence.desc() if newest_first else T.c.sequence)
    if before is not None:
        query = query.where(T.c.sequence < before)
    if projects is not None:
        query = query.where(T.c.project.in_(projects))
    if subject_kind is not None:
        query = query.where(T.c.subject_kind == subject_kind.value)
    if subject is not None:
        query = query.where(T.c.subject == subject)
    return [_event(row) for row in (await tx.execute(query)).all()]
