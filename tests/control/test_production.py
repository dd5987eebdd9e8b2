"""Is what was promoted served from files of its own, whatever becomes of it in staging?"""

from __future__ import annotations

import pytest

from taxiway.domain.deployments import DeploymentWanted
from taxiway.domain.promotions import FormatPolicy
from taxiway.domain.resources import Capacity, Scale
from taxiway.services.deployments import ProductionName
from taxiway.services.promotions import PromotionRequest, Promotions
from tests.builders import an_asking
from tests.control.harness import NAME, ControlPlane, killed
from tests.fakes import CopyFate

ACME = ProductionName(name="fraud-acme")


async def promote(plane: ControlPlane) -> None:
    promotions = Promotions(
        database=plane.database, capacity=Capacity(memory_bytes=1 << 40, cpus=64), policy=FormatPolicy.WARN,
        is_isolated=lambda: True, nudge=plane.nudge, now=plane.world.clock,
    )  # fmt: skip
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


async def test_as_many_pods_run_as_are_wanted_at_least(promoted: ControlPlane) -> None:
    for count in (3, 1):
        await promoted.deployments.configure(an_asking(), ACME, scale=Scale(minimum=count, maximum=4))
        await promoted.settle()
        detail = await promoted.deployments.detail(ACME)
        assert [len(promoted.observed.pods(revision.id)) for revision in detail.revisions] == [count]
        assert detail.deployment.wanted is DeploymentWanted.ON
        assert await status(promoted) == "ON"
