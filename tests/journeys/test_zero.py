"""To zero and from zero under load: nobody is refused, and the first answer comes soon."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from taxiway.wire.production import PolicyIn
from tests.journeys.test_object_store import kill_control
from tests.journeys.test_rollouts import convert, markers_of, promotion, wait
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
        url, headers = f"{seen.url}/invocations", {"Authorization": f"Bearer {token}"}
        first: list[float] = []
        statuses: list[int] = []
        for _ in range(CYCLES):
            idle = wait(client, "Idle", pods=0)
            assert idle.pods_wanted == 0
            assert caller.post(url, json=RECORDS).status_code == 401
            assert client.production_deployment(NAME).status == "Idle", "a stranger wakes nothing"
            began = time.monotonic()
            statuses.append(caller.post(url, json=RECORDS, headers=headers).status_code)
            first.append(time.monotonic() - began)
            for _ in range(20):
                statuses.append(caller.post(url, json=RECORDS, headers=headers).status_code)
        print(f"{len(statuses)} requests over {CYCLES} cycles; ", end="")
        print(f"first answers after {sorted(first)[len(first) // 2]:.1f} s, at most {max(first):.1f} s")
        assert set(statuses) == {200}
        told = [marker["message"] for marker in markers_of(client)]
        assert any("1 -> 0: no request for 10 s" in message for message in told)
        assert any("0 -> 1: a request waits" in message for message in told)


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
