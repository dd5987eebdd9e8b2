"""What is known of pods and routes, and from when on."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from taxiway.control.observed import GATEWAY_PATIENCE, Observed
from taxiway.domain.ids import RevisionId
from taxiway.domain.routing import Backend, RoutingTable, RoutingVersion
from tests.builders import a_route
from tests.fakes import FakeClock, FakeGateway, FakeRuntime

R1, R2 = RevisionId("r1"), RevisionId("r2")


def table(*revisions: RevisionId, is_empty: bool = False) -> RoutingTable:
    addresses = () if is_empty else ("unix:/run/p/s",)
    return RoutingTable(
        routes=tuple(
            a_route(prefix=f"/{revision}/", backends=(Backend(revision=revision, addresses=addresses),))
            for revision in revisions
        )
    )


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.runtime, self.gateway = FakeRuntime(self.clock), FakeGateway(self.clock)
        self.observed = self.after_restart()

    def after_restart(self) -> Observed:
        self.observed = Observed(self.runtime, self.gateway, elapsed=self.clock.elapsed)
        return self.observed

    async def publish(self, wanted: RoutingTable) -> None:
        self.observed.published(wanted)
        await self.gateway.publish(wanted)

    def is_refused(self) -> bool:
        return self.observed.rejection is not None

    async def look(self, seconds: float = 1.0) -> tuple[frozenset[RevisionId], bool]:
        self.clock.advance(seconds)
        return await self.observed.look()


async def test_only_an_accepted_table_routes() -> None:
    scene = Scene()
    await scene.look()
    await scene.publish(table(R1))
    assert scene.observed.routed() == frozenset()
    assert not scene.observed.is_accepted()
    assert await scene.look() == (frozenset(), True)
    assert scene.observed.routed() == {R1}
    assert scene.observed.is_accepted()
    assert await scene.look() == (frozenset(), False)


async def test_a_backend_without_pods_is_not_routed() -> None:
    scene = Scene()
    await scene.publish(table(R1, is_empty=True))
    await scene.look()
    assert scene.observed.is_accepted()
    assert scene.observed.routed() == frozenset()


async def test_between_two_tables_both_may_get_requests() -> None:
    scene = Scene()
    await scene.publish(table(R1))
    await scene.look()
    await scene.publish(table(R2))
    assert scene.observed.routed() == {R1}
    assert scene.observed.may_get_requests(R1)
    assert scene.observed.may_get_requests(R2)
    await scene.look()
    assert scene.observed.routed() == {R2}
    assert not scene.observed.may_get_requests(R1)


async def test_until_a_table_of_ours_is_accepted_everybody_may_get_requests() -> None:
    scene = Scene()
    await scene.publish(table(R1))
    await scene.look()
    scene.after_restart()
    await scene.look()
    assert not scene.observed.routes_are_known()
    assert scene.observed.may_get_requests(R1)
    await scene.publish(table(R2))
    assert scene.observed.may_get_requests(R1)
    await scene.look()
    assert scene.observed.routes_are_known()
    assert not scene.observed.may_get_requests(R1)


async def test_a_table_that_is_in_force_already_is_known_at_once_after_a_restart() -> None:
    scene = Scene()
    await scene.publish(table(R1))
    await scene.look()
    scene.after_restart()
    await scene.look()
    await scene.publish(table(R1))
    assert scene.observed.routed() == {R1}
    assert scene.observed.routes_are_known()


async def test_a_gateway_that_says_nothing_counts_as_routing_nothing_after_a_while() -> None:
    scene = Scene()
    scene.gateway.never_accepts = True
    await scene.look(60)
    assert not scene.observed.routes_are_known(), "nothing was published yet"
    await scene.publish(table(R1))
    await scene.look(GATEWAY_PATIENCE.total_seconds() - 1)
    assert not scene.observed.routes_are_known()
    await scene.look(2)
    assert scene.observed.routes_are_known()
    assert scene.observed.routed() == frozenset()
    assert scene.observed.may_get_requests(R2), "nobody knows; who retires has a deadline of its own"


async def test_a_refusal_is_kept_until_another_table_is_tried() -> None:
    scene = Scene()
    await scene.publish(table(R1))
    await scene.look()
    scene.gateway.rejects_table = True
    await scene.publish(table(R2))
    assert (await scene.look())[1]
    assert scene.is_refused()
    assert scene.observed.routed() == {R1}
    assert not (await scene.look())[1]
    assert scene.is_refused()
    scene.gateway.rejects_table = False
    await scene.publish(table(R1, R2))
    assert not scene.is_refused()
    await scene.look()
    assert scene.observed.routed() == {R1, R2}


async def test_pods_that_changed_are_told_and_those_that_only_used_memory_are_not() -> None:
    scene = Scene()
    scene.runtime.add_stray(R1)
    assert (await scene.look(0.0))[0] == {R1}
    assert (await scene.look(0.1))[0] == frozenset()
    assert (await scene.look(1.0))[0] == {R1}
    scene.runtime.lose_pods()
    assert (await scene.look())[0] == {R1}
    assert scene.observed.pods(R1) == ()


async def test_looks_have_a_time() -> None:
    scene = Scene()
    assert not scene.observed.has_looked_since(-1)
    await scene.look()
    acted_at = scene.clock.elapsed()
    assert not scene.observed.has_looked_since(acted_at)
    await scene.look()
    assert scene.observed.has_looked_since(acted_at)


async def test_a_gateway_that_cannot_tell_for_a_moment_has_changed_nothing() -> None:
    scene = Scene()
    await scene.publish(table(R1))
    await scene.look()
    scene.gateway.is_silent = True
    assert await scene.look(GATEWAY_PATIENCE.total_seconds() - 1) == (frozenset(), False)
    assert scene.observed.routed() == {R1}
    assert not (await scene.look(GATEWAY_PATIENCE.total_seconds()))[1]
    assert (await scene.look(1))[1]
    assert scene.observed.routed() == frozenset()
    scene.gateway.is_silent = False
    await scene.look()
    assert scene.observed.routed() == {R1}


class BrokenGateway(FakeGateway):
    async def accepted(self) -> RoutingVersion | None:
        raise OSError("cut off")


async def test_a_gateway_that_cannot_be_asked_does_not_hide_what_happened_to_pods() -> None:
    clock = FakeClock()
    runtime = FakeRuntime(clock)
    runtime.add_stray(R1)
    observed = Observed(runtime, BrokenGateway(clock), every=timedelta(), elapsed=clock.elapsed)
    told: list[frozenset[RevisionId]] = []
    looking = asyncio.create_task(observed.run(told.append, lambda: None))
    for _ in range(10):
        await asyncio.sleep(0)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert told == [frozenset({R1})]


async def test_rows_are_counted_from_when_a_pod_was_seen_and_taken_once() -> None:
    scene = Scene()
    for _ in range(2):
        scene.runtime.add_stray(R1)
    await scene.look()
    scene.runtime.return_rows(R1, 5)
    await scene.look()
    scene.runtime.return_rows(R1, 1)
    await scene.look()
    assert scene.observed.take_rows() == {R1: 12}
    assert not any(scene.observed.take_rows().values())
    await scene.after_restart().look()
    assert not any(scene.observed.take_rows().values()), "what was returned before was counted by the one before"
    scene.runtime.return_rows(R1, 1)
    await scene.look()
    await scene.runtime.remove(R1, grace=timedelta())
    await scene.look()
    assert scene.observed.take_rows() == {R1: 2}, "pods that are gone have returned them nonetheless"
