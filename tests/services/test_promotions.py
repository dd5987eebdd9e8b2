"""What a promotion writes: a deployment of its own, a model version of its own, and who did it, why, by which gates."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from taxiway.domain.approvals import Decision
from taxiway.domain.deployments import DeploymentWanted
from taxiway.domain.errors import Conflict, GatesFailed, InvalidInput, LimitReached, NotAllowed, NotFound
from taxiway.domain.gates import FormatPolicy, GateName
from taxiway.domain.ids import SnapshotId, UserId
from taxiway.domain.models import Environment
from taxiway.domain.people import Asking, Role
from taxiway.domain.resources import Capacity, Resources, Scale
from taxiway.domain.revisions import RevisionState, RevisionWanted
from taxiway.domain.snapshots import SnapshotState
from taxiway.domain.thresholds import parse_threshold
from taxiway.services.approvals import PromotionRequest
from taxiway.services.deployments import DeploymentName, Deployments, ProductionName
from taxiway.services.promotions import Promotions
from taxiway.store import models, revisions, snapshots, users
from taxiway.store.database import Database
from tests.builders import MODEL, PROJECT, a_stored_snapshot, a_user, an_asking, some_facts, some_phases
from tests.fakes import FakeClock, FakeNudge, FakeProver
from tests.services.conftest import actions
from tests.store.conftest import insert_people, insert_version

ME = an_asking()
GIB = 1 << 30
CAPACITY = Capacity(memory_bytes=16 * GIB, cpus=8)
FIRST = DeploymentName(project=PROJECT, model=MODEL, version=1)
SECOND = replace(FIRST, version=2)


def wanted(**changes: Any) -> PromotionRequest:
    request = PromotionRequest(source=FIRST, name="fraud-acme", customer="Acme", reason="They asked for it.")
    return replace(request, **changes)


async def be_on(database: Database, version: str, **facts: Any) -> None:
    """Let a model version of staging be seen ON."""
    async with database.write() as tx:
        (revision,) = [each for each in await revisions.living(tx) if each.model_version == version]
        seen = replace(revision, state=RevisionState.READY, phases=some_phases())
        await revisions.record(tx, seen, if_generation=revision.generation)
        await snapshots.record(tx, a_stored_snapshot(model_version=version))


@pytest.fixture
async def promotions(database: Database, clock: FakeClock, nudge: FakeNudge) -> Promotions:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        await insert_version(tx, 2, facts=some_facts(signature={"inputs": json.dumps([]), "outputs": json.dumps([])}))
    for version in ("v1", "v2"):
        await be_on(database, version)
    clock.advance(60)
    return make_promotions(database, clock, nudge, needs_approval=False)


def make_promotions(database: Database, clock: FakeClock, nudge: FakeNudge, *, needs_approval: bool) -> Promotions:
    return Promotions(
        database=database, capacity=CAPACITY, policy=FormatPolicy.WARN, is_isolated=lambda: True,
        needs_approval=needs_approval, prover=FakeProver(clock=clock), nudge=nudge, now=clock,
    )  # fmt: skip


@pytest.fixture
def deployments(database: Database, clock: FakeClock, nudge: FakeNudge) -> Deployments:
    return Deployments(database=database, capacity=CAPACITY, nudge=nudge, now=clock)


async def test_one_version_goes_to_two_customers_with_different_sizes(
    promotions: Promotions, deployments: Deployments, database: Database, nudge: FakeNudge
) -> None:
    small = wanted(resources=Resources(memory_bytes=GIB, cpus=0.5))
    large = wanted(
        name="fraud-zeta", customer="Zeta", resources=Resources(memory_bytes=4 * GIB, cpus=2),
        scale=Scale(minimum=2, maximum=6),
    )  # fmt: skip
    for request in (small, large):
        await promotions.promote(ME, request)
    details = [await deployments.detail(ProductionName(name=name)) for name in ("fraud-acme", "fraud-zeta")]
    acme, zeta = (detail.deployment for detail in details)
    assert (acme.path, zeta.path) == ("/production/fraud-acme/", "/production/fraud-zeta/")
    assert (acme.customer, acme.resources.cpus, acme.scale) == ("Acme", 0.5, Scale())
    assert (zeta.customer, zeta.resources.cpus, zeta.scale.minimum) == ("Zeta", 2, 2)
    assert acme.needs_token
    for detail in details:
        (revision,) = detail.revisions
        assert revision.environment is detail.version.environment is Environment.PRODUCTION
        assert (revision.resources, revision.model_version) == (detail.deployment.resources, detail.version.id)
        assert (detail.snapshot.state, detail.snapshot.digest) == (SnapshotState.PENDING, None)
        assert ("revision", revision.id) in nudge.told
    staging = await deployments.detail(FIRST)
    assert len({staging.version.id, *(detail.version.id for detail in details)}) == 3
    assert {detail.revisions[0].request for detail in details} == {staging.revisions[0].request}, "its own lock"
    assert [each.name for each in await promotions.search()] == ["fraud-acme", "fraud-zeta"]
    assert [each.name for each in await promotions.search(customer="Zeta")] == ["fraud-zeta"]
    assert (await actions(database))[-2:] == ["production.promote"] * 2


async def test_who_why_and_how_the_gates_stood_is_kept(promotions: Promotions, clock: FakeClock) -> None:
    await promotions.promote(ME, wanted())
    ((promotion, version),) = await promotions.history("fraud-acme")
    assert version is not None
    assert (version.model, version.version) == (MODEL, 1)
    assert (promotion.promoted_by, promotion.reason, promotion.promoted_at) == (
        ME.principal.name, "They asked for it.", clock(),
    )  # fmt: skip
    assert [gate.gate for gate in promotion.gates] == list(GateName)
    assert promotion.digest == a_stored_snapshot().digest


async def test_nothing_is_written_where_a_gate_fails_or_nothing_is_to_be_done(
    promotions: Promotions, deployments: Deployments, database: Database
) -> None:
    before = await actions(database)
    plan = await promotions.plan(ME, wanted())
    assert all(gate.holds for gate in plan.gates)
    too_many = wanted(scale=Scale(minimum=90, maximum=90))
    with pytest.raises(GatesFailed, match=r"Capacity: 90Gi of memory and 90 CPUs are wanted"):
        await promotions.promote(ME, too_many)
    with pytest.raises(NotFound):
        await deployments.detail(ProductionName(name="fraud-acme"))
    assert await actions(database) == before


async def test_another_version_takes_the_place_of_one_once_callers_may_feel_it(
    promotions: Promotions, deployments: Deployments
) -> None:
    await promotions.promote(ME, wanted(scale=Scale(minimum=2, maximum=3)))
    name = ProductionName(name="fraud-acme")
    update = wanted(source=SECOND, customer=None)
    with pytest.raises(GatesFailed, match="Contract: Who calls it may feel it"):
        await promotions.promote(ME, update)
    assert (await deployments.detail(name)).deployment.version == 1
    await promotions.promote(ME, replace(update, accepts_breaking=True))
    detail = await deployments.detail(name)
    assert (detail.deployment.version, detail.version.version, detail.deployment.customer) == (2, 2, "Acme")
    assert detail.deployment.scale == Scale(minimum=2, maximum=3), "what is not asked for stays"
    first, second = detail.revisions
    assert (first.number, second.number, second.wanted) == (1, 2, RevisionWanted.SERVE)
    assert [version and version.version for _, version in await promotions.history("fraud-acme")] == [2, 1]


async def test_deleting_the_model_in_staging_changes_nothing_of_it(
    promotions: Promotions, deployments: Deployments, database: Database
) -> None:
    await promotions.promote(ME, wanted())
    digest = a_stored_snapshot().digest
    assert digest is not None
    async with database.read() as tx:
        assert await snapshots.users_of(tx, digest, Environment.STAGING) == 3, "still to be copied"
    await deployments.delete(ME, FIRST)
    detail = await deployments.detail(ProductionName(name="fraud-acme"))
    assert detail.deployment.wanted is DeploymentWanted.ON
    async with database.write() as tx:
        staging = await models.get_version(tx, PROJECT, MODEL, 1)
        assert staging.id == "v1"
        assert len(await models.versions_of_run(tx, PROJECT, staging.source.run_id)) == 2, "production has its own"


async def test_scale_and_switches_are_as_in_staging(promotions: Promotions, deployments: Deployments) -> None:
    await promotions.promote(ME, wanted())
    name = ProductionName(name="fraud-acme")
    changed = await deployments.configure(ME, name, scale=Scale(minimum=3, maximum=4))
    assert changed.scale.minimum == 3
    assert len((await deployments.detail(name)).revisions) == 1, "other pods need no other revision"
    with pytest.raises(
        LimitReached, match="production is promised 0 and 0 CPUs already; this host has 16Gi and 8 CPUs"
    ):
        await deployments.configure(ME, name, scale=Scale(minimum=17, maximum=17))
    assert (await deployments.detail(name)).deployment.scale.minimum == 3, "nothing is half changed"
    assert (await deployments.switch_off(ME, name)).wanted is DeploymentWanted.OFF
    await deployments.delete(ME, name)
    detail = await deployments.detail(name)
    assert detail.deployment.wanted is DeploymentWanted.DELETED


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Acme!"}, "/name"),
        ({"customer": None}, "/customer"),
        ({"customer": ""}, "/customer"),
        ({"reason": ""}, "/reason"),
        ({"reason": "two\nlines"}, "/reason"),
    ],
)
async def test_what_cannot_be_is_named_by_its_field(
    promotions: Promotions, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await promotions.promote(ME, wanted(**changes))
    assert refused.value.field == field


async def test_a_version_that_is_not_there_cannot_be_promoted(promotions: Promotions) -> None:
    with pytest.raises(NotFound):
        await promotions.plan(ME, wanted(source=replace(FIRST, version=9)))


async def test_a_rollback_goes_to_the_newest_that_served_something_else(
    promotions: Promotions, deployments: Deployments, database: Database
) -> None:
    await promotions.promote(ME, wanted())
    name = ProductionName(name="fraud-acme")
    with pytest.raises(Conflict, match="No earlier revision"):
        await promotions.roll_back(ME, "fraud-acme", reason="Oh.")
    await seen_serving(database)
    await promotions.promote(ME, wanted(source=SECOND, accepts_breaking=True))
    for why in ("It was worse.", "It was better."):
        await seen_serving(database)
        after = await promotions.roll_back(ME, "fraud-acme", reason=why)
        newest = (await deployments.detail(name)).revisions[-1]
        assert (newest.version, newest.why, newest.made_by) == (after.version, why, ME.principal.name)
    numbers = [(revision.number, revision.version) for revision in (await deployments.detail(name)).revisions]
    assert numbers == [(1, 1), (2, 2), (3, 1), (4, 2)]
    again = await promotions.roll_back(ME, "fraud-acme", reason="The first, then.", to=1)
    assert again.version == 1
    with pytest.raises(NotFound):
        await promotions.roll_back(ME, "fraud-acme", reason="Oh.", to=77)
    assert (await actions(database))[-3:] == ["production.rollback"] * 3
    await promotions.promote(ME, wanted(resources=Resources(memory_bytes=GIB, cpus=1)))
    await promotions.promote(ME, wanted(name="fraud-zeta", scale=Scale(minimum=7, maximum=7)))
    await deployments.configure(ME, name, resources=Resources(memory_bytes=GIB, cpus=0.5))
    await deployments.configure(ME, ProductionName(name="fraud-zeta"), resources=Resources(memory_bytes=GIB, cpus=1.05))
    with pytest.raises(LimitReached, match="production is promised"):
        await promotions.roll_back(ME, "fraud-acme", reason="Back.", to=1)


async def seen_serving(database: Database) -> None:
    """Let every revision of production be seen ready."""
    async with database.write() as tx:
        for revision in await revisions.living(tx):
            if revision.environment is Environment.PRODUCTION:
                seen = replace(revision, state=RevisionState.READY, phases=some_phases())
                await revisions.record(tx, seen, if_generation=revision.generation)


# ------------------------------------------------------------------ approval


def another(name: str = "maria") -> Asking:
    asking = an_asking()
    return replace(asking, principal=replace(asking.principal, user=UserId("u2"), name=name))


@pytest.fixture
async def careful(promotions: Promotions, database: Database, clock: FakeClock, nudge: FakeNudge) -> Promotions:
    """Of the same, with an administrator for whom others must speak."""
    async with database.write() as tx:
        await users.record(tx, a_user(role=Role.ADMINISTRATOR))
    return make_promotions(database, clock, nudge, needs_approval=True)


async def test_a_promotion_waits_for_another_administrator(
    careful: Promotions, deployments: Deployments, database: Database, nudge: FakeNudge
) -> None:
    plan = await careful.promote(an_asking(), wanted())
    assert plan.waits_as
    assert not nudge.told
    with pytest.raises(NotFound):
        await deployments.detail(ProductionName(name="fraud-acme"))
    with pytest.raises(NotAllowed):
        await careful.decide(an_asking(), plan.waits_as, Decision.APPROVED)
    decided = await careful.decide(another(), plan.waits_as, Decision.APPROVED)
    assert (decided.decided.decision, decided.decided.by) == (Decision.APPROVED, "maria")
    ((promotion, _),) = await careful.history("fraud-acme")
    assert promotion.promoted_by == an_asking().principal.name
    assert any(gate.gate is GateName.APPROVAL and "maria approved it" in gate.message for gate in promotion.gates)
    assert await actions(database) == ["production.ask", "production.promote"]
    with pytest.raises(Conflict):
        await careful.decide(another(), plan.waits_as, Decision.APPROVED)
    assert await actions(database) == ["production.ask", "production.promote"]


async def test_what_is_rejected_or_withdrawn_is_not_done(careful: Promotions, database: Database) -> None:
    first = await careful.promote(an_asking(), wanted())
    second = await careful.promote(an_asking(), wanted(name="fraud-zeta", customer="Zeta"))
    rejected = await careful.decide(another(), first.waits_as, Decision.REJECTED, reason="Not this week.")
    assert rejected.decided.reason == "Not this week."
    with pytest.raises(NotAllowed):
        await careful.decide(another(), second.waits_as, Decision.WITHDRAWN)
    await careful.decide(an_asking(), second.waits_as, Decision.WITHDRAWN)
    assert await careful.search() == []
    assert await actions(database) == ["production.ask", "production.ask", "production.reject", "production.withdraw"]
    assert [each.decided.decision for each in await careful.requests()] == [Decision.WITHDRAWN, Decision.REJECTED]


async def test_gates_are_looked_at_again_when_it_is_approved(careful: Promotions, database: Database) -> None:
    plan = await careful.promote(an_asking(), wanted())
    async with database.write() as tx:
        await models.set_thresholds(tx, PROJECT, MODEL, [parse_threshold("auc >= 0.9")])
    with pytest.raises(GatesFailed):
        await careful.decide(another(), plan.waits_as, Decision.APPROVED)
    (asked,) = await careful.requests()
    assert asked.decided.decision is Decision.WAITING
    assert await actions(database) == ["production.ask"]


async def test_only_the_files_that_were_asked_for_are_promoted(careful: Promotions, database: Database) -> None:
    plan = await careful.promote(an_asking(), wanted())
    async with database.write() as tx:
        await snapshots.record(tx, a_stored_snapshot(model_version="v1", digest=SnapshotId("cd" * 32)))
    with pytest.raises(Conflict, match="not those"):
        await careful.decide(another(), plan.waits_as, Decision.APPROVED)


@pytest.mark.parametrize("change", [{"role": Role.DATA_SCIENTIST}, {"role": Role.ADMINISTRATOR, "is_disabled": True}])
async def test_nothing_is_done_in_the_name_of_who_is_no_administrator_any_more(
    careful: Promotions, database: Database, change: dict[str, Any]
) -> None:
    plan = await careful.promote(an_asking(), wanted())
    async with database.write() as tx:
        await users.record(tx, a_user(**change))
    with pytest.raises(Conflict, match="no administrator any more"):
        await careful.decide(another(), plan.waits_as, Decision.APPROVED)
    assert await careful.search() == []
    await careful.decide(another(), plan.waits_as, Decision.REJECTED, reason="Who asked is gone.")


# ------------------------------------------------------------------ dry runs


async def test_a_dry_run_tells_what_would_be_and_changes_nothing(
    promotions: Promotions, deployments: Deployments, database: Database, nudge: FakeNudge
) -> None:
    await promotions.promote(an_asking(), wanted())
    name = ProductionName(name="fraud-acme")
    before, entries = await deployments.detail(name), await actions(database)
    nudge.told.clear()
    asking, large = an_asking(), Resources(memory_bytes=2 * GIB, cpus=1)
    changed = await deployments.configure(asking, name, resources=large, dry_run=True)
    assert changed.resources == large
    assert (await deployments.switch_off(asking, name, dry_run=True)).wanted is DeploymentWanted.OFF
    await deployments.delete(asking, name, dry_run=True)
    with pytest.raises(LimitReached):
        await deployments.configure(asking, name, scale=Scale(minimum=99, maximum=99), dry_run=True)
    with pytest.raises(Conflict):
        await promotions.roll_back(asking, "fraud-acme", reason="It was slow.", dry_run=True)
    assert await deployments.detail(name) == before
    assert await actions(database) == entries
    assert not nudge.told
