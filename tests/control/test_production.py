"""Is what was promoted served from files of its own, whatever becomes of it in staging?"""

from __future__ import annotations

import pytest

from taxiway.domain.deployments import DeploymentWanted
from taxiway.domain.errors import StoreUnavailable
from taxiway.domain.gates import FormatPolicy
from taxiway.domain.resources import Capacity, Resources, Scale
from taxiway.services.approvals import PromotionRequest
from taxiway.services.deployments import ProductionName
from taxiway.services.promotions import Promotions
from tests.builders import an_asking
from tests.control.harness import NAME, ControlPlane, killed
from tests.fakes import CopyFate, PodFate

ACME = ProductionName(name="fraud-acme")


def promotions_of(plane: ControlPlane) -> Promotions:
    return Promotions(
        database=plane.database, capacity=Capacity(memory_bytes=1 << 40, cpus=64), policy=FormatPolicy.WARN,
        is_isolated=lambda: True, needs_approval=False, prover=plane.world.prover, nudge=plane.nudge,
        now=plane.world.clock,
    )  # fmt: skip


async def promote(plane: ControlPlane) -> None:
    promotions = promotions_of(plane)
    request = PromotionRequest(source=NAME, name="fraud-acme", customer="Acme", reason="They asked for it.")
    await promotions.promote(an_asking(), request)


@pytest.fixture
async def promoted(plane: ControlPlane) -> ControlPlane:
    await plane.convert()
    await plane.settle()
    await promote(plane)
    await plane.settle()
    return plane


async def status(plane: ControlPlane) -> str:
    return str((await plane.deployments.detail(ACME)).deployment.verdict.status)


async def test_it_is_on_with_a_copy_of_its_own(promoted: ControlPlane) -> None:
    assert await status(promoted) == "ON"
    assert promoted.world.vault.contents == promoted.world.store.contents
    (bundle,) = promoted.world.bundles.documents.values()
    assert (bundle["deployment"], bundle["snapshot"]) == ("fraud-acme", *promoted.world.vault.contents)
    assert "--hash=sha256:" in str(bundle["lock"])
    assert promoted.world.gateway.in_force is not None
    routes = {route.prefix for route in promoted.world.gateway.in_force.routes}
    assert {"/production/fraud-acme/", "/staging/fraud/scorer/1/"} <= routes


async def test_it_goes_on_when_staging_is_deleted_and_the_control_plane_dies(promoted: ControlPlane) -> None:
    await promoted.delete()
    await promoted.settle()
    assert await promoted.rows("deployments") == 1
    assert promoted.world.store.contents == {}
    assert await status(promoted) == "ON"
    plane = await killed(promoted)
    promoted.world.runtime.lose_pods()
    await plane.settle()
    assert await status(plane) == "ON"
    await plane.close()


async def test_what_is_deleted_leaves_nothing(promoted: ControlPlane) -> None:
    await promoted.deployments.delete(an_asking(), ACME)
    await promoted.settle()
    assert promoted.world.vault.contents == {}
    assert promoted.world.bundles.documents == {}
    assert len(promoted.world.store.contents) == 1, "staging keeps its own"
    assert [await promoted.rows(table) for table in ("deployments", "promotions", "model_versions")] == [1, 0, 1]
    assert await promoted.status() == "ON"


async def test_staging_may_be_deleted_while_the_copy_is_under_way(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    plane.world.vault.fate = CopyFate.COPY_HANGS
    await promote(plane)
    await plane.run(2)
    await plane.delete()
    await plane.run(5)
    assert len(plane.world.store.contents) == 1, "what is to be copied stays until it is"
    plane.world.vault.fate = CopyFate.WELL
    await plane.settle()
    assert await status(plane) == "ON"


async def test_what_was_changed_in_staging_is_not_promoted(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    (digest,) = plane.world.store.contents
    plane.world.store.tampered[digest] = "model.pkl"
    await promote(plane)
    await plane.settle()
    failure = (await plane.deployments.detail(ACME)).deployment.verdict
    assert (str(failure.status), failure.reason) == ("Failed", "ArtifactDigestMismatch")
    assert "model.pkl" in failure.message
    assert plane.world.vault.contents == {}


async def test_a_rollback_serves_what_was_served_and_copies_nothing(promoted: ControlPlane) -> None:
    larger = Resources(memory_bytes=2 << 30, cpus=2)
    await promoted.deployments.configure(an_asking(), ACME, resources=larger)
    await promoted.settle()
    copies, built = promoted.world.vault.begun, promoted.world.builder.begun
    before = promoted.world.clock.elapsed()
    await promotions_of(promoted).roll_back(an_asking(), "fraud-acme", reason="It was no faster.")
    await promoted.run(60, until=lambda: is_routed(promoted, 3))
    assert promoted.world.clock.elapsed() - before < 5
    await promoted.settle()
    detail = await promoted.deployments.detail(ACME)
    first, second, third = detail.revisions
    assert [str(each.state) for each in (first, second, third)] == ["Retired", "Retired", "Ready"]
    assert (third.resources, third.why) == (first.resources, "It was no faster.")
    assert third.made_by == an_asking().principal.name
    assert detail.deployment.resources == first.resources
    assert (promoted.world.vault.begun, promoted.world.builder.begun) == (copies, built)
    assert await status(promoted) == "ON"


def is_routed(plane: ControlPlane, number: int) -> bool:
    return any(revision.endswith(f"-{number}") and revision.startswith("r-p-") for revision in plane.observed.routed())


async def test_a_failed_update_leaves_the_last_good_revision_serving(promoted: ControlPlane) -> None:
    promoted.world.runtime.fate = PodFate.FAILS_FOR_GOOD
    await promoted.deployments.configure(an_asking(), ACME, resources=Resources(memory_bytes=1 << 30, cpus=0.5))
    await promoted.settle()
    detail = await promoted.deployments.detail(ACME)
    assert [str(revision.state) for revision in detail.revisions] == ["Ready", "Failed"]
    assert is_routed(promoted, 1)
    assert await status(promoted) == "Degraded"
    promoted.world.runtime.fate = PodFate.WELL
    await promotions_of(promoted).roll_back(an_asking(), "fraud-acme", reason="The new one fails.")
    await promoted.settle()
    assert await status(promoted) == "ON"


async def test_as_many_pods_run_as_are_wanted_at_least(promoted: ControlPlane) -> None:
    for count in (3, 1):
        await promoted.deployments.configure(an_asking(), ACME, scale=Scale(minimum=count, maximum=4))
        await promoted.settle()
        detail = await promoted.deployments.detail(ACME)
        assert [len(promoted.observed.pods(revision.id)) for revision in detail.revisions] == [count]
        assert detail.deployment.wanted is DeploymentWanted.ON
        assert await status(promoted) == "ON"


async def lose_pods_and_copies(plane: ControlPlane) -> None:
    """As on another host: the store has the files, this host has neither them nor pods."""
    plane.world.vault.not_at_hand.update(plane.world.vault.contents)
    plane.world.runtime.lose_pods()


async def test_a_host_without_the_files_gets_them_from_productions_own_store(promoted: ControlPlane) -> None:
    await promoted.delete()
    await promoted.settle()
    assert promoted.world.store.contents == {}
    plane = await killed(promoted)
    await lose_pods_and_copies(plane)
    await plane.settle()
    assert await status(plane) == "ON"
    assert plane.world.vault.not_at_hand == set()
    await plane.close()


async def test_it_waits_for_a_store_that_is_away(promoted: ControlPlane) -> None:
    plane = await killed(promoted)
    await lose_pods_and_copies(plane)
    plane.world.vault.away = StoreUnavailable("The object store does not answer.", hint="See whether it is up.")
    await plane.run(30)
    assert await status(plane) != "Failed"
    plane.world.vault.away = None
    await plane.settle()
    assert await status(plane) == "ON"
    await plane.close()


async def test_what_is_damaged_in_its_store_comes_from_staging_or_is_named(promoted: ControlPlane) -> None:
    (digest,) = promoted.world.vault.contents
    promoted.world.vault.tampered[digest] = "model.pkl"
    plane = await killed(promoted)
    await lose_pods_and_copies(plane)
    await plane.settle()
    assert await status(plane) == "ON", "staging has them whole"
    await plane.delete()
    await plane.settle()
    plane = await killed(plane)
    await lose_pods_and_copies(plane)
    await plane.settle()
    verdict = (await plane.deployments.detail(ACME)).deployment.verdict
    assert str(verdict.status) == "Failed"
    assert "model.pkl" in verdict.message
    await plane.close()


async def test_an_outage_of_the_store_is_nothing_to_pods_that_run(promoted: ControlPlane) -> None:
    promoted.world.vault.away = StoreUnavailable("The object store does not answer.")
    plane = await killed(promoted)
    await plane.settle()
    assert await status(plane) == "ON"
    assert plane.errors == []
    await plane.close()
