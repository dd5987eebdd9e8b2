"""Logging in and out by cookie, passwords, API tokens."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx2
import pytest

from tests.api.world import PASSWORD, World

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(world: World, name: str, password: str = PASSWORD, **headers: str) -> httpx2.Response:
    world.http.cookies.clear()
    return await world.http.post(
        "/api/v1/session", json={"name": name, "password": password}, headers=SAME_SITE | headers
    )


def cookie_of(answer: httpx2.Response) -> str:
    return answer.headers["set-cookie"].split(";")[0].partition("=")[2]


def audited(world: World) -> list[tuple[str, str, str, str]]:
    with closing(sqlite3.connect(world.file)) as connection:
        query = "SELECT action, actor, object, outcome FROM audit_entries ORDER BY sequence DESC LIMIT 1"
        return connection.execute(query).fetchall()


async def test_a_session_begins_with_a_cookie_that_no_script_reads(world: World) -> None:
    answer = await sign_in(world, "member")

    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "member"
    name, *attributes = [part.strip() for part in answer.headers["set-cookie"].split(";")]
    assert name.startswith("taxiway-session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(attributes)
    assert PASSWORD not in answer.text
    assert cookie_of(answer) not in answer.text


async def test_the_session_of_before_ends_with_a_new_one_and_its_id_is_new(world: World) -> None:
    first = cookie_of(await sign_in(world, "member"))
    second = cookie_of(await sign_in(world, "member", Cookie=f"taxiway-session={first}"))

    assert first != second
    for secret, status in ((first, 401), (second, 200)):
        world.http.cookies.clear()
        answer = await world.http.get("/api/v1/session", headers={"Cookie": f"taxiway-session={secret}"})
        assert answer.status_code == status


async def test_logging_out_ends_the_session_on_the_server(world: World) -> None:
    cookie = {"Cookie": f"taxiway-session={cookie_of(await sign_in(world, 'member'))}"}
    world.http.cookies.clear()
    gone = await world.http.delete("/api/v1/session", headers=cookie | SAME_SITE)
    world.http.cookies.clear()
    after = await world.http.get("/api/v1/session", headers=cookie)

    assert gone.status_code == 204
    assert 'taxiway-session=""' in gone.headers["set-cookie"]
    assert after.status_code == 401


@pytest.mark.parametrize(
    ("name", "password", "shown"),
    [
        ("member", "wrong password", "member"),
        ("disabled", PASSWORD, "disabled"),
        ("my secret typed in the wrong field", "", "unknown user"),
    ],
)
async def test_a_failed_log_in_is_one_answer_and_one_audit_entry(
    world: World, name: str, password: str, shown: str
) -> None:
    answer = await sign_in(world, name, password)

    assert (answer.status_code, answer.json()["detail"]) == (401, "The user name or the password is wrong.")
    assert "set-cookie" not in answer.headers
    assert audited(world) == [("session.begin", "anonymous", shown, "denied")]
    assert name not in answer.text


async def test_guessing_is_held_up(world: World) -> None:
    answers = [(await sign_in(world, "member", f"wrong {n}")) for n in range(7)]

    assert [answer.status_code for answer in answers][-1] == 429
    assert int(answers[-1].headers["retry-after"]) > 1


async def test_the_password_is_changed_and_other_sessions_end(world: World) -> None:
    first, second = cookie_of(await sign_in(world, "member")), cookie_of(await sign_in(world, "member"))
    body = {"old": PASSWORD, "new": "staple and some more"}
    world.http.cookies.clear()
    cookie = {"Cookie": f"taxiway-session={first}"} | SAME_SITE
    done = await world.http.put("/api/v1/session/password", json=body, headers=cookie)

    assert done.status_code == 204
    assert (await world.http.get("/api/v1/session", headers=cookie)).status_code == 200
    second_cookie = {"Cookie": f"taxiway-session={second}"}
    assert (await world.http.get("/api/v1/session", headers=second_cookie)).status_code == 401
    assert (await sign_in(world, "member", "staple and some more")).status_code == 200


async def test_sessions_are_listed_and_this_one_is_marked(world: World) -> None:
    answer = await world.http.get("/api/v1/sessions", headers=world.secrets.cookie("member"))

    assert [session["is_this"] for session in answer.json()["items"]].count(True) == 1


async def test_an_api_token_is_shown_once_counts_and_is_revoked(world: World) -> None:
    async with world.speak_as("member") as client:
        made = (await client.post("/api/v1/tokens", json={"name": "notebook", "project": "fraud", "days": 30})).json()
        listed = (await client.get("/api/v1/tokens")).json()["items"]
        mine = {"Authorization": f"bearer {made['token']}"}
        before = await client.get("/api/v1/session", headers=mine)
        await client.delete(f"/api/v1/tokens/{made['id']}")
        after = await client.get("/api/v1/session", headers=mine)

    assert made["token"].startswith("twy_")
    assert (made["project"], before.json()["home"]) == ("fraud", "fraud")
    assert all("token" not in token for token in listed)
    assert (before.status_code, after.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x", "project": "other"}, 404),
        ({"name": "x", "scopes": ["nonsense"]}, 400),
        ({"name": "x", "scopes": ["user:write"]}, 403),
        ({"name": "x", "scopes": ["model:read"]}, 201),
        ({"name": "x", "days": 0}, 400),
        ({"name": "x", "days": 367}, 400),
        ({"name": "\u200b"}, 400),
    ],
)
async def test_a_token_is_never_wider_than_its_owner(world: World, body: dict[str, object], status: int) -> None:
    answer = await world.speak_as("member").post("/api/v1/tokens", json=body)

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic bWVtYmVyOng=", "Token x", "Bearer twy_", "Bearer a b", "Bearer \x7f"],
)
async def test_an_authorization_header_that_is_none_is_401_even_beside_a_good_cookie(world: World, header: str) -> None:
    headers = world.secrets.cookie("member") | {"Authorization": header}
    answer = await world.http.get("/api/v1/session", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_and_a_cookie_of_the_same_user_are_one_asker(world: World) -> None:
    headers = world.secrets.cookie("member") | world.secrets.bearer("member")
    answer = await world.http.get("/api/v1/session", headers=headers)

    assert (answer.status_code, answer.json()["method"]) == (200, "api-token")
