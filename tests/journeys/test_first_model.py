"""A data scientist logs a model with MLflow, converts the run, and calls the endpoint."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.journeys.training import SKLEARN
from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(400)]

ROWS = {
    "dataframe_split": {
        "columns": ["amount", "hour", "country"],
        "data": [[250.0, 3, "DE"], [10.0, 12, "FR"]],
    }
}


def test_log_convert_call(platform: Platform) -> None:
    """From ``log_model`` to a prediction over HTTP, with an access token."""
    run_id = platform.python(SKLEARN)

    made = platform.convert(run_id, "first", cpus="2")

    assert made.status == "ON", f"{made.reason}: {made.message}"
    assert made.url == f"{platform.url}/staging/fraud/first/{made.version}"
    assert [phase.name for phase in made.phases] == [
        "queued", "snapshot", "environment", "proof", "pod", "loaded", "example", "route",
    ]  # fmt: skip
    proven = next(phase.detail for phase in made.phases if phase.name == "proof")
    assert proven.startswith("plan: "), proven
    assert proven.endswith(" rows"), proven
    refused = httpx2.post(f"{made.url}/invocations", json=ROWS)
    assert refused.status_code == 401
    with platform.client() as client:
        issued = client.issue_token("first", made.version, caller="till 7")
    headers = {"Authorization": f"Bearer {issued.token}"}
    answer = httpx2.post(f"{made.url}/invocations", json=ROWS, headers=headers)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.content) == {"predictions": [1, 0]}
    metrics = httpx2.get(f"{made.url}/metrics", headers=headers).text
    assert "taxiway_pod_workers 2" in metrics, "a worker for each CPU"
