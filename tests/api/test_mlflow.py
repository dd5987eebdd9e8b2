"""``/mlflow``: a good API token gets through to MLflow, and nothing else; what is taken away is written down."""

from __future__ import annotations

import base64

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from taxiway.api.application import create_api, equip
from taxiway.api.limits import RateLimiter
from taxiway.api.mlflow import MLflowMount
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.proxy import MLflowProxy
from taxiway.services.tracking_changes import TrackingChanges
from tests.api.world import URL, World
from tests.builders import PROJECT

SEARCH = "/mlflow/api/2.0/mlflow/experiments/search?max_results=5"
DELETE = "/mlflow/api/2.0/mlflow/runs/delete"
FILE = "/mlflow/api/2.0/mlflow-artifacts/artifacts/a"


class Stand:
    """Stands at ``/mlflow`` for the mount of the test that runs; making an application takes longer than a test."""

    permissions = MLflowMount.permissions
    mount: MLflowMount

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.mount(scope, receive, send)


STAND = Stand()
_apps: list[FastAPI] = []


def shared_app(world: World) -> FastAPI:
    if not _apps:
        hosts, mounts = ("localhost",), {"/mlflow": STAND}
        _apps.append(create_api(world.services, metrics=world.metrics, allowed_hosts=hosts, mounts=mounts))
    return _apps[0]


class Door:
    """The application with a world's services and a mount in it, and an MLflow behind that which remembers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        self.app = shared_app(world)
        limiter = RateLimiter(rate=1e6, burst=1_000_000)
        equip(self.app, world.services, metrics=world.metrics, is_secure=False, limiter=limiter)
        proxy = MLflowProxy(MLflowConnection(httpx2.MockTransport(self._answer)), upload_limit=1000)
        changes = TrackingChanges(database=world.database, now=world.clock)
        STAND.mount = MLflowMount(proxy, projects=world.services.projects, audit=world.services.audit, changes=changes)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        self.asked.append((request.method, request.url.path, request.headers.get("x-mlflow-workspace"), body))
        return httpx2.Response(200, stream=httpx2.ByteStream(b"{}"), headers={"content-type": "application/json"})

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, body: bytes = b""
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=URL, trust_env=False) as client:
            named = {"X-MLFLOW-WORKSPACE": PROJECT} | (headers or {})
            return await client.request(method, path, headers=named, content=body)


@pytest.fixture
def door(world: World) -> Door:
    return Door(world)


async def test_a_token_gets_through(door: Door) -> None:
    answer = await door.ask("GET", SEARCH, door.world.secrets.bearer("member"))
    assert answer.status_code == 200
    assert door.asked == [("GET", "/api/2.0/mlflow/experiments/search", PROJECT, b"")]
    password = base64.b64encode(f"anyone:{door.world.secrets.tokens['member']}".encode()).decode()
    assert (await door.ask("GET", SEARCH, {"Authorization": f"Basic {password}"})).status_code == 200


async def test_files_are_streamed_through(door: Door) -> None:
    answer = await door.ask("PUT", FILE, door.world.secrets.bearer("member"), body=b"x" * 1000)
    assert answer.status_code == 200
    assert door.asked[0][3] == b"x" * 1000
    assert (await door.ask("PUT", FILE, door.world.secrets.bearer("member"), body=b"x" * 1001)).status_code == 413


@pytest.mark.parametrize("who", ["nobody", "revoked", "expired", "disabled", "cookie", "garbage"])
async def test_nobody_else_does(door: Door, who: str) -> None:
    secrets = door.world.secrets
    headers = {
        "nobody": {}, "cookie": secrets.cookie("member"), "garbage": {"Authorization": "Bearer twy_x"},
    }.get(who) if who in ("nobody", "cookie", "garbage") else secrets.bearer(who)  # fmt: skip
    answer = await door.ask("GET", SEARCH, headers)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert door.asked == []


@pytest.mark.parametrize("path", ["/mlflow", "/mlflow/"])
async def test_a_browser_that_follows_mlflows_link_is_told_what_that_is(door: Door, path: str) -> None:
    answer = await door.ask("GET", path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert f"MLFLOW_TRACKING_URI={URL}/mlflow" in answer.text
    assert "taxiway run list" in answer.text
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert (await door.ask("POST", path)).status_code in (401, 405)
    assert door.asked == []


async def test_strangers_that_try_often_are_slowed_down(door: Door) -> None:
    seen = {(await door.ask("GET", SEARCH)).status_code for _ in range(60)}
    assert seen == {401, 429}


async def test_projects_of_others_and_calls_off_the_list_are_not_there(door: Door) -> None:
    for headers, path in (
        (door.world.secrets.bearer("stranger"), SEARCH),
        (door.world.secrets.bearer("member"), "/mlflow/graphql"),
        (door.world.secrets.bearer("member"), "/mlflow//"),
        (door.world.secrets.bearer("member"), "/mlflow/index.html"),
        (door.world.secrets.bearer("member"), "/%6dlflow/api/2.0/mlflow/experiments/search"),
        (door.world.secrets.bearer("admin") | {"X-MLFLOW-WORKSPACE": "default"}, SEARCH),
    ):
        answer = await door.ask("GET", path, headers)
        assert answer.status_code == 404, path
        assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert door.asked == []


async def test_a_narrow_token_is_refused_and_that_is_written_down(door: Door) -> None:
    for name in ("narrow", "newcomer"):
        answer = await door.ask("GET", SEARCH, door.world.secrets.bearer(name))
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    entries = await door.world.services.audit.search(action="tracking", limit=10)
    assert [(entry.actor, entry.outcome) for entry in entries] == [("newcomer", "denied"), ("member", "denied")]


async def test_what_is_taken_away_is_written_down_before(door: Door) -> None:
    answer = await door.ask("POST", DELETE, door.world.secrets.bearer("member"), body=b'{"run_id": "abc"}')
    assert answer.status_code == 200
    [entry] = await door.world.services.audit.search(action="tracking.delete", limit=10)
    assert (entry.actor, entry.project, entry.object) == ("member", PROJECT, "POST runs/delete run_id=abc")
    await door.ask("GET", SEARCH, door.world.secrets.bearer("member"))
    assert len(await door.world.services.audit.search(action="tracking.delete", limit=10)) == 1
