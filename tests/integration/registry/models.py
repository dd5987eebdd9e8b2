"""Logged models for the tests, made over REST and with files written by hand: no training, no MLflow client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from taxiway.domain.ids import ProjectName
from taxiway.registry.connection import ARTIFACTS, WORKSPACE_HEADER, MLflowConnection

MLMODEL = """
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.7
  sklearn:
    pickled_model: model.pkl
mlflow_version: 2.9.2
saved_input_example_info:
  artifact_path: input_example.json
signature:
  inputs: '[{"name": "a", "type": "double"}, {"name": "b", "type": "long"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
"""
FILES: dict[str, bytes] = {
    "MLmodel": MLMODEL.encode(),
    "python_env.yaml": b"python: 3.10\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n",
    "conda.yaml": b"dependencies:\n- python=3.10\n- pip<=23\n- pip:\n  - mlflow==2.9.2\nname: mlflow-env\n",
    "requirements.txt": b"mlflow==2.9.2\nscikit-learn==1.3.2\n",
    "model.pkl": b"\x80\x04N." * 1000,
    "input_example.json": b"{}",
    "code/rules/__init__.py": b"",
}


async def make_run(connection: MLflowConnection, project: ProjectName, *, experiment: str = "cards") -> tuple[str, str]:
    """Return the ids of a new experiment and of a finished run in it."""
    made = await connection.send("POST", project, "/experiments/create", {"name": experiment})
    started = {"experiment_id": made["experiment_id"], "run_name": "one", "start_time": 1_700_000_000_000}
    run = (await connection.send("POST", project, "/runs/create", started))["run"]["info"]["run_id"]
    await connection.send("POST", project, "/runs/update", {"run_id": run, "status": "FINISHED"})
    return made["experiment_id"], run


async def put(connection: MLflowConnection, project: ProjectName, path: str, content: bytes) -> None:
    """Write a file into the artifact store."""
    answer = await connection.client.put(
        f"{ARTIFACTS}/{quote(path)}", content=content, headers={WORKSPACE_HEADER: project}
    )
    assert answer.status_code == 200, answer.text


async def log_folder(
    connection: MLflowConnection, project: ProjectName, run: str, folder: str, files: Mapping[str, bytes] = FILES
) -> None:
    """Log a model as MLflow 2 did: a folder of the run's artifacts, and a tag that tells its history."""
    info = (await connection.get(project, "/runs/get", {"run_id": run}))["run"]["info"]
    root = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for name, content in files.items():
        await put(connection, project, f"{root}/{folder}/{name}".replace("//", "/"), content)
    history = [{"run_id": run, "artifact_path": folder, "flavors": {"sklearn": {}, "python_function": {}}}]
    await connection.send(
        "POST", project, "/runs/set-tag",
        {"run_id": run, "key": "mlflow.log-model.history", "value": json.dumps(history)},
    )  # fmt: skip


async def log_model(
    connection: MLflowConnection,
    project: ProjectName,
    experiment: str,
    run: str,
    *,
    name: str = "model",
    status: str = "LOGGED_MODEL_READY",
    files: Mapping[str, bytes] = FILES,
) -> str:
    """Log a model as MLflow 3 does; returns its id."""
    wanted = {"experiment_id": experiment, "name": name, "source_run_id": run}
    info = (await connection.send("POST", project, "/logged-models", wanted))["model"]["info"]
    root = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for file, content in files.items():
        await put(connection, project, f"{root}/{file}", content)
    model = str(info["model_id"])
    await connection.send("PATCH", project, f"/logged-models/{model}", {"model_id": model, "status": status})
    return model
