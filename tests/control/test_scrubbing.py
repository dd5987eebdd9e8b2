"""Does a scrub find what is damaged, tell whom it befalls, and leave everything as it is?"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from taxiway.control.scrubbing import Ended, Scrubber, Throttle
from taxiway.domain.errors import LeaseLost, OutOfDisk, StoreRefused, StoreUnavailable
from taxiway.domain.ids import SnapshotId
from taxiway.domain.models import Environment
from taxiway.domain.scrubs import Found, Place, Scrub
from taxiway.services.scrubs import Scrubs
from taxiway.store import scrubs as rows
from tests.builders import an_asking
from tests.control.harness import ControlPlane
from tests.control.test_production import ACME, promote, promoted

__all__ = ["promoted"]
PERIOD = timedelta(days=7)


class Kit:
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.told: list[Scrub] = []
        self.scrubs = Scrubs(database=plane.database, now=plane.world.clock)
        self.scrubber = self.another()

    def another(self) -> Scrubber:
        """As another process has one."""
        return Scrubber(
            database=self.plane.database,
            stores={Environment.STAGING: self.plane.world.store, Environment.PRODUCTION: self.plane.world.vault},
            bundles=self.plane.world.bundles,
            now=self.plane.world.clock,
            period=PERIOD,
            bytes_per_second=1 << 30,
            told=self.told.append,
        )

    async def later(self, period: timedelta = PERIOD) -> Scrub:
        """Let so much time pass and look; return the newest scrub."""
        self.plane.world.clock.advance(period.total_seconds())
        await self.scrubber.look()
        return await self.newest()

    async def newest(self) -> Scrub:
        return (await self.scrubs.newest(limit=1))[0]

    async def events(self, reason: str) -> list[str]:
        return [event.message for event in await self.plane.events() if event.reason == reason]


@pytest.fixture
def kit(promoted: ControlPlane) -> Kit:
    return Kit(promoted)


async def test_a_scrub_reads_every_kept_snapshot_of_both_stores(kit: Kit) -> None:
    await kit.scrubber.look()
    scrub = await kit.newest()
    assert (scrub.snapshots, scrub.damages, scrub.trouble) == (2, (), "")
    assert scrub.bytes_read > 0
    assert scrub.ended_at is not None
    assert await kit.scrubs.notes() == []


async def test_it_comes_again_when_its_time_has_come_and_not_before(kit: Kit) -> None:
    await kit.scrubber.look()
    first = await kit.newest()
    assert (await kit.later(PERIOD - timedelta(seconds=1))).id == first.id
    assert (await kit.later(timedelta(seconds=1))).id != first.id


async def test_damage_is_an_event_of_every_deployment_that_it_befalls_and_needs_attention(kit: Kit) -> None:
    (digest,) = kit.plane.world.vault.contents
    kit.plane.world.vault.tampered[digest] = "model.pkl"
    await kit.scrubber.look()
    (damage,) = (await kit.newest()).damages
    assert (damage.environment, damage.snapshot, damage.path) == (Environment.PRODUCTION, digest, "model.pkl")
    (message,) = await kit.events("SnapshotDamaged")
    assert digest[:12] in message
    assert "model.pkl was changed" in message
    assert list(await kit.scrubs.notes()) == [message]
    events = [event for event in await kit.plane.events() if event.reason == "SnapshotDamaged"]
    assert [event.subject for event in events] == [(await kit.plane.deployments.detail(ACME)).deployment.id]
    assert [len(scrub.unmended) for scrub in kit.told] == [1]
    assert kit.plane.world.vault.contents.keys() == {digest}, "nothing is deleted"


async def test_a_damaged_bundle_is_damage_of_its_snapshot(kit: Kit) -> None:
    (key,) = kit.plane.world.bundles.documents
    kit.plane.world.bundles.tampered.add(key)
    await kit.scrubber.look()
    (damage,) = (await kit.newest()).damages
    assert (damage.path, damage.snapshot) == (f"{key}.json", *kit.plane.world.vault.contents)
    assert len(await kit.events("SnapshotDamaged")) == 1


async def test_what_is_known_is_not_told_again_and_its_end_is(kit: Kit) -> None:
    (digest,) = kit.plane.world.vault.contents
    kit.plane.world.vault.tampered[digest] = "model.pkl"
    await kit.scrubber.look()
    await kit.later()
    assert len(await kit.events("SnapshotDamaged")) == 1
    kit.plane.world.vault.tampered.clear()
    await kit.later()
    assert len(await kit.events("SnapshotWhole")) == 1
    assert await kit.scrubs.notes() == []


async def test_what_was_mended_is_told_and_needs_no_attention(kit: Kit) -> None:
    vault = kit.plane.world.vault
    (digest,) = vault.contents
    vault.tampered[digest], vault.place, vault.mends = "model.pkl", Place.LOCAL, True
    await kit.scrubber.look()
    (message,) = await kit.events("SnapshotMended")
    assert "local copy" in message
    assert await kit.events("SnapshotDamaged") == []
    assert await kit.scrubs.notes() == []


@pytest.mark.parametrize("error", [StoreUnavailable("It does not answer."), StoreRefused("It refuses us: 403.")])
async def test_a_store_that_cannot_be_read_is_no_damage_and_is_tried_again_soon(
    kit: Kit, error: StoreUnavailable | StoreRefused
) -> None:
    (digest,) = kit.plane.world.vault.contents
    kit.plane.world.vault.tampered[digest] = "model.pkl"
    await kit.scrubber.look()
    kit.plane.world.vault.away = error
    scrub = await kit.later()
    assert scrub.trouble == error.message
    assert scrub.snapshots == 1, "staging's is read all the same"
    assert [damage.path for damage in scrub.damages] == ["model.pkl"], "what was known is not forgotten"
    assert len(await kit.scrubs.notes()) == 2
    assert await kit.events("SnapshotWhole") == []
    kit.plane.world.vault.away = None
    again = await kit.later(timedelta(hours=1))
    assert (again.id != scrub.id, again.trouble) == (True, "")
    assert len(await kit.events("SnapshotDamaged")) == 1


@pytest.mark.parametrize("error", [OutOfDisk("The disk is full."), OSError(28, "No space left on device")])
async def test_one_snapshot_that_cannot_be_mended_does_not_end_the_scrub(kit: Kit, error: Exception) -> None:
    async def fail(_digest: SnapshotId, _pace: object) -> list[Found]:
        raise error

    kit.plane.world.store.scrub = fail  # type: ignore[assignment, method-assign]
    await kit.scrubber.look()
    scrub = await kit.newest()
    assert scrub.ended_at is not None
    assert scrub.snapshots == 1, "production's is read all the same"
    assert "disk is full" in scrub.trouble or "No space" in scrub.trouble


async def test_who_lost_the_lease_writes_nothing_down(kit: Kit) -> None:
    kit.plane.world.vault.away = LeaseLost("Another control plane has taken over.")
    with pytest.raises(LeaseLost):
        await kit.scrubber.look()
    assert (await kit.newest()).ended_at is None


async def test_one_that_is_asked_for_runs_at_once_and_only_once(kit: Kit) -> None:
    await kit.scrubber.look()
    asked = await kit.scrubs.ask(an_asking())
    assert (await kit.scrubs.ask(an_asking())).id == asked.id
    await kit.scrubber.look()
    scrub = await kit.newest()
    assert (scrub.id, scrub.asked_by, scrub.snapshots) == (asked.id, an_asking().principal.name, 2)
    assert await kit.plane.rows("audit_entries WHERE action = 'production.scrub'") == 1


async def test_one_that_a_killed_control_plane_began_is_run_by_the_next(kit: Kit) -> None:
    asked = await kit.scrubs.ask(an_asking())

    async def hang(_digest: SnapshotId, _pace: object) -> list[object]:
        await asyncio.sleep(60)
        return []

    store = kit.plane.world.store
    store.scrub = hang  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(kit.scrubber.look())
    while (await kit.newest()).began_at is None:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await kit.newest()).ended_at is None
    del store.scrub
    await kit.another().look()
    assert (await kit.newest()).id == asked.id
    assert (await kit.newest()).ended_at is not None


async def test_what_was_deleted_while_it_was_read_is_no_damage(kit: Kit) -> None:
    vault = kit.plane.world.vault
    was = vault.scrub

    async def scrub(digest: SnapshotId, pace: object) -> object:
        await kit.plane.deployments.delete(an_asking(), ACME)
        await kit.plane.settle()
        return await was(digest, lambda _count: None)

    vault.scrub = scrub  # type: ignore[assignment, method-assign]
    await kit.scrubber.look()
    assert (await kit.newest()).damages == ()


async def test_a_snapshot_that_is_still_copied_is_not_read(plane: ControlPlane) -> None:
    await plane.convert()
    kit = Kit(plane)
    await kit.scrubber.look()
    assert ((await kit.newest()).snapshots, (await kit.newest()).damages) == (0, ())


async def test_a_new_process_tells_of_the_last_one(kit: Kit) -> None:
    await kit.scrubber.look()
    kit.told.clear()
    await kit.another().look()
    assert len(kit.told) == 1


async def test_old_ones_are_forgotten(kit: Kit) -> None:
    for _ in range(rows.KEPT + 3):
        await kit.later()
    assert await kit.plane.rows("scrubs") == rows.KEPT


async def test_promoting_again_ends_the_attention_that_a_scrub_asked_for(kit: Kit) -> None:
    (digest,) = kit.plane.world.vault.contents
    kit.plane.world.vault.tampered[digest] = "model.pkl"
    await kit.scrubber.look()
    kit.plane.world.vault.tampered.clear()
    await promote(kit.plane)
    await kit.plane.settle()
    await kit.scrubs.ask(an_asking())
    await kit.scrubber.look()
    assert await kit.scrubs.notes() == []


def test_a_throttle_keeps_to_its_rate_and_lets_go_at_once() -> None:
    throttle = Throttle(1_000_000)
    began = time.monotonic()
    for _ in range(10):
        throttle(20_000)
    assert throttle.count == 200_000
    assert time.monotonic() - began >= 0.19
    threading.Timer(0.1, throttle.stop).start()
    with pytest.raises(Ended):
        throttle(60_000_000)
    assert time.monotonic() - began < 5
