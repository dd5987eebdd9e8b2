"""The auth matrix over the live route table, by ``matrix.py``.

A thousand requests with a database behind them take a while: those that vary who asks how are marked.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from taxiway.api.routing import route_table
from taxiway.domain.people import Permission
from tests.api.matrix import OPEN_TO_NEWCOMERS, ROWS, SECTIONS, Row
from tests.api.world import Secrets, World
from tests.builders import MODEL, PROJECT, RUN_ID

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
OTHER_SITES: tuple[dict[str, str], ...] = (
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost:8081"},
    {"Origin": "null"},
)
BY_ROUTE = {row.route: row for row in ROWS}


def url_of(row: Row, secrets: Secrets) -> str:
    usual = {
        "project": PROJECT,
        "model": MODEL,
        "version": "1",
        "run": RUN_ID,
        "key:path": "val/auc",
        "user": "member",
        "name": "member",
        "engine": "mlflow",
        "kind": "pod",
        "deployment": "scorer-acme",
    }
    path = row.route.split(" ")[1]
    for name, value in ({**secrets.ids, **usual} | dict(row.fill)).items():
        path = path.replace(f"{{{name}}}", secrets.ids.get(value, value))
    return path + (f"?{row.query}" if row.query else "")


def method_of(row: Row) -> str:
    return row.route.split(" ")[0]


async def send(world: World, row: Row, headers: dict[str, str], **changed: str) -> httpx2.Response:
    world.http.cookies.clear()
    return await world.http.request(
        changed.get("method", method_of(row)),
        changed.get("url", url_of(row, world.secrets)),
        json=row.body,
        headers=headers,
    )


def entries(world: World) -> int:
    with closing(sqlite3.connect(world.file)) as connection:
        return int(connection.execute("SELECT count(*) FROM audit_entries").fetchone()[0])


def content(file: Path) -> list[object]:
    """Everything in the database but when tokens and sessions were last used."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.fixture
async def fresh(world: World, template: tuple[Path, Secrets]) -> Path:
    """The template's file, to go back to."""
    return template[0]


def test_every_route_has_a_row_and_every_row_a_route(world: World) -> None:
    live = {f"{entry.method} {entry.path}" for entry in route_table(world.app)}

    assert live == set(BY_ROUTE)


def test_what_is_public_is_known(world: World) -> None:
    public = {f"{e.method} {e.path}" for e in route_table(world.app) if Permission.PUBLIC in e.permissions}

    assert public == {row.route for row in ROWS if row.nobody != 401}


async def check(world: World, template: Path, headers: dict[str, str], expected: dict[str, int], who: str) -> None:
    """Send every row's request; compare the status, and count the audit entries that it wrote."""
    wrong = []
    before = entries(world)
    for row in ROWS:
        answer = await send(world, row, headers)
        written = entries(world) - before
        status = expected[row.route]
        is_change = method_of(row) != "GET" and status < 300 and row.changes
        is_denial = status == 403 and who != "nobody"
        if answer.status_code != status or written != int(is_change or is_denial):
            wrong.append(
                f"{row.route}: {answer.status_code} not {status}; {written} audit entries; {answer.text[:200]}"
            )
        if method_of(row) != "GET" and status < 300:
            await world.reset(template)
            world.fill_fakes()
            before = entries(world)
        else:
            before += written
    assert not wrong, who + "\n" + "\n".join(wrong)


@pytest.mark.parametrize("who", ["stranger", "member", "narrow", "administrator"])
async def test_api_tokens(world: World, fresh: Path, who: str) -> None:
    token = "admin" if who == "administrator" else who
    await check(world, fresh, world.secrets.bearer(token), {row.route: getattr(row, who) for row in ROWS}, who)


@pytest.mark.integration
@pytest.mark.parametrize("who", ["stranger", "member", "administrator"])
async def test_cookies(world: World, fresh: Path, who: str) -> None:
    user = "admin" if who == "administrator" else who
    headers = world.secrets.cookie(user) | SAME_SITE
    expected = {row.route: getattr(row, who) for row in ROWS}
    wrong = []
    for row in ROWS:
        if row.route in ("POST /api/v1/session", "DELETE /api/v1/session"):
            continue  # what these do with a cookie is told in test_sessions.py
        answer = await send(world, row, headers)
        if answer.status_code != expected[row.route]:
            wrong.append(f"{row.route}: {answer.status_code} not {expected[row.route]}")
        if method_of(row) != "GET" and answer.status_code < 300:
            await world.reset(fresh)
    assert not wrong, "\n".join(wrong)


async def test_nobody(world: World, fresh: Path) -> None:
    # Neither a token nor a header that tells the site: that could be another site's form.
    expected = {row.route: row.nobody for row in ROWS} | {"POST /api/v1/session": 403}
    await check(world, fresh, {}, expected, "nobody")


@pytest.mark.integration
@pytest.mark.parametrize("who", ["expired", "revoked", "disabled", "made up", "not ours"])
async def test_who_does_not_count_is_nobody(world: World, fresh: Path, who: str) -> None:
    world.secrets.tokens |= {"made up": "twy_" + "0" * 49, "not ours": "eyJhbGciOiJFZERTQSJ9.e30.c2ln"}
    await check(world, fresh, world.secrets.bearer(who), {row.route: row.nobody for row in ROWS}, "nobody")


@pytest.mark.integration
async def test_a_disabled_users_session_is_nobodys(world: World, fresh: Path) -> None:
    headers = world.secrets.cookie("disabled") | SAME_SITE
    await check(world, fresh, headers, {row.route: row.nobody for row in ROWS}, "nobody")


@pytest.mark.integration
async def test_a_token_and_a_cookie_of_different_users_are_refused(world: World, fresh: Path) -> None:
    headers = world.secrets.bearer("admin") | world.secrets.cookie("member")
    expected = {row.route: 400 if row.nobody == 401 else row.nobody for row in ROWS}
    for row in ROWS:
        if row.route != "POST /api/v1/session":
            answer = await send(world, row, headers)
            assert answer.status_code == expected[row.route], row.route
    assert content(world.file) == content(fresh)


async def test_a_change_from_another_site_is_refused(world: World, fresh: Path) -> None:
    unsafe = [row for row in ROWS if method_of(row) != "GET"]
    tries = [(row, OTHER_SITES[0]) for row in unsafe] + [(unsafe[-1], hint) for hint in OTHER_SITES]
    for row, hint in tries:
        answer = await send(world, row, world.secrets.cookie("admin") | hint)
        assert (answer.status_code, answer.json()["reason"]) == (403, "CrossOrigin"), (row.route, hint)


@pytest.mark.integration
@pytest.mark.parametrize("by_cookie", [True, False])
async def test_who_must_change_the_password_can_do_nothing_else(world: World, fresh: Path, by_cookie: bool) -> None:
    headers = (world.secrets.cookie("newcomer") | SAME_SITE) if by_cookie else world.secrets.bearer("newcomer")
    for row in ROWS:
        if row.nobody != 401:
            continue
        answer = await send(world, row, headers)
        if row.route in OPEN_TO_NEWCOMERS:
            assert answer.status_code == row.member, row.route
            await world.reset(fresh)
        else:
            assert (answer.status_code, answer.json()["reason"]) == (403, "PasswordChangeNeeded"), row.route


@pytest.mark.integration
@pytest.mark.parametrize("who", ["nobody", "admin"])
async def test_variants_of_a_request_open_nothing(world: World, fresh: Path, who: str) -> None:
    headers = {} if who == "nobody" else world.secrets.bearer(who)
    for row in ROWS:
        url = url_of(row, world.secrets)
        path, _, query = url.partition("?")
        tail = f"?{query}" if query else ""
        if path.split("/")[1] in SECTIONS or path.startswith("/assets/"):
            continue  # the console's document, the same for everybody and for every address of a section
        variants = [("HEAD", url, 405), ("OPTIONS", url, 405), ("TRACE", url, 405)]
        if path != "/":
            variants += [
                (method_of(row), f"{path}/{tail}", 404),
                (method_of(row), f"http://localhost:8080/{path}{tail}", 404),
                (method_of(row), re.sub("/(api|metrics|mlflow)", lambda found: found[0].upper(), path) + tail, 404),
                (method_of(row), re.sub("/(v1/|metrics|mlflow)", r"/%2e/\1", path) + tail, 404),
            ]
        for method, variant, status in variants:
            if "val/auc" in variant and status == 404 and variant.endswith("auc/"):
                continue  # a metric's name may end with a slash
            if variant == "/mlflow/" and status == 404:
                continue  # it has a row of its own
            answer = await send(world, row, headers, method=method, url=variant)
            expected = {status} if who == "admin" or status == 405 else {status, 401}
            if "/val/" in path.lower() and "etrics" in variant and status == 404:
                expected |= {200}
            assert answer.status_code in expected, f"{method} {variant}: {answer.status_code}"
    assert content(world.file) == content(fresh)


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
async def test_a_method_cannot_be_overridden(world: World, fresh: Path, header: str) -> None:
    row = BY_ROUTE["GET /api/v1/projects/{project}/models/{model}/versions/{version}"]
    answer = await send(world, row, world.secrets.bearer("admin") | {header: "DELETE"})

    assert answer.status_code == 200
    assert content(world.file) == content(fresh)


@pytest.mark.integration
@pytest.mark.parametrize("who", ["admin", "member"])
async def test_looking_changes_nothing(world: World, fresh: Path, who: str) -> None:
    before = content(world.file)
    for row in ROWS:
        if method_of(row) == "GET" and (row.administrator if who == "admin" else row.member) < 300:
            assert (await send(world, row, world.secrets.bearer(who))).status_code == 200
            assert (await send(world, row, world.secrets.cookie(who))).status_code == 200

    assert content(world.file) == before
