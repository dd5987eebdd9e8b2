"""Does the gateway hold requests of a deployment without a pod, within bounds, and let them go once there is one?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
import uvicorn

from taxiway.domain.ids import DeploymentId
from taxiway.domain.quotas import Quota
from taxiway.domain.routing import EndpointRoute, RoutingTable
from taxiway.gateway.activator import Activator
from tests.integration.gateway.gate import DEPLOYMENT, PREFIX, Scene, a_route

pytestmark = pytest.mark.integration


def idle(**fields: object) -> EndpointRoute:
    return replace(a_route(), wakes=True, **fields)  # type: ignore[arg-type]


class Room:
    """An activator with its socket, whose table a test sets."""

    def __init__(self, scene: Scene, *, patience: float = 20, most_held: int = 500) -> None:
        self.scene = scene
        self.woken: list[DeploymentId] = []
        self.table: RoutingTable | None = None
        self.activator = Activator(
            table=lambda: self.table, wake=self.woken.append, patience=patience, most_held=most_held
        )

    async def publish(self, *routes: EndpointRoute) -> None:
        self.table = await self.scene.publish(*routes)
        self.activator.look()

    async def held(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.activator.waiting(DeploymentId(DEPLOYMENT)) != count:
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Room]:
        path = self.scene.gate.activator_socket
        path.unlink(missing_ok=True)
        config = uvicorn.Config(
            self.activator, uds=str(path), log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield self
        finally:
            server.should_exit = True
            await serving
            path.unlink(missing_ok=True)


async def test_requests_wait_and_go_where_the_pod_is_by_then(scene: Scene) -> None:
    async with Room(scene).open() as room:
        await room.publish(idle())
        asked = [asyncio.create_task(scene.client.post(PREFIX, content=b"x" * 200_000)) for _ in range(20)]
        await room.held(20)
        assert set(room.woken) == {DEPLOYMENT}
        pod = await scene.pod()
        await room.publish(replace(a_route(pod), wakes=True))
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["x-taxiway-revision"] for answer in answers} == {"0000rev1"}
        assert len(pod.asked) == 20
        await room.held(0)


async def test_no_more_wait_than_may_and_none_for_ever(scene: Scene) -> None:
    async with Room(scene, patience=1.5, most_held=2).open() as room:
        await room.publish(idle())
        waiting = [asyncio.create_task(scene.client.get(PREFIX)) for _ in range(2)]
        await room.held(2)
        refused = await scene.client.get(PREFIX)
        answers = [refused, *await asyncio.gather(*waiting)]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["reason"] == "NotReady"
        await room.held(0)


async def test_who_may_not_ask_wakes_nobody(scene: Scene) -> None:
    async with Room(scene, patience=0.1).open() as room:
        await room.publish(idle(needs_token=True, quota=Quota(per_second=1, burst=1)))
        assert (await scene.client.get(PREFIX)).status_code == 401
        stranger = {"Authorization": f"Bearer {scene.gate.token(deployment='another')}"}
        assert (await scene.client.get(PREFIX, headers=stranger)).status_code == 403
        assert room.woken == []
        token = {"Authorization": f"Bearer {scene.gate.token()}"}
        statuses = [(await scene.client.get(PREFIX, headers=token)).status_code for _ in range(3)]
        assert statuses.count(503) == len(room.woken) < 3, "what is above the quota wakes nobody either"


async def test_what_a_caller_says_of_clusters_counts_nothing(scene: Scene) -> None:
    async with Room(scene, patience=0.1).open() as room:
        await room.publish(idle())
        answer = await scene.client.get(PREFIX, headers={"X-Taxiway-Cluster": "control"})
        assert answer.status_code == 503


async def test_a_caller_who_goes_away_waits_no_more(scene: Scene) -> None:
    async with Room(scene).open() as room:
        await room.publish(idle())
        with pytest.raises(httpx2.TimeoutException):
            await scene.client.get(PREFIX, timeout=0.5)
        await room.held(0)


async def test_a_request_waits_through_a_restart_of_the_activator(scene: Scene) -> None:
    room = Room(scene)
    async with room.open():
        await room.publish(idle())
        asked = asyncio.create_task(scene.client.get(PREFIX))
        await room.held(1)
    pod = await scene.pod()
    again = Room(scene)
    await again.publish(replace(a_route(pod), wakes=True))
    async with again.open():
        assert (await asked).status_code in (200, 503), "what was answered while it went down is a refusal"
        assert (await scene.client.get(PREFIX)).status_code == 200


async def test_an_endpoint_that_is_switched_off_meanwhile_lets_go(scene: Scene) -> None:
    async with Room(scene).open() as room:
        await room.publish(idle())
        asked = asyncio.create_task(scene.client.get(PREFIX))
        await room.held(1)
        await room.publish(idle(backends=()))
        assert (await asked).status_code == 503


async def test_other_routes_never_ask_the_activator(scene: Scene) -> None:
    async with Room(scene).open() as room:
        pod = await scene.pod()
        await room.publish(replace(a_route(pod), wakes=True))
        assert (await scene.client.get(PREFIX)).status_code == 200
        assert room.woken == []
