"""What dies is started again, and predictions do not notice: nothing is faked, and the client never retries."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from taxiway.stub import children
from taxiway.wire.models import ModelVersionDetailOut
from tests.faults.broken_models import PyModel, log_model
from tests.faults.load import Target, open_loop
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timed, pytest.mark.timeout(600)]

RATE = 100.0
KILLS = int(os.environ.get("TAXIWAY_TEST_KILLS", "30"))
BODY = json.dumps({"dataframe_records": [{"amount": 1.0, "country": "DE"}]}).encode()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Platform, ModelVersionDetailOut, Target]]:
    """A platform of its own, since the control plane is left dead at times, with one model that is ON."""
    with a_platform() as platform:
        run_id = log_model(platform, PyModel())
        seen = platform.convert(run_id, "steady")
        assert seen.status == "ON", seen.message
        with platform.client() as client:
            token = client.issue_token("steady", 1, caller="load", days=1).token
        path = f"/staging/{platform.project}/steady/1/invocations"
        yield platform, seen, Target(port=platform.port, path=path, token=token, body=BODY)


def child_of(directory: Path) -> int:
    """Return the process that a stub keeps."""
    status = children.status(directory)
    assert status is not None
    assert status.child_pid is not None
    return status.child_pid


def stub_of(directory: Path) -> int:
    """Return the process of a stub."""
    status = children.status(directory)
    assert status is not None
    return status.stub_pid


def pod_directory(platform: Platform) -> Path:
    """Return the directory of the only pod."""
    (directory,) = (platform.data / "pods").iterdir()
    return directory


def api_is_back_after(platform: Platform, *, patience: float = 30.0) -> float:
    """Return the seconds until the control API answers."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        try:
            answer = httpx2.get(f"{platform.url}/api/v1/health", timeout=1, trust_env=False)
        except httpx2.TransportError:
            continue
        if answer.status_code == 200:
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError("the control API did not come back")


def test_control_plane_is_killed_under_load(served: tuple[Platform, ModelVersionDetailOut, Target]) -> None:
    """Killed at random times: no prediction fails, no pod is started anew, the API is back within 5 s."""
    platform, _, target = served
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    before = children.status(pod_directory(platform))
    assert before is not None
    waits = []
    with open_loop(target, rate=RATE) as report:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 1.5))
            os.kill(child_of(platform.data / "children" / "control"), signal.SIGKILL)
            waits.append(api_is_back_after(platform))
    after = children.status(pod_directory(platform))
    assert after is not None
    assert not report.failed, f"seed {seed}: {report.describe()}"
    assert len(report.outcomes) > KILLS * RATE / 4
    assert (after.stub_pid, after.child_pid, after.restarts) == (before.stub_pid, before.child_pid, before.restarts)
    assert max(waits) <= 5.0, f"seed {seed}: {[round(wait, 2) for wait in waits]}"


def test_mlflow_is_killed_under_load(served: tuple[Platform, ModelVersionDetailOut, Target]) -> None:
    """Predictions do not need MLflow; it comes back by itself."""
    platform, _, target = served
    with open_loop(target, rate=RATE) as report:
        os.kill(child_of(platform.data / "children" / "mlflow"), signal.SIGKILL)
        time.sleep(2.0)
    assert not report.failed, report.describe()
    platform.wait_for_tracking()


def test_gateway_is_killed(served: tuple[Platform, ModelVersionDetailOut, Target]) -> None:
    """Envoy is back within 2 s."""
    platform, _, target = served
    assert _gateway_outage(platform, target) <= 2.0


def test_only_pod_is_killed(served: tuple[Platform, ModelVersionDetailOut, Target]) -> None:
    """Requests meanwhile get 503 with Retry-After, at once; then the same pod answers again."""
    platform, _, target = served
    _kill_the_pod(platform, target)
    with platform.client() as client:
        client.wait("steady", 1, timeout_seconds=60, until=lambda seen: seen.status == "ON")


def test_with_the_control_plane_dead(served: tuple[Platform, ModelVersionDetailOut, Target]) -> None:
    """Envoy and the pod come back without it; it finds all as it was when it comes back itself."""
    platform, _, target = served
    os.kill(stub_of(platform.data / "children" / "control"), signal.SIGKILL)
    time.sleep(0.5)
    with pytest.raises(httpx2.HTTPStatusError):
        httpx2.get(f"{platform.url}/api/v1/health", timeout=2, trust_env=False).raise_for_status()
    assert _gateway_outage(platform, target) <= 2.0
    _kill_the_pod(platform, target)
    platform.up()
    pod = children.status(pod_directory(platform))
    assert pod is not None
    assert pod.restarts >= 1, "the pod that came back by itself was adopted, not replaced"
    with platform.client() as client:
        client.wait("steady", 1, timeout_seconds=60, until=lambda seen: seen.status == "ON")


def _gateway_outage(platform: Platform, target: Target) -> float:
    """Kill Envoy under load; return the longest time without an answer."""
    with open_loop(target, rate=RATE) as report:
        time.sleep(0.5)
        os.kill(child_of(platform.data / "children" / "envoy"), signal.SIGKILL)
        time.sleep(3.0)
    assert report.outcomes[-1].status == 200, report.describe()
    return report.seconds_without()


def _kill_the_pod(platform: Platform, target: Target) -> None:
    """Kill the scoring server under load and wait until it answers again."""
    directory = pod_directory(platform)
    with open_loop(target, rate=20.0) as report:
        time.sleep(0.3)
        os.kill(child_of(directory), signal.SIGKILL)
        deadline = time.monotonic() + 60.0
        time.sleep(0.5)
        while time.monotonic() < deadline:
            if report.outcomes and report.outcomes[-1].status == 200:
                break
            time.sleep(0.1)
    refused = [outcome for outcome in report.outcomes if outcome.status == 503]
    in_flight = [outcome for outcome in report.failed if outcome.status != 503]
    assert refused, report.describe()
    assert all(outcome.retry_after for outcome in refused)
    assert max(outcome.seconds for outcome in refused) < 2.0
    assert len(in_flight) <= 2, report.describe()
    assert report.outcomes[-1].status == 200, report.describe()
