"""Each command about people sends what it says, to a route that there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer.testing

import taxiway.client
from taxiway.cli import application
from taxiway.cli.output import ExitCode
from taxiway.client import Client

RUNNER = typer.testing.CliRunner()
OPENAPI = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
ROUTES = [
    (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"))
    for path, methods in json.loads(OPENAPI.read_text())["paths"].items()
    for method in methods
]
ANSWERS: dict[str, Any] = {
    "members": {"items": [{"name": "ada", "role": "data-scientist", "is_disabled": False}]},
    "pods": {"items": [{"id": "p2", "revision": 2, "phase": "READY"}, {"id": "p1", "revision": 1, "phase": None}]},
    "tokens": {"token": "twy_secret"},
}
Sent = list[tuple[str, str, Any]]
Run = Callable[..., typer.testing.Result]


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def run(sent: Sent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command with a client whose server notes what it is sent."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        assert any(method == request.method and route.match(path) for method, route in ROUTES), path
        sent.append((request.method, path, json.loads(request.content) if request.content else None))
        if path.endswith("/export"):
            return httpx2.Response(200, content=b'{"sequence":1}\n')
        return httpx2.Response(200, json=ANSWERS.get(path.rsplit("/", 1)[1], {}))

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(taxiway.client, "Client", partial(Client, transport=httpx2.MockTransport(answer)))
    return lambda *arguments, **options: RUNNER.invoke(application, arguments, **options)


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("user set-role ada administrator", ("PATCH", "users/ada", {"role": "administrator"})),
        ("user disable ada", ("PATCH", "users/ada", {"is_disabled": True})),
        ("user enable ada", ("PATCH", "users/ada", {"is_disabled": False})),
        ("user delete ada --yes", ("DELETE", "users/ada", None)),
        ("project describe shop --description Tills", ("PATCH", "projects/shop", {"description": "Tills"})),
        ("project delete shop --yes", ("DELETE", "projects/shop", None)),
        ("project members shop", ("GET", "projects/shop/members", None)),
        ("audit export", ("GET", "audit/export", None)),
        ("model pods fraud/3 --project shop", ("GET", "projects/shop/models/fraud/versions/3/pods", None)),
        (
            "token create --name ci --scope tracking:read --scope model:read",
            (
                "POST",
                "tokens",
                {"name": "ci", "days": 90.0, "project": None, "scopes": ["tracking:read", "model:read"]},
            ),
        ),
    ],
)
def test_a_command_is_one_call(run: Run, sent: Sent, command: str, call: tuple[str, str, Any]) -> None:
    ended = run(*command.split())

    assert ended.exit_code == 0, ended.stderr
    assert sent == [(call[0], f"/api/v1/{call[1]}", call[2])]


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("user set-password ada --must-change", ("PUT", "users/ada/password", {"must_change_password": True})),
        (
            "user create ada",
            ("POST", "users", {"name": "ada", "role": "data-scientist", "must_change_password": False}),
        ),
    ],
)
def test_a_password_comes_from_standard_input(run: Run, sent: Sent, command: str, call: tuple[str, str, Any]) -> None:
    ended = run(*command.split(), input="a long secret\n")

    assert ended.exit_code == 0, ended.stderr
    assert sent == [(call[0], f"/api/v1/{call[1]}", call[2] | {"password": "a long secret"})]
    assert "a long secret" not in ended.output


@pytest.mark.parametrize("command", ["user delete ada", "project delete shop", "model delete fraud/3"])
def test_what_cannot_be_undone_is_asked_before(run: Run, sent: Sent, command: str) -> None:
    ended = run(*command.split(), input="n\n")

    assert ended.exit_code == 1
    assert sent == []


def test_a_role_that_there_is_not_is_a_wrong_use(run: Run, sent: Sent) -> None:
    assert run("user", "set-role", "ada", "king").exit_code == ExitCode.USAGE
    assert sent == []


def test_lists_are_tables_or_json(run: Run) -> None:
    pods = run("model", "pods", "fraud/3", "--project", "shop")
    assert [line.split() for line in pods.stdout.splitlines()] == [
        ["POD", "REVISION", "PHASE"], ["p2", "2", "READY"], ["p1", "1", "gone"],
    ]  # fmt: skip

    members = run("project", "members", "shop", "--json")
    assert json.loads(members.stdout) == ANSWERS["members"]["items"]


def test_the_audit_log_goes_to_a_new_private_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"

    assert run("audit", "export").stdout == '{"sequence":1}\n'
    assert run("audit", "export", "--output", str(file)).exit_code == 0
    assert file.read_text() == '{"sequence":1}\n'
    assert file.stat().st_mode & 0o777 == 0o600
    again = run("audit", "export", "--output", str(file))
    assert again.exit_code == ExitCode.FAILED
    assert "File exists" in again.stderr


def test_the_method_is_sent_and_another_word_is_refused(run: Run, sent: Sent) -> None:
    told = ("model", "convert", "run-1", "--name", "fraud", "--project", "shop", "--no-wait", "--method")
    run(*told, "predict_proba")
    assert sent[0][2]["method"] == "predict_proba"
    assert run(*told, "fit").exit_code == 2
    assert len(sent) == 1
