"""API tokens ↔ rows, found by the SHA-256 of their text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, delete, func, insert, select, update

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import ApiTokenId, ProjectName, UserId
from taxiway.domain.people import ApiToken, Permission, User
from taxiway.store import schema, users
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_microseconds, optional_time, to_microseconds

T = schema.api_tokens
U = schema.users
M = schema.members


def _token(row: RowMapping) -> ApiToken:
    return ApiToken(
        id=ApiTokenId(row[T.c.id]),
        user=UserId(row[T.c.user_id]),
        name=row[T.c.name],
        project=None if row[T.c.project] is None else ProjectName(row[T.c.project]),
        scopes=None if row[T.c.scopes] is None else frozenset(Permission(scope) for scope in row[T.c.scopes]),
        created_at=from_microseconds(row[T.c.created_at]),
        expires_at=optional_time(row[T.c.expires_at]),
        used_at=optional_time(row[T.c.used_at]),
        revoked_at=optional_time(row[T.c.revoked_at]),
    )


async def insert_token(tx: Transaction, token: ApiToken, *, secret_hash: bytes) -> None:
    """Remember a token that was issued."""
    await tx.execute(
        insert(T).values(
            id=token.id,
            secret_hash=secret_hash,
            user_id=token.user,
            name=token.name,
            project=token.project,
            scopes=None if token.scopes is None else sorted(token.scopes),
            created_at=to_microseconds(token.created_at),
            expires_at=optional_microseconds(token.expires_at),
        )
    )


async def find(tx: Transaction, secret_hash: bytes) -> tuple[ApiToken, User, frozenset[ProjectName]] | None:
    """Return the token with its user and the user's projects, or None."""
    # One statement: this is looked up on every request.
    query = select(T, U, M.c.project.label("member_of")).join(U, U.c.id == T.c.user_id)
    query = query.outerjoin(M, M.c.user_id == T.c.user_id).where(T.c.secret_hash == secret_hash)
    rows = (await tx.execute(query)).mappings().all()
    if not rows:
        return None
    member_of = frozenset(ProjectName(row["member_of"]) for row in rows if row["member_of"] is not None)
    return _token(rows[0]), users.from_row(rows[0]), member_of


async def of_user(tx: Transaction, user: UserId) -> Sequence[ApiToken]:
    """List a user's tokens, newest first, also those that no longer count."""
    query = select(T).where(T.c.user_id == user).order_by(T.c.id.desc())
    return [_token(row) for row in (await tx.execute(query)).mappings()]


async def get(tx: Transaction, user: UserId, key: ApiTokenId) -> ApiToken:
    """Return one token of a user. Raises NotFound."""
    row = (await tx.execute(select(T).where(T.c.id == key, T.c.user_id == user))).mappings().first()
    if row is None:
        raise NotFound("You have no such API token.", hint="List yours with `taxiway token list`.")
    return _token(row)


async def mark_used(tx: Transaction, key: ApiTokenId, *, at: datetime) -> None:
    """Write when a token was last used."""
    await tx.execute(update(T).where(T.c.id == key).values(used_at=to_microseconds(at)))


async def revoke(tx: Transaction, key: ApiTokenId, *, at: datetime) -> bool:
    """Mark a token as revoked; False when it is, and then the first time counts."""
    query = update(T).where(T.c.id == key, T.c.revoked_at.is_(None)).values(revoked_at=to_microseconds(at))
    return bool((await tx.execute(query)).rowcount == 1)


async def revoke_all(tx: Transaction, user: UserId, *, at: datetime) -> int:
    """Mark a user's tokens as revoked; returns how many were not."""
    query = update(T).where(T.c.user_id == user, T.c.revoked_at.is_(None)).values(revoked_at=to_microseconds(at))
    return int((await tx.execute(query)).rowcount)


async def count_living(tx: Transaction, user: UserId, *, now: datetime) -> int:
    """Count a user's tokens that still count."""
    is_living = T.c.revoked_at.is_(None) & (T.c.expires_at.is_(None) | (T.c.expires_at > to_microseconds(now)))
    return int((await tx.execute(select(func.count()).where(T.c.user_id == user, is_living))).scalar_one())


async def forget_ended(tx: Transaction, user: UserId, *, before: datetime) -> None:
    """Delete a user's tokens that were revoked or ran out before a time."""
    ended = (T.c.revoked_at < to_microseconds(before)) | (T.c.expires_at < to_microseconds(before))
    await tx.execute(delete(T).where(T.c.user_id == user, ended))
