"""Changes of the configuration and deaths of Envoy, with requests going on meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.routing import RoutingTable
from taxiway.gateway import EnvoyGateway
from taxiway.keys import FileSigner
from tests.integration.gateway.gate import PREFIX, Gate, Scene, a_gate, a_route, free_port
from tests.integration.gateway.pods import Asked, Reply

pytestmark = pytest.mark.integration


@asynccontextmanager
async def load(scene: Scene, *, callers: int = 4, path: str = f"{PREFIX}ping") -> AsyncIterator[Counter[object]]:
    """Keep calling without retries on kept and on new connections; counts the outcomes."""
    seen: Counter[object] = Counter()
    is_over = False

    async def call(*, keeps: bool) -> None:
        headers = {} if keeps else {"Connection": "close"}
        while not is_over:
            try:
                answer = await scene.client.get(path, headers=headers)
                seen[answer.status_code] += 1
            except httpx2.HTTPError as error:
                seen[type(error).__name__] += 1
            await asyncio.sleep(0.006)

    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            tasks.create_task(call(keeps=number % 4 != 0))
        await asyncio.sleep(0.1)
        yield seen
        await asyncio.sleep(0.1)
        is_over = True


async def test_a_hundred_and_ten_changes_under_load_fail_nobody(scene: Scene) -> None:
    pods = [await scene.pod(f"p{number}") for number in range(3)]
    steady = a_route(pods[0], revision="steady")
    await scene.publish(steady)
    slowest = 0.0
    async with load(scene) as seen:
        for turn in range(110):
            kind = turn % 5
            if kind == 0:  # another endpoint comes
                routes = [steady, a_route(pods[1], prefix=f"/staging/fraud/n{turn}/1/", revision=f"new{turn}")]
            elif kind == 1:  # and goes
                routes = [steady]
            elif kind == 2:  # a new revision takes over
                steady = a_route(pods[turn % 3], revision=f"rev{turn}")
                routes = [steady]
            elif kind == 3:  # it gets a second pod
                steady = a_route(*pods[:2], revision=steady.backends[0].revision)
                routes = [steady]
            else:
                steady = a_route(pods[0], revision=steady.backends[0].revision)
                routes = [steady]
            table = RoutingTable(routes=tuple(routes))
            await scene.gateway.publish(table)
            if turn % 2:
                slowest = max(slowest, await scene.in_force(table))
    assert set(seen) == {200}, seen
    assert seen[200] > 200
    assert slowest < 2


async def test_routes_flip_at_once_and_stale_clusters_go_later(scene: Scene) -> None:
    old, new = await scene.pod("old"), await scene.pod("new")
    times = []
    for turn in range(10):
        pod, revision = (new, "r-new") if turn % 2 else (old, "r-old")
        began = time.monotonic()
        await scene.publish(a_route(pod, revision=revision))
        while (await scene.client.get(f"{PREFIX}ping")).json()["pod"] != pod.name:
            assert time.monotonic() - began < 2
        times.append(time.monotonic() - began)
    assert sorted(times)[5] < 0.5, times
    clusters = scene.gate.home / "clusters.json"
    assert b"r-old" in clusters.read_bytes()
    deadline = time.monotonic() + 15
    while b"r-old" in clusters.read_bytes():
        await scene.gateway.accepted()
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert (await scene.client.get(f"{PREFIX}ping")).json()["pod"] == "new"


async def test_requests_under_way_finish_when_their_revision_leaves(scene: Scene) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Asked) -> Reply:
        arrived.set()
        await go_on.wait()
        return Reply(body=b"done")

    await scene.publish(a_route(await scene.pod("slow", slow), revision="leaves"))
    under_way = asyncio.create_task(scene.client.post(f"{PREFIX}invocations", content=b"x"))
    await arrived.wait()
    await scene.publish(a_route(await scene.pod("next"), revision="comes"))
    assert (await scene.client.get(f"{PREFIX}ping")).json()["pod"] == "next"
    deadline = time.monotonic() + 15
    while b"leaves" in (scene.gate.home / "clusters.json").read_bytes():
        await scene.gateway.accepted()
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    go_on.set()
    assert (await under_way).text == "done"


async def test_the_same_table_again_writes_nothing(scene: Scene) -> None:
    pod = await scene.pod()
    table = await scene.publish(a_route(pod))
    before = {path.name: path.stat() for path in scene.gate.home.iterdir()}
    await scene.gateway.publish(table)
    again = EnvoyGateway(scene.gate.home, admin_socket=scene.gate.admin_socket)
    await again.publish(table)
    assert await again.accepted() == table.version
    await again.close()
    scene.gate.prepare()
    after = {path.name: path.stat() for path in scene.gate.home.iterdir()}
    assert after == before


async def test_a_table_that_envoy_refuses_is_said_once_and_the_old_one_stays(scene: Scene) -> None:
    pod = await scene.pod()
    good = await scene.publish(a_route(pod))
    names = ("bootstrap.json", "listeners.json", "routes.json", "metrics-routes.json")
    files = {name: (scene.gate.home / name).read_bytes() for name in names}
    for bad in (
        a_route("unix:/tmp/" + "x" * 200, prefix="/staging/bad/address/1/"),
        a_route(pod, prefix="/staging/bad/time/1/", timeout_seconds=-100),
        a_route("no-address:80", prefix="/staging/bad/name/1/"),
    ):
        async with load(scene) as seen:
            await scene.gateway.publish(RoutingTable(routes=(*good.routes, bad)))
            with pytest.raises(GatewayRejected) as caught:
                await scene.in_force(RoutingTable())
            assert await scene.gateway.accepted() == good.version
            await asyncio.sleep(0.1)
            assert await scene.gateway.accepted() == good.version
        assert set(seen) == {200}
        assert 40 < len(caught.value.message) < 400
        assert {name: (scene.gate.home / name).read_bytes() for name in names} == files
        assert b"xxx" not in (scene.gate.home / "clusters.json").read_bytes()
    await scene.publish(a_route(pod), a_route(pod, prefix="/staging/good/one/1/", deployment="d2"))


async def test_a_truncated_file_is_refused_and_mended(scene: Scene) -> None:
    pod = await scene.pod()
    clock = [time.monotonic()]
    gateway = EnvoyGateway(
        scene.gate.home, admin_socket=scene.gate.admin_socket, child=scene.gate.child, monotonic=lambda: clock[0]
    )
    good = RoutingTable(routes=(a_route(pod),))
    await gateway.publish(good)
    await scene.in_force(good)
    assert await gateway.accepted() == good.version
    path = scene.gate.home / "routes.json"
    whole = path.read_bytes()
    broken = path.with_name("broken")
    broken.write_bytes(whole[: len(whole) // 2])
    async with load(scene) as seen:
        broken.replace(path)
        await asyncio.sleep(0.2)
        clock[0] += 60
        with pytest.raises(GatewayRejected) as caught:
            await gateway.accepted()
        assert await gateway.accepted() == good.version
    assert set(seen) == {200}
    assert "routes.json" in caught.value.message
    assert path.read_bytes() == whole
    await gateway.close()


async def test_another_control_plane_says_the_refusal_of_what_it_publishes_again(scene: Scene) -> None:
    pod = await scene.pod()
    good = await scene.publish(a_route(pod))
    bad = RoutingTable(routes=(a_route(pod), a_route(pod, prefix="/staging/x/y/1/", timeout_seconds=-100)))
    await scene.gateway.publish(bad)
    for _ in range(2):
        gateway = EnvoyGateway(scene.gate.home, admin_socket=scene.gate.admin_socket)
        await gateway.publish(bad)
        with pytest.raises(GatewayRejected):
            await asyncio.wait_for(ask_for_ever(gateway), 5)
        assert await gateway.accepted() == good.version
        await gateway.close()
    assert (await scene.client.get(f"{PREFIX}ping")).status_code == 200


async def ask_for_ever(gateway: EnvoyGateway) -> None:
    while True:
        await gateway.accepted()
        await asyncio.sleep(0.02)


@pytest.fixture
def own_gate() -> Iterator[Gate]:
    """An Envoy that may be killed."""
    with a_gate() as made:
        yield made


async def test_a_killed_envoy_is_back_within_two_seconds_without_anybodys_help(own_gate: Gate) -> None:
    scene = Scene(own_gate)
    token = own_gate.token()
    table = await scene.publish(a_route(await scene.pod(), needs_token=True))
    await scene.gateway.close()
    times = []
    for _ in range(4):
        killed = own_gate.envoy_pid()
        os.kill(killed, 9)
        began = time.monotonic()
        while True:
            try:
                async with httpx2.AsyncClient(base_url=own_gate.url, timeout=1, trust_env=False) as caller:
                    answer = await caller.get(f"{PREFIX}ping", headers={"Authorization": f"Bearer {token}"})
                    if answer.status_code == 200:
                        break
            except httpx2.HTTPError:
                await asyncio.sleep(0.01)
            assert time.monotonic() - began < 5
        times.append(round(time.monotonic() - began, 2))
        assert own_gate.envoy_pid() != killed
    assert max(times) < 2, times
    gateway = EnvoyGateway(own_gate.home, admin_socket=own_gate.admin_socket)
    assert await gateway.accepted() == table.version
    await gateway.close()
    await scene.close()


async def test_a_table_published_while_envoy_is_away_is_taken_when_it_is_back(own_gate: Gate) -> None:
    scene = Scene(own_gate)
    pod = await scene.pod()
    await scene.publish(a_route(pod))
    os.kill(own_gate.envoy_pid(), 9)
    began = time.monotonic()
    table = RoutingTable(routes=(a_route(pod, prefix="/staging/other/one/1/"),))
    await scene.gateway.publish(table)
    assert time.monotonic() - began < 1.5
    await scene.in_force(table)
    assert (await scene.client.get("/staging/other/one/1/ping")).status_code == 200
    assert (await scene.client.get(f"{PREFIX}ping")).status_code == 404
    await scene.close()


async def test_a_running_envoy_takes_another_port_and_other_keys_without_a_restart(own_gate: Gate) -> None:
    scene = Scene(own_gate)
    table = await scene.publish(a_route(await scene.pod(), needs_token=True))
    pid, old_token = own_gate.envoy_pid(), own_gate.token()
    own_gate.port, own_gate.signer = free_port(), FileSigner(own_gate.root / "new-keys")
    own_gate.prepare()
    deadline = time.monotonic() + 5
    while not own_gate.answers():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    async with httpx2.AsyncClient(base_url=own_gate.url, timeout=5, trust_env=False) as caller:
        for token, status in ((old_token, 401), (own_gate.token(), 200)):
            answer = await caller.get(f"{PREFIX}ping", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
    assert await scene.gateway.accepted() == table.version
    assert own_gate.envoy_pid() == pid
    await scene.close()


async def test_nothing_is_accepted_where_no_envoy_runs(gate: Gate) -> None:
    gateway = EnvoyGateway(gate.home, admin_socket=gate.root / "nobody.sock")
    assert await gateway.accepted() is None
    await gateway.close()
