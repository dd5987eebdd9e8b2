"""What every Runtime does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from taxiway.domain.ids import RevisionId
from taxiway.domain.pods import PodObservation, PodPhase
from taxiway.domain.revisions import RevisionSpec
from taxiway.ports import Runtime
from tests.contracts.waiting import Pass, fake_time, real_time, until
from tests.fakes import FakeClock, FakeRuntime
from tests.integration.runtimes.programs import short_directory
from tests.integration.runtimes.test_process_runtime import Machine, a_spec

GRACE = timedelta(seconds=5)


@dataclass(kw_only=True)
class Kit:
    runtime: Runtime
    a_moment: Pass
    restart: Callable[[], Runtime]
    """Kill the control plane; returns the runtime of the next."""
    specs: dict[str, RevisionSpec] = field(default_factory=dict)

    async def pods(self, holds: Callable[[list[PodObservation]], object]) -> list[PodObservation]:
        async def look() -> list[PodObservation]:
            return list(await self.runtime.observe())

        return await until(look, holds, self.a_moment)

    async def ready(self, count: int) -> list[PodObservation]:
        return await self.pods(lambda pods: len(pods) == count and all(p.phase is PodPhase.READY for p in pods))

    async def gone(self) -> None:
        await self.pods(lambda pods: not pods)


@pytest.fixture(params=["fake", pytest.param("process", marks=pytest.mark.integration)])
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    if request.param == "fake":
        clock = FakeClock()
        fake = FakeRuntime(clock)

        def died() -> Runtime:
            fake.control_plane_died()
            return fake

        yield Kit(runtime=fake, a_moment=fake_time(clock), restart=died)
        return
    with short_directory() as root:
        machine = Machine(root)
        yield Kit(runtime=machine.runtime(), a_moment=real_time, restart=machine.runtime)
        for runtime in machine.runtimes:
            await runtime.close()


async def test_a_revision_gets_its_pods_once(kit: Kit) -> None:
    assert await kit.runtime.observe() == []
    for _ in range(3):
        await kit.runtime.apply(a_spec("r1"), scale=1)
    (pod,) = await kit.ready(1)
    assert pod.revision == "r1"
    assert pod.address
    assert pod.restarts == 0
    assert pod.failure is None
    assert [phase.name for phase in pod.phases] == ["verified", "loaded", "example", "ready"]


async def test_revisions_are_kept_apart_and_removed_apart(kit: Kit) -> None:
    for name in ("r1", "r2"):
        await kit.runtime.apply(a_spec(name), scale=1)
    pods = await kit.ready(2)
    assert len({pod.id for pod in pods}) == len({pod.address for pod in pods}) == 2
    await kit.runtime.remove(RevisionId("r1"), grace=GRACE)
    (left,) = await kit.pods(lambda pods: len(pods) == 1)
    assert (left.revision, left.phase) == ("r2", PodPhase.READY)


async def test_removing_twice_and_what_is_unknown_is_no_error(kit: Kit) -> None:
    await kit.runtime.remove(RevisionId("r9"), grace=GRACE)
    await kit.runtime.apply(a_spec("r1"), scale=1)
    await kit.ready(1)
    for _ in range(2):
        await kit.runtime.remove(RevisionId("r1"), grace=GRACE)
    await kit.gone()
    await kit.runtime.remove(RevisionId("r1"), grace=timedelta())


async def test_removing_before_it_was_ready_leaves_nothing(kit: Kit) -> None:
    await kit.runtime.apply(a_spec("r1"), scale=1)
    await kit.runtime.remove(RevisionId("r1"), grace=timedelta())
    await kit.gone()


async def test_the_next_control_plane_sees_the_pods_and_takes_them_over(kit: Kit) -> None:
    await kit.runtime.apply(a_spec("r1"), scale=1)
    (before,) = await kit.ready(1)
    kit.runtime = kit.restart()
    (seen,) = await kit.ready(1)
    assert (seen.id, seen.address, seen.started_at) == (before.id, before.address, seen.started_at)
    await kit.runtime.apply(a_spec("r1"), scale=1)
    await kit.a_moment()
    (after,) = await kit.ready(1)
    assert after.id == before.id


async def test_the_next_control_plane_can_remove_what_it_never_applied(kit: Kit) -> None:
    await kit.runtime.apply(a_spec("r1"), scale=1)
    await kit.ready(1)
    kit.runtime = kit.restart()
    await kit.runtime.remove(RevisionId("r1"), grace=GRACE)
    await kit.gone()
