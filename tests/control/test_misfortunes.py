"""What goes wrong is shown with its reason, ends in time, leaves what served serving, and can be tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from taxiway.domain.errors import GatewayRejected, IsolationUnavailable, OutOfDisk, TaxiwayError, TrackingUnavailable
from taxiway.domain.lifecycle import BUILD_DEADLINE, COPY_DEADLINE, TRACKING_PATIENCE
from taxiway.domain.pods import PodPhase
from taxiway.domain.revisions import RevisionState
from tests.builders import an_asking
from tests.control.harness import NAME, ControlPlane, World, killed
from tests.control.test_convergence import PATH, reconfigure
from tests.fakes import BuildFate, CopyFate, PodFate, ProofFate

pytestmark = pytest.mark.fault

Spoil = Callable[[World], None]


def copies(fate: CopyFate) -> Spoil:
    return lambda world: setattr(world.store, "fate", fate)


def builds(fate: BuildFate) -> Spoil:
    return lambda world: setattr(world.builder, "fate", fate)


def pods(fate: PodFate) -> Spoil:
    return lambda world: setattr(world.runtime, "fate", fate)


def mlflow_is_down_after_the_conversion(world: World) -> None:
    world.registry.is_down = True


MISFORTUNES = [
    (copies(CopyFate.COPY_FAILS), "OutOfDisk", 0.0),
    (copies(CopyFate.BEGIN_FAILS), "OutOfDisk", 0.0),
    (copies(CopyFate.COPY_HANGS), "CopyDeadlineExceeded", COPY_DEADLINE.total_seconds()),
    (mlflow_is_down_after_the_conversion, "TrackingUnavailable", 0.0),
    (builds(BuildFate.BUILD_FAILS), "EnvironmentFailed", 0.0),
    (builds(BuildFate.BEGIN_FAILS), "OutOfDisk", 0.0),
    (builds(BuildFate.BUILD_HANGS), "BuildDeadlineExceeded", BUILD_DEADLINE.total_seconds()),
    (pods(PodFate.NEVER_READY), "StartDeadlineExceeded", 600.0),
    (pods(PodFate.FAILS_AT_LOAD), "CrashLoop", 0.0),
    (pods(PodFate.FAILS_FOR_GOOD), "ArtifactDigestMismatch", 0.0),
    (pods(PodFate.CRASHES_AFTER_READY), "CrashLoop", 0.0),
]
"""What goes wrong, the reason that people see, and after how many seconds of nothing."""

IDS = [reason for _, reason, _ in MISFORTUNES]


async def wait_for_trouble(plane: ControlPlane, seconds_of_nothing: float) -> None:
    await plane.run(4)
    plane.world.clock.advance(seconds_of_nothing)
    for _ in range(40):
        await plane.run(1)
        if (await plane.states())[-1] == "Failed":
            await plane.run(0.5)
            return


def make_well(world: World) -> None:
    world.store.fate, world.builder.fate, world.runtime.fate = CopyFate.WELL, BuildFate.WELL, PodFate.WELL
    world.registry.is_down = False


@pytest.mark.parametrize("fate", [ProofFate.FAILS, ProofFate.BEGIN_FAILS, ProofFate.HANGS])
async def test_a_model_comes_on_though_nothing_is_proven(plane: ControlPlane, fate: ProofFate) -> None:
    plane.world.prover.fate = fate
    await plane.convert()
    await plane.run(20)
    assert await plane.status() == "ON"


@pytest.mark.parametrize(("spoil", "reason", "seconds"), MISFORTUNES, ids=IDS)
async def test_it_fails_with_its_reason_in_time_and_a_retry_works(
    plane: ControlPlane, spoil: Spoil, reason: str, seconds: float
) -> None:
    await plane.convert()
    spoil(plane.world)
    await wait_for_trouble(plane, seconds)
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Failed", reason)
    assert verdict.message.endswith(".")
    assert verdict.hint
    assert plane.world.runtime.running() == []
    assert plane.world.builder.building == {}
    make_well(plane.world)
    await plane.on()
    await plane.settle()
    assert await plane.status() == "ON"
    assert plane.errors == []


@pytest.mark.parametrize(("spoil", "reason", "seconds"), MISFORTUNES[4:-1], ids=IDS[4:-1])
async def test_a_change_that_fails_leaves_the_old_revision_serving(
    plane: ControlPlane, spoil: Spoil, reason: str, seconds: float
) -> None:
    await plane.convert()
    await plane.settle()
    (first,) = [revision.id for revision in await plane.revisions()]
    plane.world.builder.ready.clear()
    spoil(plane.world)
    await reconfigure(plane)
    await wait_for_trouble(plane, seconds)
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Degraded", reason)
    assert "Revision 2 failed; 1 goes on serving" in verdict.message
    assert plane.world.gateway.targets() == {PATH: [first]}
    assert plane.world.runtime.running() == [first]
    make_well(plane.world)
    await plane.on()
    await plane.settle()
    assert await plane.status() == "ON"
    assert await plane.states() == ["Retired", "Retired", "Ready"]


async def test_a_crash_loop_is_not_on_after_its_first_crash(plane: ControlPlane) -> None:
    plane.world.runtime.fate = PodFate.CRASHES_AFTER_READY
    await plane.convert()
    await plane.run(30, until=lambda: any(pod.restarts for pods in plane.observed.all_pods().values() for pod in pods))
    for _ in range(80):
        await plane.run(0.3)
        assert await plane.status() != "ON"
    assert await plane.status() == "Failed"


async def test_a_pod_that_vanishes_comes_back(plane: ControlPlane) -> None:
    plane.world.runtime.fate = PodFate.VANISHES
    await plane.convert()
    await plane.run(20)
    assert await plane.status() == "ON"
    assert plane.world.runtime.made == 2


async def test_a_pod_that_died_is_shown_until_it_was_well_for_a_while(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.clock.advance(600)
    await plane.run(5)
    (revision,) = await plane.revisions()
    plane.world.runtime.crash(revision.id)
    await plane.run(1)
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Degraded", "Exited")
    await plane.run(20)
    assert await plane.status() == "Degraded"
    await plane.run(20)
    assert await plane.status() == "ON"
    for _ in range(5):
        plane.world.runtime.crash(revision.id)
        await plane.run(3)
    plane.world.clock.advance(60)
    await plane.run(2)
    assert await plane.status() == "ON", "after five good minutes crashes are the runtime's to mend"
    assert await plane.states() == ["Ready"]


async def test_a_pod_that_was_well_between_its_crashes_is_in_no_crash_loop(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    (revision,) = await plane.revisions()
    for _ in range(5):
        plane.world.runtime.crash(revision.id)
        await plane.run(2)
        plane.world.clock.advance(30)
        await plane.run(2)
        assert await plane.status() == "ON"
    for _ in range(3):
        plane.world.runtime.crash(revision.id)
        await plane.run(2)
    assert await plane.status() == "Failed"


async def test_a_refused_routing_table_is_shown_and_the_last_one_stays(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.gateway.rejects_table = True
    await reconfigure(plane)
    await plane.run(10)
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Degraded", GatewayRejected.reason)
    first, second = await plane.revisions()
    assert (first.state, second.state) == (RevisionState.READY, RevisionState.READY)
    assert plane.world.gateway.targets() == {PATH: [first.id]}
    plane.world.gateway.rejects_table = False
    await plane.deployments.configure(an_asking(), NAME, needs_token=False)
    await plane.settle()
    assert await plane.status() == "ON"
    assert plane.world.gateway.targets() == {PATH: [second.id]}


async def test_a_gateway_that_says_nothing_is_shown_after_a_minute(plane: ControlPlane) -> None:
    plane.world.gateway.never_accepts = True
    await plane.convert()
    await plane.run(5)
    assert await plane.status() == "Starting"
    plane.world.clock.advance(60)
    await plane.run(2)
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Degraded", "RouteNotAccepted")


async def test_a_gateway_that_is_restarted_is_not_told_of_and_one_that_stays_away_is(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    told = len(await plane.events())
    plane.world.gateway.is_silent = True
    await plane.run(3)
    plane.world.gateway.is_silent = False
    await plane.run(20)
    assert len(await plane.events()) == told
    plane.world.gateway.is_silent = True
    await plane.run(20)
    assert await plane.status() == "Degraded"
    assert len(plane.world.runtime.running()) == 1
    plane.world.gateway.is_silent = False
    await plane.run(20)
    assert await plane.status() == "ON"


async def test_a_gateway_that_cannot_be_told_is_told_again(plane: ControlPlane) -> None:
    plane.world.gateway.publish_fails = OutOfDisk("The disk is full.", hint="Free some room.")
    await plane.convert()
    await plane.run(10)
    assert await plane.status() == "Starting"
    plane.world.gateway.publish_fails = None
    await plane.run(40)
    assert await plane.status() == "ON"


@pytest.mark.parametrize(
    "refusal", [OutOfDisk("The disk is full.", hint="Free some room."), OSError(28, "No space left on device")]
)
async def test_a_runtime_that_refuses_for_now_is_asked_again(plane: ControlPlane, refusal: Exception) -> None:
    await plane.convert()
    (revision,) = await plane.revisions()
    plane.world.runtime.refusals[revision.id] = refusal
    await plane.run(10)
    verdict = (await plane.deployment()).verdict
    assert verdict.status == "Starting"
    assert "will be started again" in verdict.message
    del plane.world.runtime.refusals[revision.id]
    await plane.settle()
    assert await plane.status() == "ON"
    assert (await plane.revisions())[0].failure is None


async def test_a_runtime_that_refuses_for_good_ends_it_at_once(plane: ControlPlane) -> None:
    await plane.convert()
    (revision,) = await plane.revisions()
    plane.world.runtime.refusals[revision.id] = IsolationUnavailable(
        "Landlock is missing.", hint="Choose another level."
    )
    await plane.settle()
    verdict = (await plane.deployment()).verdict
    assert (verdict.status, verdict.reason) == ("Failed", "IsolationUnavailable")


async def test_nobody_is_stopped_because_we_cannot_see(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.runtime.is_blind = OSError("cut off")
    plane.world.clock.advance(300)
    await plane.run(20)
    assert await plane.status() == "ON"
    assert len(plane.world.runtime.running()) == 1
    plane.world.runtime.is_blind = None
    await plane.run(1)
    assert [pod.phase for pods in plane.observed.all_pods().values() for pod in pods] == [PodPhase.READY]


async def test_a_deletion_waits_for_mlflow(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.registry.is_down = True
    await plane.delete()
    await plane.run(60)
    assert await plane.status() == "Stopping"
    assert plane.world.runtime.running() == []
    assert {type(error) for error in plane.errors} == {TrackingUnavailable}
    plane.world.registry.is_down = False
    await plane.run(31)
    assert await plane.rows("deployments") == 0


@pytest.mark.parametrize("jump", [timedelta(days=1), -timedelta(days=20_000)], ids=["on", "back"])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.9, 10.0])
async def test_a_clock_that_jumps_stops_nothing(plane: ControlPlane, jump: timedelta, seconds: float) -> None:
    await plane.convert()
    await plane.run(seconds)
    plane.world.clock.jump(jump)
    await plane.run(20)
    assert await plane.status() == "ON"
    assert plane.world.runtime.made == 1
    (revision,) = await plane.revisions()
    assert all(phase.seconds is not None and phase.seconds >= 0 for phase in revision.phases)
    await plane.off()
    await plane.run(5)
    assert await plane.status() == "OFF"


async def test_restarts_of_long_ago_stop_nothing_when_the_clock_is_set_back(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.clock.advance(600)
    (revision,) = await plane.revisions()
    for _ in range(4):
        plane.world.runtime.crash(revision.id)
        await plane.run(2)
        plane.world.clock.advance(60)
    await plane.run(2)
    assert await plane.status() == "ON"
    plane.world.clock.jump(-timedelta(days=365))
    await plane.run(60)
    assert await plane.status() == "ON"
    assert await plane.states() == ["Ready"]


async def test_files_that_were_lost_are_copied_again_when_it_is_switched_on(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.off()
    await plane.settle()
    plane.world.store.contents.clear()
    plane.world.builder.ready.clear()
    plane = await killed(plane)
    await plane.on()
    await plane.settle()
    assert await plane.status() == "ON"
    assert len(plane.world.store.contents) == 1
    await plane.close()


def lose(plane: ControlPlane, *what: str) -> None:
    if "snapshot" in what:
        plane.world.store.contents.clear()
    if "environment" in what:
        plane.world.builder.ready.clear()


LOST = pytest.mark.parametrize("lost", [("snapshot",), ("environment",), ("snapshot", "environment")], ids="+".join)


@LOST
async def test_files_that_are_gone_are_made_again_when_its_pod_is_gone(
    plane: ControlPlane, lost: tuple[str, ...]
) -> None:
    await plane.convert()
    await plane.settle()
    (revision,) = await plane.revisions()
    lose(plane, *lost)
    await plane.run(60)
    assert (await plane.status(), plane.world.runtime.made) == ("ON", 1), "what serves is left alone"
    plane = await killed(plane)
    plane.world.runtime.lose_pods()
    await plane.settle()
    assert (await plane.status(), await plane.states()) == ("ON", ["Ready"])
    assert plane.world.gateway.targets() == {PATH: [revision.id]}
    assert (len(plane.world.store.contents), len(plane.world.builder.ready)) == (1, 1)
    (told,) = [event for event in await plane.events() if event.reason == "FilesGone"]
    assert (told.was, told.became) == ("Ready", "Preparing")
    assert all(word in told.message for word in lost)
    assert plane.errors == []
    await plane.close()


@LOST
async def test_files_that_are_gone_are_made_again_when_its_pod_cannot_start(
    plane: ControlPlane, lost: tuple[str, ...]
) -> None:
    await plane.convert()
    await plane.settle()
    (revision,) = await plane.revisions()
    lose(plane, *lost)
    plane.world.runtime.fates[revision.id] = PodFate.FAILS_FOR_GOOD
    plane.world.runtime.lose_pods()
    await plane.run(1.5, until=lambda: revision.id not in plane.world.runtime.running())
    del plane.world.runtime.fates[revision.id]
    await plane.settle()
    assert (await plane.status(), await plane.states()) == ("ON", ["Ready"])


async def test_files_that_are_gone_wait_for_mlflow_and_then_say_that_they_cannot_be_had(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    for patience, is_back in ((60, True), (2 * TRACKING_PATIENCE.total_seconds(), False)):
        plane.world.registry.is_down = True
        lose(plane, "snapshot")
        plane.world.runtime.lose_pods()
        await plane.run(10)
        assert await plane.status() == "Preparing"
        await plane.run(patience)
        plane.world.registry.is_down = not is_back
        await plane.run(20)
        assert await plane.status() == ("ON" if is_back else "Failed")
    verdict = (await plane.deployment()).verdict
    assert verdict.reason == "FilesGone"
    assert "could not be made again" in verdict.message
    assert "from a backup" in verdict.hint
    plane.world.registry.is_down = False
    await plane.on()
    await plane.settle()
    assert await plane.status() == "ON"


async def test_a_revision_that_runs_does_not_mind_that_its_files_are_copied_anew_for_the_next(
    plane: ControlPlane,
) -> None:
    await plane.convert()
    await plane.settle()
    (first,) = await plane.revisions()
    lose(plane, "snapshot")
    plane.world.store.fate = CopyFate.COPY_HANGS
    await reconfigure(plane)
    await plane.run(2)
    plane = await killed(plane)
    await plane.run(10)
    assert plane.errors == []
    assert plane.world.gateway.targets() == {PATH: [first.id]}
    assert await plane.states() == ["Ready", "Preparing"]
    plane.world.store.fate = CopyFate.WELL
    await plane.settle()
    assert await plane.states() == ["Retired", "Ready"]
    await plane.close()


class Unreliable:
    """A port that fails now and then, before or after it did what it was asked."""

    def __init__(self, port: object, chance: random.Random) -> None:
        self._port, self._chance = port, chance

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._port, attribute)
        if attribute in ("locate", "check"):
            return value

        async def call(*arguments: Any, **named: Any) -> Any:
            if self._chance.random() < 0.15:
                raise TrackingUnavailable("Not now.", hint="Later.")
            result = await value(*arguments, **named)
            if self._chance.random() < 0.15:
                raise OSError("cut off")
            return result

        return call


@pytest.mark.parametrize("seed", range(2))
async def test_ports_that_fail_now_and_then_only_cost_time(world: World, seed: int) -> None:
    chance = random.Random(seed)
    plane = ControlPlane(world, wrap=lambda port, _name: Unreliable(port, chance))

    async def insist(ask: Callable[[], Any]) -> None:
        for _ in range(50):
            try:
                await ask()
            except (TaxiwayError, OSError):
                await plane.run(1)
            else:
                return

    async def becomes(status: str) -> None:
        for _ in range(200):
            await plane.run(1)
            verdict = (await plane.deployment()).verdict
            if verdict.status == status:
                return
            if verdict.status == "Failed":
                assert verdict.reason
                assert verdict.hint
                await plane.on()
        raise AssertionError(f"it never became {status}: {verdict}")

    await insist(plane.convert)
    await becomes("ON")
    await plane.off()
    await becomes("OFF")
    await plane.on()
    await becomes("ON")
    assert plane.errors, "something must have failed"
    await plane.delete()
    for _ in range(200):
        await plane.run(1)
        if not await plane.rows("deployments"):
            break
    assert world.runtime.running() == []
    assert world.registry.versions == {}
    await plane.close()
