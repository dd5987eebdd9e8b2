"""MLflow as a child: on its socket only, private, and back after a kill."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from taxiway.domain.ids import ProjectName
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.tracking import MLflowTracking
from taxiway.stub import children
from tests.integration.registry.conftest import RunningMLflow, wait_until_ready

pytestmark = pytest.mark.integration


def pids_of(child: Path) -> set[int]:
    status = children.status(child)
    assert status is not None
    assert status.child_pid is not None
    found, waiting = set(), [status.child_pid]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found


def test_listens_on_no_port(mlflow: RunningMLflow) -> None:
    sockets = set()
    for pid in pids_of(mlflow.child):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(str(fd.readlink()))
            except OSError:
                continue
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                assert f"socket:[{fields[9]}]" not in sockets, "MLflow listens on a TCP port"


def test_no_secret_in_the_command_line_and_files_are_private(mlflow: RunningMLflow) -> None:
    for pid in pids_of(mlflow.child):
        assert b"sqlite" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    for path in [mlflow.files, *mlflow.files.rglob("*")]:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


async def test_comes_back_after_a_kill(mlflow: RunningMLflow, connection: MLflowConnection) -> None:
    tracking = MLflowTracking(connection)
    name = ProjectName("before-the-kill")
    await tracking.ensure_workspace(name)
    status = children.status(mlflow.child)
    assert status is not None
    assert status.child_pid is not None

    os.kill(status.child_pid, signal.SIGKILL)
    seconds = wait_until_ready(mlflow.child, not_pid=status.child_pid)

    await tracking.ensure_workspace(name)
    assert (await tracking.experiments(name, name_contains=None, limit=10, cursor=None)).items == ()
    # The promise is ten seconds on a machine of its own; here others may be at work.
    assert seconds < 60
    print(f"first start {mlflow.seconds:.1f} s, after a kill {seconds:.1f} s")
