"""A model logged by MLflow 2, on pins of its time, converts like any other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx2
import pytest
from uv import find_uv_bin

from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(600)]

PINS = ("mlflow==2.9.2", "pandas==1.5.3", "numpy==1.26.4", "pydantic==1.10.17", "scikit-learn==1.3.2", "setuptools<70")
LOG = """
import mlflow, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

X = pd.DataFrame({"amount": [1.0, 2.0, 300.0, 400.0], "hour": [1, 2, 3, 4]})
y = [0, 0, 1, 1]
model = LogisticRegression().fit(X, y)
mlflow.set_experiment("of-its-time")
with mlflow.start_run() as run:
    mlflow.sklearn.log_model(
        model, "model", signature=infer_signature(X, model.predict(X)), input_example=X.head(2),
        pip_requirements=["pandas==1.5.3", "numpy==1.26.4", "pydantic==1.10.17", "scikit-learn==1.3.2", *WITH_MLFLOW],
    )
print(run.info.run_id)
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with MLflow 2 and what was current with it."""
    home = tmp_path_factory.mktemp("mlflow2")
    subprocess.run([find_uv_bin(), "venv", "--quiet", str(home / "venv")], check=True)
    python = home / "venv" / "bin" / "python"
    subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), *PINS], check=True)
    return python


@pytest.mark.parametrize("names_mlflow", [True, False], ids=["with-mlflow", "without-mlflow"])
def test_model_of_mlflow_2(platform: Platform, old_python: Path, *, names_mlflow: bool) -> None:
    """Pinned to pandas 1.5, numpy 1.26 and pydantic 1, with MLflow among its requirements and without."""
    code = f"WITH_MLFLOW = {['mlflow==2.9.2'] if names_mlflow else []}\n{LOG}"
    done = subprocess.run(
        [str(old_python), "-W", "ignore", "-c", code],
        cwd=old_python.parent,
        env=platform.tracking_environment | {"VIRTUAL_ENV": str(old_python.parents[1])} | _without_pythonpath(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    model = "old-with-mlflow" if names_mlflow else "old-without-mlflow"

    made = platform.convert(done.stdout.split()[-1], model, needs_token=False)

    assert made.status == "ON", f"{made.reason}: {made.message}"
    body = {"dataframe_records": [{"amount": 350.0, "hour": 2}, {"amount": 1.5, "hour": 2}]}
    answer = httpx2.post(f"{made.url}/invocations", json=body, trust_env=False)
    assert answer.json() == {"predictions": [1, 0]}, answer.text


def _without_pythonpath() -> dict[str, str]:
    return {"PYTHONPATH": "", "PATH": os.environ["PATH"]}
