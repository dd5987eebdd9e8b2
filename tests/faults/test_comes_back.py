"""What serves comes back by itself: after everything was killed at once, and after its files were deleted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest

from taxiway.client.calls import plain
from taxiway.environments import sealing
from taxiway.stub import children
from taxiway.wire.models import ModelVersionDetailOut
from tests.faults.broken_models import PyModel, log_model
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def served() -> Iterator[Platform]:
    """A platform of its own with one model that is ON and one that was switched OFF."""
    with a_platform() as platform:
        run_id = log_model(platform, PyModel())
        for model in ("steady", "resting"):
            seen = platform.convert(run_id, model)
            assert seen.status == "ON", seen.message
        with platform.client() as client:
            client.switch_off("resting", 1)
            assert client.wait("resting", 1, timeout_seconds=60).status == "OFF"
        yield platform


def kill_everything(platform: Platform) -> None:
    """Let nothing of the platform run any more, as when the power goes: stubs first, so that none restarts a child."""
    directories = [*(platform.data / "children").iterdir(), *(platform.data / "pods").iterdir()]
    found = [status for directory in directories if (status := children.status(directory)) is not None]
    for process in [*(status.stub_pid for status in found), *(status.child_pid for status in found)]:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def claim_to_be_somebody(platform: Platform, process: int) -> None:
    """Let every status file name a process that lives and is another, as after a reboot."""
    for path in [*platform.data.glob("children/*/status.json"), *platform.data.glob("pods/*/status.json")]:
        status = json.loads(path.read_bytes())
        status["stub"]["pid"] = process
        if status["child"]:
            status["child"]["pid"] = process
        path.write_text(json.dumps(status))


def is_on_again(platform: Platform, *, since: str) -> None:
    """It is ON without a click, with the revision that it had, and scores; what was OFF stays OFF."""
    with platform.client() as client:
        seen = client.wait(
            "steady",
            1,
            timeout_seconds=150,
            until=lambda seen: seen.status == "Failed" or (seen.status == "ON" and serves_since(seen, since)),
        )
        assert seen.status == "ON", f"{seen.reason}: {seen.message}"
        assert [revision.number for revision in seen.revisions] == [1], "nobody asked for another revision"
        assert client.model("resting", 1).status == "OFF"
        token = client.issue_token("steady", 1, caller="tests", days=1).token
    answer = httpx2.post(
        f"{platform.url}/staging/{platform.project}/steady/1/invocations",
        json={"dataframe_records": [{"amount": 1.0, "country": "DE"}]},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def serves_since(seen: ModelVersionDetailOut, since: str) -> bool:
    """Say whether all pods were started after that and are ready; one only just started may yet find no files."""
    pods = [pod for revision in seen.revisions for pod in revision.pods]
    return bool(pods) and all(pod.phase == "Ready" and str(pod.started_at) > since for pod in pods)


def test_everything_is_killed_at_once(served: Platform) -> None:
    """After the power went, status files are stale and name processes that are others now: ``up`` mends it all."""
    since = str(datetime.now(UTC))
    kill_everything(served)
    claim_to_be_somebody(served, os.getpid())
    served.up()
    is_on_again(served, since=since)


@pytest.mark.parametrize("lost", ["snapshots", "environments"])
def test_files_are_deleted_and_its_pod_dies(served: Platform, lost: str) -> None:
    """While it serves nothing happens; when its pod dies, what is gone is made again, and an event says why."""
    home = served.data / lost
    for path in home.iterdir():
        if not path.name.startswith("."):
            sealing.remove(path)
    since = str(datetime.now(UTC))
    (pod,) = (served.data / "pods").iterdir()
    status = children.status(pod)
    assert status is not None
    assert status.child_pid is not None
    os.kill(status.child_pid, signal.SIGKILL)
    is_on_again(served, since=since)
    with served.client() as client:
        deployment = client.model("steady", 1).deployment
        events = client.send(plain("GET", "events", subject_kind="deployment", subject=deployment, limit=1000))
    what = "snapshot" if lost == "snapshots" else "model environment"
    assert [e["became"] for e in events["items"] if e["reason"] == "FilesGone" and what in e["message"]] == [
        "Preparing"
    ]
