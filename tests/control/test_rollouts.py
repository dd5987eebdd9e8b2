"""Do requests move as a rollout says, and does all go back to what it was when a limit is broken?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from taxiway.domain.errors import Conflict
from taxiway.domain.ids import RevisionId
from taxiway.domain.resources import Resources
from taxiway.domain.rollouts import Rollout, RolloutWanted, Strategy
from taxiway.services.approvals import PromotionRequest
from taxiway.services.deployments import ProductionName
from taxiway.services.rollouts import Rollouts
from taxiway.services.served import ServedHistory
from taxiway.store import audit, rollouts
from tests.builders import RUN_ID, a_logged_model, an_asking
from tests.control.harness import NAME, ControlPlane, killed
from tests.control.test_production import promote, promotions_of
from tests.domain.test_rollouts import a_window
from tests.fakes import PodFate

ACME = ProductionName(name="fraud-acme")
PREFIX = "/production/fraud-acme/"
CANARY = Strategy(steps=(10, 50), step=timedelta(seconds=30))
LARGER = Resources(memory_bytes=2 << 30, cpus=2)


@pytest.fixture
async def promoted(plane: ControlPlane) -> ControlPlane:
    plane.world.registry.logged[RUN_ID] = [a_logged_model()]
    await plane.convert()
    await plane.settle()
    await promote(plane)
    await plane.settle()
    return plane


async def numbers(plane: ControlPlane) -> list[tuple[int, str]]:
    return [(each.number, str(each.state)) for each in (await plane.deployments.detail(ACME)).revisions]


def split(plane: ControlPlane, prefix: str = PREFIX) -> dict[str, int]:
    assert plane.world.gateway.in_force is not None
    (route,) = [route for route in plane.world.gateway.in_force.routes if route.prefix == prefix]
    return {backend.revision[-1]: backend.weight for backend in route.backends}


def people(plane: ControlPlane) -> Rollouts:
    return Rollouts(database=plane.database, nudge=plane.nudge, now=plane.world.clock)


async def newest(plane: ControlPlane) -> Rollout:
    async with plane.database.read() as tx:
        found = await rollouts.newest_of(tx, (await plane.deployments.detail(ACME)).deployment.id)
    assert found is not None
    return found


async def begin(plane: ControlPlane, strategy: Strategy = CANARY) -> RevisionId:
    """Change the resources with a rollout; wait until the new revision is ready."""
    await plane.deployments.configure(an_asking(), ACME, resources=LARGER, strategy=strategy)
    await plane.run(60, until=lambda: "2" in split(plane))
    rollout = await newest(plane)
    for key in (rollout.old, rollout.new):
        plane.measurements.revisions[key] = a_window(200)
    return rollout.new


async def status(plane: ControlPlane) -> str:
    return str((await plane.deployments.detail(ACME)).deployment.verdict.status)


async def test_requests_move_step_by_step_and_the_old_revision_goes_last(promoted: ControlPlane) -> None:
    await begin(promoted)
    await promoted.run(5)
    assert split(promoted) == {"1": 90, "2": 10}
    assert split(promoted, PREFIX + "@next/") == {"2": 100}
    assert await status(promoted) == "Updating"
    await promoted.run(30)
    assert split(promoted) == {"1": 50, "2": 50}
    assert await numbers(promoted) == [(1, "Ready"), (2, "Ready")]
    await promoted.run(40)
    await promoted.settle()
    assert split(promoted) == {"2": 100}
    assert await numbers(promoted) == [(1, "Retired"), (2, "Ready")]
    assert await status(promoted) == "ON"
    told = [event.became for event in await promoted.events() if event.topic == "rollout"]
    assert told == ["Running 10 %", "Running 50 %", "Done 100 %"]


async def test_a_broken_limit_puts_everything_back(promoted: ControlPlane) -> None:
    before = (await promoted.deployments.detail(ACME)).deployment
    new = await begin(promoted)
    await promoted.run(10)
    promoted.measurements.revisions[new] = a_window(100, errors=30)
    await promoted.run(4)
    assert split(promoted) == {"1": 100}
    await promoted.settle()
    after = (await promoted.deployments.detail(ACME)).deployment
    assert (after.resources, after.model_version) == (before.resources, before.model_version)
    assert await numbers(promoted) == [(1, "Ready"), (2, "Retired")]
    assert await status(promoted) == "ON"
    rollout = await newest(promoted)
    assert (str(rollout.state), rollout.reason) == ("Aborted", "ErrorRateTooHigh")
    (event,) = [event for event in await promoted.events() if event.reason == "RolloutErrorRateTooHigh"]
    assert "30 of 100 requests failed" in event.message
    async with promoted.database.read() as tx:
        entry = (await audit.page(tx, after=0, limit=100))[-1]
    assert (entry.action, entry.actor) == ("rollout.abort", "control plane")


async def test_what_comes_after_an_aborted_one_builds_on_what_serves(promoted: ControlPlane) -> None:
    new = await begin(promoted)
    promoted.measurements.revisions[new] = a_window(100, errors=30)
    await promoted.run(10)
    await promoted.settle()
    await promoted.deployments.switch_off(an_asking(), ACME)
    await promoted.settle()
    await promoted.deployments.switch_on(an_asking(), ACME)
    await promoted.settle()
    detail = await promoted.deployments.detail(ACME)
    assert [each.number for each in detail.revisions] == [1, 2, 3]
    assert detail.revisions[-1].resources == detail.revisions[0].resources
    with pytest.raises(Conflict):
        # The only other thing that ever served was taken back by its limits.
        await promotions_of(promoted).roll_back(an_asking(), "fraud-acme", reason="Why not.")


async def test_a_tagged_one_gets_requests_only_at_its_own_address(promoted: ControlPlane) -> None:
    await promoted.deployments.configure(an_asking(), ACME, resources=LARGER, strategy=Strategy(steps=()))
    await promoted.run(60, until=lambda: "2" in split(promoted))
    await promoted.run(120)
    assert split(promoted) == {"1": 100, "2": 0}
    assert split(promoted, PREFIX + "@next/") == {"2": 100}
    await people(promoted).change(an_asking(), "fraud-acme", RolloutWanted.PAUSE, percent=30)
    await promoted.run(5)
    assert split(promoted) == {"1": 70, "2": 30}
    await people(promoted).change(an_asking(), "fraud-acme", RolloutWanted.FINISH)
    await promoted.settle()
    assert split(promoted) == {"2": 100}
    assert await numbers(promoted) == [(1, "Retired"), (2, "Ready")]


async def test_rolling_back_during_one_ends_it_at_once(promoted: ControlPlane) -> None:
    await begin(promoted)
    await promoted.run(5)
    before = promoted.world.clock.elapsed()
    await promotions_of(promoted).roll_back(an_asking(), "fraud-acme", reason="It smells.")
    await promoted.run(10, until=lambda: split(promoted) == {"1": 100})
    assert promoted.world.clock.elapsed() - before < 5
    await promoted.settle()
    assert await numbers(promoted) == [(1, "Ready"), (2, "Retired")]


async def test_a_new_revision_that_fails_ends_it(promoted: ControlPlane) -> None:
    promoted.world.runtime.fate = PodFate.FAILS_FOR_GOOD
    await promoted.deployments.configure(an_asking(), ACME, resources=LARGER, strategy=CANARY)
    await promoted.settle()
    assert str((await newest(promoted)).state) == "Aborted"
    assert split(promoted) == {"1": 100}
    assert await status(promoted) == "ON"


async def test_a_second_change_waits_for_the_end_of_the_first(promoted: ControlPlane) -> None:
    await begin(promoted)
    with pytest.raises(Conflict):
        await promoted.deployments.configure(an_asking(), ACME, resources=Resources(memory_bytes=3 << 30, cpus=1))
    with pytest.raises(Conflict):
        await promotions_of(promoted).promote(
            an_asking(), PromotionRequest(source=NAME, name="fraud-acme", reason="Another one.")
        )
    assert await numbers(promoted) == [(1, "Ready"), (2, "Ready")]


async def test_there_is_nothing_to_roll_out_from_at_the_beginning(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    with pytest.raises(Conflict):
        await promotions_of(plane).promote(
            an_asking(),
            PromotionRequest(source=NAME, name="fraud-acme", customer="Acme", reason="First.", strategy=CANARY),
        )
    assert await plane.rows("deployments") == 1


async def test_a_killed_control_plane_goes_on_from_the_step_it_was_at(promoted: ControlPlane) -> None:
    await begin(promoted)
    await promoted.run(5)
    plane = await killed(promoted)
    plane.measurements = promoted.measurements
    await plane.run(5)
    assert split(plane) == {"1": 90, "2": 10}, "the step begins anew, without data nobody decides"
    await people(plane).change(an_asking(), "fraud-acme", RolloutWanted.FINISH)
    await plane.settle()
    assert split(plane) == {"2": 100}
    await plane.close()


async def test_switching_off_ends_it_and_on_serves_what_served(promoted: ControlPlane) -> None:
    await begin(promoted)
    await promoted.deployments.switch_off(an_asking(), ACME)
    await promoted.settle()
    assert await status(promoted) == "OFF"
    await promoted.deployments.switch_on(an_asking(), ACME)
    await promoted.settle()
    detail = await promoted.deployments.detail(ACME)
    assert await status(promoted) == "ON"
    assert detail.revisions[-1].resources == detail.revisions[0].resources


async def test_what_served_when_and_who_put_it_there_is_known(promoted: ControlPlane) -> None:
    history = ServedHistory(database=promoted.database)
    clock = promoted.world.clock
    at_first = clock.now
    new = await begin(promoted)
    await promoted.run(5)
    in_the_middle = clock.now
    promoted.measurements.revisions[new] = a_window(100, errors=30)
    await promoted.run(10)
    await promoted.settle()
    in_the_end = clock.now - timedelta(seconds=1)
    await promoted.deployments.switch_off(an_asking(), ACME)
    await promoted.settle()
    for moment, expected in ((at_first, [1]), (in_the_middle, [1, 2]), (in_the_end, [1]), (clock.now, [])):
        assert [each.revision.number for each in await history.at(moment, customer="Acme")] == expected
    (first,) = await history.at(at_first)
    assert first.promotion is not None
    assert (first.promotion.promoted_by, first.promotion.reason) == ("ada", "They asked for it.")
    assert await history.at(at_first, customer="Somebody else") == []
