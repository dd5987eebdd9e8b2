"""Is a caller that floods held to its quota, and are the others left alone?"""

from __future__ import annotations

import asyncio
import time

import pytest

from taxiway.domain.quotas import Quota
from tests.integration.gateway.gate import PREFIX, Scene, a_route

pytestmark = pytest.mark.integration


async def ask(scene: Scene, token: str | None = None) -> tuple[int, float, str | None]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    began = time.monotonic()
    answer = await scene.client.get(PREFIX, headers=headers)
    return answer.status_code, time.monotonic() - began, answer.headers.get("retry-after")


async def test_each_caller_has_a_quota_of_its_own(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod, needs_token=True, quota=Quota(per_second=1, burst=5)))
    greedy, modest = scene.gate.token(caller="greedy"), scene.gate.token(caller="modest", key="token2")
    flooded = await asyncio.gather(*(ask(scene, greedy) for _ in range(50)))
    statuses = [status for status, _, _ in flooded]
    assert 5 <= statuses.count(200) <= 7
    assert statuses.count(200) + statuses.count(429) == 50
    assert {retry for status, _, retry in flooded if status == 429} == {"1"}
    assert [(await ask(scene, modest))[0] for _ in range(5)] == [200] * 5
    assert len(pod.asked) == statuses.count(200) + 5, "what is refused reaches no pod"


async def test_a_quota_fills_again(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod(), quota=Quota(per_second=50, burst=1)))
    assert (await ask(scene))[0] == 200
    statuses = []
    until = time.monotonic() + 1
    while time.monotonic() < until:
        statuses.append((await ask(scene))[0])
    assert 20 <= statuses.count(200) <= 60


async def test_a_flood_of_ten_times_the_quota_reaches_no_pod(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod, needs_token=True, quota=Quota(per_second=20, burst=20)))
    greedy = scene.gate.token(caller="greedy")
    found = await asyncio.gather(*(ask(scene, greedy) for _ in range(200)))
    statuses = [status for status, _, _ in found]
    assert set(statuses) == {200, 429}
    assert len(pod.asked) == statuses.count(200)
    assert statuses.count(429) >= 100
