"""An unmodified MLflow client does all its work through the proxy; each call on the allow-list is proven here."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from taxiway.domain.ids import ProjectName
from taxiway.domain.people import AuthMethod, Principal, Role
from taxiway.registry.allowed import CALLS
from taxiway.registry.connection import MLflowConnection
from tests.builders import a_principal
from tests.integration.registry.conftest import RunningMLflow, a_project
from tests.integration.registry.doors import Doors, open_doors, python

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

EVERYTHING = """
import json, os, pathlib, sys, tempfile
import mlflow, pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.models import infer_signature
from mlflow.utils.rest_utils import http_request
from sklearn.linear_model import LogisticRegression

client = MlflowClient()
store = client._tracking_client.store

def raw(method, call, **body):
    sent = {"params": body} if method == "GET" else {"json": body}
    answer = http_request(store.get_host_creds(), call, method, **sent)
    assert answer.status_code == 200, (call, answer.status_code, answer.text)
    return answer.json()

# Experiments.
experiment = client.create_experiment("first", tags={"team": "fraud"})
assert client.get_experiment(experiment).tags["team"] == "fraud"
client.rename_experiment(experiment, "cards")
client.set_experiment_tag(experiment, "a", "b")
client.delete_experiment_tag(experiment, "a")
client.delete_experiment(experiment)
client.restore_experiment(experiment)
assert [e.name for e in client.search_experiments()] == ["cards"]
raw("GET", "/api/2.0/mlflow/experiments/search", max_results="5")

# Runs.
mlflow.set_experiment("cards")
with mlflow.start_run(run_name="one") as active:
    run = active.info.run_id
    mlflow.log_param("depth", 3)
    mlflow.log_metric("loss", float("nan"), step=0)
    for step in range(5):
        mlflow.log_metric("auc", step / 10, step=step)
    mlflow.log_metrics({"x": 1.0, "y": 2.0})
    mlflow.set_tag("colour", "blue")
    mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="rows"), context="training")
    mlflow.log_text("hello", "notes/a b+ü.txt")
    mlflow.log_dict({"k": 1}, "notes/k.json")
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, 2, 3]})
    fitted = LogisticRegression().fit(frame, [0, 1, 1])
    info = mlflow.sklearn.log_model(
        fitted, name="model", signature=infer_signature(frame, fitted.predict(frame)), input_example=frame.head(1),
        registered_model_name="reg", tags={"kind": "logistic"}, pip_requirements=["scikit-learn"],
    )
client.log_batch(run, metrics=[Metric("z", 1.0, 1, 1)], params=[Param("q", "1")], tags=[RunTag("t", "1")])
client.log_metric(run, "single", 1.0)
client.log_param(run, "single", "1")
client.set_tag(run, "gone", "1")
client.delete_tag(run, "gone")
client.update_run(run, name="renamed")
assert client.get_run(run).info.run_name == "renamed"
assert len(client.get_metric_history(run, "auc")) == 5
raw("GET", "/api/2.0/mlflow/metrics/get-history-bulk-interval", run_ids=run, metric_key="auc", max_results="10")
assert [r.info.run_id for r in client.search_runs([experiment], "metrics.auc >= 0.4")] == [run]
old = {"artifact_path": "old", "utc_time_created": "2024-01-01 00:00:00.0", "flavors": {"sklearn": {}}}
old |= {"run_id": run, "model_uuid": "u"}
raw("POST", "/api/2.0/mlflow/runs/log-model", run_id=run, model_json=json.dumps(old))

# Artifacts.
names = [a.path for a in client.list_artifacts(run, "notes")]
assert names == ["notes/a b+ü.txt", "notes/k.json"], names
raw("GET", "/api/2.0/mlflow/artifacts/list", run_id=run, path="notes")
down = pathlib.Path(client.download_artifacts(run, "notes"))
assert (down / "a b+ü.txt").read_text() == "hello"
assert mlflow.artifacts.load_dict(f"runs:/{run}/notes/k.json") == {"k": 1}
assert mlflow.artifacts.list_artifacts(f"{active.info.artifact_uri}/notes")
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
get_artifact_repository(active.info.artifact_uri).delete_artifacts("notes/k.json")
assert [a.path for a in client.list_artifacts(run, "notes")] == ["notes/a b+ü.txt"]

# Logged models.
model = client.get_logged_model(info.model_id)
assert model.name == "model"
client.set_logged_model_tags(info.model_id, {"gone": "1"})
client.delete_logged_model_tag(info.model_id, "gone")
client.log_model_params(info.model_id, {"extra": "1"})
assert client.search_logged_models([experiment])[0].model_id == info.model_id
assert [a.path for a in client.list_logged_model_artifacts(info.model_id)]
raw("GET", f"/api/2.0/mlflow/logged-models/{info.model_id}/artifacts/directories")
other = client.create_logged_model(experiment, name="external")
client.finalize_logged_model(other.model_id, "READY")
client.delete_logged_model(other.model_id)
loaded = mlflow.pyfunc.load_model(info.model_uri)
assert list(loaded.predict(frame)) == list(fitted.predict(frame))

# The registry.
assert client.get_registered_model("reg").name == "reg"
client.create_registered_model("second", tags={"a": "b"})
client.update_registered_model("second", description="words")
client.set_registered_model_tag("second", "c", "d")
client.delete_registered_model_tag("second", "c")
client.rename_registered_model("second", "third")
assert {m.name for m in client.search_registered_models()} == {"reg", "third"}
version = client.create_model_version("third", f"runs:/{run}/notes", run_id=run)
copied = client.copy_model_version("models:/reg/1", "third")
client.update_model_version("third", version.version, description="words")
client.set_model_version_tag("third", version.version, "a", "b")
client.delete_model_version_tag("third", version.version, "a")
client.transition_model_version_stage("third", version.version, "Staging")
assert client.get_latest_versions("third", ["Staging"])[0].version == version.version
raw("GET", "/api/2.0/mlflow/registered-models/get-latest-versions", name="third")
client.set_registered_model_alias("third", "champion", version.version)
assert client.get_model_version_by_alias("third", "champion").version == version.version
client.delete_registered_model_alias("third", "champion")
assert client.get_model_version("third", version.version).description == "words"
assert client.get_model_version_download_uri("reg", "1")
assert len(client.search_model_versions("name = 'third'")) == 2
assert list(mlflow.pyfunc.load_model("models:/reg/1").predict(frame)) == list(fitted.predict(frame))
client.delete_model_version("third", copied.version)
client.delete_registered_model("third")

client.delete_run(run)
client.restore_run(run)
mlflow.register_model(f"runs:/{run}/model", "again")
print(json.dumps({"run": run, "experiment": experiment, "model": info.model_id, "artifacts": active.info.artifact_uri}))
"""


def member_of(*projects: str, home: str | None) -> Principal:
    return a_principal(
        role=Role.DATA_SCIENTIST,
        projects=frozenset(map(ProjectName, projects)),
        method=AuthMethod.API_TOKEN,
        home=None if home is None else ProjectName(home),
    )


@pytest.fixture(scope="module")
def projects(mlflow: RunningMLflow) -> tuple[ProjectName, ProjectName]:
    async def make() -> tuple[ProjectName, ProjectName]:
        connection = MLflowConnection.over(mlflow.socket)
        try:
            return await a_project(connection), await a_project(connection)
        finally:
            await connection.close()

    return asyncio.run(make())


@pytest.fixture(scope="module")
def doors(mlflow: RunningMLflow, projects: tuple[ProjectName, ProjectName]) -> Iterator[Doors]:
    own, other = projects
    tokens = {
        "twy_own": member_of(own, home=own),
        "twy_other": member_of(other, home=other),
        "twy_both": member_of(own, other, home=other),
        "twy_admin": a_principal(role=Role.ADMINISTRATOR, projects=frozenset(), method=AuthMethod.API_TOKEN, home=own),
    }
    with open_doors(mlflow, tokens, upload_limit=4 << 20) as opened:
        yield opened


@pytest.fixture(scope="module")
def made(doors: Doors) -> dict[str, str]:
    """What the client made in the first project, having asked for nothing that is not on the list."""
    before = len(doors.refused)
    found: dict[str, str] = json.loads(python(EVERYTHING, doors, MLFLOW_TRACKING_TOKEN="twy_own"))
    assert doors.refused[before:] == []
    return found


def test_the_client_does_all_its_work(doors: Doors, made: dict[str, str]) -> None:
    assert made["run"]
    unproven = {(call.method, call.path) for call in CALLS} - doors.calls
    assert unproven <= {("GET", "/api/3.0/mlflow/server-info")}, "that one is asked when a workspace is named"


def test_what_was_destroyed_is_written_down(doors: Doors, made: dict[str, str]) -> None:
    told = [f"{entry['method']} {entry['about']}" for entry in doors.written.done]
    assert any(f"run_id={made['run']}" in entry for entry in told)
    assert any("name=third" in entry for entry in told)


WORKSPACE = """
import json, os
from mlflow import MlflowClient
named = [e.name for e in MlflowClient().search_experiments()]
del os.environ["MLFLOW_WORKSPACE"], os.environ["MLFLOW_TRACKING_TOKEN"]
# Basic authentication, as clients do that know no token.
os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = "anyone", "twy_both"
print(json.dumps([named, [e.name for e in MlflowClient().search_experiments()]]))
"""


def test_a_member_names_another_project_or_goes_home(
    doors: Doors, made: dict[str, str], projects: tuple[ProjectName, ProjectName]
) -> None:
    own, _ = projects
    seen = python(WORKSPACE, doors, MLFLOW_TRACKING_TOKEN="twy_both", MLFLOW_WORKSPACE=own)
    assert json.loads(seen) == [["cards"], []]
    assert ("GET", "/api/3.0/mlflow/server-info") in doors.calls


def ask(
    doors: Doors, method: str, path: str, *, who: str = "twy_other", workspace: str | None = None, **options: Any
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {who}"} | ({"X-MLFLOW-WORKSPACE": workspace} if workspace else {})
    with httpx2.Client(timeout=30, trust_env=False) as client:
        return client.request(method, doors.url + path, headers=headers, **options)


def test_no_id_of_one_project_is_good_in_another(
    doors: Doors, made: dict[str, str], projects: tuple[ProjectName, ProjectName]
) -> None:
    own, _ = projects
    run, model, experiment = made["run"], made["model"], made["experiment"]
    v2, files = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
    stored = made["artifacts"].removeprefix("mlflow-artifacts:/")
    looks: list[tuple[str, dict[str, str]]] = [
        (f"{v2}/runs/get", {"run_id": run}),
        (f"{v2}/experiments/get", {"experiment_id": experiment}),
        (f"{v2}/experiments/get-by-name", {"experiment_name": "cards"}),
        (f"{v2}/metrics/get-history", {"run_id": run, "metric_key": "auc"}),
        (f"{v2}/metrics/get-history-bulk-interval", {"run_ids": run, "metric_key": "auc", "max_results": "5"}),
        (f"{v2}/artifacts/list", {"run_id": run}),
        (f"{v2}/logged-models/{model}", {}),
        (f"{v2}/logged-models/{model}/artifacts/directories", {}),
        (f"{v2}/registered-models/get", {"name": "reg"}),
        (f"{v2}/registered-models/alias", {"name": "reg", "alias": "champion"}),
        (f"{v2}/model-versions/get", {"name": "reg", "version": "1"}),
        (f"{v2}/model-versions/get-download-uri", {"name": "reg", "version": "1"}),
        (f"{files}/{stored}/notes/k.json", {}),
        (files, {"path": stored}),
        (f"{files}/workspaces/{own}/1", {}),
    ]
    for path, query in looks:
        answer = ask(doors, "GET", path, params=query)
        assert answer.status_code in (400, 404), (path, answer.status_code, answer.text)
        assert "hello" not in answer.text
    changes: list[tuple[str, str, dict[str, object]]] = [
        ("POST", f"{v2}/runs/set-tag", {"run_id": run, "key": "a", "value": "b"}),
        ("POST", f"{v2}/runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": 1}),
        ("POST", f"{v2}/runs/log-batch", {"run_id": run, "metrics": [], "tags": [{"key": "a", "value": "b"}]}),
        ("POST", f"{v2}/runs/delete", {"run_id": run}),
        ("POST", f"{v2}/runs/create", {"experiment_id": experiment}),
        ("POST", f"{v2}/experiments/delete", {"experiment_id": experiment}),
        ("POST", f"{v2}/logged-models", {"experiment_id": experiment, "name": "x"}),
        ("DELETE", f"{v2}/logged-models/{model}", {}),
        ("DELETE", f"{v2}/registered-models/delete", {"name": "reg"}),
        ("DELETE", f"{v2}/model-versions/delete", {"name": "reg", "version": "1"}),
        ("POST", f"{v2}/model-versions/create", {"name": "mine", "source": f"models:/{model}", "model_id": model}),
        ("POST", f"{v2}/model-versions/create", {"name": "mine", "source": f"runs:/{run}/notes", "run_id": run}),
        ("POST", f"{v2}/model-versions/create", {"name": "mine", "source": made["artifacts"], "run_id": run}),
        ("POST", f"{v2}/experiments/create", {"name": "x", "artifact_location": made["artifacts"]}),
    ]
    assert ask(doors, "POST", f"{v2}/registered-models/create", json={"name": "mine"}).status_code == 200
    for method, path, body in changes:
        answer = ask(doors, method, path, json=body)
        assert answer.status_code in (400, 404), (path, body, answer.status_code, answer.text)
    for method in ("PUT", "DELETE"):
        answer = ask(doors, method, f"{files}/{stored}/notes/k.json", content=b"x")
        assert answer.status_code == 404
    for path, searched in (("/runs/search", "runs"), ("/logged-models/search", "models")):
        found = ask(doors, "POST", v2 + path, json={"experiment_ids": [experiment]})
        assert found.json().get(searched, []) == []
    assert ask(doors, "GET", f"{v2}/runs/get", who="twy_own", params={"run_id": run}).status_code == 200


def test_a_project_of_others_does_not_exist(doors: Doors, projects: tuple[ProjectName, ProjectName]) -> None:
    own, _ = projects
    path = "/api/2.0/mlflow/experiments/search?max_results=5"
    for token, workspace in (("twy_other", own), ("twy_other", "no-such"), ("twy_admin", "default")):
        answer = ask(doors, "GET", path, who=token, workspace=workspace)
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert ask(doors, "GET", path, who="twy_wrong").status_code == 401


def test_files_come_as_attachments_and_no_larger_than_allowed(doors: Doors, made: dict[str, str]) -> None:
    folder = "/api/2.0/mlflow-artifacts/artifacts/" + made["artifacts"].removeprefix("mlflow-artifacts:/")
    page = b"<script>alert(1)</script>"
    assert ask(doors, "PUT", f"{folder}/page.html", who="twy_own", content=page).status_code == 200
    answer = ask(doors, "GET", f"{folder}/page.html", who="twy_own")
    assert answer.content == page
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"

    large = b"x" * ((4 << 20) + 1)
    assert ask(doors, "PUT", f"{folder}/large", who="twy_own", content=large).status_code == 413
    chunks = (large[at : at + 65536] for at in range(0, len(large), 65536))
    assert ask(doors, "PUT", f"{folder}/large", who="twy_own", content=chunks).status_code == 413
    listed = ask(doors, "GET", f"/api/2.0/mlflow/artifacts/list?run_id={made['run']}", who="twy_own").json()
    names = [file["path"] for file in listed["files"]]
    assert "page.html" in names
    assert "large" not in names


def test_half_a_file_is_none(doors: Doors, made: dict[str, str]) -> None:
    stored = made["artifacts"].removeprefix("mlflow-artifacts:/")
    where = urlsplit(doors.url)
    with socket.create_connection((str(where.hostname), int(where.port or 0))) as connection:
        connection.sendall(
            f"PUT /mlflow/api/2.0/mlflow-artifacts/artifacts/{stored}/half HTTP/1.1\r\nHost: x\r\n"
            "Authorization: Bearer twy_own\r\nContent-Length: 100000\r\n\r\n".encode()
            + b"x" * 1000
        )
    listed = ask(doors, "GET", f"/api/2.0/mlflow/artifacts/list?run_id={made['run']}", who="twy_own").json()
    assert "half" not in [file["path"] for file in listed["files"]]
