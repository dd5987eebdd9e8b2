"""One real MLflow for all tests here, started as the platform starts it; each test has a project of its own."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.ids import ProjectName
from taxiway.registry.child import mlflow_child
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.tracking import MLflowTracking
from taxiway.stub import children

START_SECONDS = 120
_numbers = itertools.count(1)


@dataclass(frozen=True)
class RunningMLflow:
    """An MLflow child, where its files are and how long it took to start."""

    home: Path
    seconds: float

    @property
    def child(self) -> Path:
        return self.home / "child"

    @property
    def socket(self) -> Path:
        return self.home / "s"

    @property
    def files(self) -> Path:
        return self.home / "mlflow"


def wait_until_ready(child: Path, *, not_pid: int | None = None) -> float:
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        seen = children.status(child)
        if seen is not None and seen.phase is children.ChildPhase.READY and seen.child_pid != not_pid:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"MLflow did not start: {children.tail_log(child).lines}")


@pytest.fixture(scope="session")
def mlflow() -> Iterator[RunningMLflow]:
    home = Path(tempfile.mkdtemp(prefix="twm-"))
    running = RunningMLflow(home=home, seconds=0.0)
    children.start(running.child, mlflow_child(running.files, running.socket, database_url="", workers=1))
    try:
        yield RunningMLflow(home=home, seconds=wait_until_ready(running.child))
    finally:
        asyncio.run(children.stop(running.child, timeout=timedelta(seconds=15)))
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def connection(mlflow: RunningMLflow) -> AsyncIterator[MLflowConnection]:
    # A busy test machine may need longer than the two seconds that the platform waits.
    connected = MLflowConnection.over(mlflow.socket, patience=timedelta(seconds=20))
    yield connected
    await connected.close()


@pytest.fixture
async def project(connection: MLflowConnection) -> ProjectName:
    return await a_project(connection)


async def a_project(connection: MLflowConnection) -> ProjectName:
    name = ProjectName(f"p{next(_numbers)}-{secrets.token_hex(3)}")
    await MLflowTracking(connection).ensure_workspace(name)
    return name
