"""Unmodified MLflow code logs against Taxiway, converts, and predicts what MLflow itself predicts."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.journeys import training
from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(600)]

JSON, CSV = "application/json", "text/csv"
Request = tuple[str, str]


def as_json(body: object) -> Request:
    return JSON, json.dumps(body)


NUMBERS = (
    as_json({"dataframe_records": [{"a": 0.5, "b": -1.0, "c": 0.1, "d": 2.0, "e": 0.0}]}),
    as_json({"dataframe_split": {"columns": list("abcde"), "data": [[0.5, -1.0, 0.1, 2.0, 0.0], [1, 2, 3, 4, 5]]}}),
    as_json({"instances": [{"a": 0.5, "b": 1e30, "c": -0.0, "d": 2.0, "e": 7.25}]}),
    as_json({"inputs": {"a": [0.5], "b": [-1.0], "c": [0.1], "d": [2.0], "e": [0.0]}}),
    (CSV, "a,b,c,d,e\n0.5,-1.0,0.1,2.0,0.0\n-3,4,0.25,1e-9,8\n"),
)
AMOUNTS = {"columns": ["amount"], "data": [[10.0], [150.0], [300.0]]}
CASES: dict[str, tuple[str, tuple[Request, ...]]] = {
    "autolog": (training.AUTOLOG, NUMBERS),
    "lightgbm": (training.LIGHTGBM, NUMBERS),
    "xgboost": (training.XGBOOST, NUMBERS),
    "pyfunc-with-code": (
        training.PYFUNC_WITH_CODE,
        (
            as_json({"dataframe_split": AMOUNTS, "params": {"floor": 200.0}}),
            as_json({"dataframe_split": AMOUNTS}),
            (CSV, "amount\n10.0\n300.0\n"),
        ),
    ),
    "type-hints": (training.TYPE_HINTS, (as_json({"inputs": [{"amount": 2.25, "country": "FR"}]}),)),
}

AS_MLFLOW_DOES = """
import json, sys, mlflow, mlflow.pyfunc
from mlflow.pyfunc import scoring_server
run_id, requests = sys.argv[1:]
client = mlflow.MlflowClient()
experiment = client.get_run(run_id).info.experiment_id
[logged] = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list")
model = mlflow.pyfunc.load_model(logged.model_uri)
schema = model.metadata.get_input_schema()
print(json.dumps([
    scoring_server.invocations(body, kind, model, schema).response for kind, body in json.loads(requests)
]))
"""


@pytest.mark.parametrize("name", CASES)
def test_predicts_as_mlflow_does(platform: Platform, name: str) -> None:
    """The endpoint's predictions are those of MLflow's own scoring code, run in the data scientist's Python."""
    code, requests = CASES[name]
    run_id = platform.python(code).splitlines()[-1]

    made = platform.convert(run_id, name, needs_token=False)

    assert made.status == "ON", f"{made.reason}: {made.message}"
    expected = json.loads(platform.python(AS_MLFLOW_DOES, run_id, json.dumps(requests)).splitlines()[-1])
    for (kind, body), wanted in zip(requests, expected, strict=True):
        answer = httpx2.post(f"{made.url}/invocations", content=body, headers={"Content-Type": kind}, trust_env=False)
        assert answer.status_code == 200, f"{kind} {body}: {answer.text}"
        assert json.loads(answer.content) == json.loads(wanted), f"{kind} {body}"
