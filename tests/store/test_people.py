"""Users, projects, members, sessions, API tokens and attempts to log in, as they are remembered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import ApiTokenId, ProjectName, SessionId, UserId
from taxiway.domain.people import Permission, Role, User
from taxiway.store import api_tokens, conversions, login_attempts, projects, sessions, users
from taxiway.store.database import Database, Transaction
from taxiway.store.login_attempts import Attempt
from tests.builders import NOW, PROJECT, a_conversion, a_project, a_session, a_user, an_api_token
from tests.store.conftest import insert_people, insert_version

HOUR = timedelta(hours=1)


async def insert(tx: Transaction, name: str, **changes: object) -> User:
    user = a_user(id=UserId(f"u-{name}"), name=name, **changes)
    assert await users.insert_user(tx, user, password_hash=f"hash of {name}")
    return user


# ------------------------------------------------------------------ users


async def test_a_user_comes_back_as_it_went(database: Database) -> None:
    user = a_user(role=Role.ADMINISTRATOR, must_change_password=True, created_at=NOW + timedelta(microseconds=7))
    async with database.write() as tx:
        assert await users.insert_user(tx, user, password_hash="h")
        assert await users.is_empty(tx) is False
        assert await users.get(tx, "ada") == user
        assert await users.get(tx, "ada", for_change=True) == user
        assert await users.find(tx, "bob") is None
        with pytest.raises(NotFound):
            await users.get(tx, "bob")


async def test_a_name_is_taken_once(database: Database) -> None:
    async with database.write() as tx:
        assert await users.is_empty(tx)
        await insert(tx, "ada")
        assert not await users.insert_user(tx, a_user(id=UserId("other")), password_hash="other")
        assert await users.password_hash(tx, UserId("u-ada")) == "hash of ada"
        assert await users.password_hash(tx, UserId("other")) is None


@pytest.mark.concurrent
async def test_of_two_who_take_a_name_at_once_one_gets_it(database: Database) -> None:
    async def one(key: str) -> bool:
        async with database.write() as tx:
            return await users.insert_user(tx, a_user(id=UserId(key)), password_hash="h")

    assert sorted(await asyncio.gather(*(one(f"u{number}") for number in range(5)))) == [False] * 4 + [True]


async def test_passwords_are_replaced(database: Database) -> None:
    async with database.write() as tx:
        user = await insert(tx, "ada")
        await users.set_password(tx, user.id, "second", must_change=True)
        assert await users.password_hash(tx, user.id) == "second"
        assert (await users.get(tx, "ada")).must_change_password
        await users.rehash_password(tx, user.id, old="first", new="lost")
        assert await users.password_hash(tx, user.id) == "second"
        await users.rehash_password(tx, user.id, old="second", new="third")
        assert await users.password_hash(tx, user.id) == "third"


async def test_users_are_listed_by_name(database: Database) -> None:
    async with database.write() as tx:
        for name in ("carl", "ada", "bob", "a%b"):
            await insert(tx, name)

        async def names(contains: str | None = None, after: str | None = None, limit: int = 10) -> list[str]:
            return [user.name for user in await users.search(tx, contains=contains, after=after, limit=limit)]

        listed = await names()
        assert sorted(listed) == ["a%b", "ada", "bob", "carl"]
        assert await names(after=listed[1]) == listed[2:]
        assert await names(limit=2) == listed[:2]
        assert await names("A") == [name for name in listed if "a" in name]
        assert await names("%") == ["a%b"]


async def test_only_administrators_that_can_sign_in_count_as_such(database: Database) -> None:
    async with database.write() as tx:
        ada = await insert(tx, "ada", role=Role.ADMINISTRATOR)
        bob = await insert(tx, "bob", role=Role.ADMINISTRATOR)
        await insert(tx, "carl")
        assert list(await users.enabled_administrators(tx)) == [ada.id, bob.id]
        await users.record(tx, replace(bob, is_disabled=True))
        assert list(await users.enabled_administrators(tx)) == [ada.id]
        await users.record(tx, replace(ada, role=Role.DATA_SCIENTIST))
        assert list(await users.enabled_administrators(tx)) == []
        assert (await users.get(tx, "bob")).is_disabled


async def test_a_user_goes_with_memberships_sessions_and_tokens(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await projects.add_member(tx, PROJECT, a_user().id, at=NOW)
        await sessions.insert_session(tx, a_session(), secret_hash=b"s" * 32)
        await api_tokens.insert_token(tx, an_api_token(), secret_hash=b"t" * 32)
        await users.delete_user(tx, a_user().id)
        assert await users.find(tx, "ada") is None
        assert await projects.members(tx, PROJECT) == []
        assert await sessions.find(tx, b"s" * 32) is None
        assert await api_tokens.find(tx, b"t" * 32) is None


async def test_what_a_user_owns_is_counted_also_what_is_still_made(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        assert await users.count_owned(tx, a_user().id) == 0
        await insert_version(tx, 1)
        await insert_version(tx, 2)
        assert await users.count_owned(tx, a_user().id) == 2
        coming = a_conversion(id="v3")
        await conversions.insert_conversion(tx, coming, idempotency_key="k", request_digest="d", at=NOW)
        assert await users.count_owned(tx, a_user().id) == 3
        assert await projects.count_conversions(tx, PROJECT) == 1
        assert await projects.count_conversions(tx, ProjectName("other")) == 0
        await conversions.finish(tx, coming.id)
        assert await users.count_owned(tx, a_user().id) == 2
        assert await projects.count_conversions(tx, PROJECT) == 0


# ------------------------------------------------------------------ projects


async def test_a_project_comes_back_as_it_went(database: Database) -> None:
    project = a_project(workspace_is_ready=False)
    async with database.write() as tx:
        assert await projects.insert_project(tx, project)
        assert not await projects.insert_project(tx, a_project(description="another"))
        assert await projects.get(tx, PROJECT) == project
        assert await projects.without_workspace(tx) == [PROJECT]
        await projects.mark_ready(tx, PROJECT)
        await projects.describe(tx, PROJECT, "New.")
        assert await projects.get(tx, PROJECT, for_change=True) == a_project(description="New.")
        assert await projects.without_workspace(tx) == []
        await projects.delete_project(tx, PROJECT)
        with pytest.raises(NotFound):
            await projects.get(tx, PROJECT)


async def test_projects_are_listed_by_name(database: Database) -> None:
    async with database.write() as tx:
        for name in ("c", "a", "b"):
            await projects.insert_project(tx, a_project(name=ProjectName(name)))

        async def names(of: list[str] | None = None, after: str | None = None, limit: int = 10) -> list[str]:
            visible = None if of is None else [ProjectName(name) for name in of]
            start = None if after is None else ProjectName(after)
            return [p.name for p in await projects.search(tx, projects=visible, after=start, limit=limit)]

        assert await names() == ["a", "b", "c"]
        assert await names(after="a") == ["b", "c"]
        assert await names(limit=1) == ["a"]
        assert await names(["c", "b", "gone"]) == ["b", "c"]
        assert await names([]) == []


async def test_members_come_and_go_once(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        bob = await insert(tx, "bob")
        assert await projects.add_member(tx, PROJECT, bob.id, at=NOW)
        assert not await projects.add_member(tx, PROJECT, bob.id, at=NOW)
        assert await projects.add_member(tx, PROJECT, a_user().id, at=NOW)
        assert [member.name for member in await projects.members(tx, PROJECT)] == ["ada", "bob"]
        assert await projects.of_member(tx, bob.id) == {PROJECT}
        assert await projects.remove_member(tx, PROJECT, bob.id)
        assert not await projects.remove_member(tx, PROJECT, bob.id)
        assert await projects.of_member(tx, bob.id) == frozenset()


async def test_memberships_go_with_the_project_and_tokens_lose_their_home(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await projects.add_member(tx, PROJECT, a_user().id, at=NOW)
        await api_tokens.insert_token(tx, an_api_token(), secret_hash=b"t" * 32)
        await projects.delete_project(tx, PROJECT)
        assert await projects.of_member(tx, a_user().id) == frozenset()
        assert (await api_tokens.get(tx, a_user().id, ApiTokenId("t1"))).project is None


# ------------------------------------------------------------------ sessions


async def test_a_session_is_found_by_its_secret_with_all_that_its_user_is(database: Database) -> None:
    other = ProjectName("other")
    async with database.write() as tx:
        await insert_people(tx)
        await sessions.insert_session(tx, a_session(), secret_hash=b"s" * 32)
        assert await sessions.find(tx, b"s" * 32) == (a_session(), a_user(), frozenset())
        await projects.insert_project(tx, a_project(name=other))
        await projects.add_member(tx, PROJECT, a_user().id, at=NOW)
        await projects.add_member(tx, other, a_user().id, at=NOW)
        assert await sessions.find(tx, b"s" * 32) == (a_session(), a_user(), frozenset({PROJECT, other}))
        assert await sessions.find(tx, b"x" * 32) is None
        await sessions.mark_seen(tx, SessionId("s1"), at=NOW + HOUR)
        assert await sessions.of_user(tx, a_user().id) == [a_session(seen_at=NOW + HOUR)]


async def test_sessions_end_one_by_one_or_all_but_one(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        bob = await insert(tx, "bob")
        for number in range(4):
            await sessions.insert_session(tx, a_session(id=f"s{number}"), secret_hash=bytes([number]) * 32)
        await sessions.insert_session(tx, a_session(id="other", user=bob.id), secret_hash=b"o" * 32)
        assert [session.id for session in await sessions.of_user(tx, a_user().id)] == ["s3", "s2", "s1", "s0"]
        assert not await sessions.end(tx, bob.id, SessionId("s0"))
        assert await sessions.end(tx, a_user().id, SessionId("s0"))
        assert await sessions.end_all(tx, a_user().id, but=SessionId("s2")) == 2
        assert [session.id for session in await sessions.of_user(tx, a_user().id)] == ["s2"]
        assert await sessions.end_all(tx, a_user().id) == 1
        assert len(await sessions.of_user(tx, bob.id)) == 1


async def test_sessions_that_ran_out_or_fell_idle_are_cleared_away(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        given = {"over": (NOW, NOW), "idle": (NOW - 9 * HOUR, NOW + HOUR), "good": (NOW, NOW + HOUR)}
        for number, (key, (seen_at, expires_at)) in enumerate(given.items()):
            session = a_session(id=key, seen_at=seen_at, expires_at=expires_at)
            await sessions.insert_session(tx, session, secret_hash=bytes([number]) * 32)
        await sessions.forget_ended(tx, now=NOW, idle_since=NOW - 8 * HOUR)
        assert [session.id for session in await sessions.of_user(tx, a_user().id)] == ["good"]


# ------------------------------------------------------------------ API tokens


@pytest.mark.parametrize("scopes", [None, frozenset(), frozenset({Permission.MODEL_READ, Permission.ACCOUNT})])
async def test_a_token_comes_back_as_it_went(database: Database, scopes: frozenset[Permission] | None) -> None:
    token = an_api_token(scopes=scopes, expires_at=None if scopes is None else NOW + HOUR)
    async with database.write() as tx:
        await insert_people(tx)
        await projects.add_member(tx, PROJECT, a_user().id, at=NOW)
        await api_tokens.insert_token(tx, token, secret_hash=b"t" * 32)
        assert await api_tokens.find(tx, b"t" * 32) == (token, a_user(), frozenset({PROJECT}))
        assert await api_tokens.get(tx, a_user().id, token.id) == token
        with pytest.raises(NotFound):
            await api_tokens.get(tx, UserId("other"), token.id)


async def test_a_token_is_used_and_revoked_once(database: Database) -> None:
    key = ApiTokenId("t1")
    async with database.write() as tx:
        await insert_people(tx)
        await api_tokens.insert_token(tx, an_api_token(), secret_hash=b"t" * 32)
        await api_tokens.mark_used(tx, key, at=NOW + HOUR)
        assert await api_tokens.revoke(tx, key, at=NOW + 2 * HOUR)
        assert not await api_tokens.revoke(tx, key, at=NOW + 3 * HOUR)
        assert await api_tokens.of_user(tx, a_user().id) == [
            an_api_token(used_at=NOW + HOUR, revoked_at=NOW + 2 * HOUR)
        ]


async def test_only_tokens_that_count_are_counted_and_the_rest_goes_in_time(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        ends = {"forever": None, "later": NOW + HOUR, "now": NOW, "long ago": NOW - 9 * HOUR, "revoked": NOW + HOUR}
        for number, (key, end) in enumerate(ends.items()):
            token = an_api_token(id=ApiTokenId(key), expires_at=end)
            await api_tokens.insert_token(tx, token, secret_hash=bytes([number]) * 32)
        await api_tokens.revoke(tx, ApiTokenId("revoked"), at=NOW - 9 * HOUR)
        assert await api_tokens.count_living(tx, a_user().id, now=NOW) == 2
        await api_tokens.forget_ended(tx, a_user().id, before=NOW - HOUR)
        assert {token.id for token in await api_tokens.of_user(tx, a_user().id)} == {"forever", "later", "now"}


# ------------------------------------------------------------------ attempts to log in


async def test_attempts_are_found_by_account_or_source_and_forgotten_by_both(database: Database) -> None:
    here, there = "192.0.2.1", "192.0.2.2"
    given = [("a", here, 0), ("a", there, 1), ("b", here, 2), ("b", there, 3)]
    async with database.write() as tx:
        for account, source, minute in given:
            at = NOW + timedelta(minutes=minute)
            await login_attempts.insert_attempt(tx, Attempt(account=account, source=source, at=at))

        async def found(account: str, source: str, minute: int = -1) -> list[tuple[str, str]]:
            after = NOW + timedelta(minutes=minute)
            return [
                (a.account, a.source) for a in await login_attempts.since(tx, after, account=account, source=source)
            ]

        assert await found("a", here) == [("a", here), ("a", there), ("b", here)]
        assert await found("a", here, 1) == [("b", here)]
        assert await found("c", "nowhere") == []
        await login_attempts.forget(tx, account="a", source=here)
        assert await found("a", here) == [("a", there), ("b", here)]
        await login_attempts.forget_old(tx, before=NOW + timedelta(minutes=2))
        assert await found("a", here) == [("b", here)]
