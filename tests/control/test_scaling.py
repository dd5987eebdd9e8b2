"""Do pods follow the load one owner's way, ready before route and route before stop?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from taxiway.domain.autoscaling import AutoscalingPolicy, Metric, Rate
from taxiway.domain.ids import RevisionId
from taxiway.domain.resources import Resources, Scale
from taxiway.services.deployments import ProductionName
from tests.builders import an_asking
from tests.control.harness import ControlPlane, killed
from tests.control.test_production import promote, promotions_of
from tests.domain.test_autoscaling import a_load

ACME = ProductionName(name="fraud-acme")
AT_ONCE = Rate(pods=100, percent=0, period=timedelta(seconds=1))
POLICY = AutoscalingPolicy(
    metric=Metric.CONCURRENCY, target=5, up=AT_ONCE, down=AT_ONCE, down_window=timedelta(seconds=20)
)


@pytest.fixture
async def scaled(plane: ControlPlane) -> ControlPlane:
    """In production with one to four pods, and a load for one."""
    await plane.convert()
    await plane.settle()
    await promote(plane)
    await plane.settle()
    await plane.deployments.configure(
        an_asking(), ACME, scale=Scale(minimum=1, maximum=4), autoscaling=POLICY, resources=Resources(cpus=0.5)
    )
    await plane.run(30)
    await load(plane, 4.0)
    return plane


async def newest(plane: ControlPlane) -> RevisionId:
    return (await plane.deployments.detail(ACME)).revisions[-1].id


async def load(plane: ControlPlane, concurrency: float | None) -> None:
    key = await newest(plane)
    plane.measurements.revisions.pop(key, None)
    if concurrency is not None:
        plane.measurements.revisions[key] = a_load(concurrency)


async def pods(plane: ControlPlane) -> int:
    key = await newest(plane)
    return sum(pod.revision == key for pod in await plane.world.runtime.observe())


def addresses(plane: ControlPlane) -> set[str]:
    assert plane.world.gateway.in_force is not None
    (route,) = [r for r in plane.world.gateway.in_force.routes if r.prefix == "/production/fraud-acme/"]
    return {address for backend in route.backends for address in backend.addresses}


async def status(plane: ControlPlane) -> str:
    return str((await plane.deployments.detail(ACME)).deployment.verdict.status)


async def test_pods_come_and_go_with_the_load_and_it_stays_on(scaled: ControlPlane) -> None:
    seen: set[str] = set()
    assert await pods(scaled) == 1
    await load(scaled, 18.0)
    for _ in range(60):
        await scaled.run(0.25)
        seen.add(await status(scaled))
    assert (await pods(scaled), len(addresses(scaled))) == (4, 4)
    await load(scaled, 4.0)
    await scaled.run(15)
    assert await pods(scaled) == 4, "the window down is not over"
    for _ in range(160):
        await scaled.run(0.25)
        seen.add(await status(scaled))
    assert (await pods(scaled), len(addresses(scaled))) == (1, 1)
    assert seen == {"ON"}
    told = [(event.was, event.became, event.reason) for event in await scaled.events() if event.topic == "scale"]
    assert told == [("1 pod", "4 pods", "ScaledUp"), ("4 pods", "1 pod", "ScaledDown")]
    assert scaled.scaled == [("fraud-acme", True), ("fraud-acme", False)]


async def test_no_pod_is_routed_before_it_is_ready_nor_stopped_while_it_is_routed(scaled: ControlPlane) -> None:
    await load(scaled, 18.0)
    for tick in range(400):
        if tick == 150:
            await load(scaled, 3.0)
        await scaled.run(0.1)
        phases = {pod.address: str(pod.phase) for pod in await scaled.world.runtime.observe()}
        assert {phases.get(address) for address in addresses(scaled)} <= {"Ready"}, tick
    assert await pods(scaled) == 1


async def test_without_data_the_number_stays(scaled: ControlPlane) -> None:
    await load(scaled, 12.0)
    await scaled.run(20)
    assert await pods(scaled) == 3
    await load(scaled, None)
    await scaled.run(300)
    assert await pods(scaled) == 3


async def test_a_killed_control_plane_keeps_the_number(scaled: ControlPlane) -> None:
    await load(scaled, 12.0)
    await scaled.run(20)
    plane = await killed(scaled)
    await plane.run(60)
    assert await pods(plane) == 3, "nothing was measured yet"
    await load(plane, 1.0)
    await plane.run(10)
    assert await pods(plane) == 3, "nor for the whole window down"
    await plane.run(40)
    assert await pods(plane) == 1
    await plane.close()


async def test_the_next_revision_begins_with_as_many_pods(scaled: ControlPlane) -> None:
    await load(scaled, 12.0)
    await scaled.run(20)
    await scaled.deployments.configure(an_asking(), ACME, resources=Resources(cpus=1))
    await scaled.run(30)
    assert await pods(scaled) == 3
    await promotions_of(scaled).roll_back(an_asking(), "fraud-acme", reason="Too large.")
    await scaled.run(30)
    assert await pods(scaled) == 3


async def test_this_host_may_have_no_room_for_what_is_wanted(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await promote(plane)
    await plane.settle()
    huge = Resources(memory_bytes=1 << 30, cpus=20)
    policy = replace(POLICY, metric=Metric.REQUESTS, target=1)
    await plane.deployments.configure(
        an_asking(), ACME, resources=huge, scale=Scale(minimum=1, maximum=9), autoscaling=policy
    )
    await plane.run(30)
    plane.measurements.revisions[await newest(plane)] = a_load(rps=50)
    await plane.run(20)
    assert await pods(plane) == 3, "the host of these tests has 64 CPUs"
    (event,) = [event for event in await plane.events() if event.topic == "scale"]
    assert "this host has room for 3" in event.message


async def test_without_a_policy_there_are_as_many_as_at_least(scaled: ControlPlane) -> None:
    await load(scaled, 18.0)
    await scaled.run(20)
    await scaled.deployments.configure(an_asking(), ACME, autoscaling=None, scale=Scale(minimum=2, maximum=2))
    await scaled.run(30)
    assert await pods(scaled) == 2


RESTING = replace(POLICY, idle=timedelta(seconds=60))
QUIET = replace(a_load(0.0), seconds=60.0)


@pytest.fixture
async def idle(scaled: ControlPlane) -> ControlPlane:
    """At rest: no request came for a while."""
    await scaled.deployments.configure(an_asking(), ACME, scale=Scale(minimum=0, maximum=4), autoscaling=RESTING)
    scaled.measurements.revisions[await newest(scaled)] = QUIET
    await scaled.run(30)
    return scaled


def holds(plane: ControlPlane) -> bool:
    assert plane.world.gateway.in_force is not None
    (route,) = [r for r in plane.world.gateway.in_force.routes if r.prefix == "/production/fraud-acme/"]
    return route.holds


async def test_the_last_pod_goes_when_requests_wait_in_its_place(scaled: ControlPlane) -> None:
    await scaled.deployments.configure(an_asking(), ACME, scale=Scale(minimum=0, maximum=4), autoscaling=RESTING)
    scaled.measurements.revisions[await newest(scaled)] = QUIET
    for _ in range(120):
        await scaled.run(0.25)
        running = {pod.address for pod in await scaled.world.runtime.observe() if pod.phase == "Ready"}
        assert addresses(scaled) <= running, "route before stop"
        assert addresses(scaled) or holds(scaled)
    assert (await pods(scaled), await status(scaled), holds(scaled)) == (0, "Idle", True)
    states = [str(revision.state) for revision in (await scaled.deployments.detail(ACME)).revisions]
    assert states[-1] == "Idle"


async def test_a_request_that_waits_brings_a_pod_at_once(idle: ControlPlane) -> None:
    detail = await idle.deployments.detail(ACME)
    idle.waiting[detail.deployment.id] = 1
    idle.nudge("autoscaling", detail.deployment.id)
    seen: set[str] = set()
    for _ in range(40):
        await idle.run(0.25)
        seen.add(await status(idle))
    assert (await pods(idle), holds(idle), len(addresses(idle))) == (1, False, 1)
    assert await status(idle) == "ON"
    assert seen <= {"Idle", "Starting", "ON"}
    told = [event.message for event in await idle.events() if event.topic == "scale"]
    assert told[-2:] == [
        f"Revision {detail.revisions[-1].number}: 1 -> 0: no request for 60 s.",
        f"Revision {detail.revisions[-1].number}: 0 -> 1: a request waits.",
    ]


async def test_a_request_that_comes_while_the_last_pod_is_about_to_go_keeps_it(scaled: ControlPlane) -> None:
    (before,) = [pod.id for pod in await scaled.world.runtime.observe() if pod.revision == await newest(scaled)]
    detail = await scaled.deployments.configure(
        an_asking(), ACME, scale=Scale(minimum=0, maximum=4), autoscaling=RESTING
    )
    scaled.measurements.revisions[await newest(scaled)] = QUIET
    while not holds(scaled):
        await scaled.run(0.25)
    scaled.waiting[detail.id] = 1
    await scaled.run(20)
    after = [pod.id for pod in await scaled.world.runtime.observe() if pod.revision == await newest(scaled)]
    assert (after, holds(scaled)) == ([before], False)


async def test_what_rests_is_updated_rolled_back_and_switched(idle: ControlPlane) -> None:
    await idle.deployments.configure(an_asking(), ACME, resources=Resources(cpus=0.4))
    idle.measurements.revisions.clear()
    await idle.run(30)
    assert (await pods(idle), await status(idle)) == (1, "ON")
    idle.measurements.revisions[await newest(idle)] = QUIET
    await idle.run(30)
    assert await status(idle) == "Idle"
    await idle.deployments.switch_off(an_asking(), ACME)
    await idle.run(30)
    assert await status(idle) == "OFF"
    await idle.deployments.switch_on(an_asking(), ACME)
    idle.measurements.revisions.clear()
    await idle.run(30)
    assert (await pods(idle), await status(idle)) == (1, "ON")


@pytest.mark.parametrize("is_going", [True, False], ids=["on its way to zero", "on its way from zero"])
async def test_a_killed_control_plane_goes_on_with_it(scaled: ControlPlane, is_going: bool) -> None:
    key = await newest(scaled)
    detail = await scaled.deployments.configure(
        an_asking(), ACME, scale=Scale(minimum=0, maximum=4), autoscaling=RESTING
    )
    scaled.measurements.revisions[key] = QUIET
    if is_going:
        while not holds(scaled):
            await scaled.run(0.25)
    else:
        await scaled.run(30)
        scaled.waiting[detail.id] = 1
        scaled.nudge("autoscaling", detail.id)
        await scaled.run(0.25)
    again = await killed(scaled)
    try:
        again.waiting.update(scaled.waiting)
        if is_going:
            again.measurements.revisions[key] = QUIET
        await again.run(40)
        found = (await pods(again), await status(again), holds(again))
        assert found == ((0, "Idle", True) if is_going else (1, "ON", False))
    finally:
        await again.close()
