"""Revisions: remembered, retired, and seen only as of their generation."""

from __future__ import annotations

from dataclasses import replace

from taxiway.domain.conditions import Failure, PhaseName
from taxiway.domain.ids import DeploymentId, EnvironmentId, RevisionId
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.store import revisions
from taxiway.store.database import Database, Transaction
from tests.builders import a_failure, a_request, a_revision, some_phases
from tests.store.conftest import insert_people, insert_version

DEPLOYMENT = DeploymentId("d-v1")


async def insert_three(tx: Transaction) -> list[Revision]:
    """One deployment with revisions 1, 2 and 3."""
    await insert_people(tx)
    await insert_version(tx)
    for number in (3, 2):
        request = a_request(python=f"3.{number}")
        await revisions.insert_revision(tx, a_revision(id=f"r-v1-{number}", number=number, request=request))
    return list(await revisions.of_deployment(tx, DEPLOYMENT))


async def see(tx: Transaction, revision: Revision, state: RevisionState) -> None:
    assert await revisions.record(tx, replace(revision, state=state), if_generation=revision.generation)


async def test_a_revision_comes_back_as_it_went(database: Database) -> None:
    failure = Failure(reason="Exited", message="Code 1.", hint="See.", lines=("a", "b"))
    async with database.write() as tx:
        first, second, third = await insert_three(tx)
        assert [first.number, second.number, third.number] == [1, 2, 3]
        assert first == a_revision()
        seen = replace(
            first, state=RevisionState.FAILED, observed_generation=1, phases=some_phases(PhaseName.SNAPSHOT),
            failure=failure,
        )  # fmt: skip
        assert await revisions.record(tx, seen, if_generation=1)
        assert await revisions.find(tx, first.id) == seen
        assert await revisions.find(tx, RevisionId("other")) is None


async def test_retired_ones_are_no_longer_among_the_living(database: Database) -> None:
    async with database.write() as tx:
        first, second, third = await insert_three(tx)
        await see(tx, first, RevisionState.RETIRED)
        await see(tx, second, RevisionState.FAILED)
        assert [revision.id for revision in await revisions.living(tx)] == [second.id, third.id]
        assert set(await revisions.living_keys(tx)) == {second.id, third.id}


async def test_retiring_is_wanted_once_of_those_below_a_number(database: Database) -> None:
    async with database.write() as tx:
        first, second, third = await insert_three(tx)
        await see(tx, first, RevisionState.RETIRED)
        assert await revisions.want_retire(tx, DEPLOYMENT, below_number=3) == [second.id]
        assert await revisions.want_retire(tx, DEPLOYMENT, below_number=3) == []
        changed = await revisions.find(tx, second.id)
        assert changed is not None
        assert (changed.wanted, changed.generation) == (RevisionWanted.RETIRE, 2)
        assert await revisions.want_retire(tx, DEPLOYMENT) == [third.id]


async def test_what_was_seen_of_an_older_generation_is_not_written(database: Database) -> None:
    async with database.write() as tx:
        first, _, _ = await insert_three(tx)
        await revisions.want_retire(tx, DEPLOYMENT)
        late = replace(first, state=RevisionState.FAILED, failure=a_failure())
        assert not await revisions.record(tx, late, if_generation=1)
        now = await revisions.find(tx, first.id)
        assert now is not None
        assert now.state is RevisionState.QUEUED


async def test_who_waits_for_an_environment_is_counted(database: Database) -> None:
    async with database.write() as tx:
        first, second, third = await insert_three(tx)
        wanted = first.request.id
        assert set(await revisions.environments(tx)) == {wanted, second.request.id, third.request.id}
        assert await revisions.waiting_for_environment(tx, wanted) == 1
        assert await revisions.waiting_for_environment(tx, EnvironmentId("other")) == 0
        await see(tx, first, RevisionState.PREPARING)
        assert await revisions.waiting_for_environment(tx, wanted) == 1
        await see(tx, first, RevisionState.STARTING)
        assert await revisions.waiting_for_environment(tx, wanted) == 0
        await revisions.want_retire(tx, DEPLOYMENT)
        assert await revisions.waiting_for_environment(tx, second.request.id) == 0
