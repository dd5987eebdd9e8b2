"""Trained models, and both servers that serve all of them: made once for all tests here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import taxiway_scoring

HERE = Path(__file__).parent
QUIET = {"PATH": os.environ["PATH"], "HOME": "/tmp", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="tw-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def models(workshop: Path) -> Path:
    """A directory with a folder for each model."""
    home = workshop / "models"
    program = [sys.executable, "-W", "ignore", str(HERE / "models.py"), str(home)]
    done = subprocess.run(program, cwd=workshop, env=QUIET, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return home


@pytest.fixture(scope="session")
def servers(workshop: Path, models: Path) -> Iterator[dict[str, Path]]:
    """``mlflow`` and ``ours``: for each a directory with a socket for each model."""
    running, sockets = [], {}
    for which in ("mlflow", "ours"):
        sockets[which] = workshop / which
        sockets[which].mkdir()
        program = [sys.executable, "-W", "ignore", str(HERE / "servers.py"), which, str(models), str(sockets[which])]
        running.append(
            subprocess.Popen(
                program, cwd=workshop, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        )
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield sockets
    finally:
        for process in running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="session")
def program(workshop: Path) -> Path:
    """The scoring server as it is laid out for pods."""
    home = workshop / "scoring"
    home.mkdir()
    (home / "taxiway_scoring").symlink_to(Path(taxiway_scoring.__file__).parent)
    (home / "__main__.py").write_text("from taxiway_scoring.__main__ import main\n\nmain()\n")
    return home
