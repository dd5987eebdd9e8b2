"""To zero and from zero under load: nobody is refused, and the first answer comes soon."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from taxiway.client import Client
from taxiway.wire.production import PolicyIn
from tests.faults.load import Outcome
from tests.journeys.test_object_store import kill_control
from tests.journeys.test_rollouts import calls, convert, markers_of, promotion, wait
from tests.platforms import Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(5000),
    pytest.mark.usefixtures("clears_production"),
]

CYCLES = int(os.environ.get("TAXIWAY_TEST_CYCLES", "2"))
"""Fifty in the long run: `make cycles`."""
NAME = "planted-acme"
POLICY = PolicyIn(metric="concurrency", target=5, over_seconds=4, down_window_seconds=4, idle_seconds=10)
LEAST = {"min_pods": 0, "max_pods": 1, "autoscaling": POLICY, "cpus": "1"}
RECORDS = {"dataframe_records": [{"amount": 3.0, "hour": 3}]}


def test_the_last_pod_goes_and_comes_back_and_no_request_fails(platform: Platform) -> None:
    version = convert(platform, "good")
    with platform.client() as client, httpx2.Client(timeout=60) as caller:
        client.promote(promotion(version).model_copy(update=LEAST))
        seen = wait(client)
        token = client.issue_production_token(NAME, caller="till").token
        first: list[float] = []
        outcomes: list[Outcome] = []
        for _ in range(CYCLES):
            idle = wait(client, "Idle", pods=0)
            assert idle.pods_wanted == 0
            assert caller.post(f"{seen.url}/invocations", json=RECORDS).status_code == 401
            assert client.production_deployment(NAME).status == "Idle", "a stranger wakes nothing"
            with calls(seen, token, rate=20) as report:
                wait(client, pods=1)
                time.sleep(1)
            outcomes += report.outcomes
            first.append(min(report.outcomes, key=lambda outcome: outcome.due).seconds)
        print(f"{len(outcomes)} requests over {CYCLES} cycles; ", end="")
        print(f"first answers after {sorted(first)[len(first) // 2]:.1f} s, at most {max(first):.1f} s")
        assert outcomes
        assert {outcome.status for outcome in outcomes} == {200}
        told = [marker["message"] for marker in markers_of(client)]
        assert any("1 -> 0: no request for 10 s" in message for message in told)
        assert any("0 -> 1: a request waits" in message for message in told)


def test_pods_come_and_go_with_the_load_and_no_request_fails(platform: Platform) -> None:
    version = convert(platform, "good")
    policy = PolicyIn(metric="requests", target=11, over_seconds=4, up_window_seconds=0, down_window_seconds=4)
    bounds = {"min_pods": 1, "max_pods": 4, "autoscaling": policy, "cpus": "0.3"}
    with platform.client() as client:
        client.promote(promotion(version).model_copy(update=bounds))
        seen = wait(client)
        token = client.issue_production_token(NAME, caller="till").token
        took: list[float] = []
        with calls(seen, token, rate=5) as few:
            for _ in range(CYCLES):
                wait(client, pods=1)
                with calls(seen, token, rate=35) as many:
                    took.append(seconds_until_serving(client, pods=4))
                few.outcomes.extend(many.outcomes)
        print(
            f"{len(few.outcomes)} requests over {CYCLES} cycles, {few.describe()}; from the decision to four pods: ",
            end="",
        )
        print(f"{sorted(took)[len(took) // 2]:.1f} s, at most {max(took):.1f} s")
        assert few.outcomes
        assert few.failed == [], few.describe()
        asked = ("--recorded", "--minutes", "10", "--service-ms", "5", "--json")
        told = json.loads(platform.command("production", "simulate", NAME, *asked).stdout)
        assert told["truth"]["most_pods"] in (3, 4), "the most of any ten seconds, on average"
        # What came in the last ten seconds may not be written down yet.
        assert 0.5 * len(few.outcomes) < told["truth"]["requests"] <= len(few.outcomes)
        assert told["requests"] == pytest.approx(told["truth"]["requests"], rel=0.3)


def seconds_until_serving(client: Client, *, pods: int) -> float:
    """Wait until so many pods are wanted, then until they are ready; return how long the second took."""
    until, decided_at = time.monotonic() + 60, None
    while True:
        seen = client.production_deployment(NAME)
        if decided_at is None and seen.pods_wanted == pods:
            decided_at = time.monotonic()
        if decided_at is not None and seen.pods_ready == pods:
            return time.monotonic() - decided_at
        assert time.monotonic() < until, seen.message
        time.sleep(0.05)


def test_a_control_plane_that_is_killed_while_a_request_waits_loses_none(platform: Platform) -> None:
    version = convert(platform, "good")
    with platform.client() as client, httpx2.Client(timeout=70) as caller, ThreadPoolExecutor(5) as threads:
        client.promote(promotion(version).model_copy(update=LEAST))
        seen = wait(client)
        token = client.issue_production_token(NAME, caller="till").token
        wait(client, "Idle", pods=0)

        def ask() -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return caller.post(f"{seen.url}/invocations", json=RECORDS, headers=headers).status_code

        waiting = [threads.submit(ask) for _ in range(5)]
        time.sleep(0.7)
        kill_control(platform)
        assert {future.result() for future in waiting} == {200}
        assert wait(client, pods=1).pods_wanted == 1
        pods = [pod for pod in client.production_pods(NAME).items if pod.phase is not None]
        assert [str(pod.phase) for pod in pods] == ["Ready"], "no pod was lost, and none is there twice"
        wait(client, "Idle", pods=0)
