"""The ports Tracking and ModelRegistry against a real MLflow."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from taxiway.domain.errors import (
    InvalidFilter,
    InvalidInput,
    LimitReached,
    MalformedModel,
    NotFound,
    TrackingUnavailable,
)
from taxiway.domain.ids import ExperimentId, ModelName, ModelVersionId, ProjectName, RunId
from taxiway.domain.models import FileFormat, LoggedModelRef
from taxiway.registry.artifacts import FolderLimits
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.registry import MLflowRegistry
from taxiway.registry.tracking import MLflowTracking
from tests.integration.registry.conftest import a_project
from tests.integration.registry.models import FILES, log_folder, log_model, make_run, put

pytestmark = pytest.mark.integration
FRAUD = ModelName("fraud")


async def test_experiments_runs_and_metrics(connection: MLflowConnection, project: ProjectName) -> None:
    tracking = MLflowTracking(connection)
    assert (await tracking.runs(project, experiments=(), where="", order_by=(), limit=5, cursor=None)).items == ()
    experiment, run = await make_run(connection, project)
    for name in ("100%", "1000"):
        await connection.send("POST", project, "/experiments/create", {"name": name})
    points = [{"key": "auc", "value": v, "timestamp": t, "step": t} for t, v in enumerate((0.5, "NaN", "Infinity"))]
    await connection.send(
        "POST", project, "/runs/log-batch",
        {"run_id": run, "metrics": points, "params": [{"key": "depth", "value": "3"}]},
    )  # fmt: skip

    first = await tracking.experiments(project, name_contains=None, limit=2, cursor=None)
    rest = await tracking.experiments(project, name_contains=None, limit=2, cursor=first.next_cursor)
    assert [e.name for e in (*first.items, *rest.items)] == ["1000", "100%", "cards"]
    assert rest.next_cursor is None
    found = await tracking.experiments(project, name_contains="0%", limit=10, cursor=None)
    assert [e.name for e in found.items] == ["100%"]

    runs = await tracking.runs(
        project, experiments=[ExperimentId(experiment)], where="params.depth = '3'",
        order_by=["attributes.start_time DESC"], limit=5, cursor=None,
    )  # fmt: skip
    assert [r.id for r in runs.items] == [run]
    seen = await tracking.run(project, RunId(run))
    assert (seen.name, seen.status, dict(seen.parameters)) == ("one", "FINISHED", {"depth": "3"})
    assert seen.metrics["auc"] > 1.7e308, "MLflow keeps infinity as the largest number"
    history = await tracking.metric_history(project, RunId(run), "auc", limit=2, cursor=None)
    assert [p.step for p in history.items] == [0, 1]
    assert math.isnan(history.items[1].value)
    after = await tracking.metric_history(project, RunId(run), "auc", limit=2, cursor=history.next_cursor)
    assert [p.step for p in after.items] == [2]
    assert after.next_cursor is None
    chosen = await tracking.sampled_metric(project, RunId(run), "auc", most=2, steps=None)
    assert [p.step for p in chosen] == [0, 2]
    chosen = await tracking.sampled_metric(project, RunId(run), "auc", most=2, steps=(1, 2))
    assert [p.step for p in chosen] == [1, 2]
    curve = [{"key": "loss", "value": 1 / (1 + step), "timestamp": 1000, "step": step} for step in range(1000)]
    await connection.send("POST", project, "/runs/log-batch", {"run_id": run, "metrics": curve})
    chosen = await tracking.sampled_metric(project, RunId(run), "loss", most=50, steps=None)
    steps = [p.step for p in chosen]
    assert (len(steps), steps[0], steps[-1]) == (50, 0, 999)
    assert {after - before for before, after in pairwise(steps[:-1])} == {20}, "they are chosen evenly"


async def test_what_mlflow_refuses_is_invalid_and_not_repeated(
    connection: MLflowConnection, project: ProjectName
) -> None:
    tracking = MLflowTracking(connection)
    experiment, run = await make_run(connection, project)
    asked = {"experiments": [ExperimentId(experiment)], "limit": 5}
    for bad in (
        {"where": "bananas !!", "order_by": (), "cursor": None},
        {"where": "", "order_by": ["bananas SIDEWAYS"], "cursor": None},
        {"where": "", "order_by": (), "cursor": "bananas"},
    ):
        with pytest.raises(InvalidInput) as refusal:
            await tracking.runs(project, **asked, **bad)  # type: ignore[arg-type]
        assert "bananas" not in refusal.value.message + (refusal.value.hint or "")
    for unknown in (RunId("0" * 32), RunId("../x")):
        with pytest.raises(NotFound):
            await tracking.run(project, unknown)
    with pytest.raises(NotFound):
        await tracking.run(await a_project(connection), RunId(run))


async def test_a_wrong_filter_is_told_with_its_place(connection: MLflowConnection, project: ProjectName) -> None:
    tracking = MLflowTracking(connection)
    experiment, _ = await make_run(connection, project)
    for where, wrong in (
        ("metric.auc > 1 and bananas.x = '1'", "bananas"),
        ("attributes.colour = 'red'", "colour"),
        ("metrics.auc > 'much'", "'much'"),
        ("params.depth = 3", "3"),
        ("attributes.start_time > 'today'", "'today'"),
        ("metrics.auc LIKE 5", "LIKE"),
        ("params.depth > '3'", ">"),
        ("params.depth = '3' or metrics.auc > 1", "or"),
        ("datasets.colour = 'red'", "colour"),
    ):
        with pytest.raises(InvalidFilter) as refusal:
            await tracking.runs(
                project, experiments=[ExperimentId(experiment)], where=where, order_by=(), limit=5, cursor=None
            )
        place = refusal.value.place
        assert place is not None, where
        assert where[slice(*place)] == wrong, (where, refusal.value.message)
        assert refusal.value.message != "MLflow does not accept the filter."


async def test_tags_change_and_runs_go_and_come_back(connection: MLflowConnection, project: ProjectName) -> None:
    tracking = MLflowTracking(connection)
    experiment, name = await make_run(connection, project)
    run = RunId(name)
    await tracking.change_tags(project, run, {"team": "risk", "mlflow.note.content": "Good.\n<b>"})
    await tracking.change_tags(project, run, {"team": None, "none": None, "stage": "late"})
    tags = (await tracking.run(project, run)).tags
    assert (tags.get("team"), tags["stage"], tags["mlflow.note.content"]) == (None, "late", "Good.\n<b>")

    for _twice in range(2):
        await tracking.delete_run(project, run)
    listed = await tracking.runs(
        project, experiments=[ExperimentId(experiment)], where="", order_by=(), limit=5, cursor=None
    )
    assert (listed.items, (await tracking.run(project, run)).is_deleted) == ((), True)
    with pytest.raises(InvalidInput):
        await tracking.change_tags(project, run, {"team": "risk"})
    for _twice in range(2):
        await tracking.restore_run(project, run)
    assert not (await tracking.run(project, run)).is_deleted
    with pytest.raises(NotFound):
        await tracking.delete_run(await a_project(connection), run)


async def test_artifacts(connection: MLflowConnection, project: ProjectName) -> None:
    tracking = MLflowTracking(connection)
    _, run = await make_run(connection, project)
    await log_folder(connection, project, run, "notes", {"a b+ü%.txt": b"hello" * 100_000, "deep/b.txt": b""})

    root = await tracking.artifacts(project, RunId(run), "")
    assert [(a.path, a.is_folder, a.size_bytes) for a in root] == [("notes", True, None)]
    below = await tracking.artifacts(project, RunId(run), "notes/")
    assert {(a.path, a.size_bytes) for a in below} == {("notes/a b+ü%.txt", 500_000), ("notes/deep", None)}
    chunks = [chunk async for chunk in tracking.read_artifact(project, RunId(run), "notes/a b+ü%.txt")]
    assert b"".join(chunks) == b"hello" * 100_000
    for path in ("notes", "notes/none.txt", ""):
        with pytest.raises(NotFound):
            _ = [chunk async for chunk in tracking.read_artifact(project, RunId(run), path)]
    for path in ("../x", "/etc/passwd", "notes//a", "a\\b"):
        with pytest.raises(InvalidInput):
            await tracking.artifacts(project, RunId(run), path)


async def test_models_of_both_kinds_are_found_and_read(connection: MLflowConnection, project: ProjectName) -> None:
    registry = MLflowRegistry(connection)
    experiment, run = await make_run(connection, project)
    await log_folder(connection, project, run, "deep/forest")
    await put_elsewhere(connection, project, run)
    model = await log_model(connection, project, experiment, run, name="new")
    await log_model(connection, project, experiment, run, name="broken", status="LOGGED_MODEL_UPLOAD_FAILED")

    found = await registry.logged_in(project, RunId(run))
    assert [(m.ref.name, m.ref.model_id, m.ref.path) for m in found] == [
        ("new", model, None),
        ("forest", None, "deep/forest"),
        ("wood", None, "wood"),
    ]
    assert found[1].flavors == ("python_function", "sklearn")
    for logged in found[:2]:
        facts = await registry.inspect(project, logged.ref)
        assert facts.flavors == ("python_function", "sklearn")
        assert (facts.python_version, facts.mlflow_version) == ("3.10", "2.9.2")
        assert facts.requirements == ("mlflow==2.9.2", "scikit-learn==1.3.2")
        assert facts.signature is not None
        assert "params" not in facts.signature
        assert (facts.file_format, facts.unsafe_files) == (
            FileFormat.UNSAFE,
            ("code/rules/__init__.py", "model.pkl"),
        )
        assert (facts.file_count, facts.has_input_example) == (len(FILES), True)
        assert facts.size_bytes == sum(map(len, FILES.values()))
    with pytest.raises(NotFound):
        await registry.inspect(await a_project(connection), found[0].ref)
    with pytest.raises(MalformedModel, match="MLmodel"):
        await registry.inspect(project, replace(found[1].ref, path="deep"))


async def put_elsewhere(connection: MLflowConnection, project: ProjectName, run: str) -> None:
    info = (await connection.get(project, "/runs/get", {"run_id": run}))["run"]["info"]
    root = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    await put(connection, project, f"{root}/wood/MLmodel", b"flavors: {}")
    await put(connection, project, f"{root}/wood/inner/MLmodel", b"flavors: {}")


async def test_files_are_fetched_as_they_are(
    connection: MLflowConnection, project: ProjectName, tmp_path: Path
) -> None:
    experiment, run = await make_run(connection, project)
    files = {**FILES, "big.bin": bytes(range(256)) * 12_000}
    model = await log_model(connection, project, experiment, run, files=files)
    ref = LoggedModelRef(run_id=RunId(run), name="model", model_id=model)
    reports: list[tuple[int, int | None]] = []

    await MLflowRegistry(connection).fetch(project, ref, tmp_path, lambda done, total: reports.append((done, total)))

    copied = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert copied == files
    size = sum(map(len, files.values()))
    assert reports[0] == (0, size)
    assert reports[-1] == (size, size)
    assert len(reports) > len(files), "a large file tells how far it is"
    assert reports == sorted(reports)

    small = MLflowRegistry(connection, limits=FolderLimits(files=3))
    with pytest.raises(LimitReached):
        await small.fetch(project, ref, tmp_path, lambda _done, _total: None)
    with pytest.raises(LimitReached):
        await MLflowRegistry(connection, limits=FolderLimits(total_bytes=100)).inspect(project, ref)


async def test_registering_is_once_for_a_key(connection: MLflowConnection, project: ProjectName) -> None:
    registry = MLflowRegistry(connection)
    experiment, run = await make_run(connection, project)
    await log_folder(connection, project, run, "forest")
    model = await log_model(connection, project, experiment, run)
    new = LoggedModelRef(run_id=RunId(run), name="model", model_id=model)
    old = LoggedModelRef(run_id=RunId(run), name="forest", path="forest")

    async def register(ref: LoggedModelRef, key: str) -> int:
        return await registry.register(project, FRAUD, ref, key=ModelVersionId(key), tags={"team": "cards"})

    assert await register(new, "key1") == 1
    assert await register(new, "key1") == 1
    both = await asyncio.gather(register(old, "key2"), register(old, "key2"), register(old, "key2"))
    assert set(both) == {2}, "two at a time make one version"
    versions = (await connection.get(project, "/model-versions/search", {"filter": "name = 'fraud'"}))["model_versions"]
    assert sorted(version["version"] for version in versions) == ["1", "2"]
    tags = {tag["key"]: tag["value"] for tag in versions[0]["tags"]}
    assert tags["team"] == "cards"

    await registry.unregister(project, FRAUD, 2)
    await registry.unregister(project, FRAUD, 2)
    assert await register(old, "key3") > 2, "the number of a deleted version is not given again"
    for version in (1, *range(3, 6)):
        await registry.unregister(project, FRAUD, version)
    await registry.unregister(project, FRAUD, 1)
    assert (await connection.get(project, "/registered-models/search", {"max_results": "5"})) == {}
    with pytest.raises(InvalidInput):
        await registry.register(project, FRAUD, new, key=ModelVersionId("key4"), tags={"bad\u00fc?": "x"})
    assert (await connection.get(project, "/registered-models/search", {"max_results": "5"})) == {}


async def test_no_mlflow_is_said_to_be_unavailable(tmp_path: Path) -> None:
    nobody = MLflowConnection.over(tmp_path / "none")
    with pytest.raises(TrackingUnavailable):
        await MLflowTracking(nobody).experiments(ProjectName("p"), name_contains=None, limit=1, cursor=None)
    await nobody.close()
