"""Models and their versions."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RunId
from taxiway.store import deployments, models
from taxiway.store.database import Database, Transaction
from tests.builders import MODEL, NOW, PROJECT, USER_ID, a_ref, a_version, some_facts
from tests.store.conftest import insert_people, insert_version


async def test_a_version_comes_back_as_it_went(database: Database) -> None:
    version = a_version(
        source=a_ref(model_id=None, path="models/é"), facts=some_facts(signature=None, mlflow_version=None),
        tags={"team": "é", "x.y": ""},
    )  # fmt: skip
    async with database.write() as tx:
        await insert_people(tx)
        assert await models.ensure_model(tx, PROJECT, MODEL, by=USER_ID, at=NOW)
        assert not await models.ensure_model(tx, PROJECT, MODEL, by=USER_ID, at=NOW)
        await models.insert_version(tx, version)
        assert await models.get_version(tx, PROJECT, MODEL, 1) == version
        assert await models.get_version_by_id(tx, version.id) == version
        assert await models.get_version_by_id(tx, ModelVersionId("other")) is None
        with pytest.raises(NotFound, match="version 2"):
            await models.get_version(tx, PROJECT, MODEL, 2)


async def test_a_version_names_its_deployment(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
        assert (await models.get_version(tx, PROJECT, MODEL, 1)).deployment == "d-v1"


async def test_a_number_is_given_once(database: Database) -> None:
    async def insert_twice() -> None:
        async with database.write() as tx:
            await insert_people(tx)
            await insert_version(tx)
            await models.insert_version(tx, a_version(id=ModelVersionId("other")))

    with pytest.raises(IntegrityError):
        await insert_twice()


@pytest.mark.concurrent
async def test_of_many_who_make_a_model_at_once_one_does(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)

    async def ensure() -> bool:
        async with database.write() as tx:
            return await models.ensure_model(tx, PROJECT, MODEL, by=USER_ID, at=NOW)

    assert sorted(await asyncio.gather(*(ensure() for _ in range(5)))) == [False] * 4 + [True]


async def test_versions_of_a_run_and_of_a_project(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx, 1)
        await insert_version(tx, 2, source=a_ref(run_id=RunId("another")))
        await insert_version(tx, 3, model=ModelName("second"))
        found = await models.versions_of_run(tx, PROJECT, a_ref().run_id)
        assert [version.id for version in found] == ["v1", "v3"]
        assert await models.versions_of_run(tx, ProjectName("other"), a_ref().run_id) == []
        assert await models.count_in_project(tx, PROJECT) == 3
        assert await models.count_in_project(tx, ProjectName("other")) == 0


async def test_tags_are_replaced(database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        version = await insert_version(tx, tags={"a": "b", "c": "d"})
        await models.set_tags(tx, version.id, {"c": "e"})
        assert (await models.get_version(tx, PROJECT, MODEL, 1)).tags == {"c": "e"}


async def test_a_model_goes_with_its_last_version(database: Database) -> None:
    async def delete(tx: Transaction, number: int) -> bool:
        await deployments.forget(tx, DeploymentId(f"d-v{number}"))
        return await models.delete_version(tx, await models.get_version(tx, PROJECT, MODEL, number))

    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx, 1)
        await insert_version(tx, 2)
        assert not await delete(tx, 1)
        assert not await models.ensure_model(tx, PROJECT, MODEL, by=USER_ID, at=NOW)
        assert await delete(tx, 2)
        assert await models.ensure_model(tx, PROJECT, MODEL, by=USER_ID, at=NOW)
