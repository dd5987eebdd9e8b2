"""API tokens: well formed, never wider than who made them, and dead at once when revoked."""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text

from taxiway.domain.errors import InvalidInput, LimitReached, NotAllowed, NotFound
from taxiway.domain.ids import ApiTokenId, ProjectName
from taxiway.domain.people import ApiToken, Asking, AuthMethod, Permission, Role, User
from taxiway.services.api_tokens import KEPT_FOR, MOST_TOKENS, ApiTokens, is_well_formed, make_text
from taxiway.services.passwords import PasswordHasher
from taxiway.services.projects import Projects
from taxiway.services.users import Users
from taxiway.store import api_tokens
from taxiway.store.database import Database, open_database
from tests.builders import NOW, PROJECT, an_api_token
from tests.fakes import FakeClock, FakeTracking
from tests.services.conftest import CHEAP, PASSWORD, ROOT, actions, asking_of, audited

DAY = timedelta(days=1)
BASE62 = string.digits + string.ascii_letters


@pytest.fixture
def tokens(database: Database, clock: FakeClock) -> ApiTokens:
    return ApiTokens(database=database, now=clock)


@pytest.fixture
async def me(database: Database, ada: User, tracking: FakeTracking, clock: FakeClock) -> Asking:
    projects = Projects(database=database, tracking=tracking, now=clock)
    for name in (PROJECT, "other"):
        await projects.create(ROOT, name=name, description="")
    await projects.add_member(ROOT, PROJECT, "ada")
    return await asking_of(database, ada)


def listen(database: Database) -> list[str]:
    """Return a list that each query will be added to."""
    heard: list[str] = []

    def hear(*given: Any) -> None:
        if given[2].startswith("SELECT"):
            heard.append(given[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", hear)
    return heard


async def issue(tokens: ApiTokens, asking: Asking, **changes: object) -> tuple[ApiToken, str]:
    wanted: dict[str, object] = {"name": "notebook", "project": None, "scopes": None, "life": DAY}
    return await tokens.issue(asking, **(wanted | changes))  # type: ignore[arg-type]


# ------------------------------------------------------------------ the text


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_a_text_is_of_fixed_form(bits: int) -> None:
    made = make_text(bits)
    assert len(made) == 53
    assert made.startswith("twy_")
    assert set(made[4:]) <= set(BASE62)
    assert is_well_formed(made)


@given(st.integers(min_value=0, max_value=2**256 - 1), st.integers(min_value=4, max_value=52), st.sampled_from(BASE62))
def test_one_mistyped_letter_is_noticed(bits: int, place: int, letter: str) -> None:
    made = make_text(bits)
    mistyped = made[:place] + letter + made[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == made)


@given(st.integers(min_value=0, max_value=2**256 - 1), st.integers(min_value=0, max_value=2**256 - 1))
def test_different_bits_make_different_texts(one: int, other: int) -> None:
    assert (make_text(one) == make_text(other)) == (one == other)


@given(st.one_of(st.text(max_size=60), st.text(BASE62, min_size=49, max_size=49).map("twy_{}".format)))
def test_what_is_made_up_is_refused(made_up: str) -> None:
    assert not is_well_formed(made_up)


@pytest.mark.parametrize("extra", ["\n", " ", "\0"])
def test_nothing_may_follow(extra: str) -> None:
    assert not is_well_formed(make_text(7) + extra)
    assert not is_well_formed(extra + make_text(7))


async def test_garbage_is_refused_without_a_look_at_the_database(
    tokens: ApiTokens, database: Database, me: Asking
) -> None:
    statements = listen(database)
    for garbage in ("", "twy_", "Bearer x", "\ud800", make_text(1)[:-1] + "!"):
        assert await tokens.identify(garbage) is None
    assert statements == []
    assert await tokens.identify(make_text(1)) is None
    assert len(statements) == 1


# ------------------------------------------------------------------ issue


async def test_a_token_speaks_for_its_user(tokens: ApiTokens, database: Database, me: Asking) -> None:
    token, made = await issue(tokens, me, project=PROJECT, scopes=frozenset({Permission.MODEL_READ}))
    assert (token.user, token.name, token.project) == (me.principal.user, "notebook", PROJECT)
    assert (token.created_at, token.expires_at, token.used_at) == (NOW, NOW + DAY, None)
    principal = await tokens.identify(made)
    assert principal is not None
    assert (principal.user, principal.name, principal.role) == (me.principal.user, "ada", Role.DATA_SCIENTIST)
    assert (principal.method, principal.token, principal.session) == (AuthMethod.API_TOKEN, token.id, None)
    assert (principal.projects, principal.home) == (frozenset({PROJECT}), PROJECT)
    assert principal.scopes == frozenset({Permission.MODEL_READ})
    entry = (await audited(database))[-1]
    assert (entry.action, entry.object, entry.project) == ("api-token.issue", token.id, PROJECT)
    assert '"name":"notebook"' in entry.after
    assert '"scopes":["model:read"]' in entry.after


async def test_the_text_is_kept_nowhere(tokens: ApiTokens, database: Database, me: Asking) -> None:
    _, made = await issue(tokens, me)
    async with database.read() as tx:
        for table in ("api_tokens", "audit_entries", "events"):
            rows = (await tx.execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608
            assert made[4:] not in str(rows)


@pytest.mark.parametrize("name", ["", "x" * 81, "a\nb", "\0"])
async def test_a_name_must_be_printable(tokens: ApiTokens, me: Asking, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await issue(tokens, me, name=name)
    assert refused.value.field == "/name"


@pytest.mark.parametrize(
    ("life", "is_fine"),
    [
        (timedelta(seconds=59), False), (timedelta(minutes=1), True), (timedelta(days=366), True),
        (timedelta(days=366, seconds=1), False), (timedelta(days=-1), False),
    ],
)  # fmt: skip
async def test_a_life_has_its_limits(tokens: ApiTokens, me: Asking, life: timedelta, is_fine: bool) -> None:
    if is_fine:
        assert (await issue(tokens, me, life=life))[0].expires_at == NOW + life
    else:
        with pytest.raises(InvalidInput):
            await issue(tokens, me, life=life)


@pytest.mark.parametrize("project", ["other", "no-such"])
async def test_a_home_that_one_does_not_see_is_not_there(tokens: ApiTokens, me: Asking, project: str) -> None:
    with pytest.raises(NotFound) as refused:
        await issue(tokens, me, project=ProjectName(project))
    assert project not in refused.value.message


async def test_an_administrator_needs_a_project_that_is_there(
    tokens: ApiTokens, database: Database, me: Asking
) -> None:
    root = await asking_of(database, await make_root(database))
    await issue(tokens, root, project=ProjectName("other"))
    with pytest.raises(NotFound):
        await issue(tokens, root, project=ProjectName("no-such"))


async def make_root(database: Database) -> User:
    users = Users(database=database, hasher=PasswordHasher(CHEAP), now=FakeClock())
    return await users.create(ROOT, name="root", role=Role.ADMINISTRATOR, password=PASSWORD)


ACCOUNT, READ, WRITE = Permission.ACCOUNT, Permission.MODEL_READ, Permission.MODEL_WRITE


@pytest.mark.parametrize(
    ("own", "wanted", "made"),
    [
        (None, None, None),
        (None, {READ}, {READ}),
        (None, set(), set()),
        (None, {Permission.USER_WRITE}, "refused"),
        (None, {READ, Permission.AUDIT_READ}, "refused"),
        ({ACCOUNT, READ}, None, {ACCOUNT, READ}),
        ({ACCOUNT, READ}, {READ}, {READ}),
        ({ACCOUNT, READ}, {READ, WRITE}, "refused"),
        ({ACCOUNT, Permission.USER_WRITE}, {Permission.USER_WRITE}, "refused"),
    ],
)
async def test_a_token_is_never_wider_than_who_makes_it(
    tokens: ApiTokens, database: Database, ada: User, own: set[Permission] | None, wanted: set[Permission] | None,
    made: object,
) -> None:  # fmt: skip
    asker = await asking_of(database, ada, scopes=None if own is None else frozenset(own))
    scopes = None if wanted is None else frozenset(wanted)
    if made == "refused":
        with pytest.raises(NotAllowed):
            await issue(tokens, asker, scopes=scopes)
        return
    token, text_of_token = await issue(tokens, asker, scopes=scopes)
    assert token.scopes == made
    principal = await tokens.identify(text_of_token)
    assert principal is not None
    assert principal.scopes == made


async def test_a_user_has_so_many_tokens_at_most(
    tokens: ApiTokens, database: Database, me: Asking, clock: FakeClock
) -> None:
    async with database.write() as tx:
        for number in range(MOST_TOKENS):
            token = an_api_token(id=ApiTokenId(f"t{number}"), user=me.principal.user, expires_at=NOW + DAY)
            await api_tokens.insert_token(tx, token, secret_hash=number.to_bytes(32, "big"))
    with pytest.raises(LimitReached):
        await issue(tokens, me)
    clock.advance(DAY)
    await issue(tokens, me)
    assert len(await tokens.list_own(me)) == MOST_TOKENS + 1
    clock.advance(timedelta(days=32))
    await issue(tokens, me)
    assert len(await tokens.list_own(me)) == 1


# ------------------------------------------------------------------ what ends a token


async def test_a_token_runs_out(tokens: ApiTokens, me: Asking, clock: FakeClock) -> None:
    _, made = await issue(tokens, me)
    clock.advance(DAY - timedelta(seconds=1))
    assert await tokens.identify(made) is not None
    clock.advance(1)
    assert await tokens.identify(made) is None


async def test_a_revoked_token_is_dead_at_once(tokens: ApiTokens, database: Database, me: Asking) -> None:
    token, made = await issue(tokens, me, project=PROJECT)
    assert await tokens.identify(made) is not None
    revoked = await tokens.revoke(me, token.id)
    assert revoked.revoked_at == NOW
    assert await tokens.identify(made) is None
    assert await tokens.revoke(me, token.id) == revoked
    assert (await actions(database)).count("api-token.revoke") == 1


async def test_one_lists_and_revokes_ones_own_tokens_only(tokens: ApiTokens, database: Database, me: Asking) -> None:
    token, made = await issue(tokens, me)
    root = await asking_of(database, await make_root(database))
    assert await tokens.list_own(root) == []
    with pytest.raises(NotFound):
        await tokens.revoke(root, token.id)
    with pytest.raises(NotFound):
        await tokens.revoke(me, ApiTokenId("other"))
    assert await tokens.identify(made) is not None
    assert [known.id for known in await tokens.list_own(me)] == [token.id]


@pytest.mark.parametrize(
    ("change", "lives"),
    [
        (lambda users: users.change(ROOT, "ada", is_disabled=True), False),
        (lambda users: users.delete(ROOT, "ada"), False),
        (lambda users: users.set_password(ROOT, "ada", "another horse"), True),
    ],
    ids=["disabled", "deleted", "password set"],
)
async def test_what_becomes_of_the_user_counts_at_once(
    tokens: ApiTokens, users: Users, me: Asking, change: Callable[[Users], Awaitable[object]], lives: bool
) -> None:
    _, made = await issue(tokens, me)
    assert await tokens.identify(made) is not None
    await change(users)
    assert (await tokens.identify(made) is not None) == lives


async def test_a_membership_counts_at_once(
    tokens: ApiTokens, database: Database, me: Asking, tracking: FakeTracking, clock: FakeClock
) -> None:
    projects = Projects(database=database, tracking=tracking, now=clock)
    _, made = await issue(tokens, me)
    seen = []
    for change in (projects.remove_member, projects.add_member):
        principal = await tokens.identify(made)
        assert principal is not None
        seen.append(principal.projects)
        await change(ROOT, PROJECT, "ada")
    assert seen == [{PROJECT}, set()]


async def test_a_role_counts_at_once(tokens: ApiTokens, users: Users, me: Asking) -> None:
    _, made = await issue(tokens, me)
    await users.change(ROOT, "ada", role=Role.ADMINISTRATOR)
    principal = await tokens.identify(made)
    assert principal is not None
    assert principal.is_administrator


# ------------------------------------------------------------------ on every call of MLflow's


async def test_that_it_was_used_is_written_once_a_minute(
    tokens: ApiTokens, database: Database, me: Asking, clock: FakeClock
) -> None:
    _, made = await issue(tokens, me)
    before = database.writes
    await tokens.identify(made)
    assert database.writes == before + 1
    assert (await tokens.list_own(me))[0].used_at == NOW
    for _ in range(3):
        clock.advance(19)
        await tokens.identify(made)
    assert database.writes == before + 1
    clock.advance(3)
    await tokens.identify(made)
    assert (await tokens.list_own(me))[0].used_at == NOW + timedelta(minutes=1)


async def test_the_database_is_asked_once_in_a_while_and_after_each_change_here(
    tokens: ApiTokens, database: Database, me: Asking, clock: FakeClock
) -> None:
    _, made = await issue(tokens, me)
    await tokens.identify(made)
    statements = listen(database)
    for _ in range(10):
        assert await tokens.identify(made) is not None
    assert len(statements) == 1
    async with database.write():
        pass
    await tokens.identify(made)
    assert len(statements) == 2
    clock.advance(KEPT_FOR)
    await tokens.identify(made)
    await tokens.identify(made)
    assert len(statements) == 3
    clock.jump(-DAY)
    await tokens.identify(made)
    assert len(statements) == 4


async def test_what_another_process_changes_counts_within_two_seconds(
    tokens: ApiTokens, database: Database, database_url: str, me: Asking, clock: FakeClock
) -> None:
    token, made = await issue(tokens, me)
    assert await tokens.identify(made) is not None
    elsewhere = open_database(database_url)
    try:
        await ApiTokens(database=elsewhere, now=clock).revoke(me, token.id)
    finally:
        await elsewhere.close()
    clock.advance(timedelta(seconds=2))
    assert await tokens.identify(made) is None
