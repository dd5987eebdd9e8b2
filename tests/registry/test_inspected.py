"""What clients say in bodies and queries: locations are ours or they are refused."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ProjectName
from taxiway.registry.allowed import find_call
from taxiway.registry.inspected import is_inside, is_relative, is_source, read_body, read_query, run_of_source, stays_in

FRAUD = ProjectName("fraud")
V2 = "/api/2.0/mlflow"
EXPERIMENT = find_call("POST", f"{V2}/experiments/create")
VERSION = find_call("POST", f"{V2}/model-versions/create")
MODEL_TAG = find_call("POST", f"{V2}/registered-models/set-tag")
RUN_TAG = find_call("POST", f"{V2}/runs/set-tag")
STORE = find_call("GET", "/api/2.0/mlflow-artifacts/artifacts")
LIST = find_call("GET", f"{V2}/artifacts/list")

OUTSIDE = (
    "file:///etc", "/etc/passwd", "http://evil.example/", "https://evil.example", "s3://bucket", "dbfs:/x", "ftp://x",
    "mlflow-artifacts:/", "mlflow-artifacts:/workspaces/credit/1", "mlflow-artifacts:/workspaces/fraud-2/1",
    "mlflow-artifacts:/workspaces/fraud/../credit", "mlflow-artifacts:/workspaces/fraud/%2e%2e/credit",
    "mlflow-artifacts:/workspaces/fraud/a?b", "mlflow-artifacts:/workspaces/fraud/a#b", "mlflow-artifacts://host/x",
    "mlflow-artifacts:///workspaces/fraud/1", "MLFLOW-ARTIFACTS:/workspaces/fraud/1", " file:///etc", "1",
    "\\\\host\\x",
    "mlflow-artifacts:/workspaces/fraud//1", "mlflow-artifacts:/workspaces/fraud/a\nb", "runs:/../x", "runs://host/x",
    "models:/a/%2e%2e/b", "models://host/a",
)  # fmt: skip


@pytest.mark.parametrize("uri", OUTSIDE)
def test_locations_elsewhere_are_refused(uri: str) -> None:
    assert not is_source(uri, FRAUD)
    assert not is_inside(uri, FRAUD)
    for field in ("artifact_location", "artifactLocation", "ARTIFACT_LOCATION"):
        with pytest.raises(InvalidInput) as refusal:
            read_body(json.dumps({"name": "x", field: uri}).encode(), EXPERIMENT, FRAUD)
        assert "evil" not in refusal.value.message
    for field in ("source", "Source", "_source"):
        with pytest.raises(InvalidInput):
            read_body(json.dumps({"name": "x", field: uri}).encode(), VERSION, FRAUD)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/m-1", "models:/reg/1", "models:/reg@champion", "runs:/abc/model",
        "mlflow-artifacts:/workspaces/fraud/1/abc/artifacts",
    ],
)  # fmt: skip
def test_what_mlflow_gave_out_is_taken(uri: str) -> None:
    body = {"name": "x", "source": uri}
    assert read_body(json.dumps(body).encode(), VERSION, FRAUD) == body
    assert run_of_source(body) == ("abc" if uri.startswith("runs") else None)


def test_an_experiment_may_lie_in_its_own_project() -> None:
    for location in ("", None, "mlflow-artifacts:/workspaces/fraud/7"):
        body = {"name": "x", "artifact_location": location}
        assert read_body(json.dumps(body).encode(), EXPERIMENT, FRAUD) == body


@pytest.mark.parametrize("source", [None, 1, ["file:///etc"], {"a": "b"}, ""])
def test_a_source_is_a_text(source: object) -> None:
    with pytest.raises(InvalidInput):
        read_body(json.dumps({"name": "x", "source": source}).encode(), VERSION, FRAUD)


@pytest.mark.parametrize("key", ["mlflow.prompt.is_prompt", "MLflow.Prompt.x", "taxiway.model_version", " taxiway.x"])
def test_tags_that_open_holes_are_refused(key: str) -> None:
    source = "models:/m-1"
    for match, body in (
        (VERSION, {"source": source, "tags": [{"key": key, "value": "true"}]}),
        (VERSION, {"source": source, "tags": [{"Key": key}]}),
        (MODEL_TAG, {"name": "x", "key": key, "value": "true"}),
    ):
        with pytest.raises(InvalidInput):
            read_body(json.dumps(body).encode(), match, FRAUD)
    assert read_body(json.dumps({"key": key}).encode(), RUN_TAG, FRAUD), "a run's tags have no such meaning"


def test_old_clients_send_json_in_json() -> None:
    assert read_body(json.dumps(json.dumps({"a": 1})).encode(), RUN_TAG, FRAUD) == {"a": 1}
    assert read_body(b"", RUN_TAG, FRAUD) == {}
    assert read_body(b'{"value": NaN}', RUN_TAG, FRAUD)


@pytest.mark.parametrize("content", [b"[]", b"1", b"{", b"\xff", b"[" * 100_000, b'"x"', b"9" * 5000])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_body(content, RUN_TAG, FRAUD)


@pytest.mark.parametrize(
    "path", ["..", "a/..", "/etc", "a//b", "a/./b", "%2e%2e", "%252e%252e/x", "a\\b", "a%2f..", "a%00"]
)
def test_paths_of_queries_stay_below(path: str) -> None:
    assert not is_relative(path)
    for match in (STORE, LIST):
        with pytest.raises(InvalidInput):
            read_query(urlencode({"run_id": "1", "path": path}), match, FRAUD)


def test_queries_are_written_anew() -> None:
    assert read_query("run_id=1&path=a%20b/c&page_token=", LIST, FRAUD) == "run_id=1&path=a+b%2Fc&page_token="
    assert read_query("path=workspaces/fraud/1", STORE, FRAUD) == "path=workspaces%2Ffraud%2F1"
    for query in ("path=a&path=b", "path=a&PATH=b", "run_id=%ff", "&".join("a=b" for _ in range(600))):
        with pytest.raises(InvalidInput):
            read_query(query, LIST, FRAUD)
    for path in ("workspaces", "workspaces/credit/1", "Workspaces/fraud/1", "workspaces/fraud2"):
        with pytest.raises(InvalidInput):
            read_query(f"path={path}", STORE, FRAUD)
        assert not stays_in(path, FRAUD)
