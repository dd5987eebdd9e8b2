"""Runs: experiments by name or id, and the model versions beside what a run logged."""

from __future__ import annotations

import pytest

from taxiway.domain.errors import InvalidInput, NotFound, TrackingUnavailable
from taxiway.domain.ids import ExperimentId, RunId
from taxiway.domain.tracking import MetricPoint
from taxiway.services import runs as runs_module
from taxiway.services.runs import Runs
from taxiway.services.tracking_changes import TrackingChanges
from taxiway.store.database import Database
from tests.builders import NOW, PROJECT, RUN_ID, a_logged_model, a_run, an_experiment
from tests.fakes import FakeRegistry, FakeTracking
from tests.store.conftest import insert_people, insert_version


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def runs(
    sqlite_database: Database, tracking: FakeTracking, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    monkeypatch.setattr(runs_module, "PAGE", 2)
    tracking.experiments_of[PROJECT] = [
        an_experiment(id=ExperimentId(str(number)), name=name)
        for number, name in enumerate(["cards 2", "my cards", "cards 3", "cards", "7"])
    ]
    tracking.runs_of[PROJECT] = [
        a_run(id=RunId(f"r{number}"), experiment_id=ExperimentId(str(number))) for number in range(8)
    ]
    changes = TrackingChanges(database=sqlite_database, now=lambda: NOW)
    return Runs(database=sqlite_database, tracking=tracking, registry=registry, changes=changes)


async def found(runs: Runs, *experiments: str) -> list[str]:
    page = await runs.runs(PROJECT, experiments=experiments, where="", order_by=(), limit=10, cursor=None)
    return [run.id for run in page.items]


async def test_experiments_are_named_by_name_or_id(runs: Runs) -> None:
    assert await found(runs, "cards") == ["r3"]
    assert await found(runs, "5") == ["r5"]
    assert await found(runs, "cards", "my cards", "5") == ["r1", "r3", "r5"]
    assert len(await found(runs)) == 8


async def test_a_name_goes_before_an_id(runs: Runs) -> None:
    assert await found(runs, "7") == ["r4"]


@pytest.mark.parametrize("text", ["card", "Cards", "٣"])
async def test_an_unknown_name_is_not_found(runs: Runs, text: str) -> None:
    with pytest.raises(NotFound, match="no experiment"):
        await found(runs, text)


async def test_what_a_run_logged_and_what_was_made_of_it(
    runs: Runs, registry: FakeRegistry, sqlite_database: Database
) -> None:
    registry.logged[RUN_ID] = [a_logged_model()]
    async with sqlite_database.write() as tx:
        await insert_people(tx)
        version = await insert_version(tx)
    logged, versions = await runs.logged_models(PROJECT, RUN_ID)
    assert list(logged) == [a_logged_model()]
    assert [made.id for made in versions] == [version.id]
    with pytest.raises(NotFound):
        await runs.logged_models(PROJECT, RunId("other"))


async def test_the_rest_is_passed_on(runs: Runs, tracking: FakeTracking) -> None:
    run = RunId("r0")
    tracking.points[run, "auc"] = [MetricPoint(value=0.5, step=1, at=NOW)]
    tracking.files[run, "model/MLmodel"] = b"flavors"
    assert (await runs.run(PROJECT, run)).id == run
    assert (await runs.metric_history(PROJECT, run, "auc", limit=5, cursor=None)).items[0].value == 0.5
    assert [artifact.path for artifact in await runs.artifacts(PROJECT, run, "model")] == ["model/MLmodel"]
    assert [chunk async for chunk in runs.read_artifact(PROJECT, run, "model/MLmodel")] == [b"flavors"]
    page = await runs.experiments(PROJECT, name_contains="my", limit=5, cursor=None)
    assert [experiment.name for experiment in page.items] == ["my cards"]
    tracking.is_down = True
    with pytest.raises(TrackingUnavailable):
        await runs.run(PROJECT, run)


@pytest.mark.parametrize(
    ("first", "last", "field"), [(None, 5, "/from_step"), (5, None, "/until_step"), (6, 5, "/until_step")]
)
async def test_a_part_of_a_curve_has_two_ends_in_order(
    runs: Runs, first: int | None, last: int | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await runs.sampled_metric(PROJECT, RunId("r1"), "loss", most=10, from_step=first, until_step=last)
    assert refused.value.field == field


async def test_what_is_chosen_is_of_the_part_that_was_asked_for(runs: Runs, tracking: FakeTracking) -> None:
    run = RunId("r1")
    tracking.points[run, "loss"] = [MetricPoint(value=1 / (1 + step), step=step, at=NOW) for step in range(100)]

    whole = await runs.sampled_metric(PROJECT, run, "loss", most=10)
    part = await runs.sampled_metric(PROJECT, run, "loss", most=10, from_step=-5, until_step=4)

    assert (len(whole), whole[0].step, whole[-1].step) == (10, 0, 99)
    assert [point.step for point in part] == [0, 1, 2, 3, 4]
