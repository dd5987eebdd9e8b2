"""The OpenAPI document: complete, typed, and true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount, Route

from taxiway.api.routing import UndeclaredPermission, route_table
from taxiway.client import calls
from taxiway.wire.models import AccessTokenIn, ConfigurationIn, ConversionIn
from taxiway.wire.problems import ProblemOut
from tests.api.matrix import SECTIONS
from tests.api.world import World

UNDOCUMENTED = {
    "GET /", "GET /metrics", "GET /mlflow", "GET /mlflow/", "GET /assets/{name}",
    *(f"GET /{section}{rest}" for section in SECTIONS for rest in ("", "/{rest}")),
}  # fmt: skip
NO_MODEL = {"sign_in_with_provider", "come_back",
    "download_artifact", "export_audit_log", "get_openapi_document", "stream_log", "stream_hints",
    "describe_version", "describe_production",
}  # fmt: skip


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.app.state.openapi()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_documented(world: World, document: dict[str, Any]) -> None:
    live = {f"{entry.method} {entry.path.replace(':path', '')}" for entry in route_table(world.app)}

    assert {name for name, _ in operations(document)} == live - UNDOCUMENTED
    assert document["openapi"].startswith("3.1")


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    known = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert set(operation["tags"]) <= known, name
        assert operation["x-permission"], name
        is_public = operation["x-permission"] == "public"
        assert operation["security"] == ([] if is_public else [{"apiToken": []}, {"session": []}]), name


def test_every_answer_is_typed(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if status == "default" or int(status) >= 400:
                assert content == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
                }, f"{name} {status}"
            elif status != "204" and operation["operationId"] not in NO_MODEL:
                assert re.fullmatch(
                    r"#/components/schemas/\w+(Out|Page|List)", content["application/json"]["schema"]["$ref"]
                ), name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for reference in re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)):
        assert reference in schemas


def test_the_example_of_a_problem_fits(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["ProblemOut"]["properties"]
    example = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}

    assert ProblemOut.model_validate(example).reason == "NotFound"


def test_the_clients_calls_are_all_there(document: dict[str, Any]) -> None:
    nothing: dict[str, Any] = {"limit": 1, "cursor": None}
    made: list[calls.Call[Any]] = [
        calls.experiments("p", **nothing),
        calls.runs("p", experiment="e", where="w", **nothing),
        calls.run("p", "r"),
        calls.logged_models("p", "r"),
        calls.preflight("p", "r", ConversionIn(model="m")),
        calls.convert("p", "r", ConversionIn(model="m"), idempotency_key="k"),
        calls.models(project="p", model="m", status="ON", owner="o", contains="c", tag="k=v", limit=1, cursor="c"),
        calls.model("p", "m", 1),
        calls.switch("p", "m", 1, to="on"),
        calls.switch("p", "m", 1, to="off"),
        calls.configure("p", "m", 1, ConfigurationIn()),
        calls.delete("p", "m", 1),
        calls.logs("p", "m", 1, kind="pod", pod="q", after=1, tail=1, contains="c", limit=1),
        calls.issue_token("p", "m", 1, AccessTokenIn(caller="c")),
        calls.tokens("p", "m", 1),
        calls.revoke_token("p", "m", 1, "t"),
    ]
    templates = {
        path: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z") for path in document["paths"]
    }
    for call in made:
        found = [path for path, pattern in templates.items() if pattern.match(call.path)]
        operation = next(
            document["paths"][path][call.method.lower()]
            for path in found
            if call.method.lower() in document["paths"][path]
        )
        known = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert set(call.query) <= known, call.path
        headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
        assert {name.lower() for name in call.headers} <= headers


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


@pytest.mark.parametrize("kind", ["route", "api route", "mount"])
def test_the_application_does_not_start_with_a_route_that_demands_nothing(kind: str) -> None:
    app = FastAPI(openapi_url=None)
    if kind == "route":
        app.router.routes.append(Route("/x", lambda _: None))
    elif kind == "mount":
        app.router.routes.append(Mount("/x", app=_nothing))
    else:
        router = APIRouter()
        router.add_api_route("/x", lambda: None)
        app.include_router(router)

    with pytest.raises(UndeclaredPermission, match="/x"):
        route_table(app)
