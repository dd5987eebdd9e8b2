"""A whole Taxiway for tests: brought up with its own command, used over HTTP, taken down and cleared away."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taxiway.client import Client
from taxiway.client.calls import plain
from taxiway.client.signing_in import sign_in
from taxiway.wire.models import ConversionIn, ModelVersionDetailOut

PASSWORD = "correct horse battery staple"
START_SECONDS = 120
SHARED_CACHE = Path(tempfile.gettempdir()) / f"taxiway-tests-cache-{os.getuid()}"
"""Packages that one test's platform downloaded and compiled are there for the next."""


def free_ports() -> int:
    """Return a port that is free and whose successor is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


@dataclass
class Platform:
    """One Taxiway on a port and a data directory of its own."""

    data: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    project: str = "fraud"
    token: str = ""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its commands get."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TAXIWAY_", "MLFLOW_"))},
            "TAXIWAY_DATA_DIR": str(self.data),
            "TAXIWAY_SERVER__PORT": str(self.port),
            "TAXIWAY_URL": self.url,
            "TAXIWAY_TOKEN": self.token,
            "TAXIWAY_PROJECT": self.project,
            "TAXIWAY_ENVIRONMENTS__CACHE_DIR": str(SHARED_CACHE),
            **self.settings,
        }

    @property
    def tracking_environment(self) -> dict[str, str]:
        """What a plain MLflow client needs."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TAXIWAY_", "MLFLOW_"))},
            "MLFLOW_TRACKING_URI": f"{self.url}/mlflow",
            "MLFLOW_TRACKING_TOKEN": self.token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }

    def command(self, *arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``taxiway …``."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("taxiway")), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"taxiway {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def up(self) -> None:
        """Bring it up."""
        password = self.data.parent / "password"
        password.write_text(PASSWORD)
        self.command("up", "--detach", "--admin-password-file", str(password))

    def down(self) -> None:
        """Take it down."""
        self.command("down", check=False)

    def prepare(self) -> None:
        """Sign in as the administrator and make the project."""
        self.token = sign_in(self.url, user="admin", password=PASSWORD, token_name="tests", days=1)
        with self.client() as client:
            client.send(plain("POST", "projects", body={"name": self.project}))
        self.token = sign_in(
            self.url, user="admin", password=PASSWORD, token_name="tests", days=1, project=self.project
        )

    def client(self) -> Client:
        """Open a client."""
        return Client(self.url, token=self.token, project=self.project)

    def python(self, code: str, *arguments: str, timeout: float = 300) -> str:
        """Run code as a data scientist would, with MLflow pointed here; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *arguments],
            # In this checkout MLflow would log the checkout's own uv.lock as the model's requirements.
            cwd=self.data.parent,
            env=self.tracking_environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"the training code failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def convert(self, run_id: str, model: str, *, wait: bool = True, **wanted: object) -> ModelVersionDetailOut:
        """Convert a run and wait until it is settled."""
        with self.client() as client:
            made = client.convert(run_id, ConversionIn.model_validate({"model": model, **wanted}))
            return client.wait(made.model, made.version, timeout_seconds=240) if wait else made

    def wait_for_tracking(self) -> None:
        """Wait until MLflow answers."""
        deadline = time.monotonic() + START_SECONDS
        with self.client() as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(Exception):
                    client.experiments()
                    return
                time.sleep(0.2)
        raise AssertionError("MLflow did not answer in time")


@contextlib.contextmanager
def a_platform(*, home: Path | None = None, **settings: str) -> Iterator[Platform]:
    """Bring a platform up in a temporary directory (below ``home``, where one is given), and clear it away."""
    directory = Path(tempfile.mkdtemp(prefix="twy-", dir=home))
    platform = Platform(data=directory / "data", port=free_ports(), settings=settings)
    try:
        platform.up()
        platform.prepare()
        platform.wait_for_tracking()
        yield platform
    finally:
        platform.down()
        shutil.rmtree(directory, ignore_errors=True)
