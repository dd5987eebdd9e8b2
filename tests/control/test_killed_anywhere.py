"""kill -9 at every point of what people ask for: the same end, or nothing done and a retry works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.domain.errors import NotFound
from taxiway.domain.events import CONTROL
from taxiway.domain.ids import RevisionId
from taxiway.domain.resources import MEBIBYTE, Resources
from taxiway.domain.rollouts import RolloutWanted, Strategy
from taxiway.services.deployments import ProductionName
from taxiway.services.rollouts import Rollouts
from tests.builders import an_asking
from tests.control.harness import NAME, ControlPlane, a_world
from tests.control.killing import Killed, Killer, WatchedDatabase, watched
from tests.control.test_production import promote, promotions_of

pytestmark = pytest.mark.fault


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is asked for, what must be there before, and what is there in the end whatever happens."""

    name: str
    ask: Callable[[ControlPlane], Awaitable[object]]
    before: tuple[Callable[[ControlPlane], Awaitable[object]], ...] = ()


async def configure(plane: ControlPlane) -> None:
    await plane.deployments.configure(an_asking(), NAME, resources=Resources(memory_bytes=512 * MEBIBYTE))


async def delete(plane: ControlPlane) -> None:
    try:
        await plane.delete()
    except NotFound:
        return


CONVERT = Operation(name="convert", ask=ControlPlane.convert)
ACME = ProductionName(name="fraud-acme")
LARGER = Resources(memory_bytes=2 << 30, cpus=2)


async def promote_once(plane: ControlPlane) -> None:
    if not await plane.rows("promotions"):
        await promote(plane)


async def update_once(plane: ControlPlane) -> None:
    if (await plane.deployments.detail(ACME)).deployment.resources != LARGER:
        await plane.deployments.configure(an_asking(), ACME, resources=LARGER)


async def roll_back_once(plane: ControlPlane) -> None:
    if len((await plane.deployments.detail(ACME)).revisions) == 2:
        await promotions_of(plane).roll_back(an_asking(), ACME.name, reason="It was no better.")


async def move_once(plane: ControlPlane) -> None:
    if not await plane.rows("rollouts"):
        strategy = Strategy(steps=())
        await plane.deployments.configure(an_asking(), ACME, resources=LARGER, strategy=strategy)


async def abort_once(plane: ControlPlane) -> None:
    rollouts = Rollouts(database=plane.database, nudge=plane.nudge, now=plane.world.clock)
    rollout = await rollouts.newest(ACME.name)
    if rollout is not None and rollout.is_active and rollout.wanted is not RolloutWanted.ABORT:
        await rollouts.change(an_asking(), ACME.name, RolloutWanted.ABORT)


OPERATIONS = [
    CONVERT,
    Operation(name="promote", ask=promote_once, before=(CONVERT.ask,)),
    Operation(name="update", ask=update_once, before=(CONVERT.ask, promote_once)),
    Operation(name="roll-back", ask=roll_back_once, before=(CONVERT.ask, promote_once, update_once)),
    Operation(name="roll-out", ask=move_once, before=(CONVERT.ask, promote_once)),
    Operation(name="abort", ask=abort_once, before=(CONVERT.ask, promote_once, move_once)),
    Operation(name="off", ask=ControlPlane.off, before=(CONVERT.ask,)),
    Operation(name="on", ask=ControlPlane.on, before=(CONVERT.ask, ControlPlane.off)),
    Operation(name="configure", ask=configure, before=(CONVERT.ask,)),
    Operation(name="delete", ask=delete, before=(CONVERT.ask,)),
]


def number(revision: RevisionId) -> str:
    """A revision's number, by its id: what comes before is made up anew by each conversion."""
    return revision.rpartition("-")[2]


async def the_end(plane: ControlPlane) -> dict[str, object]:
    """Return all that people and the machine have in the end."""
    world = plane.world
    found: dict[str, object] = {
        "endpoints": world.gateway.prefixes(),
        "answers": {prefix: [number(key) for key in targets] for prefix, targets in world.gateway.targets().items()},
        "pods": Counter(number(key) for key in world.runtime.running()),
        "registered": {key: sorted(versions) for key, versions in world.registry.versions.items()},
        "files": sorted(world.store.contents),
        "model environments": sorted(world.builder.ready),
    }
    found["production's files"] = sorted(world.vault.contents)
    for table in ("deployments", "revisions", "snapshots", "model_versions", "models", "promotions", "rollouts"):
        found[table] = await plane.rows(table)
    if found["promotions"]:
        detail = await plane.deployments.detail(ACME)
        found["production"] = (detail.deployment.verdict, detail.deployment.resources, len(world.bundles.documents))
        found["production's revisions"] = [(each.number, str(each.state)) for each in detail.revisions]
    if found["deployments"]:
        deployment = await plane.deployment()
        found["verdict"] = deployment.verdict
        found["configuration"] = (deployment.wanted, deployment.resources)
        found["is seen"] = deployment.observed_generation == deployment.generation
        found["states"] = await plane.states()
        found["snapshot"] = (await plane.snapshot()).state
    return found


@dataclass(kw_only=True)
class Course:
    """One operation that went its way, with the world at every point of it."""

    end: dict[str, object]
    told_before: Counter[str]
    told: Counter[str]
    points: Counter[str]
    killed: list[Killed]


async def course_of(operation: Operation, directory: Path) -> Course:
    world = await a_world(directory)
    killer = Killer(world, directory)
    plane = ControlPlane(world, database=WatchedDatabase(world.open(), killer), wrap=watched(killer))
    for step in operation.before:
        await step(plane)
        await plane.settle()
    told_before = await told(plane)
    killer.is_armed = True
    await operation.ask(plane)
    killer.was_answered = True
    await plane.settle()
    killer.is_armed = False
    course = Course(
        end=await the_end(plane),
        told_before=told_before,
        told=await told(plane) - told_before,
        points=killer.points,
        killed=killer.killed,
    )
    await plane.close()
    return course


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_the_end_is_the_same_wherever_the_control_plane_is_killed(operation: Operation, tmp_path: Path) -> None:
    course = await course_of(operation, tmp_path)
    assert {"before commit", "after commit", "before Runtime.observe", "after Gateway.accepted"} <= course.points.keys()
    assert len(course.killed) >= 8
    for killed in course.killed:
        await check(killed, operation, course)


async def check(killed: Killed, operation: Operation, course: Course) -> None:
    plane = ControlPlane(killed.world)
    try:
        await plane.settle()
        if not killed.was_answered:
            # Nobody was told that it was accepted: half a minute later it was done for whoever asked, or not at all.
            await plane.run(31)
            await plane.conversions.finish_forgotten()
            await plane.settle()
            await operation.ask(plane)
            await plane.settle()
        assert await the_end(plane) == course.end, killed.point
        assert not plane.errors, killed.point
        twice = [
            what
            for what, times in (await told(plane) - course.told_before).items()
            if times > max(1, course.told[what])
        ]
        assert not twice, killed.point
    finally:
        await plane.close()


async def told(plane: ControlPlane) -> Counter[str]:
    """Count what was told of controllers' doings, by its words."""
    return Counter(
        f"{event.was} → {event.became}: {event.message}" for event in await plane.events() if event.actor == CONTROL
    )
