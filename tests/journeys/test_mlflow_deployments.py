"""MLflow's own command and client deploy to Taxiway and predict there, by the plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.journeys.training import SKLEARN
from tests.platforms import Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("clears_production"),
]


def mlflow(platform: Platform, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``mlflow deployments …`` as somebody would who has set what the plugin's help says."""
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "deployments", words[0], "-t", f"taxiway:{platform.url}", *words[1:]],
        env=platform.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"} | more,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_from_a_run_to_production_with_mlflows_command(platform: Platform) -> None:
    run_id = platform.python(SKLEARN).splitlines()[-1]
    with platform.client() as client:
        logged = client.logged_models(run_id).items[0].name

    made = mlflow(platform, "create", "--name", "plugged", "-m", f"runs:/{run_id}/{logged}", "-C", "cpu=0.5")
    assert made.returncode == 0, made.stderr
    promoted = mlflow(
        platform, "create", "--name", "plugged-acme", "-m", "models:/plugged/1",
        "-C", "customer=Acme", "-C", "cpus=0.5", "-C", "memory=512Mi",
    )  # fmt: skip
    assert promoted.returncode == 0, promoted.stderr
    listed = mlflow(platform, "list")
    assert "plugged/1" in listed.stdout
    assert "plugged-acme" in listed.stdout

    with platform.client() as client:
        assert client.production_deployment("plugged-acme").resources.cpus == "0.5"
        access = client.issue_production_token("plugged-acme", caller="mlflow").token
    rows = [{"amount": 12.5, "hour": 3, "country": "DE"}, {"amount": 300.0, "hour": 12, "country": "FR"}]
    code = (
        "import json, os, sys, pandas as pd; from mlflow.deployments import get_deploy_client; "
        f"c = get_deploy_client('taxiway:{platform.url}'); "
        f"print(c.predict('plugged-acme', pd.DataFrame(json.loads({json.dumps(rows)!r}))).to_json())"
    )
    asked = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TAXIWAY_ACCESS_TOKEN": access},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert len(json.loads(asked.stdout.splitlines()[-1])["predictions"]) == len(rows)

    changed = mlflow(platform, "update", "--name", "plugged-acme", "-C", "max_pods=2")
    assert changed.returncode == 0, changed.stderr
    refused = mlflow(platform, "create", "--name", "another", "-m", "models:/plugged/1")
    assert refused.returncode != 0
    assert "customer" in refused.stderr.lower()
    for _twice in range(2):
        assert mlflow(platform, "delete", "--name", "plugged-acme").returncode == 0
