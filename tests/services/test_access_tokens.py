"""Access tokens: signed, shown once, revoked at the gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.ids import AccessTokenId
from taxiway.services.access_tokens import AccessTokens
from taxiway.services.deployments import DeploymentName
from taxiway.store import access_tokens
from taxiway.store.database import Database
from tests.builders import MODEL, NOW, PROJECT, USER_ID, an_asking
from tests.fakes import FakeClock, FakeNudge, FakeSigner
from tests.services.conftest import actions, audited
from tests.store.conftest import insert_people, insert_version

ME = an_asking()
NAME = DeploymentName(project=PROJECT, model=MODEL, version=1)
DAY = timedelta(days=1)


@pytest.fixture
def signer() -> FakeSigner:
    return FakeSigner()


@pytest.fixture
async def service(database: Database, signer: FakeSigner, clock: FakeClock, nudge: FakeNudge) -> AccessTokens:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx, 1)
        await insert_version(tx, 2)
    return AccessTokens(database=database, signer=signer, nudge=nudge, now=clock)


async def test_a_token_is_signed_and_its_text_kept_nowhere(
    service: AccessTokens, database: Database, signer: FakeSigner, clock: FakeClock
) -> None:
    clock.advance(timedelta(microseconds=5))
    token, signed = await service.issue(ME, NAME, caller="shop", life=DAY)
    assert (token.deployment, token.caller, token.created_by) == ("d-v1", "shop", USER_ID)
    assert (token.created_at, token.expires_at, token.revoked_at) == (NOW, NOW + DAY, None)
    assert signer.read(signed) == {
        "iss": "taxiway", "sub": "shop", "jti": token.id, "dep": "d-v1", "iat": int(NOW.timestamp()),
        "exp": int((NOW + DAY).timestamp()),
    }  # fmt: skip
    (entry,) = await audited(database)
    assert (entry.action, entry.object, entry.project) == ("access-token.issue", token.id, PROJECT)
    async with database.read() as tx:
        for table in ("access_tokens", "audit_entries", "events"):
            rows = (await tx.execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608
            assert signed not in str(rows)


@pytest.mark.parametrize("caller", ["", "x" * 81, "a\nb", "\0"])
async def test_a_caller_must_have_a_printable_name(service: AccessTokens, database: Database, caller: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await service.issue(ME, NAME, caller=caller, life=DAY)
    assert refused.value.field == "/caller"
    assert await actions(database) == []


@pytest.mark.parametrize("life", [timedelta(seconds=59), timedelta(days=366, seconds=1), -DAY])
async def test_a_life_has_its_limits(service: AccessTokens, life: timedelta) -> None:
    with pytest.raises(InvalidInput):
        await service.issue(ME, NAME, caller="shop", life=life)
    for fine in (timedelta(minutes=1), timedelta(days=366)):
        assert (await service.issue(ME, NAME, caller="shop", life=fine))[0].expires_at == NOW + fine


async def test_tokens_are_listed_newest_first_for_their_deployment_only(service: AccessTokens) -> None:
    made = [(await service.issue(ME, NAME, caller=caller, life=DAY))[0] for caller in ("a", "b")]
    assert sorted(await service.list_all(NAME), key=lambda token: token.caller) == made
    assert await service.list_all(replace(NAME, version=2)) == []
    with pytest.raises(NotFound):
        await service.list_all(replace(NAME, version=3))


async def test_a_revoked_token_is_refused_at_the_gateway(
    service: AccessTokens, database: Database, nudge: FakeNudge, clock: FakeClock
) -> None:
    token, _ = await service.issue(ME, NAME, caller="shop", life=DAY)
    assert nudge.told == []
    revoked = await service.revoke(ME, NAME, token.id)
    clock.advance(60)
    assert await service.revoke(ME, NAME, token.id) == revoked == replace(token, revoked_at=NOW)
    assert ("routing", "table") in nudge.told
    async with database.read() as tx:
        assert await access_tokens.revoked(tx, now=clock()) == [token.id]
    assert await actions(database) == ["access-token.issue", "access-token.revoke"]


async def test_a_token_of_another_deployment_is_not_there(service: AccessTokens, database: Database) -> None:
    token, _ = await service.issue(ME, NAME, caller="shop", life=DAY)
    for name, key in ((replace(NAME, version=2), token.id), (NAME, AccessTokenId("other"))):
        with pytest.raises(NotFound):
            await service.revoke(ME, name, key)
    assert await actions(database) == ["access-token.issue"]
