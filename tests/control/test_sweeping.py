"""What nobody names is dropped after a while, and nothing else ever."""

from __future__ import annotations

from taxiway.control.sweeping import ENVIRONMENTS_KEPT_FOR, SNAPSHOTS_KEPT_FOR
from taxiway.domain.ids import SnapshotId
from taxiway.domain.logs import LogKind, LogName
from tests.builders import a_request
from tests.control.harness import ControlPlane


async def sweep_after(plane: ControlPlane, seconds: float) -> None:
    await plane.sweeper.sweep()
    plane.world.clock.advance(seconds)
    await plane.sweeper.sweep()


async def test_what_is_named_stays_also_when_it_is_off(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.off()
    await plane.settle()
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds() * 10)
    assert len(plane.world.store.contents) == 1
    assert len(plane.world.builder.ready) == 1


async def test_an_environment_that_nobody_names_is_kept_for_a_while_and_then_dropped_with_its_log(
    plane: ControlPlane,
) -> None:
    await plane.convert()
    await plane.settle()
    (environment,) = plane.world.builder.ready
    log = LogName(kind=LogKind.BUILD, id=environment)
    plane.world.logs.write(log, "installed")
    await plane.delete()
    await plane.settle()
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds() - 1)
    assert plane.world.builder.ready == {environment}
    await sweep_after(plane, 1)
    assert plane.world.builder.ready == set()
    assert log not in plane.world.logs.lines


async def test_an_environment_that_is_needed_again_begins_anew(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.delete()
    await plane.settle()
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds() - 1)
    await plane.convert(key="k2")
    await plane.settle()
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds())
    assert len(plane.world.builder.ready) == 1
    await plane.delete()
    await plane.settle()
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds() - 1)
    assert len(plane.world.builder.ready) == 1


async def test_a_snapshot_that_a_crash_left_is_dropped_after_a_minute(plane: ControlPlane) -> None:
    plane.world.store.contents[SnapshotId("ee" * 32)] = {"model.pkl": b""}
    await sweep_after(plane, SNAPSHOTS_KEPT_FOR.total_seconds() - 1)
    assert len(plane.world.store.contents) == 1
    await sweep_after(plane, 1)
    assert plane.world.store.contents == {}


async def test_a_copy_that_is_under_way_is_not_swept_away(plane: ControlPlane) -> None:
    await plane.convert()
    for _ in range(20):
        await plane.run(0.1)
        await sweep_after(plane, 0.0)
    await plane.settle()
    await sweep_after(plane, SNAPSHOTS_KEPT_FOR.total_seconds())
    assert len(plane.world.store.contents) == 1
    assert await plane.status() == "ON"


async def test_a_build_that_nobody_asked_for_is_swept_as_well(plane: ControlPlane) -> None:
    plane.world.builder.ready.add(a_request(python="3.12").id)
    await sweep_after(plane, ENVIRONMENTS_KEPT_FOR.total_seconds())
    assert plane.world.builder.ready == set()
