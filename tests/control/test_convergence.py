"""What people ask for comes true: convert, OFF, ON, configure, delete, over fakes and a real database."""

from __future__ import annotations

import pytest

from taxiway.domain.conditions import PhaseName
from taxiway.domain.errors import Conflict, NotFound
from taxiway.domain.ids import RevisionId
from taxiway.domain.pods import PodPhase
from taxiway.domain.resources import MEBIBYTE, Resources
from taxiway.domain.snapshots import SnapshotState
from taxiway.store import deployments
from tests.builders import RUN_ID, a_logged_model, a_ref, an_asking
from tests.control.harness import NAME, ControlPlane, World, killed

PATH = "/staging/fraud/scorer/1/"


async def reconfigure(plane: ControlPlane, megabytes: int = 512) -> None:
    resources = Resources(memory_bytes=megabytes * MEBIBYTE)
    await plane.deployments.configure(an_asking(), NAME, resources=resources)


async def only_revision(plane: ControlPlane) -> RevisionId:
    (revision,) = await plane.revisions()
    return revision.id


async def test_a_converted_run_comes_on(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    assert await plane.status() == "ON"
    assert await plane.states() == ["Ready"]
    revision = await only_revision(plane)
    assert plane.world.gateway.targets() == {PATH: [revision]}
    assert plane.world.runtime.running() == [revision]
    (phases,) = [revision.phases for revision in await plane.revisions()]
    assert [phase.name for phase in phases] == list(PhaseName)
    assert all(phase.seconds is not None and phase.seconds >= 0 for phase in phases)
    spent = {phase.name: phase.seconds for phase in phases}
    assert spent[PhaseName.LOADED] == pytest.approx(0.5)
    assert spent[PhaseName.EXAMPLE] == pytest.approx(0.2)


async def test_each_transition_is_told_once(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    told = [(event.was, event.became, event.reason) for event in await plane.events()]
    assert told == [
        ("", "Queued", "Converted"),
        ("Queued", "Preparing", "RevisionPreparing"),
        ("Queued", "Preparing", "Preparing"),
        ("Preparing", "Starting", "RevisionStarting"),
        ("Preparing", "Starting", "Starting"),
        ("Starting", "Ready", "RevisionReady"),
        ("Starting", "ON", "Serving"),
    ]


async def test_nothing_is_written_when_nothing_changes(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    tables = len(plane.world.gateway.published)
    await plane.run(60)
    assert len(plane.world.gateway.published) == tables
    assert len(await plane.events()) == 7
    assert plane.world.runtime.made == 1


async def test_off_keeps_url_and_configuration_and_on_comes_back(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    before = await plane.deployment()
    await plane.off()
    await plane.settle()
    assert await plane.status() == "OFF"
    assert await plane.states() == ["Retired"]
    assert plane.world.runtime.running() == []
    assert plane.world.gateway.targets() == {PATH: []}
    await plane.on()
    await plane.settle()
    after = await plane.deployment()
    assert (after.verdict.status, after.path, after.resources) == ("ON", before.path, before.resources)
    assert plane.world.store.begun == 1, "the snapshot is not copied twice"
    assert set(plane.world.builder.begun.values()) == {1}, "the model environment is not built twice"


async def test_on_begins_at_once_and_not_at_the_next_round(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.off()
    await plane.settle()
    await plane.on()
    await plane.run(0.1)
    assert (await plane.states())[-1] == "Starting"


async def test_pods_are_stopped_only_after_the_gateway_let_go_of_them(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    revision = await only_revision(plane)
    plane.world.gateway.never_accepts = True
    await plane.off()
    await plane.run(9)
    assert [pod.draining_since for pod in plane.world.runtime.living()] == [None]
    await plane.run(2)
    assert revision not in plane.world.runtime.running(), "the gateway has ten seconds"
    assert await plane.status() == "OFF"


async def test_a_new_configuration_comes_up_beside_the_old_and_the_route_moves(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    first = await only_revision(plane)
    await reconfigure(plane)
    await plane.run(0.5)
    assert await plane.status() == "Updating"
    while (targets := plane.world.gateway.targets()[PATH]) == [first]:
        (old,) = [pod for pod in plane.world.runtime.living() if pod.revision == first]
        assert old.draining_since is None
        assert await plane.status() in ("Updating", "ON")
        await plane.run(0.25)
    second = (await plane.revisions())[-1].id
    assert targets == [second]
    assert next(iter(plane.observed.pods(second))).phase is PodPhase.READY, "ready before route"
    await plane.settle()
    assert await plane.states() == ["Retired", "Ready"]
    assert plane.world.runtime.running() == [second]
    assert await plane.status() == "ON"


async def test_what_pods_do_not_feel_makes_no_new_revision(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.deployments.configure(an_asking(), NAME, needs_token=False, tags={"team": "cards"})
    await plane.settle()
    assert await plane.states() == ["Ready"]
    (route,) = plane.world.gateway.in_force.routes if plane.world.gateway.in_force else ()
    assert route.needs_token is False


async def test_delete_leaves_nothing(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await reconfigure(plane)
    await plane.settle()
    await plane.delete()
    await plane.settle()
    world = plane.world
    for table in ("deployments", "revisions", "snapshots", "model_versions", "models", "access_tokens"):
        assert await plane.rows(table) == 0, table
    assert world.store.contents == {}
    assert world.registry.versions == {}
    assert world.logs.lines == {}
    assert world.runtime.running() == []
    assert world.gateway.prefixes() == []
    with pytest.raises(NotFound):
        await plane.deployment()
    assert (await plane.events())[-1].became == "Deleted"


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.7, 1.2, 1.7, 2.2])
@pytest.mark.parametrize("ask", [ControlPlane.off, ControlPlane.delete], ids=["off", "delete"])
async def test_it_can_be_taken_back_in_every_phase(plane: ControlPlane, ask: object, seconds: float) -> None:
    await plane.convert()
    await plane.run(seconds)
    await (plane.off() if ask is ControlPlane.off else plane.delete())
    began = plane.world.clock.elapsed()
    await plane.run(5)
    assert plane.world.runtime.running() == []
    assert plane.world.builder.building == {}
    if ask is ControlPlane.off:
        assert await plane.status() == "OFF"
        await plane.on()
        await plane.settle()
        assert await plane.status() == "ON"
    else:
        assert await plane.rows("deployments") == 0
        assert plane.world.store.contents == {}
        assert plane.world.logs.lines == {}
    assert plane.world.clock.elapsed() - began < 60


async def test_a_deleted_deployment_cannot_be_changed(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.delete()
    for ask in (plane.on, plane.off):
        with pytest.raises(Conflict):
            await ask()
    await plane.delete()
    await plane.settle()
    assert await plane.rows("deployments") == 0


async def test_a_build_that_another_deployment_waits_for_goes_on(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.convert(model="other", key="k2")
    await plane.run(0.5)
    await plane.off()
    await plane.settle()
    assert plane.world.builder.cancelled == []
    other = NAME.__class__(project=NAME.project, model=type(NAME.model)("other"), version=1)
    assert await plane.status(other) == "ON"


async def test_two_versions_share_files_until_the_last_is_deleted(plane: ControlPlane) -> None:
    first = await plane.convert()
    second = await plane.convert(key="k2")
    await plane.settle()
    assert (first.version, second.version) == (1, 2)
    assert len(plane.world.store.contents) == 1
    assert (await plane.snapshot(first)).digest == (await plane.snapshot(second)).digest
    await plane.delete(first)
    await plane.settle()
    assert len(plane.world.store.contents) == 1
    assert await plane.status(second) == "ON"
    await plane.off(second)
    await plane.settle()
    await plane.on(second)
    await plane.settle()
    assert await plane.status(second) == "ON"
    await plane.delete(second)
    await plane.settle()
    assert plane.world.store.contents == {}


async def test_two_versions_that_share_files_can_be_deleted_at_once(plane: ControlPlane) -> None:
    first = await plane.convert()
    second = await plane.convert(key="k2")
    await plane.settle()
    await plane.delete(first)
    await plane.delete(second)
    await plane.settle()
    assert plane.world.store.contents == {}


async def test_two_models_of_one_run_have_files_of_their_own(plane: ControlPlane) -> None:
    plane.world.registry.logged[RUN_ID] = [
        a_logged_model(ref=a_ref(name=name, model_id=f"m-{name}")) for name in ("fast", "good")
    ]
    await plane.convert(logged_model="fast", model="fast", key="k1")
    await plane.convert(logged_model="good", model="good", key="k2")
    await plane.settle()
    assert len(plane.world.store.contents) == 2
    assert len(plane.world.builder.ready) == 1, "they ask for the same model environment"


async def test_what_changed_meanwhile_is_not_overwritten(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    seen = await plane.deployment()
    await plane.off()
    async with plane.database.write() as tx:
        assert not await deployments.record(tx, seen, if_generation=seen.generation)
    assert (await plane.deployment()).wanted == "off"


async def test_strays_are_stopped(plane: ControlPlane) -> None:
    plane.world.runtime.add_stray(RevisionId("r-forgotten-1"))
    await plane.convert()
    await plane.settle()
    assert plane.world.runtime.running() == [await only_revision(plane)]


async def test_a_restart_changes_nothing_that_people_see(world: World) -> None:
    plane = ControlPlane(world)
    await plane.convert()
    await plane.settle()
    pods, told = world.runtime.living(), await plane.events()
    plane = await killed(plane)
    await plane.settle()
    assert await plane.events() == told
    assert world.runtime.living() == pods
    assert list(world.runtime.wanted) == [await only_revision(plane)], "the runtime is told everything again"
    await plane.close()


async def test_a_route_is_let_go_of_before_its_pods_also_over_a_restart(world: World) -> None:
    plane = ControlPlane(world)
    await plane.convert()
    await plane.settle()
    await plane.off()
    plane = await killed(plane)
    while plane.world.gateway.targets()[PATH]:
        assert [pod.draining_since for pod in world.runtime.living()] == [None]
        await plane.run(0.05)
    await plane.settle()
    assert await plane.status() == "OFF"
    await plane.close()


async def test_everything_comes_back_after_a_reboot(world: World) -> None:
    plane = ControlPlane(world)
    await plane.convert()
    await plane.convert(model="other", key="k2")
    await plane.settle()
    await plane.off()
    await plane.settle()
    await plane.close()
    world.runtime.lose_pods()
    world.control_plane_died()
    world.clock.advance(3600)
    plane = ControlPlane(world)
    await plane.settle()
    other = NAME.__class__(project=NAME.project, model=type(NAME.model)("other"), version=1)
    assert (await plane.status(), await plane.status(other)) == ("OFF", "ON")
    assert len(world.runtime.running()) == 1
    await plane.close()


@pytest.mark.parametrize("seconds", [0.3, 1.0])
async def test_an_hour_without_control_plane_makes_no_conversion_fail(world: World, seconds: float) -> None:
    plane = ControlPlane(world)
    await plane.convert()
    await plane.run(seconds)
    await plane.close()
    world.control_plane_died()
    world.runtime.lose_pods()
    world.clock.advance(3600)
    plane = ControlPlane(world)
    await plane.settle()
    assert await plane.status() == "ON"
    assert (await plane.snapshot()).state is SnapshotState.READY
    await plane.close()
