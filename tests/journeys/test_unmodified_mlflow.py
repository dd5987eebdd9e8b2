"""Unmodified MLflow code logs against Taxiway, converts, and predicts what MLflow itself predicts."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.journeys import training
from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(600)]

NUMBERS: dict[str, object] = {"dataframe_records": [{"a": 0.5, "b": -1.0, "c": 0.1, "d": 2.0, "e": 0.0}]}
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "autolog": (training.AUTOLOG, NUMBERS),
    "lightgbm": (training.LIGHTGBM, NUMBERS),
    "xgboost": (training.XGBOOST, NUMBERS),
    "pyfunc-with-code": (
        training.PYFUNC_WITH_CODE,
        {"dataframe_split": {"columns": ["amount"], "data": [[10.0], [300.0]]}, "params": {"floor": 200.0}},
    ),
    "type-hints": (training.TYPE_HINTS, {"inputs": [{"amount": 2.25, "country": "FR"}]}),
}

AS_MLFLOW_DOES = """
import json, sys, mlflow.pyfunc
from mlflow.pyfunc import scoring_server
run_id, name, body = sys.argv[1:]
import mlflow
client = mlflow.MlflowClient()
experiment = client.get_run(run_id).info.experiment_id
[logged] = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list")
model = mlflow.pyfunc.load_model(logged.model_uri)
answer = scoring_server.invocations(body, "application/json", model, model.metadata.get_input_schema())
print(answer.response)
"""


@pytest.mark.parametrize("name", CASES)
def test_predicts_as_mlflow_does(platform: Platform, name: str) -> None:
    """The endpoint's predictions are those of MLflow's own scoring code, run in the data scientist's Python."""
    code, body = CASES[name]
    run_id = platform.python(code).splitlines()[-1]

    made = platform.convert(run_id, name, needs_token=False)

    assert made.status == "ON", f"{made.reason}: {made.message}"
    answer = httpx2.post(f"{made.url}/invocations", json=body)
    assert answer.status_code == 200, answer.text
    expected = platform.python(AS_MLFLOW_DOES, run_id, name, json.dumps(body)).splitlines()[-1]
    assert json.loads(answer.content) == json.loads(expected)
