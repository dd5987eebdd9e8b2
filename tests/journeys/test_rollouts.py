"""Under load: a revision with planted errors or latency is taken back; a good one, and more pods, nobody feels."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2
import pytest

from taxiway.client import Client
from taxiway.client.calls import plain
from taxiway.wire.production import (
    PolicyIn,
    ProductionConfigurationIn,
    ProductionDetailOut,
    PromotionIn,
    RolloutOut,
    StrategyIn,
)
from tests.faults.load import Report, Target, open_loop
from tests.journeys.training import PLANTED
from tests.platforms import Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(5000),
    pytest.mark.usefixtures("clears_production"),
]

NAME = "planted-acme"
STEPS = StrategyIn(steps=[20, 50], step_seconds=8, min_requests=20, max_error_rate_rise=0.02, max_latency_ratio=2.0)


@dataclass
class Load:
    """Callers that ask again and again, and what they were answered."""

    url: str
    token: str
    statuses: Counter[int] = field(default_factory=Counter)
    is_over: bool = False

    def ask(self, hour: int, pause: float) -> None:
        body = {"dataframe_records": [{"amount": 3.0, "hour": hour}]}
        with httpx2.Client(timeout=10) as client:
            while not self.is_over:
                answer = client.post(self.url, json=body, headers={"Authorization": f"Bearer {self.token}"})
                self.statuses[answer.status_code] += 1
                hour = (hour + 1) % 24
                time.sleep(pause)


@contextmanager
def load(seen: ProductionDetailOut, token: str, *, callers: int, pause: float) -> Iterator[Load]:
    running = Load(url=f"{seen.url}/invocations", token=token)
    threads = [threading.Thread(target=running.ask, args=(number, pause)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.is_over = True
        for thread in threads:
            thread.join()


def calls(seen: ProductionDetailOut, token: str, *, rate: float) -> AbstractContextManager[Report]:
    """Call so often a second, whatever becomes of those before."""
    assert seen.url is not None
    url = urlsplit(f"{seen.url}/invocations")
    assert url.port is not None
    body = json.dumps({"dataframe_records": [{"amount": 3.0, "hour": 3}]}).encode()
    return open_loop(Target(port=url.port, path=url.path, token=token, body=body), rate=rate)


def convert(platform: Platform, kind: str) -> int:
    made = platform.convert(platform.python(PLANTED, kind).splitlines()[-1], "planted")
    assert made.status == "ON", f"{made.reason}: {made.message}"
    return made.version


def promotion(version: int, *, rollout: StrategyIn | None = None) -> PromotionIn:
    return PromotionIn(
        project="fraud", model="planted", version=version, name=NAME, customer="Acme", reason="A trial.", cpus="0.4",
        rollout=rollout,
    )  # fmt: skip


def wait(
    client: Client, status: str = "ON", *, name: str = NAME, pods: int | None = None, within: float = 90
) -> ProductionDetailOut:
    until = time.monotonic() + within
    while True:
        seen = client.production_deployment(name)
        if seen.status == status and seen.observed_generation == seen.generation and pods in (None, seen.pods_ready):
            return seen
        assert time.monotonic() < until, f"{seen.status}: {seen.message}, {seen.pods_ready} pods"
        time.sleep(0.2)


def ended(client: Client) -> RolloutOut:
    until = time.monotonic() + 90
    while True:
        rollout = client.production_deployment(NAME).rollout
        if rollout is not None and not rollout.is_active:
            return rollout
        assert time.monotonic() < until, rollout
        time.sleep(0.2)


def test_what_is_worse_is_taken_back_and_what_is_good_is_not_felt(platform: Platform) -> None:
    good, faulty, slow = (convert(platform, kind) for kind in ("good", "faulty", "slow"))
    with platform.client() as client:
        client.promote(promotion(good))
        seen = wait(client)
        token = client.issue_production_token(NAME, caller="till").token

        with load(seen, token, callers=4, pause=0.05) as callers:
            time.sleep(3)
            client.promote(promotion(faulty, rollout=STEPS))
            rollout = ended(client)
            print(f"errors: {rollout.message}")
            assert (str(rollout.state), rollout.reason) == ("Aborted", "ErrorRateTooHigh")
            assert rollout.step == 1
            assert wait(client).version == good
            failed = callers.statuses[500]
            assert 0 < failed < 0.15 * sum(callers.statuses.values()), "only some of the fifth that it got"
            time.sleep(3)
            assert callers.statuses[500] == failed, "nobody feels it any more"

            client.promote(promotion(slow, rollout=STEPS))
            rollout = ended(client)
            print(f"latency: {rollout.message}")
            assert (str(rollout.state), rollout.reason) == ("Aborted", "LatencyTooHigh")
            assert wait(client).version == good

            before = callers.statuses[200]
            client.configure_production(NAME, ProductionConfigurationIn(cpus="0.5", rollout=STEPS))
            rollout = ended(client)
            print(f"good: {rollout.message}")
            assert str(rollout.state) == "Done"
            assert wait(client).resources.cpus == "0.5"
            assert callers.statuses[200] > before
        assert set(callers.statuses) == {200, 500}
        assert callers.statuses[500] == failed

        policy = PolicyIn(metric="concurrency", target=2, over_seconds=4, down_window_seconds=6)
        client.configure_production(NAME, ProductionConfigurationIn(min_pods=1, max_pods=2, autoscaling=policy))
        with load(seen, token, callers=8, pause=0.0) as many:
            began = time.monotonic()
            wait(client, pods=2)
            print(f"two pods after {time.monotonic() - began:.1f} s of load")
        wait(client, pods=1)
        with load(seen, token, callers=1, pause=0.05) as few:
            time.sleep(2)
        assert set(many.statuses) | set(few.statuses) == {200}
        markers = {marker["reason"]: marker["message"] for marker in markers_of(client)}
        assert "concurrency" in markers["ScaledUp"]
        assert "ScaledDown" in markers


def markers_of(client: Client) -> list[dict[str, str]]:
    found = client.send(plain("GET", "production", "deployments", NAME, "measurements"))
    markers: list[dict[str, str]] = found["markers"]
    return markers


CYCLES = int(os.environ.get("TAXIWAY_TEST_CYCLES", "2"))
"""Fifty in the long run: `make cycles`."""


def test_updates_promotions_and_rollbacks_are_not_felt(platform: Platform) -> None:
    versions = [convert(platform, "good"), convert(platform, "good")]
    with platform.client() as client:
        client.promote(promotion(versions[0]).model_copy(update={"name": "cycled"}))
        seen = wait(client, name="cycled")
        token = client.issue_production_token("cycled", caller="till").token
        took: list[float] = []
        with calls(seen, token, rate=50) as report:
            for cycle in range(CYCLES):
                client.configure_production("cycled", ProductionConfigurationIn(cpus=("0.5", "0.4")[cycle % 2]))
                wait(client, name="cycled")
                client.promote(promotion(versions[(cycle + 1) % 2]).model_copy(update={"name": "cycled"}))
                wait(client, name="cycled")
                began = time.monotonic()
                client.roll_back("cycled", reason="A trial.")
                wait(client, name="cycled")
                took.append(time.monotonic() - began)
        print(f"{len(report.outcomes)} requests over {CYCLES} cycles, {report.describe()}; ", end="")
        print(f"rolled back in {sorted(took)[len(took) // 2]:.1f} s, at most {max(took):.1f} s")
        assert report.outcomes
        assert report.failed == [], report.describe()
