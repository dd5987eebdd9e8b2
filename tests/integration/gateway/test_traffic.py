"""Does Envoy count what is asked of a revision, also what no pod answered?"""

from __future__ import annotations

import asyncio

import pytest

from taxiway.domain.ids import RevisionId
from taxiway.domain.measurements import quantile
from tests.integration.gateway.gate import PREFIX, Scene, a_route
from tests.integration.gateway.pods import Asked, Reply

pytestmark = pytest.mark.integration


async def test_requests_errors_and_latency_are_those_of_the_revision(scene: Scene) -> None:
    async def answer(asked: Asked) -> Reply:
        await asyncio.sleep(0.03)
        return Reply(status=500 if "bad" in asked.path else 400 if "odd" in asked.path else 200)

    pod, other = await scene.pod("p1", answer), await scene.pod("p2")
    await scene.publish(
        a_route(pod, revision="counted1"), a_route(other, prefix="/staging/other/x/1/", revision="counted2")
    )
    before = await scene.gateway.traffic()
    assert before is not None
    await asyncio.gather(*(scene.client.get(PREFIX + path) for path in ["ok"] * 20 + ["bad"] * 3 + ["odd"] * 2))

    # Envoy adds latencies up when it is asked, and tells them the next time.
    await scene.gateway.traffic()
    await asyncio.sleep(0.05)
    found = await scene.gateway.traffic()
    assert found is not None
    traffic = found[RevisionId("counted1")]
    assert (traffic.requests, traffic.server_errors, traffic.client_errors) == (25, 3, 2)
    assert sum(traffic.latencies) == 25
    assert traffic.milliseconds >= 25 * 29
    assert (quantile(traffic.latencies, 0.5) or 0) >= 20
    assert "control" not in found
    assert found.get(RevisionId("counted2")) is None or found[RevisionId("counted2")].requests == 0


async def test_what_is_being_answered_is_in_flight(scene: Scene) -> None:
    release = asyncio.Event()

    async def wait(_asked: Asked) -> Reply:
        await release.wait()
        return Reply()

    await scene.publish(a_route(await scene.pod("p1", wait), revision="waiting1"))
    asking = [asyncio.create_task(scene.client.get(PREFIX)) for _ in range(4)]
    async with asyncio.timeout(5):
        while True:
            found = await scene.gateway.traffic() or {}
            if RevisionId("waiting1") in found and found[RevisionId("waiting1")].in_flight == 4:
                break
            await asyncio.sleep(0.01)
    release.set()
    await asyncio.gather(*asking)


async def test_a_pod_that_is_gone_makes_errors_of_its_revision(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod, revision="gone1"))
    await pod.die(leaves_socket=False)
    assert (await scene.client.get(PREFIX)).status_code == 503
    found = await scene.gateway.traffic()
    assert found is not None
    assert found[RevisionId("gone1")].server_errors == 1
