"""Deployments: what is wanted and what was seen are written apart, each guarded by the generation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from taxiway.domain.conditions import Condition, Truth
from taxiway.domain.deployments import Deployment, DeploymentWanted, Status
from taxiway.domain.errors import Conflict, NotFound
from taxiway.domain.ids import DeploymentId, ModelName, ProjectName, UserId
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import OnOutputMismatch, ScoringOptions
from taxiway.store import access_tokens, deployments, models, projects, revisions
from taxiway.store.database import Database, Transaction
from tests.builders import MODEL, NOW, PROJECT, USER_ID, a_deployment, a_project, a_verdict, an_access_token
from tests.store.conftest import insert_people, insert_version

KEY = DeploymentId("d-v1")


async def get(tx: Transaction) -> Deployment:
    found = await deployments.find(tx, KEY)
    assert found is not None
    return found


async def test_a_deployment_comes_back_as_it_went(database: Database) -> None:
    condition = Condition(name="Ready", truth=Truth.TRUE, reason="Serving", message="It answers.", since=NOW)
    options = ScoringOptions(timeout_seconds=5, on_output_mismatch=OnOutputMismatch.REFUSE)
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        wanted = a_deployment(
            resources=Resources(memory_bytes=3 << 30, cpus=0.25), options=options, needs_token=False,
            generation=2, changed_at=NOW + timedelta(seconds=1), wanted=DeploymentWanted.OFF,
        )  # fmt: skip
        await deployments.want(tx, wanted)
        seen = replace(wanted, observed_generation=2, verdict=a_verdict(hint="Wait."), conditions=(condition,))
        assert await deployments.record(tx, seen, if_generation=2)
        assert await get(tx) == seen
        assert await deployments.get_of_version(tx, PROJECT, MODEL, 1) == seen
        assert await deployments.all_living(tx) == [seen]
        assert await deployments.keys(tx) == [KEY]
        assert await deployments.find(tx, DeploymentId("other")) is None
        with pytest.raises(NotFound, match="version 2"):
            await deployments.get_of_version(tx, PROJECT, MODEL, 2)


async def test_what_is_wanted_takes_the_next_generation_only(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        for generation in (1, 3):
            with pytest.raises(Conflict):
                await deployments.want(tx, a_deployment(generation=generation))
        await deployments.want(tx, a_deployment(generation=2, needs_token=False))
        assert not (await get(tx)).needs_token


async def test_what_was_seen_of_an_older_generation_is_not_written(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        before = await get(tx)
        await deployments.want(tx, replace(before, generation=2, wanted=DeploymentWanted.OFF))
        assert not await deployments.record(tx, replace(before, verdict=a_verdict()), if_generation=1)
        assert (await get(tx)).verdict.status is Status.QUEUED


async def test_seeing_never_changes_what_is_wanted_nor_the_other_way_round(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        before = await get(tx)
        await deployments.record(tx, replace(before, wanted=DeploymentWanted.OFF, verdict=a_verdict()), if_generation=1)
        assert (await get(tx)).wanted is DeploymentWanted.ON
        await deployments.want(tx, replace(before, generation=2))
        assert (await get(tx)).verdict == a_verdict()


@pytest.mark.concurrent
async def test_of_two_who_change_it_at_once_one_is_told(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        before = await get(tx)
    both_have_read = asyncio.Barrier(2) if not database.is_sqlite else None

    async def change(memory: int) -> bool:
        async with database.write() as tx:
            if both_have_read is not None:
                await get(tx)
                await both_have_read.wait()
            try:
                wanted = replace(before, generation=2, resources=Resources(memory_bytes=memory << 20))
                await deployments.want(tx, wanted)
            except Conflict:
                return False
        return True

    assert sorted(await asyncio.gather(change(100), change(200))) == [False, True]
    async with database.read() as tx:
        assert (await get(tx)).generation == 2


async def test_a_deployment_goes_with_its_revisions_and_tokens(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        version = await insert_version(tx)
        await access_tokens.insert_token(tx, an_access_token())
        await deployments.forget(tx, KEY)
        assert await deployments.find(tx, KEY) is None
        assert await revisions.of_deployment(tx, KEY) == []
        assert await access_tokens.of_deployment(tx, KEY) == []
        assert await models.delete_version(tx, version)


async def test_search_narrows_by_every_field(database: Database) -> None:
    other = ProjectName("other")
    async with database.write() as tx:
        await insert_people(tx)
        await projects.insert_project(tx, a_project(name=other))
        await insert_version(tx, 1, tags={"team": "red"})
        await insert_version(tx, 2, tags={"team": "blue", "a.b": "c"})
        await insert_version(tx, 3, model=ModelName("s%orer"), tags={})
        await insert_version(tx, 4, project=other)
        on = replace(await get(tx), verdict=a_verdict())
        await deployments.record(tx, on, if_generation=1)

        async def found(before: str | None = None, limit: int = 10, **wanted: object) -> list[str]:
            chosen = deployments.DeploymentFilter(**wanted)  # type: ignore[arg-type]
            start = None if before is None else DeploymentId(before)
            return [d.id for d in await deployments.search(tx, chosen, before=start, limit=limit)]

        assert await found() == ["d-v4", "d-v3", "d-v2", "d-v1"]
        assert await found(before="d-v3") == ["d-v2", "d-v1"]
        assert await found(limit=1) == ["d-v4"]
        assert await found(projects=(PROJECT,)) == ["d-v3", "d-v2", "d-v1"]
        assert await found(projects=()) == []
        assert await found(model="scorer") == ["d-v4", "d-v2", "d-v1"]
        assert await found(contains="corer") == ["d-v4", "d-v2", "d-v1"]
        assert await found(contains="%") == ["d-v3"]
        assert await found(status=Status.ON) == ["d-v1"]
        assert await found(owner=UserId("nobody")) == []
        assert len(await found(owner=USER_ID)) == 4
        assert await found(tag=("team", "blue")) == ["d-v2"]
        assert await found(tag=("a.b", "c")) == ["d-v2"]
        assert await found(tag=("team", "b")) == []
        assert await deployments.count_of_owner(tx, USER_ID) == 4
        assert await deployments.count_of_owner(tx, UserId("nobody")) == 0
