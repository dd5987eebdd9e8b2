"""Signing in with an identity provider: the whole control API against a provider over HTTP."""

from __future__ import annotations

import base64
import hmac
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from taxiway.domain.errors import Conflict
from taxiway.domain.people import Role
from taxiway.domain.sign_in import Grant
from taxiway.identity.provider import OpenIdProvider, ProviderPlace
from taxiway.services.sign_in import Provider
from tests.api.conftest import quiet, template
from tests.api.world import URL, Secrets, World
from tests.builders import PROJECT
from tests.identity_provider import CLIENT, SECRET, FakeProvider, a_key, a_provider, signed

__all__ = ["quiet", "template"]
pytestmark = pytest.mark.integration

GRANTS = {
    "fraud-team": Grant(projects=frozenset({PROJECT})),
    "admins": Grant(role=Role.ADMINISTRATOR),
}


@pytest.fixture
async def world(template: tuple[Path, Secrets], tmp_path: Path) -> AsyncIterator[World]:
    file, secrets = template
    shutil.copy(file, tmp_path / "taxiway.db")
    made = World(tmp_path / "taxiway.db", secrets)
    made.fill_fakes()
    yield made
    await made.database.close()


@pytest.fixture
def fake(world: World) -> Iterator[FakeProvider]:
    with a_provider(lambda: world.clock().timestamp()) as running:
        yield running


@pytest.fixture
async def provider(world: World, fake: FakeProvider) -> AsyncIterator[OpenIdProvider]:
    place = ProviderPlace(
        issuer=fake.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        groups_claim="groups",
        scopes=("openid", "profile"),
        redirect_uri=f"{URL}/api/v1/sign-in/callback",
    )
    made = OpenIdProvider(place, now=world.clock)
    world.provider = Provider(name="Example", port=made, grants=GRANTS)
    world.services = world._services()
    yield made
    await made.close()


async def go(world: World, query: str = "") -> str:
    """Begin in a browser and let the provider answer; return where it leads the browser back to."""
    away = await world.http.get(f"/api/v1/sign-in/provider{query}")
    assert away.status_code == 303, away.text
    async with httpx2.AsyncClient(trust_env=False) as browser:
        back = await browser.get(away.headers["location"])
    return str(back.headers["location"])


async def sign_in(world: World, query: str = "") -> httpx2.Response:
    world.http.cookies.clear()
    return await world.http.get(await go(world, query))


def problem_of(answer: httpx2.Response) -> str:
    parts = urlsplit(answer.headers["location"])
    assert parts.path == "/sign-in", answer.headers["location"]
    assert "taxiway-session" not in answer.headers.get("set-cookie", "")
    return parse_qs(parts.query)["problem"][0]


async def me(world: World) -> dict[str, Any]:
    answer = await world.http.get("/api/v1/session")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def audited(world: World, last: int = 50) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(world.file)) as connection:
        query = "SELECT action, object, outcome FROM audit_entries ORDER BY sequence"
        return connection.execute(query).fetchall()[-last:]


async def test_who_is_in_a_group_gets_a_user_with_its_role_and_projects(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    answer = await sign_in(world, "?next=/models%3Fproject=fraud")

    assert answer.headers["location"] == "/models?project=fraud"
    who = await me(world)
    assert (who["name"], who["role"], who["projects"], who["method"]) == (
        "grace", "data-scientist", [PROJECT], "session",
    )  # fmt: skip
    assert [action for action, *_ in audited(world, 3)] == ["user.create", "user.change-groups", "session.begin"]
    before = len(audited(world))
    await sign_in(world)
    assert [action for action, *_ in audited(world)[before:]] == ["session.begin"], "what is so already is not told"


async def test_groups_that_changed_count_at_the_next_sign_in_and_what_was_given_by_hand_stays(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    await sign_in(world)
    root = world.speak_as("admin")
    await root.put("/api/v1/projects/other/members/grace")
    fake.person["groups"] = ["admins"]
    await sign_in(world)
    who = await me(world)
    assert (who["role"], who["projects"]) == ("administrator", ["other"])
    fake.person["groups"] = []
    assert problem_of(await sign_in(world)) == "SignInRefused"
    assert audited(world, 1) == [("session.begin", "grace", "denied")]


async def test_who_is_disabled_and_whose_name_is_taken_is_refused(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    await sign_in(world)
    await world.speak_as("admin").patch("/api/v1/users/grace", json={"is_disabled": True})
    assert problem_of(await sign_in(world)) == "SignInRefused"
    fake.person |= {"sub": "p-2", "preferred_username": "member"}
    assert problem_of(await sign_in(world)) == "SignInRefused"
    fake.person |= {"preferred_username": "grace"}
    assert problem_of(await sign_in(world)) == "SignInRefused", "a name is no identity"


def unsigned(claims: dict[str, Any], _key: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def by_public_key(claims: dict[str, Any], key: Any) -> str:
    parts = ({"alg": "HS256", "kid": key.kid}, claims)
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    digest = hmac.digest(key.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"aud": "another"}},
        {"claims": {"aud": [CLIENT, "another"]}},
        {"claims": {"azp": "another"}},
        {"claims": {"sub": None}},
        {"claims": {"exp": 1}},
        {"claims": {"exp": None}},
        {"claims": {"iat": 1 << 40}},
        {"says_issuer": "https://evil.example"},
        {"sign": unsigned},
        {"sign": by_public_key},
        {"sign": lambda claims, _key: signed(claims, a_key("first"))},
        {"sign": lambda claims, _key: signed(claims, a_key("unknown"))},
        {"sign": lambda _claims, _key: "no token"},
    ],
)
async def test_an_answer_that_cannot_be_trusted_signs_nobody_in(
    world: World, fake: FakeProvider, provider: OpenIdProvider, wrong: dict[str, Any]
) -> None:
    for name, value in wrong.items():
        setattr(fake, name, value)
    assert problem_of(await sign_in(world)) == "SignInFailed"
    assert (await world.http.get("/api/v1/session")).status_code == 401


async def test_an_answer_belongs_to_one_browser_and_counts_once(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    back = await go(world)
    kept = dict(world.http.cookies)
    world.http.cookies.clear()
    assert problem_of(await world.http.get(back)) == "SignInFailed", "a browser without a flow"
    await go(world)
    assert problem_of(await world.http.get(back)) == "SignInFailed", "the state of another flow"
    world.http.cookies.clear()
    header = {"Cookie": f"taxiway-sign-in={kept['taxiway-sign-in']}"}
    assert (await world.http.get(back, headers=header)).headers["location"] == "/"
    world.http.cookies.clear()
    assert problem_of(await world.http.get(back, headers=header)) == "SignInFailed", "the second time"


async def test_keys_are_looked_up_anew_when_one_is_unknown_and_not_more_often(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    await sign_in(world)
    fake.keys = [a_key("second")]
    assert problem_of(await sign_in(world)) == "SignInFailed", "looked up a moment ago"
    world.clock.advance(timedelta(seconds=31))
    assert (await sign_in(world)).headers["location"] == "/"
    assert fake.asked.count("/keys") == 2


async def test_a_provider_that_is_down_or_broken_is_said_so(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    back = await go(world)
    fake.token_status = 500
    assert problem_of(await world.http.get(back)) == "ProviderUnavailable"
    fake.token_status = 400
    assert problem_of(await sign_in(world)) == "ProviderUnavailable"
    fake.token_status = 200
    back = await go(world)
    for asked in fake.codes.values():
        asked["code_challenge"] = "of another verifier"
    assert problem_of(await world.http.get(back)) == "SignInFailed", "the provider refuses the verifier"
    shown = await world.http.get("/api/v1/sign-in?problem=ProviderUnavailable")
    said = shown.json()
    assert (said["passwords"], said["provider"]) == (True, "Example")
    assert said["problem"] == "The identity provider is not available"
    assert "Try again" in said["hint"]


@pytest.mark.parametrize("odd", ["https://evil.example", "//evil.example", "/%5Cevil.example", "/sign-in", "/a%0Ab"])
async def test_nobody_is_led_elsewhere(world: World, fake: FakeProvider, provider: OpenIdProvider, odd: str) -> None:
    assert (await sign_in(world, f"?next={odd}")).headers["location"] == "/"


async def test_credentials_are_asked_for_again_where_that_is_wanted_and_of_the_same_user(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    assert problem_of(await sign_in(world, "?again=grace")) == "SignInFailed", "the provider did not say when it asked"
    fake.claims = {"auth_time": int(world.clock().timestamp())}
    assert (await sign_in(world, "?again=grace")).headers["location"] == "/"
    fake.person |= {"sub": "p-2", "preferred_username": "Lin"}
    assert problem_of(await sign_in(world, "?again=grace")) == "SignInRefused"
    assert audited(world, 1) == [("session.begin", "lin", "denied")]
    names = [user["name"] for user in (await world.speak_as("admin").get("/api/v1/users")).json()["items"]]
    assert "lin" not in names, "nobody is made who may not in"


async def test_who_lost_every_group_loses_sessions_and_tokens_when_signing_in(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    await sign_in(world)
    browser = {"Cookie": f"taxiway-session={world.http.cookies['taxiway-session']}"}
    issued = await world.http.post("/api/v1/tokens", json={"name": "nightly"}, headers={"Origin": URL})
    program = world.client({"Authorization": f"Bearer {issued.json()['token']}"})
    fake.person["groups"] = ["another"]
    assert (await program.get("/api/v1/session")).json()["projects"] == [PROJECT], "nothing changes before"
    assert problem_of(await sign_in(world)) == "SignInRefused"

    world.http.cookies.clear()
    assert (await program.get("/api/v1/session")).status_code == 401
    assert (await world.http.get("/api/v1/session", headers=browser)).status_code == 401
    assert [action for action, *_ in audited(world, 3)] == ["user.change-groups", "user.end-access", "session.begin"]
    before = len(audited(world))
    await sign_in(world)
    assert [action for action, *_ in audited(world)[before:]] == ["session.begin"], "nothing is left to end"
    fake.person["groups"] = ["fraud-team"]
    await sign_in(world)
    assert (await me(world))["projects"] == [PROJECT]


async def test_who_another_way_in_may_not_be_given(world: World, fake: FakeProvider, provider: OpenIdProvider) -> None:
    fake.person["groups"] = ["admins"]
    await sign_in(world)
    assert (await me(world))["issuer"] == fake.issuer
    root = world.speak_as("admin")
    answer = await root.put("/api/v1/users/grace/password", json={"password": "long enough"})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    with pytest.raises(Conflict, match="has no password"):
        await world.services.users.reset_administrator("grace")
    answer = await root.patch("/api/v1/users/grace", json={"role": "data-scientist"})
    assert answer.json()["reason"] == "Conflict", "roles come from the groups"


async def test_the_last_administrator_of_the_provider_stays_one_where_passwords_are_off(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    fake.person["groups"] = ["admins"]
    await sign_in(world)
    turn_passwords_off(world)
    root = world.speak_as("admin")
    answer = await root.patch("/api/v1/users/grace", json={"is_disabled": True})
    assert answer.json()["reason"] == "Conflict", "nobody else can sign in: the password of admin counts no more"
    fake.person["groups"] = ["fraud-team"]
    answer = await sign_in(world)
    assert problem_of(answer) == "Conflict"
    shown = (await world.http.get("/api/v1/sign-in?problem=Conflict")).json()
    assert "last administrator" in shown["problem"]
    fake.person |= {"sub": "p-2", "preferred_username": "lin", "groups": ["admins"]}
    await sign_in(world)
    fake.person |= {"sub": "p-1", "preferred_username": "grace", "groups": ["fraud-team"]}
    assert (await sign_in(world)).headers["location"] == "/"
    assert (await me(world))["role"] == "data-scientist"


async def test_a_provider_that_cannot_be_reached_or_is_slow_is_said_so(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    def answer_of(error: Exception) -> OpenIdProvider:
        def fail(request: httpx2.Request) -> httpx2.Response:
            raise error

        return OpenIdProvider(provider._place, now=world.clock, transport=httpx2.MockTransport(fail))

    for error in (httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.ConnectTimeout("slow")):
        world.provider = Provider(name="Example", port=answer_of(error), grants=GRANTS)
        world.services = world._services()
        answer = await world.http.get("/api/v1/sign-in/provider")
        assert problem_of(answer) == "ProviderUnavailable"
        await world.services.sign_in.close()


async def test_what_ends_lets_go_of_the_provider(world: World, provider: OpenIdProvider) -> None:
    await world.services.sign_in.close()
    assert provider._client.is_closed


def turn_passwords_off(world: World) -> None:
    world.takes_passwords = False
    world.services = world._services()


async def test_passwords_can_be_turned_off_and_an_administrator_comes_in_again_when_they_are_back(
    world: World, fake: FakeProvider, provider: OpenIdProvider
) -> None:
    turn_passwords_off(world)
    asked = {"name": "member", "password": "correct horse battery"}
    answer = await world.http.post("/api/v1/session", json=asked, headers={"Origin": URL})
    assert (answer.status_code, answer.json()["reason"]) == (403, "PasswordsOff")
    root = world.speak_as("admin")
    set_by_hand = await root.put("/api/v1/users/member/password", json={"password": "long enough"})
    assert set_by_hand.json()["reason"] == "PasswordsOff"
    made_by_hand = await root.post(
        "/api/v1/users", json={"name": "eve", "role": "data-scientist", "password": "long enough"}
    )
    assert made_by_hand.json()["reason"] == "PasswordsOff"
    assert (await sign_in(world)).headers["location"] == "/"

    # Taxiway is started with passwords, and `taxiway reset-password admin` is run.
    world.takes_passwords = True
    world.services = world._services()
    password = await world.services.users.reset_administrator("admin")
    world.http.cookies.clear()
    asked = {"name": "admin", "password": password}
    answer = await world.http.post("/api/v1/session", json=asked, headers={"Origin": URL})
    assert (answer.status_code, answer.json()["role"]) == (200, "administrator")
