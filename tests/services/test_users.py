"""Users: names and passwords by the rules, the last administrator stays, every change is audited without secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from taxiway.domain.errors import Conflict, InvalidInput, NotFound, TooManyRequests
from taxiway.domain.ids import SessionId
from taxiway.domain.people import Role, User, check_password, check_user_name
from taxiway.services.passwords import PasswordHasher
from taxiway.services.sessions import Sessions
from taxiway.services.users import Users, random_password
from taxiway.store import conversions
from taxiway.store.database import Database
from tests.builders import NOW, a_conversion, a_principal, an_asking
from tests.fakes import FakeClock
from tests.services.conftest import PASSWORD, ROOT, actions, asking_of, audited
from tests.store.conftest import insert_people, insert_version

ADMINISTRATOR = Role.ADMINISTRATOR


@pytest.fixture
def sessions(database: Database, hasher: PasswordHasher, clock: FakeClock) -> Sessions:
    return Sessions(database=database, hasher=hasher, now=clock)


async def log_in(sessions: Sessions, name: str = "ada", password: str = PASSWORD) -> str:
    _, secret, _ = await sessions.log_in(
        name=name, password=password, source="192.0.2.1", user_agent="x", request_id="q"
    )
    return secret


@pytest.mark.parametrize("name", ["a", "0", "ada", "ada.l_o-v@example.org", "a" * 80])
def test_names_that_are_fine(name: str) -> None:
    assert check_user_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Ada", "-a", ".a", "@a", "a b", "a/b", "é", "a\n", "a\0", "a" * 81, "anonymous", "\ud800", "../x"]
)
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_user_name(name)
    assert refused.value.field == "/name"
    assert refused.value.hint


@pytest.mark.parametrize("password", ["1234567", "", "x" * 1025, "ada-lovelace", "ADA-Lovelace"])
def test_passwords_that_are_not_fine_are_not_said_again(password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_password(password, name="ada-lovelace")
    assert refused.value.hint
    assert not password or password not in refused.value.message


@pytest.mark.parametrize("password", ["12345678", "x" * 1024, "\0\ud800      "])
def test_passwords_that_are_fine(password: str) -> None:
    assert check_password(password, name="ada") == password


async def test_a_user_is_made_with_a_hash_and_an_entry(users: Users, database: Database, clock: FakeClock) -> None:
    made = await users.create(ROOT, name="ada", role=ADMINISTRATOR, password=PASSWORD, must_change_password=True)
    assert (made.name, made.role, made.is_disabled, made.must_change_password, made.created_at) == (
        "ada", ADMINISTRATOR, False, True, NOW,
    )  # fmt: skip
    assert await users.get("ada") == made
    (entry,) = await audited(database)
    assert (entry.actor, entry.action, entry.object_kind, entry.object) == ("root", "user.create", "user", "ada")
    assert json.loads(entry.after) == {"role": "administrator", "is_disabled": False}
    assert (entry.source, entry.request_id) == ("192.0.2.1", "q1")


async def test_a_name_that_is_taken_is_a_conflict(users: Users, database: Database, ada: User) -> None:
    with pytest.raises(Conflict):
        await users.create(ROOT, name="ada", role=ADMINISTRATOR, password=PASSWORD)
    assert await users.get("ada") == ada
    assert await actions(database) == ["user.create"]


async def test_a_change_of_role_or_of_being_disabled_ends_the_sessions(
    users: Users, sessions: Sessions, database: Database, ada: User
) -> None:
    secret = await log_in(sessions)
    assert (await users.change(ROOT, "ada", role=Role.DATA_SCIENTIST, is_disabled=False)) == ada
    assert await sessions.identify(secret) is not None
    changed = await users.change(ROOT, "ada", role=ADMINISTRATOR)
    assert changed.role is ADMINISTRATOR
    assert await sessions.identify(secret) is None
    await users.create(ROOT, name="bob", role=ADMINISTRATOR, password=PASSWORD)
    secret = await log_in(sessions)
    assert (await users.change(ROOT, "ada", is_disabled=True)).is_disabled
    assert await sessions.identify(secret) is None
    changes = [entry for entry in await audited(database) if entry.action == "user.change"]
    assert [(json.loads(e.before), json.loads(e.after)) for e in changes] == [
        ({"role": "data-scientist", "is_disabled": False}, {"role": "administrator", "is_disabled": False}),
        ({"role": "administrator", "is_disabled": False}, {"role": "administrator", "is_disabled": True}),
    ]


@pytest.mark.parametrize(
    "take_away",
    [
        lambda users: users.change(ROOT, "ada", role=Role.DATA_SCIENTIST),
        lambda users: users.change(ROOT, "ada", is_disabled=True),
        lambda users: users.delete(ROOT, "ada"),
    ],
    ids=["demote", "disable", "delete"],
)
async def test_the_last_administrator_that_can_sign_in_stays(
    users: Users, database: Database, take_away: Callable[[Users], Awaitable[object]]
) -> None:
    await users.create(ROOT, name="ada", role=ADMINISTRATOR, password=PASSWORD)
    await users.create(ROOT, name="bob", role=ADMINISTRATOR, password=PASSWORD)
    await users.change(ROOT, "bob", is_disabled=True)
    before = await actions(database)
    with pytest.raises(Conflict, match="last administrator"):
        await take_away(users)
    assert await actions(database) == before
    await users.change(ROOT, "bob", is_disabled=False)
    await take_away(users)


@pytest.mark.concurrent
async def test_of_two_administrators_who_leave_at_once_one_stays(users: Users) -> None:
    names = ("ada", "bob")
    for name in names:
        await users.create(ROOT, name=name, role=ADMINISTRATOR, password=PASSWORD)
    done = await asyncio.gather(*(users.change(ROOT, name, is_disabled=True) for name in names), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["Conflict", "User"]
    assert [user.is_disabled for user in [await users.get(name) for name in names]].count(False) == 1


async def test_an_administrator_sets_a_password_and_ends_the_sessions(
    users: Users, sessions: Sessions, database: Database, ada: User
) -> None:
    secret = await log_in(sessions)
    await users.set_password(ROOT, "ada", "another horse", must_change_password=True)
    assert await sessions.identify(secret) is None
    assert (await users.get("ada")).must_change_password
    principal = await sessions.identify(await log_in(sessions, password="another horse"))
    assert principal is not None
    assert principal.must_change_password
    entry = next(entry for entry in await audited(database) if entry.action == "user.set-password")
    assert (entry.before, entry.after) == ("", "")
    with pytest.raises(NotFound):
        await users.set_password(ROOT, "bob", "another horse")
    with pytest.raises(InvalidInput):
        await users.set_password(ROOT, "ada", "short")


async def test_changing_ones_own_password_ends_the_other_sessions(
    users: Users, sessions: Sessions, database: Database, ada: User
) -> None:
    await users.set_password(ROOT, "ada", PASSWORD, must_change_password=True)
    here, there = await log_in(sessions), await log_in(sessions)
    me = await sessions.identify(here)
    assert me is not None
    await users.change_own_password(an_asking(me), old=PASSWORD, new="another horse")
    assert await sessions.identify(there) is None
    still = await sessions.identify(here)
    assert still is not None
    assert not still.must_change_password
    assert await sessions.identify(await log_in(sessions, password="another horse")) is not None
    assert "user.change-own-password" in await actions(database)
    assert not [entry for entry in await audited(database) if "horse" in entry.export()]


async def test_the_old_password_must_be_right_and_cannot_be_tried_for_ever(
    users: Users, database: Database, ada: User
) -> None:
    me = await asking_of(database, ada, session=SessionId("s1"))
    with pytest.raises(InvalidInput) as same:
        await users.change_own_password(me, old=PASSWORD, new=PASSWORD)
    assert same.value.field == "/new"
    with pytest.raises(InvalidInput):
        await users.change_own_password(me, old=PASSWORD, new="short")
    for _ in range(5):
        with pytest.raises(InvalidInput) as wrong:
            await users.change_own_password(me, old="wrong horse", new="another horse")
        assert wrong.value.field == "/old"
    with pytest.raises(TooManyRequests):
        await users.change_own_password(me, old=PASSWORD, new="another horse")
    assert await actions(database) == ["user.create"]


async def test_who_owns_deployments_is_not_deleted(users: Users, database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
    with pytest.raises(Conflict, match="1 deployments") as refused:
        await users.delete(ROOT, "ada")
    assert "Disable" in (refused.value.hint or "")


async def test_whose_conversion_is_still_made_is_not_deleted(users: Users, database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await conversions.insert_conversion(tx, a_conversion(), idempotency_key="k", request_digest="d", at=NOW)
    with pytest.raises(Conflict):
        await users.delete(ROOT, "ada")


async def test_a_deleted_user_is_gone(users: Users, database: Database, ada: User) -> None:
    await users.delete(ROOT, "ada")
    with pytest.raises(NotFound):
        await users.get("ada")
    with pytest.raises(NotFound):
        await users.delete(ROOT, "ada")
    assert await actions(database) == ["user.create", "user.delete"]


async def test_users_are_searched(users: Users, ada: User) -> None:
    await users.create(ROOT, name="bob", role=ADMINISTRATOR, password=PASSWORD)
    assert [user.name for user in await users.search(contains=None, after="ada", limit=10)] == ["bob"]
    assert [user.name for user in await users.search(contains="da", after=None, limit=10)] == ["ada"]
    assert await users.find_id("ada") == ada.id
    assert await users.find_id("carl") is None
    assert await users.names([ada.id, ada.id]) == {ada.id: "ada"}
    assert await users.names([]) == {}


# ------------------------------------------------------------------ the first administrator


async def test_the_first_start_makes_an_administrator_once(
    users: Users, sessions: Sessions, database: Database
) -> None:
    password = await users.ensure_first_administrator(None)
    assert password is not None
    assert len(password.replace("-", "")) == 20
    assert await users.ensure_first_administrator(None) is None
    assert await users.ensure_first_administrator("another horse") is None
    made = await users.get("admin")
    assert (made.role, made.must_change_password) == (ADMINISTRATOR, False)
    assert await sessions.identify(await log_in(sessions, "admin", password)) is not None
    first = (await audited(database))[0]
    assert (first.actor, first.auth_method, first.action, first.object) == (
        "control plane", "none", "user.create", "admin",
    )  # fmt: skip


def test_no_two_random_passwords_are_the_same_and_all_are_fine() -> None:
    made = {random_password() for _ in range(100)}
    assert len(made) == 100
    assert all(check_password(password, name="admin") for password in made)


async def test_a_given_first_password_is_used_if_it_is_fine(users: Users, sessions: Sessions) -> None:
    with pytest.raises(InvalidInput):
        await users.ensure_first_administrator("short")
    assert await users.ensure_first_administrator("correct horse battery staple") == "correct horse battery staple"
    assert await sessions.identify(await log_in(sessions, "admin", "correct horse battery staple")) is not None


async def test_with_any_user_there_is_no_first_administrator(users: Users, ada: User) -> None:
    assert await users.ensure_first_administrator(None) is None
    with pytest.raises(NotFound):
        await users.get("admin")


@pytest.mark.concurrent
async def test_of_two_first_starts_at_once_one_makes_it(users: Users) -> None:
    made = await asyncio.gather(*(users.ensure_first_administrator(None) for _ in range(4)))
    assert len([password for password in made if password is not None]) == 1


async def test_an_unknown_asker_has_no_password_to_change(users: Users) -> None:
    with pytest.raises(InvalidInput):
        await users.change_own_password(an_asking(a_principal()), old="x", new="another horse")


async def test_an_administrator_that_cannot_sign_in_gets_a_new_password(
    users: Users, sessions: Sessions, database: Database
) -> None:
    await users.ensure_first_administrator(PASSWORD)
    open_session = await log_in(sessions, "admin")

    password = await users.reset_administrator("admin")

    assert await sessions.identify(open_session) is None
    assert await sessions.identify(await log_in(sessions, "admin", password)) is not None
    [entry] = [entry for entry in await audited(database) if entry.action == "user.reset-password"]
    assert (entry.actor, entry.object) == ("control plane", "admin")
    assert password not in str(entry)


async def test_nobody_else_gets_one(users: Users, ada: User) -> None:
    for name in ("grace", "hedy"):
        await users.create(ROOT, name=name, role=ADMINISTRATOR, password=PASSWORD)
    await users.change(ROOT, "grace", is_disabled=True)

    with pytest.raises(Conflict, match="ada is no administrator"):
        await users.reset_administrator(ada.name)
    with pytest.raises(Conflict, match="grace is disabled"):
        await users.reset_administrator("grace")
    with pytest.raises(NotFound):
        await users.reset_administrator("nobody")
