"""Access tokens ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.errors import NotFound
from taxiway.domain.ids import AccessTokenId, DeploymentId, UserId
from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, optional_time, to_microseconds

T = schema.access_tokens


def _token(row: Row[Any]) -> AccessToken:
    return AccessToken(
        id=AccessTokenId(row.id),
        deployment=DeploymentId(row.deployment),
        caller=row.caller,
        created_by=UserId(row.created_by),
        created_at=from_microseconds(row.created_at),
        expires_at=from_microseconds(row.expires_at),
        revoked_at=optional_time(row.revoked_at),
    )


async def insert_token(tx: Transaction, token: AccessToken) -> None:
    """Remember a token that was issued."""
    await tx.execute(
        insert(T).values(
            id=token.id,
            deployment=token.deployment,
            caller=token.caller,
            created_by=token.created_by,
            created_at=to_microseconds(token.created_at),
            expires_at=to_microseconds(token.expires_at),
        )
    )


async def of_deployment(tx: Transaction, deployment: DeploymentId) -> Sequence[AccessToken]:
    """List a deployment's tokens, newest first."""
    query = select(T).where(T.c.deployment == deployment).order_by(T.c.id.desc())
    return [_token(row) for row in (await tx.execute(query)).all()]


async def get(tx: Transaction, deployment: DeploymentId, key: AccessTokenId) -> AccessToken:
    """Return one token of a deployment. Raises NotFound."""
    row = (await tx.execute(select(T).where(T.c.id == key, T.c.deployment == deployment))).first()
    if row is None:
        raise NotFound("The deployment has no such access token.", hint="List its tokens.")
    return _token(row)


async def revoke(tx: Transaction, key: AccessTokenId, *, at: datetime) -> None:
    """Mark a token as revoked; the first time counts."""
    await tx.execute(update(T).where(T.c.id == key, T.c.revoked_at.is_(None)).values(revoked_at=to_microseconds(at)))


async def revoked(tx: Transaction, *, now: datetime) -> Sequence[AccessTokenId]:
    """List the revoked tokens that have not expired: those that the gateway must still refuse."""
    query = select(T.c.id).where(T.c.revoked_at.is_not(None), T.c.expires_at > to_microseconds(now))
    return [AccessTokenId(key) for key in (await tx.execute(query)).scalars()]
