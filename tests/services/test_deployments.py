"""What people can ask of a deployment: each wish changes what is wanted, once, with its event and its entry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.errors import Conflict, InvalidInput, LimitReached, NotFound
from taxiway.domain.ids import DeploymentId, ModelVersionId
from taxiway.domain.resources import Capacity, Resources
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, ScoringOptions
from taxiway.domain.snapshots import SnapshotWanted
from taxiway.services.deployments import ContractChanges, DeploymentName, Deployments
from taxiway.store import events, models, revisions, snapshots
from taxiway.store.database import Database
from taxiway.store.deployments import DeploymentFilter
from tests.builders import (
    MODEL,
    PROJECT,
    VERSION_ID,
    a_deployment,
    a_failure,
    a_revision,
    a_snapshot,
    a_version,
    an_asking,
    some_facts,
)
from tests.fakes import FakeClock, FakeNudge
from tests.services.conftest import actions, audited
from tests.store.conftest import insert_people, insert_version

ME = an_asking()
NAME = DeploymentName(project=PROJECT, model=MODEL, version=1)
KEY = DeploymentId("d-v1")
RETIRE, SERVE = RevisionWanted.RETIRE, RevisionWanted.SERVE


@pytest.fixture
async def service(database: Database, clock: FakeClock, nudge: FakeNudge) -> Deployments:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
    clock.advance(60)
    capacity = Capacity(memory_bytes=8 << 30, cpus=4)
    return Deployments(database=database, capacity=capacity, nudge=nudge, now=clock)


async def revisions_of(database: Database) -> list[Revision]:
    async with database.read() as tx:
        return list(await revisions.of_deployment(tx, KEY))


async def see(database: Database, state: RevisionState) -> None:
    """Let the newest revision be seen in a state."""
    newest = (await revisions_of(database))[-1]
    failure = a_failure() if state is RevisionState.FAILED else None
    async with database.write() as tx:
        seen = replace(newest, state=state, failure=failure)
        assert await revisions.record(tx, seen, if_generation=newest.generation)


async def reasons(database: Database) -> list[str]:
    async with database.read() as tx:
        return [event.reason for event in await events.find(tx, subject=KEY)]


async def test_a_deployment_is_shown_with_all_that_belongs_to_it(service: Deployments) -> None:
    detail = await service.detail(NAME)
    assert detail.deployment == a_deployment()
    assert detail.revisions == (a_revision(),)
    assert detail.snapshot == a_snapshot()
    assert detail.version.deployment == KEY
    with pytest.raises(NotFound):
        await service.detail(replace(NAME, version=2))
    assert await service.search(DeploymentFilter(), before=None, limit=5) == [a_deployment()]


async def test_off_retires_and_keeps_the_configuration(
    service: Deployments, database: Database, nudge: FakeNudge, clock: FakeClock
) -> None:
    after = await service.switch_off(ME, NAME)
    assert after == replace(a_deployment(), wanted=DeploymentWanted.OFF, generation=2, changed_at=clock())
    assert (await service.detail(NAME)).deployment == after
    assert [revision.wanted for revision in await revisions_of(database)] == [RETIRE]
    assert nudge.told == [("revision", "r-v1-1"), ("deployment", KEY), ("routing", "table")]
    assert await reasons(database) == ["SwitchedOff"]
    (entry,) = await audited(database)
    assert (entry.action, entry.object) == ("deployment.off", "staging/fraud/scorer/1")
    assert (json.loads(entry.before)["wanted"], json.loads(entry.after)["wanted"]) == ("on", "off")
    assert json.loads(entry.after)["needs_token"] is True


async def test_on_again_makes_a_revision_like_the_last(
    service: Deployments, database: Database, nudge: FakeNudge
) -> None:
    await service.switch_off(ME, NAME)
    after = await service.switch_on(ME, NAME)
    assert (after.wanted, after.generation) == (DeploymentWanted.ON, 3)
    first, second = await revisions_of(database)
    assert (second.number, second.wanted, second.state) == (2, SERVE, RevisionState.QUEUED)
    assert (second.request, second.resources, second.options) == (first.request, first.resources, first.options)
    assert second.id == "r-v1-2"
    assert await reasons(database) == ["SwitchedOff", "SwitchedOn"]
    assert ("deployment", KEY) in nudge.told


@pytest.mark.parametrize(
    "again",
    [lambda service: service.switch_on(ME, NAME), lambda service: service.switch_off(ME, NAME)],
    ids=["on", "off"],
)
async def test_asked_twice_it_is_done_once(
    service: Deployments, database: Database, again: Callable[[Deployments], Awaitable[Deployment]]
) -> None:
    await service.switch_off(ME, NAME)
    first = await again(service)
    before = await actions(database), await revisions_of(database)
    assert await again(service) == first
    assert (await actions(database), await revisions_of(database)) == before


async def test_on_after_a_failure_tries_again(service: Deployments, database: Database) -> None:
    await see(database, RevisionState.FAILED)
    assert (await service.switch_on(ME, NAME)).generation == 2
    assert [revision.number for revision in await revisions_of(database)] == [1, 2]


@pytest.mark.parametrize(
    "change", [{"resources": Resources(memory_bytes=3 << 30)}, {"options": ScoringOptions(timeout_seconds=7)}]
)
async def test_what_pods_feel_makes_a_revision_beside_the_old(
    service: Deployments, database: Database, change: dict[str, object]
) -> None:
    after = await service.configure(ME, NAME, **change)  # type: ignore[arg-type]
    first, second = await revisions_of(database)
    assert (first.wanted, second.wanted) == (SERVE, SERVE)
    assert (second.resources, second.options) == (after.resources, after.options)
    assert {name: getattr(second, name) for name in change} == change
    assert await actions(database) == ["deployment.configure"]


async def test_what_pods_do_not_feel_makes_none(service: Deployments, database: Database) -> None:
    after = await service.configure(ME, NAME, needs_token=False, tags={"team": "red"})
    assert (after.needs_token, after.generation) == (False, 2)
    assert len(await revisions_of(database)) == 1
    async with database.read() as tx:
        assert (await models.get_version(tx, PROJECT, MODEL, 1)).tags == {"team": "red"}
    entry = (await audited(database))[-1]
    assert (json.loads(entry.before)["needs_token"], json.loads(entry.after)["needs_token"]) == (True, False)


async def test_tags_that_are_not_fine_change_nothing(service: Deployments, database: Database) -> None:
    with pytest.raises(InvalidInput):
        await service.configure(ME, NAME, needs_token=False, tags={"": "x"})
    assert (await service.detail(NAME)).deployment == a_deployment()
    assert await actions(database) == []


@pytest.mark.parametrize("resources", [Resources(memory_bytes=9 << 30), Resources(cpus=5)])
async def test_more_than_the_host_has_is_refused(
    service: Deployments, database: Database, resources: Resources
) -> None:
    with pytest.raises(LimitReached, match="this host has"):
        await service.configure(ME, NAME, resources=resources)
    assert (await service.detail(NAME)).deployment == a_deployment()
    assert len(await revisions_of(database)) == 1


async def test_while_off_the_new_configuration_waits(service: Deployments, database: Database) -> None:
    await service.switch_off(ME, NAME)
    await service.configure(ME, NAME, resources=Resources(cpus=0.5))
    assert len(await revisions_of(database)) == 1
    await service.switch_on(ME, NAME)
    assert (await revisions_of(database))[-1].resources == Resources(cpus=0.5)


async def test_deletion_is_wanted_once_and_nothing_comes_after_it(
    service: Deployments, database: Database, nudge: FakeNudge
) -> None:
    await service.delete(ME, NAME)
    await service.delete(ME, NAME)
    assert (await service.detail(NAME)).deployment.wanted is DeploymentWanted.DELETED
    assert [revision.wanted for revision in await revisions_of(database)] == [RETIRE]
    async with database.read() as tx:
        assert (await snapshots.get(tx, VERSION_ID)).wanted is SnapshotWanted.DROP
    assert await actions(database) == ["deployment.delete"]
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: service.switch_on(ME, NAME),
        lambda: service.switch_off(ME, NAME),
        lambda: service.configure(ME, NAME, needs_token=False),
    ]
    for call in calls:
        with pytest.raises(Conflict):
            await call()
    assert await actions(database) == ["deployment.delete"]


@pytest.mark.concurrent
async def test_of_many_who_change_it_at_once_each_is_told(service: Deployments, database: Database) -> None:
    done = await asyncio.gather(
        *(service.configure(ME, NAME, needs_token=number % 2 == 0) for number in range(6)), return_exceptions=True
    )
    made = [result for result in done if isinstance(result, Deployment)]
    assert made
    assert all(isinstance(result, Deployment | Conflict) for result in done)
    assert sorted(result.generation for result in made) == list(range(2, len(made) + 2))
    assert await actions(database) == ["deployment.configure"] * len(made)


# ------------------------------------------------------------------ contracts

AMOUNT = {"type": "double", "name": "amount", "required": True}
HOUR = {"type": "long", "name": "hour", "required": True}


async def insert_versions_with(database: Database, **inputs: list[dict[str, object]]) -> None:
    async with database.write() as tx:
        for name, columns in inputs.items():
            number = int(name.removeprefix("v"))
            facts = some_facts(signature={"inputs": json.dumps(columns)})
            version = a_version(id=ModelVersionId(f"v{number}"), version=number, facts=facts)
            await models.insert_version(tx, version)


async def test_contracts_are_compared_with_the_version_before_or_another(
    service: Deployments, database: Database
) -> None:
    await insert_versions_with(database, v3=[AMOUNT, HOUR], v4=[AMOUNT, HOUR])
    third, fourth = (replace(NAME, version=number) for number in (3, 4))
    found = await service.contract_changes(third)
    assert found.since == 1, "the second is not there any more"
    assert [(change.side, change.name, change.is_breaking) for change in found.changes] == [
        ("input", "hour", True), ("output", "", True),
    ]  # fmt: skip
    assert await service.contract_changes(fourth) == ContractChanges(since=3, changes=())
    assert (await service.contract_changes(fourth, since=1)).changes == found.changes
    with pytest.raises(NotFound):
        await service.contract_changes(fourth, since=9)


async def test_the_first_version_is_compared_with_nothing(service: Deployments) -> None:
    assert await service.contract_changes(NAME) == ContractChanges(since=None, changes=())
