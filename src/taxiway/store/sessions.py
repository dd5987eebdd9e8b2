"""Sessions ↔ rows, found by the SHA-256 of their secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, delete, insert, select, update

from taxiway.domain.ids import ProjectName, SessionId, UserId
from taxiway.domain.people import Session, User
from taxiway.store import schema, users
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.sessions
U = schema.users
M = schema.members


def _session(row: RowMapping) -> Session:
    return Session(
        id=SessionId(row[T.c.id]),
        user=UserId(row[T.c.user_id]),
        created_at=from_microseconds(row[T.c.created_at]),
        seen_at=from_microseconds(row[T.c.seen_at]),
        expires_at=from_microseconds(row[T.c.expires_at]),
        source=row[T.c.source],
        user_agent=row[T.c.user_agent],
    )


async def insert_session(tx: Transaction, session: Session, *, secret_hash: bytes) -> None:
    """Remember a new session."""
    await tx.execute(
        insert(T).values(
            id=session.id,
            secret_hash=secret_hash,
            user_id=session.user,
            created_at=to_microseconds(session.created_at),
            seen_at=to_microseconds(session.seen_at),
            expires_at=to_microseconds(session.expires_at),
            source=session.source,
            user_agent=session.user_agent,
        )
    )


async def find(tx: Transaction, secret_hash: bytes) -> tuple[Session, User, frozenset[ProjectName]] | None:
    """Return the session with its user and the user's projects, or None."""
    # One statement: this is looked up on every request.
    query = select(T, U, M.c.project.label("member_of")).join(U, U.c.id == T.c.user_id)
    query = query.outerjoin(M, M.c.user_id == T.c.user_id).where(T.c.secret_hash == secret_hash)
    rows = (await tx.execute(query)).mappings().all()
    if not rows:
        return None
    member_of = frozenset(ProjectName(row["member_of"]) for row in rows if row["member_of"] is not None)
    return _session(rows[0]), users.from_row(rows[0]), member_of


async def of_user(tx: Transaction, user: UserId) -> Sequence[Session]:
    """List a user's sessions, newest first, also those that ran out and were not cleared away yet."""
    query = select(T).where(T.c.user_id == user).order_by(T.c.id.desc())
    return [_session(row) for row in (await tx.execute(query)).mappings()]


async def mark_seen(tx: Transaction, key: SessionId, *, at: datetime) -> None:
    """Write when a session was last used."""
    await tx.execute(update(T).where(T.c.id == key).values(seen_at=to_microseconds(at)))


async def end(tx: Transaction, user: UserId, key: SessionId) -> bool:
    """Delete one session of a user; False when there is none."""
    result = await tx.execute(delete(T).where(T.c.id == key, T.c.user_id == user))
    return bool(result.rowcount == 1)


async def end_all(tx: Transaction, user: UserId, *, but: SessionId | None = None) -> int:
    """Delete a user's sessions, but for one; returns how many there were."""
    query = delete(T).where(T.c.user_id == user)
    if but is not None:
        query = query.where(T.c.id != but)
    return int((await tx.execute(query)).rowcount)


async def forget_ended(tx: Transaction, *, now: datetime, idle_since: datetime) -> None:
    """Delete the sessions that ran out, or were last used before a time."""
    ended = (T.c.expires_at <= to_microseconds(now)) | (T.c.seen_at <= to_microseconds(idle_since))
    await tx.execute(delete(T).where(ended))
