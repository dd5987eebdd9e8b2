"""What MLflow's stub is told."""

from __future__ import annotations

import stat
from pathlib import Path

from taxiway.registry.child import HOST, mlflow_child
from taxiway.stub.children import ChildSpec, Restart

SECRET = "postgresql://user:S3CR3T@db.example/mlflow"


def child(directory: Path, *, database_url: str = "", workers: int = 1) -> ChildSpec:
    return mlflow_child(directory / "m", directory / "s", database_url=database_url, workers=workers)


def test_a_password_is_in_no_command_line(tmp_path: Path) -> None:
    spec = child(tmp_path, database_url=SECRET, workers=3)
    assert "S3CR3T" not in " ".join(spec.argv)
    assert spec.argv[-1] == "3"
    assert spec.env["_MLFLOW_SERVER_FILE_STORE"] == SECRET.replace("postgresql", "postgresql+psycopg")
    assert spec.env["_MLFLOW_SERVER_REGISTRY_STORE"] == spec.env["_MLFLOW_SERVER_FILE_STORE"]


def test_without_a_database_sqlite_is_used(tmp_path: Path) -> None:
    assert child(tmp_path).env["_MLFLOW_SERVER_FILE_STORE"] == f"sqlite:///{tmp_path / 'm' / 'mlflow.db'}"


def test_nothing_of_the_users_environment_and_nothing_unneeded(tmp_path: Path) -> None:
    spec = child(tmp_path)
    assert spec.env["HOME"] == str(tmp_path / "m")
    assert spec.env["MLFLOW_SERVER_ALLOWED_HOSTS"] == HOST
    for off in ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS"):
        assert spec.env[off] == "false"
    assert spec.env["MLFLOW_ENABLE_WORKSPACES"] == "true"
    assert spec.env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not {"HTTP_PROXY", "HTTPS_PROXY", "AWS_ACCESS_KEY_ID", "PYTHONPATH"} & set(spec.env)


def test_it_always_comes_back_and_its_directories_are_private(tmp_path: Path) -> None:
    spec = child(tmp_path)
    assert spec.restart is Restart.ALWAYS
    assert spec.backoff.maximum.total_seconds() <= 5
    assert spec.umask == 0o077
    assert spec.probe is not None
    assert spec.probe.socket == tmp_path / "s"
    for name in ("", "tmp", "artifacts"):
        assert stat.S_IMODE((tmp_path / "m" / name).stat().st_mode) == 0o700
    assert Path(spec.env["TMPDIR"]) == tmp_path / "m" / "tmp"
