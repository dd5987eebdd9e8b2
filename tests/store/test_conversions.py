"""Accepted conversions: kept whole until they are done, and their keys for a while longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from taxiway.domain.conversions import Conversion
from taxiway.domain.ids import ModelVersionId, UserId
from taxiway.store import conversions
from taxiway.store.database import Database, Transaction
from tests.builders import NOW, USER_ID, a_conversion, an_administrator, an_asking

SECOND = timedelta(seconds=1)


async def insert(tx: Transaction, key: str = "k", *, after: timedelta = timedelta(), **changes: object) -> Conversion:
    conversion = a_conversion(**changes)
    await conversions.insert_conversion(tx, conversion, idempotency_key=key, request_digest="d", at=NOW + after)
    return conversion


async def test_a_conversion_comes_back_as_it_went(database: Database) -> None:
    async with database.write() as tx:
        conversion = await insert(tx, asking=an_asking(an_administrator()), tags={"team": "é"})
        assert await conversions.find(tx, UserId("u-root"), "k") == conversions.Known(
            id=conversion.id, request_digest="d", unfinished=conversion
        )
        assert await conversions.find(tx, USER_ID, "k") is None
        assert await conversions.find(tx, UserId("u-root"), "other") is None


async def test_a_conversion_is_finished_once(database: Database) -> None:
    async with database.write() as tx:
        conversion = await insert(tx)
        assert await conversions.finish(tx, conversion.id)
        assert not await conversions.finish(tx, conversion.id)
        known = await conversions.find(tx, USER_ID, "k")
        assert known == conversions.Known(id=conversion.id, request_digest="d", unfinished=None)


async def test_a_key_is_used_once_by_each_user(database: Database) -> None:
    async def insert_twice() -> None:
        async with database.write() as tx:
            await insert(tx, id=ModelVersionId("v1"))
            await insert(tx, id=ModelVersionId("v2"), asking=an_asking(an_administrator()))
            await insert(tx, id=ModelVersionId("v3"))

    with pytest.raises(IntegrityError):
        await insert_twice()


async def test_old_ones_are_found_while_unfinished_and_forgotten_when_done(database: Database) -> None:
    async with database.write() as tx:
        old = await insert(tx, "k1", id=ModelVersionId("v1"))
        await insert(tx, "k2", after=SECOND, id=ModelVersionId("v2"))
        done = await insert(tx, "k3", id=ModelVersionId("v3"))
        await conversions.finish(tx, done.id)
        assert await conversions.unfinished(tx, before=NOW + SECOND) == [old]
        await conversions.forget_done(tx, before=NOW)
        assert await conversions.find(tx, USER_ID, "k3") is not None
        await conversions.forget_done(tx, before=NOW + SECOND)
        assert await conversions.find(tx, USER_ID, "k3") is None
        assert await conversions.find(tx, USER_ID, "k1") is not None
        await conversions.forget(tx, old.id)
        assert await conversions.find(tx, USER_ID, "k1") is None
