"""Leases: one holder at a time, with a token that shows who came later."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from taxiway.store import leases
from taxiway.store.database import Database
from tests.builders import NOW

LIFE = timedelta(seconds=15)


async def take(database: Database, holder: str, at: datetime = NOW, name: str = "controllers") -> int | None:
    async with database.write() as tx:
        return await leases.take(tx, name, holder=holder, now=at, life=LIFE)


async def renew(database: Database, holder: str, token: int, at: datetime = NOW) -> bool:
    async with database.write() as tx:
        return await leases.renew(tx, "controllers", holder=holder, token=token, now=at, life=LIFE)


async def release(database: Database, holder: str, token: int) -> None:
    async with database.write() as tx:
        await leases.release(tx, "controllers", holder=holder, token=token)


async def test_one_holder_at_a_time(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await take(database, "b") is None
    assert await take(database, "b", NOW + LIFE - timedelta(microseconds=1)) is None
    assert await take(database, "b", NOW + LIFE) == 2
    assert await take(database, "a", NOW + LIFE) is None


async def test_leases_of_different_names_are_strangers(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await take(database, "b", name="other") == 1


async def test_renewing_keeps_others_away(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await renew(database, "a", 1, NOW + timedelta(seconds=10))
    assert await take(database, "b", NOW + LIFE) is None
    assert await take(database, "b", NOW + timedelta(seconds=25)) == 2


async def test_whoever_lost_it_cannot_renew_or_release_it(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await take(database, "b", NOW + LIFE) == 2
    assert not await renew(database, "a", 1, NOW + LIFE)
    await release(database, "a", 1)
    assert await take(database, "c", NOW + LIFE) is None
    assert await renew(database, "b", 2, NOW + LIFE)


async def test_one_that_only_ran_out_can_be_renewed(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await renew(database, "a", 1, NOW + timedelta(minutes=1))
    assert await take(database, "b", NOW + timedelta(minutes=1)) is None


async def test_the_same_holder_takes_it_back_after_a_restart_and_its_former_self_is_out(database: Database) -> None:
    assert await take(database, "a") == 1
    assert await take(database, "a") == 2
    assert not await renew(database, "a", 1)
    assert await renew(database, "a", 2)


async def test_a_released_lease_is_free_at_once(database: Database) -> None:
    assert await take(database, "a") == 1
    await release(database, "a", 1)
    assert await take(database, "b") == 2


@pytest.mark.concurrent
async def test_of_many_at_once_one_gets_it(database: Database) -> None:
    taken = await asyncio.gather(*(take(database, f"holder{number}") for number in range(10)))
    assert sorted(token for token in taken if token is not None) == [1]
    taken = await asyncio.gather(*(take(database, f"later{number}", NOW + LIFE) for number in range(10)))
    assert sorted(token for token in taken if token is not None) == [2]
