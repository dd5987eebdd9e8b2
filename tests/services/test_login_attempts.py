"""How often a password may be tried: the table of ``login_attempts``, by the clock and against many at once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from taxiway.domain.errors import TooManyRequests
from taxiway.domain.people import User
from taxiway.services.login_attempts import (
    FREE_FOR_ACCOUNT,
    FREE_FOR_SOURCE,
    LONGEST_WAIT,
    LoginAttempts,
    next_allowed,
    origin_of,
)
from taxiway.store import sessions
from taxiway.store.database import Database
from tests.builders import NOW, a_session
from tests.fakes import FakeClock

HOME, AWAY = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def attempts(database: Database, clock: FakeClock) -> LoginAttempts:
    return LoginAttempts(database=database, now=clock)


async def fail(attempts: LoginAttempts, times: int = 1, *, name: str = "ada", source: str = HOME) -> None:
    for _ in range(times):
        await attempts.begin(name=name, source=source)


async def wait_of(attempts: LoginAttempts, *, name: str = "ada", source: str = HOME) -> int:
    """Return the seconds to wait; 0 counts as an attempt."""
    try:
        await attempts.begin(name=name, source=source)
    except TooManyRequests as error:
        return error.retry_after_seconds
    return 0


def test_the_first_are_free_then_each_waits_twice_as_long() -> None:
    waits = []
    for count in range(5, 10):
        allowed = next_allowed([NOW] * count, free=5)
        assert allowed is not None
        waits.append((allowed - NOW).total_seconds())
    assert next_allowed([NOW] * 4, free=5) is None
    assert next_allowed([], free=5) is None
    assert waits == [60, 120, 240, 300, 300]
    assert next_allowed([NOW] * 5000, free=5) == NOW + LONGEST_WAIT


@given(st.lists(st.integers(min_value=0, max_value=120), max_size=200))
def test_however_one_tries_never_more_than_the_free_ones_in_a_minute(gaps: list[int]) -> None:
    now, failures = NOW, list[datetime]()
    for gap in gaps:
        now += timedelta(seconds=gap)
        remembered = [at for at in failures if at > now - timedelta(minutes=15)]
        allowed = next_allowed(remembered, free=5)
        if allowed is None or allowed <= now:
            failures.append(now)
            assert len([at for at in failures if at > now - timedelta(minutes=1)]) <= 5


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unix\0socket", "unix\ufffdsocket"),
    ],
)
def test_one_host_is_one_source(source: str, origin: str) -> None:
    assert origin_of(source) == origin


async def test_an_account_is_held_up_after_five(attempts: LoginAttempts, clock: FakeClock) -> None:
    await fail(attempts, FREE_FOR_ACCOUNT)
    assert await wait_of(attempts) == 60
    clock.advance(59.5)
    assert await wait_of(attempts) == 1
    clock.advance(0.5)
    assert await wait_of(attempts) == 0
    assert await wait_of(attempts) == 120


async def test_what_is_refused_does_not_count(attempts: LoginAttempts, clock: FakeClock) -> None:
    await fail(attempts, FREE_FOR_ACCOUNT)
    for _ in range(50):
        assert await wait_of(attempts) == 60
    clock.advance(60)
    assert await wait_of(attempts) == 0


async def test_failures_are_forgotten_after_a_quarter_of_an_hour(attempts: LoginAttempts, clock: FakeClock) -> None:
    await fail(attempts, FREE_FOR_ACCOUNT)
    clock.advance(timedelta(minutes=15))
    await fail(attempts, FREE_FOR_ACCOUNT)
    assert await wait_of(attempts) == 60


async def test_a_source_is_held_up_after_twenty_whatever_the_account(attempts: LoginAttempts) -> None:
    for number in range(FREE_FOR_SOURCE):
        await fail(attempts, name=f"user{number}")
    assert await wait_of(attempts, name="another") == 60
    assert await wait_of(attempts, name="another", source=AWAY) == 0


async def test_guessing_from_many_unknown_sources_is_held_up_too(attempts: LoginAttempts, ada: User) -> None:
    for number in range(FREE_FOR_ACCOUNT):
        await fail(attempts, source=f"198.51.100.{number}")
    assert await wait_of(attempts, source="198.51.100.99") == 60
    assert await wait_of(attempts, name="bob", source="198.51.100.99") == 0


async def test_guessing_from_elsewhere_never_keeps_a_person_out_of_where_they_are_signed_in(
    attempts: LoginAttempts, database: Database, ada: User
) -> None:
    async with database.write() as tx:
        await sessions.insert_session(tx, a_session(user=ada.id, source=HOME), secret_hash=b"s" * 32)
    await fail(attempts, FREE_FOR_ACCOUNT, source=AWAY)
    assert await wait_of(attempts, source=AWAY) == 60
    assert await wait_of(attempts, source=HOME) == 0
    await fail(attempts, FREE_FOR_ACCOUNT - 1, source=HOME)
    assert await wait_of(attempts, source=HOME) == 60


async def test_success_forgets_the_failures_from_here_only(attempts: LoginAttempts, database: Database) -> None:
    await fail(attempts, 4)
    await fail(attempts, 1, source=AWAY)
    async with database.write() as tx:
        await attempts.succeed(tx, name="ada", source=HOME)
    await fail(attempts, 4)
    assert await wait_of(attempts) == 60


@pytest.mark.concurrent
async def test_many_at_once_count_each(attempts: LoginAttempts) -> None:
    waits = await asyncio.gather(*(wait_of(attempts) for _ in range(12)))
    assert sorted(waits) == [0] * FREE_FOR_ACCOUNT + [60] * 7


async def test_what_was_typed_as_a_name_is_not_kept(attempts: LoginAttempts, database: Database) -> None:
    await fail(attempts, name="Hunter2-canary")
    await fail(attempts, name="\ud800\0")
    async with database.read() as tx:
        kept = (await tx.execute(text("SELECT account FROM login_attempts"))).scalars().all()
    assert [len(account) for account in kept] == [64, 64]


async def test_the_clock_set_back_keeps_nobody_out_for_longer(attempts: LoginAttempts, clock: FakeClock) -> None:
    await fail(attempts, FREE_FOR_ACCOUNT)
    clock.jump(timedelta(days=-1))
    assert await wait_of(attempts) <= LONGEST_WAIT.total_seconds()
