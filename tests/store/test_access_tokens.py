"""Access tokens: listed, revoked once, and refused by the gateway while they would still count."""

from __future__ import annotations

from datetime import timedelta

import pytest

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import AccessTokenId, DeploymentId
from taxiway.store import access_tokens
from taxiway.store.database import Database
from tests.builders import DEPLOYMENT_ID, NOW, an_access_token
from tests.store.conftest import insert_people, insert_version

HOUR = timedelta(hours=1)
FIRST, SECOND = AccessTokenId("a1"), AccessTokenId("a2")


async def test_tokens_of_a_deployment(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx, 1)
        await insert_version(tx, 2)
        await access_tokens.insert_token(tx, an_access_token())
        await access_tokens.insert_token(tx, an_access_token(id=SECOND))
        assert await access_tokens.of_deployment(tx, DEPLOYMENT_ID) == [an_access_token(id=SECOND), an_access_token()]
        assert await access_tokens.of_deployment(tx, DeploymentId("d-v2")) == []
        assert await access_tokens.get(tx, DEPLOYMENT_ID, FIRST) == an_access_token()
        with pytest.raises(NotFound):
            await access_tokens.get(tx, DeploymentId("d-v2"), FIRST)


async def test_the_gateway_refuses_the_revoked_until_they_run_out(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        await access_tokens.insert_token(tx, an_access_token(expires_at=NOW + HOUR))
        await access_tokens.insert_token(tx, an_access_token(id=SECOND, expires_at=NOW + HOUR))
        await access_tokens.revoke(tx, FIRST, at=NOW)
        await access_tokens.revoke(tx, FIRST, at=NOW + HOUR)
        assert (await access_tokens.get(tx, DEPLOYMENT_ID, FIRST)).revoked_at == NOW
        assert await access_tokens.revoked(tx, now=NOW) == [FIRST]
        assert await access_tokens.revoked(tx, now=NOW + HOUR) == []
