"""MLflow as a child: what its stub must know. Values only; whoever keeps the engines starts it."""

from __future__ import annotations

import site
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from taxiway.stub.children import Backoff, ChildSpec, Probe, ReadyWhen, Restart

HOST = "mlflow.internal"
"""The one Host that MLflow answers to. No browser can be made to send it to a Unix socket."""


def mlflow_child(directory: Path, socket: Path, *, database_url: str, workers: int) -> ChildSpec:
    """Describe MLflow's server with its files in ``directory``; makes the directories that it must find.

    ``database_url`` is '' for SQLite in the directory, or ``postgresql://…``. It may hold a password, so it goes
    through the environment and never through the command line.
    """
    for needed in (directory, directory / "tmp", directory / "artifacts"):
        needed.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ChildSpec(
        argv=(sys.executable, "-P", "-m", "taxiway.registry.serve", str(socket), str(workers)),
        env=environment(directory, database_url=database_url),
        cwd=directory,
        restart=Restart.ALWAYS,
        backoff=Backoff(
            initial=timedelta(milliseconds=200), maximum=timedelta(seconds=5), healthy_after=timedelta(seconds=30)
        ),
        ready_when=ReadyWhen.PROBED,
        probe=Probe(
            socket=socket,
            path="/health",
            every=timedelta(seconds=2),
            timeout=timedelta(seconds=3),
            # One that hangs is started anew within ten seconds.
            unready_after=1,
            restart_after=2,
        ),
        # The first start makes some fifty tables, on a machine that may do much else at that moment.
        start_deadline=timedelta(seconds=180),
        stop_grace=timedelta(seconds=10),
        umask=0o077,
    )


def environment(directory: Path, *, database_url: str) -> Mapping[str, str]:
    """Return MLflow's whole environment: nothing of the user's, no way out, everything off that is not needed."""
    database = store_url(directory, database_url)
    return {
        "LANG": "C.UTF-8",
        "HOME": str(directory),
        # Where the venv's programs are, and no others: MLflow starts what it finds, docker for example.
        "PATH": str(Path(sys.executable).parent),
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONWARNINGS": "ignore",
        "TMPDIR": str(directory / "tmp"),
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": HOST,
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://{HOST}",
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # What `mlflow server` would tell its uvicorn (mlflow/server/constants.py).
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (directory / "artifacts").absolute().as_uri(),
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }


def store_url(directory: Path, database_url: str) -> str:
    """Return SQLAlchemy's URL of MLflow's database; PostgreSQL always with the driver that we install."""
    if not database_url:
        return f"sqlite:///{(directory / 'mlflow.db').absolute()}"
    scheme, separator, rest = database_url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else database_url
