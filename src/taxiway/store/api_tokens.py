"""API tokens ↔ rows, found by the SHA-256 of their text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import ApiTokenId, ProjectName, UserId
from taxiway.domain.people import ApiToken, Permission, User
from taxiway.store import projects, schema, users
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_microseconds, optional_time, to_microseconds

T = schema.api_tokens
U = schema.users


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=ApiTokenId(row.id),
        user=UserId(row.user_id),
        name=row.name,
        project=None if row.project is None else ProjectName(row.project),
        scopes=None if row.scopes is None else frozenset(Permission(scope) for scope in row.scopes),
        created_at=from_microseconds(row.created_at),
        expires_at=optional_time(row.expires_at),
        used_at=optional_time(row.used_at),
        revoked_at=optional_time(row.revoked_at),
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
    row = (await tx.execute(select(T).where(T.c.secret_hash == secret_hash))).first()
    if row is None:
        return None
    token = _token(row)
    user = users.from_row((await tx.execute(select(U).where(U.c.id == token.user))).one())
    return token, user, await projects.of_member(tx, user.id)


async def of_user(tx: Transaction, user: UserId) -> Sequence[ApiToken]:
    """List a user's tokens, newest first, also those that no longer count."""
    query = select(T).where(T.c.user_id == user).order_by(T.c.id.desc())
    return [_token(row) for row in (await tx.execute(query)).all()]


async def get(tx: Transaction, user: UserId, key: ApiTokenId) -> ApiToken:
    """Return one token of a user. Raises NotFound."""
    row = (await tx.execute(select(T).where(T.c.id == key, T.c.user_id == user))).first()
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


async def count_living(tx: Transaction, user: UserId, *, now: datetime) -> int:
    """Count a user's tokens that still count."""
    is_living = T.c.revoked_at.is_(None) & (T.c.expires_at.is_(None) | (T.c.expires_at > to_microseconds(now)))
    return int((await tx.execute(select(func.count()).where(T.c.user_id == user, is_living))).scalar_one())


async def forget_ended(tx: Transaction, user: UserId, *, before: datetime) -> None:
    """Delete a user's tokens that were revoked or ran out before a time."""
    ended = (T.c.revoked_at < to_microseconds(before)) | (T.c.expires_at < to_microseconds(before))
    await tx.execute(delete(T).where(T.c.user_id == user, ended))
