"""MLflow's deployments plugin: found by MLflow itself; what it sends, and what it says of refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pandas as pd
import pytest
from mlflow.deployments import BaseDeploymentClient, get_deploy_client
from mlflow.exceptions import MlflowException

import taxiway.mlflow_plugin as plugin
from taxiway.client import Client

pytestmark = pytest.mark.integration
Answer = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx2.Request]:
    """Let a server that refuses everything answer; return what it was asked."""
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        status = 404 if request.method == "DELETE" else 403
        return httpx2.Response(status, json={"reason": "No", "detail": "That is not allowed.", "hint": "Ask Ada."})

    def client(url: str | None) -> Client:
        return Client(url, token="t", project="shop", transport=httpx2.MockTransport(answer))

    monkeypatch.setattr(plugin, "Client", client)
    return requests


@pytest.fixture
def target() -> Any:
    return get_deploy_client("taxiway:http://taxiway")


def test_mlflow_finds_it(target: Any) -> None:
    assert isinstance(target, BaseDeploymentClient)
    assert type(target).__module__ == "taxiway.mlflow_plugin"
    assert "TAXIWAY_ACCESS_TOKEN" in plugin.target_help()
    with pytest.raises(MlflowException, match="taxiway up"):
        plugin.run_local("a", "models:/a/1")


@pytest.mark.parametrize(("uri", "url"), [("taxiway", None), ("taxiway://", None), ("taxiway:https://a/", "https://a")])
def test_targets(uri: str, url: str | None) -> None:
    assert plugin._url_of(uri) == url
    with pytest.raises(MlflowException, match="taxiway:URL"):
        plugin._url_of("taxiway:somewhere")


def test_settings_come_as_texts(target: Any, asked: list[httpx2.Request]) -> None:
    config = {"cpu": "1", "min_pods": "2", "quota_per_second": "5", "accept_breaking": "True", "customer": "Acme"}
    with pytest.raises(MlflowException, match=r"not allowed\. Ask Ada"):
        target.create_deployment("scorer-acme", "models:/scorer/3", config=config)
    assert {key: value for key, value in json.loads(asked[0].content).items() if value is not None} == {
        "project": "shop", "model": "scorer", "version": 3, "name": "scorer-acme", "customer": "Acme",
        "reason": "Deployed with mlflow deployments.", "cpus": "1", "min_pods": 2, "quota_per_second": 5.0,
        "accept_breaking": True, "dry_run": False,
    }  # fmt: skip

    with pytest.raises(MlflowException):
        target.create_deployment("scorer", "runs:/abc/model", config={"memory": "1Gi", "needs_token": "false"})
    assert asked[1].url.path.endswith("/projects/shop/runs/abc/conversions")
    sent = json.loads(asked[1].content)
    assert (sent["model"], sent["logged_model"], sent["memory"], sent["needs_token"]) == (
        "scorer",
        "model",
        "1Gi",
        False,
    )


@pytest.mark.parametrize(
    ("uri", "config", "word"),
    [
        ("models:/scorer@champion", {}, "models:/NAME/VERSION"),
        ("s3://bucket/model", {}, "runs:/RUN/MODEL"),
        ("models:/scorer/1", {"gpus": "1"}, "Unknown setting gpus"),
        ("models:/scorer/1", {"min_pods": "some"}, "min_pods cannot be read"),
        ("runs:/abc/model", {"customer": "Acme"}, "Unknown setting customer"),
        ("runs:/abc/model", {"needs_token": "perhaps"}, "needs_token cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_asked(
    target: Any, asked: list[httpx2.Request], uri: str, config: dict[str, str], word: str
) -> None:
    with pytest.raises(MlflowException, match=word):
        target.create_deployment("scorer", uri, config=config)
    with pytest.raises(MlflowException, match="endpoint of its own"):
        target.create_deployment("scorer", "models:/scorer/1", endpoint="e")
    with pytest.raises(MlflowException, match="flavor"):
        target.create_deployment("scorer", "models:/scorer/1", flavor="sklearn")
    assert asked == []


def test_to_delete_what_is_not_there_is_fine(target: Any, asked: list[httpx2.Request]) -> None:
    target.delete_deployment("scorer-acme")
    target.delete_deployment("scorer/1")
    assert [(r.method, r.url.path.rsplit("/v1/", 1)[1]) for r in asked] == [
        ("DELETE", "production/deployments/scorer-acme"),
        ("DELETE", "projects/shop/models/scorer/versions/1"),
    ]


def test_predictions(target: Any, asked: list[httpx2.Request], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, Any, str | None]] = []
    answers = [
        httpx2.Response(200, json={"predictions": [0.5]}),
        httpx2.Response(200, json={"predictions": [0.5]}),
        httpx2.Response(401, json={"message": "No token."}),
        httpx2.Response(400, json={"message": "Column a is missing."}),
    ]

    def ask(url: str, body: str, headers: dict[str, str]) -> httpx2.Response:
        sent.append((url, json.loads(body), headers.get("Authorization")))
        return answers[len(sent) - 1]

    monkeypatch.setattr(plugin, "_ask", ask)
    monkeypatch.setenv("TAXIWAY_ACCESS_TOKEN", "twy_x")
    frame = pd.DataFrame({"a": [0.1 + 0.2, None], "b": ["x", None]})
    assert target.predict("scorer-acme", frame).get_predictions("ndarray").tolist() == [0.5]
    target.predict("scorer-acme", {"dataframe_records": [{"a": 1.0}], "params": {"k": 1}})
    monkeypatch.delenv("TAXIWAY_ACCESS_TOKEN")
    with pytest.raises(MlflowException, match="access token of this endpoint"):
        target.predict("scorer-acme", [1])
    with pytest.raises(MlflowException, match="Column a is missing"):
        target.predict("scorer-acme", {"a": [1]})
    url = "http://taxiway/production/scorer-acme/invocations"
    assert sent == [
        (url, {"dataframe_split": {"columns": ["a", "b"], "data": [[0.1 + 0.2, "x"], [None, None]]}}, "Bearer twy_x"),
        (url, {"dataframe_records": [{"a": 1.0}], "params": {"k": 1}}, "Bearer twy_x"),
        (url, {"inputs": [1]}, None),
        (url, {"inputs": {"a": [1]}}, None),
    ]
    with pytest.raises(MlflowException, match="begins with http://taxiway/"):
        target.predict(endpoint="http://taxiway.evil/production/scorer-acme", inputs=[1])
    assert len(sent) == 4, "a token is shown to nobody else"
    with pytest.raises(MlflowException, match="nothing to predict"):
        target.predict("scorer-acme")
