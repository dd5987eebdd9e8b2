"""The control plane is killed, stopped and started twice while pods are added and taken away: none twice, none lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.client import ApiError, Unreachable
from taxiway.stub import children
from taxiway.stub.children import ChildPhase
from taxiway.wire.production import PolicyIn, PromotionIn
from tests.faults.broken_models import PyModel, log_model
from tests.faults.load import Target, open_loop
from tests.platforms import Platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timeout(5000)]

KILLS = int(os.environ.get("TAXIWAY_TEST_SCALE_KILLS", "2"))
STOPPED_SECONDS = float(os.environ.get("TAXIWAY_TEST_STOPPED_SECONDS", "8"))
NAME = "scaled-acme"
POLICY = PolicyIn(metric="requests", target=11, over_seconds=4, down_window_seconds=4)
FEW, MANY = 5.0, 35.0
"""Requests a second that one pod, and with the few that four pods are asked for."""
PATIENCE = 90.0


@dataclass(frozen=True)
class Scene:
    """A deployment of one to four pods."""

    platform: Platform
    target: Target

    @property
    def control(self) -> Path:
        """The directory of the control plane's stub."""
        return self.platform.data / "children" / "control"

    def signal(self, number: int) -> None:
        """Send the control plane a signal."""
        status = children.status(self.control)
        if status is not None and status.child_pid is not None:
            os.kill(status.child_pid, number)

    def pods(self) -> list[str]:
        """Return the production deployment's pods that serve or will, as the host has them."""
        found = []
        for directory in (self.platform.data / "pods").iterdir():
            status = children.status(directory)
            if status is None or not status.is_alive or status.phase is ChildPhase.DRAINING:
                continue
            if status.labels["revision"] in self.revisions():
                found.append(directory.name)
        return found

    def revisions(self) -> set[str]:
        """Return the ids of the deployment's revisions."""
        with self.platform.client() as client:
            return {each.id for each in client.production_deployment(NAME).revisions}

    def wait(self, pods: int) -> None:
        """Wait until so many pods are ready by what the API says, and there are no others."""
        until, told = time.monotonic() + PATIENCE, ""
        while time.monotonic() < until:
            try:
                with self.platform.client() as client:
                    seen = client.production_deployment(NAME)
                there = self.pods()
            except (Unreachable, ApiError) as error:
                told = str(error)
            else:
                told = f"{seen.status}: {seen.pods_ready} of {seen.pods_wanted}, {len(there)} there"
                if seen.status == "ON" and seen.pods_ready == seen.pods_wanted == pods == len(there):
                    return
            time.sleep(0.2)
        raise AssertionError(f"not {pods} pods: {told}")


@pytest.fixture(scope="module")
def scene(platform: Platform) -> Iterator[Scene]:
    made = platform.convert(log_model(platform, PyModel()), "scaled")
    assert made.status == "ON", made.message
    with platform.client() as client:
        client.promote(
            PromotionIn(
                project="fraud", model="scaled", version=made.version, name=NAME, customer="Acme", reason="A trial.",
                cpus="0.3", min_pods=1, max_pods=4, autoscaling=POLICY,
            )
        )  # fmt: skip
        client.wait_production(NAME)
        token = client.issue_production_token(NAME, caller="till").token
    body = json.dumps({"dataframe_records": [{"amount": 1.0, "country": "DE"}]}).encode()
    path = f"/production/{NAME}/invocations"
    yield Scene(platform, Target(port=platform.port, path=path, token=token, body=body))
    with platform.client() as client:
        client.delete_production(NAME)
        client.delete("scaled", made.version)


def test_killed_while_it_scales(scene: Scene) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with open_loop(scene.target, rate=FEW) as report:
        for _ in range(KILLS):
            with open_loop(scene.target, rate=MANY) as many:
                time.sleep(chance.uniform(2, 8))
                scene.signal(signal.SIGKILL)
                scene.wait(4)
            report.outcomes.extend(many.outcomes)
            time.sleep(chance.uniform(2, 8))
            scene.signal(signal.SIGKILL)
            scene.wait(1)
    print(f"{len(report.outcomes)} requests, {report.describe()}")
    assert report.outcomes
    assert report.failed == [], f"seed {seed}: {report.describe()}"


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    scene.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.signal(signal.SIGCONT)


def test_stopped_while_it_scales_and_another_one_is_started_meanwhile(scene: Scene) -> None:
    before = scene.pods()
    there = {path.name for path in (scene.platform.data / "pods").iterdir()}
    with open_loop(scene.target, rate=FEW + MANY) as report:
        with stopped(scene):
            spec = json.loads((scene.control / "spec.json").read_text())
            other = subprocess.run(
                spec["argv"], env=spec["env"], cwd=spec["cwd"], capture_output=True, text=True, timeout=60, check=False
            )
            assert other.returncode != 0
            assert "Another control plane runs" in other.stdout + other.stderr
            time.sleep(STOPPED_SECONDS)
            assert {path.name for path in (scene.platform.data / "pods").iterdir()} == there
        scene.wait(4)
        assert set(before) <= set(scene.pods()), "what was there went on"
    scene.wait(1)
    print(f"{len(report.outcomes)} requests, {report.describe()}")
    assert report.failed == [], report.describe()
