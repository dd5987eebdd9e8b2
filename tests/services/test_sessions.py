"""Sessions: one answer for all that is wrong, a new secret each time, gone when they should be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import argon2
import pytest
from sqlalchemy import text

from taxiway.domain.errors import NotFound, NotSignedIn, TooManyRequests
from taxiway.domain.people import Asking, AuthMethod, Role, Session, User
from taxiway.services.passwords import PasswordHasher
from taxiway.services.projects import Projects
from taxiway.services.sessions import Sessions
from taxiway.services.users import Users
from taxiway.store.database import Database
from tests.builders import NOW, PROJECT, an_asking
from tests.fakes import FakeClock, FakeTracking
from tests.services.conftest import CHEAP, PASSWORD, ROOT, actions, audited

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def sessions(database: Database, hasher: PasswordHasher, clock: FakeClock) -> Sessions:
    return Sessions(database=database, hasher=hasher, now=clock)


async def log_in(
    sessions: Sessions, name: str = "ada", password: str = PASSWORD, **changes: str
) -> tuple[Session, str, User]:
    given = {"source": "192.0.2.1", "user_agent": "browser", "request_id": "q1"}
    return await sessions.log_in(name=name, password=password, **(given | changes))


async def asking_by(sessions: Sessions, secret: str) -> Asking:
    principal = await sessions.identify(secret)
    assert principal is not None
    return an_asking(principal)


async def test_a_session_says_who_one_is(
    sessions: Sessions, database: Database, ada: User, tracking: FakeTracking, clock: FakeClock
) -> None:
    projects = Projects(database=database, tracking=tracking, now=clock)
    await projects.create(ROOT, name=PROJECT, description="")
    await projects.add_member(ROOT, PROJECT, "ada")
    session, secret, user = await log_in(sessions)
    assert user == ada
    assert (session.user, session.created_at, session.expires_at) == (ada.id, NOW, NOW + timedelta(days=7))
    assert (session.source, session.user_agent) == ("192.0.2.1", "browser")
    principal = await sessions.identify(secret)
    assert principal is not None
    assert (principal.user, principal.name, principal.role) == (ada.id, "ada", Role.DATA_SCIENTIST)
    assert (principal.method, principal.session, principal.token) == (AuthMethod.SESSION, session.id, None)
    assert principal.projects == {PROJECT}
    entry = (await audited(database))[-1]
    assert (entry.actor, entry.action, entry.object, entry.source, entry.auth_method) == (
        "ada", "session.begin", session.id, "192.0.2.1", "session",
    )  # fmt: skip


async def test_the_secret_is_new_each_time_and_not_kept(sessions: Sessions, database: Database, ada: User) -> None:
    _, first, _ = await log_in(sessions)
    _, second, _ = await log_in(sessions)
    assert first != second
    assert len(first) == 43
    async with database.read() as tx:
        rows = (await tx.execute(text("SELECT * FROM sessions"))).all()
    assert len(rows) == 2
    assert not [row for row in rows if first in str(row) or second in str(row)]


async def test_unknown_user_wrong_password_and_disabled_user_are_answered_alike(
    sessions: Sessions, users: Users, database: Database, ada: User
) -> None:
    await users.create(ROOT, name="bob", role=Role.DATA_SCIENTIST, password=PASSWORD)
    await users.change(ROOT, "bob", is_disabled=True)
    before = await actions(database)
    answers = set()
    wrong = [("nobody", PASSWORD), ("ada", "wrong horse"), ("bob", PASSWORD), ("ada", ""), ("ada", "x" * 2000),
             ("ADA", PASSWORD), ("a\0", PASSWORD), ("\ud800", PASSWORD)]  # fmt: skip
    for name, password in wrong:
        with pytest.raises(NotSignedIn) as refused:
            await log_in(sessions, name, password)
        answers.add((refused.value.message, refused.value.hint))
    assert len(answers) == 1
    assert await actions(database) == before


async def test_too_many_failures_are_held_up_also_with_the_right_password(
    sessions: Sessions, ada: User, clock: FakeClock
) -> None:
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            await log_in(sessions, password="wrong horse")
    with pytest.raises(TooManyRequests) as refused:
        await log_in(sessions)
    assert refused.value.retry_after_seconds == 60
    clock.advance(60)
    await log_in(sessions)
    for _ in range(5):
        await log_in(sessions)


async def test_where_one_is_signed_in_guessing_from_elsewhere_keeps_nobody_out(sessions: Sessions, ada: User) -> None:
    await log_in(sessions, source="192.0.2.1")
    for number in range(5):
        with pytest.raises(NotSignedIn):
            await log_in(sessions, password="wrong horse", source=f"198.51.100.{number}")
    with pytest.raises(TooManyRequests):
        await log_in(sessions, source="203.0.113.5")
    await log_in(sessions, source="192.0.2.1")


async def test_a_password_is_hashed_anew_when_the_parameters_are_stronger(
    sessions: Sessions, database: Database, ada: User, clock: FakeClock
) -> None:
    async def kept() -> str:
        async with database.read() as tx:
            return str((await tx.execute(text("SELECT password_hash FROM users"))).scalar_one())

    before = await kept()
    await log_in(sessions)
    assert await kept() == before
    stronger = PasswordHasher(replace(CHEAP, time_cost=2))
    await log_in(Sessions(database=database, hasher=stronger, now=clock))
    assert argon2.extract_parameters(await kept()).time_cost == 2
    await log_in(sessions)


async def test_a_session_ends_when_idle(sessions: Sessions, ada: User, clock: FakeClock) -> None:
    _, secret, _ = await log_in(sessions)
    for _ in range(3):
        clock.advance(8 * HOUR - SECOND)
        assert await sessions.identify(secret) is not None
    clock.advance(8 * HOUR)
    assert await sessions.identify(secret) is None


async def test_a_session_ends_after_seven_days_however_busy(sessions: Sessions, ada: User, clock: FakeClock) -> None:
    _, secret, _ = await log_in(sessions)
    for _ in range(23):
        clock.advance(7 * HOUR)
        assert await sessions.identify(secret) is not None
    clock.advance(7 * HOUR)
    assert await sessions.identify(secret) is None


async def test_that_it_was_seen_is_written_once_a_minute(
    sessions: Sessions, database: Database, ada: User, clock: FakeClock
) -> None:
    _, secret, _ = await log_in(sessions)
    before = database.writes
    clock.advance(59)
    await sessions.identify(secret)
    assert database.writes == before
    clock.advance(1)
    await sessions.identify(secret)
    await sessions.identify(secret)
    assert database.writes == before + 1


@pytest.mark.parametrize("secret", ["", "x", "\0", "\ud800", "é" * 1000])
async def test_what_is_no_secret_is_nobodys(sessions: Sessions, ada: User, secret: str) -> None:
    assert await sessions.identify(secret) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda users: users.change(ROOT, "ada", is_disabled=True),
        lambda users: users.delete(ROOT, "ada"),
        lambda users: users.set_password(ROOT, "ada", "another horse"),
        lambda users: users.change(ROOT, "ada", role=Role.ADMINISTRATOR),
    ],
    ids=["disabled", "deleted", "password set", "role changed"],
)
async def test_a_session_ends_when_its_user_is_changed(
    sessions: Sessions, users: Users, ada: User, change: Callable[[Users], Awaitable[object]]
) -> None:
    _, secret, _ = await log_in(sessions)
    await change(users)
    assert await sessions.identify(secret) is None


async def test_logging_out_ends_this_session_once(sessions: Sessions, database: Database, ada: User) -> None:
    _, here, _ = await log_in(sessions)
    _, there, _ = await log_in(sessions)
    me = await asking_by(sessions, here)
    await sessions.log_out(me)
    await sessions.log_out(me)
    assert await sessions.identify(here) is None
    assert await sessions.identify(there) is not None
    assert (await actions(database)).count("session.end") == 1


async def test_whoever_came_by_a_token_has_no_session_to_end(sessions: Sessions, database: Database) -> None:
    await sessions.log_out(replace(ROOT, principal=replace(ROOT.principal, session=None)))
    assert await actions(database) == []


async def test_one_lists_and_ends_ones_own_sessions_only(
    sessions: Sessions, users: Users, ada: User, clock: FakeClock
) -> None:
    await users.create(ROOT, name="bob", role=Role.DATA_SCIENTIST, password=PASSWORD)
    first, _, _ = await log_in(sessions)
    clock.advance(7 * HOUR)
    second, secret, _ = await log_in(sessions)
    other, _, _ = await log_in(sessions, "bob")
    me = await asking_by(sessions, secret)
    assert [session.id for session in await sessions.list_own(me)] == sorted([first.id, second.id], reverse=True)
    with pytest.raises(NotFound):
        await sessions.end(me, other.id)
    await sessions.end(me, first.id)
    with pytest.raises(NotFound):
        await sessions.end(me, first.id)
    assert await sessions.list_own(me) == [second]
    clock.advance(8 * HOUR)
    assert await sessions.list_own(me) == []


async def test_sessions_that_ended_are_cleared_away_by_the_next_log_in(
    sessions: Sessions, database: Database, ada: User, clock: FakeClock
) -> None:
    await log_in(sessions)
    clock.advance(8 * HOUR)
    await log_in(sessions)
    async with database.read() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM sessions"))).scalar_one() == 1


async def test_a_wild_user_agent_is_kept_as_one_line(sessions: Sessions, ada: User) -> None:
    session, _, _ = await log_in(sessions, user_agent="\0\n" + "x" * 500, source="\ud800" * 99)
    assert session.user_agent.startswith("\ufffd\ufffdxx")
    assert (len(session.user_agent), len(session.source)) == (200, 80)
