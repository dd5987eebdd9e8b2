"""Tracking and ModelRegistry in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from taxiway.domain.errors import (
    InvalidFilter,
    InvalidInput,
    MalformedModel,
    NoSignature,
    NotFound,
    TrackingUnavailable,
)
from taxiway.domain.ids import (
    ExperimentId,
    ModelName,
    ModelVersionId,
    ProjectName,
    RunId,
)
from taxiway.domain.models import LoggedModel, LoggedModelRef, ModelFacts
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Page, Run
from taxiway.ports import ReportBytes
from tests.builders import some_facts

T = TypeVar("T")


class FakeTracking:
    """Experiments and runs in memory. Cursors are offsets."""

    def __init__(self) -> None:
        self.is_down = False
        self.workspaces: set[ProjectName] = set()
        self.experiments_of: dict[ProjectName, list[Experiment]] = {}
        self.runs_of: dict[ProjectName, list[Run]] = {}
        self.points: dict[tuple[RunId, str], list[MetricPoint]] = {}
        self.files: dict[tuple[RunId, str], bytes] = {}

    async def ensure_workspace(self, project: ProjectName) -> None:
        self._answer()
        self.workspaces.add(project)

    async def experiments(
        self, project: ProjectName, *, name_contains: str | None, limit: int, cursor: str | None
    ) -> Page[Experiment]:
        self._answer()
        found = [
            experiment
            for experiment in self.experiments_of.get(project, ())
            if not experiment.is_deleted and (name_contains or "") in experiment.name
        ]
        return _page(found, limit, cursor)

    async def runs(
        self,
        project: ProjectName,
        *,
        experiments: Sequence[ExperimentId],
        where: str,
        order_by: Sequence[str],
        limit: int,
        cursor: str | None,
    ) -> Page[Run]:
        self._answer()
        if "?" in where:
            at = where.index("?")
            raise InvalidFilter("This is no comparison.", hint="Join them by `and`.", place=(at, at + 1))
        known = [run for run in self.runs_of.get(project, ()) if not run.is_deleted]
        return _page([run for run in known if not experiments or run.experiment_id in experiments], limit, cursor)

    async def run(self, project: ProjectName, run: RunId) -> Run:
        self._answer()
        for known in self.runs_of.get(project, ()):
            if known.id == run:
                return known
        raise NotFound("There is no such run.", hint="List the runs.")

    async def change_tags(self, project: ProjectName, run: RunId, tags: Mapping[str, str | None]) -> None:
        known = await self.run(project, run)
        if known.is_deleted:
            raise InvalidInput("MLflow refused the change.", hint="Restore it first.", field="/tags")
        wanted = {**known.tags, **tags}
        self._put(project, replace(known, tags={key: value for key, value in wanted.items() if value is not None}))

    async def delete_run(self, project: ProjectName, run: RunId) -> None:
        self._put(project, replace(await self.run(project, run), is_deleted=True))

    async def restore_run(self, project: ProjectName, run: RunId) -> None:
        self._put(project, replace(await self.run(project, run), is_deleted=False))

    def _put(self, project: ProjectName, run: Run) -> None:
        self.runs_of[project] = [run if known.id == run.id else known for known in self.runs_of[project]]

    async def metric_history(
        self, project: ProjectName, run: RunId, metric: str, *, limit: int, cursor: str | None
    ) -> Page[MetricPoint]:
        await self.run(project, run)
        return _page(sorted(self.points.get((run, metric), ()), key=lambda point: point.step), limit, cursor)

    async def sampled_metric(
        self, project: ProjectName, run: RunId, metric: str, *, most: int, steps: tuple[int, int] | None
    ) -> Sequence[MetricPoint]:
        await self.run(project, run)
        known = sorted(self.points.get((run, metric), ()), key=lambda point: point.step)
        among = [point for point in known if steps is None or steps[0] <= point.step <= steps[1]]
        every = -(-len(among) // most) or 1
        return [*among[::every][: most - 1], *among[-1:]] if every > 1 else among

    async def artifacts(self, project: ProjectName, run: RunId, path: str) -> Sequence[Artifact]:
        await self.run(project, run)
        parent = f"{path}/" if path else ""
        found: dict[str, Artifact] = {}
        for (of, name), content in self.files.items():
            if of == run and name.startswith(parent):
                head, _, rest = name.removeprefix(parent).partition("/")
                size = None if rest else len(content)
                found[head] = Artifact(path=parent + head, is_folder=bool(rest), size_bytes=size)
        return list(found.values())

    async def read_artifact(self, project: ProjectName, run: RunId, path: str) -> AsyncIterator[bytes]:
        await self.run(project, run)
        if (run, path) not in self.files:
            raise NotFound("There is no such artifact.", hint="List the run's artifacts.")
        yield self.files[run, path]

    def _answer(self) -> None:
        if self.is_down:
            raise TrackingUnavailable("MLflow does not answer.", hint="Try again in a moment.")


def _page(items: Sequence[T], limit: int, cursor: str | None) -> Page[T]:
    if cursor is not None and not cursor.isdecimal():
        raise InvalidInput("MLflow refused the cursor.", hint="Begin at the first page.", field="/cursor")
    start = int(cursor or 0)
    more = start + limit < len(items)
    return Page(items=tuple(items[start : start + limit]), next_cursor=str(start + limit) if more else None)


class FakeRegistry:
    """Logged models and the registry. ``facts`` and ``files`` are by the name of the logged model."""

    def __init__(self) -> None:
        self.is_down = False
        self.logged: dict[RunId, list[LoggedModel]] = {}
        self.facts: dict[str, ModelFacts] = {}
        self.metrics: dict[RunId, dict[str, float]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.versions: dict[tuple[ProjectName, ModelName], dict[int, ModelVersionId]] = {}
        self._numbers: Counter[tuple[ProjectName, ModelName]] = Counter()

    async def logged_in(self, project: ProjectName, run: RunId) -> Sequence[LoggedModel]:
        self._answer()
        if run not in self.logged:
            raise NotFound("There is no such run.", hint="List the runs.")
        return self.logged[run]

    async def metrics_of(self, project: ProjectName, run: RunId) -> Mapping[str, float]:
        self._answer()
        return self.metrics.get(run, {})

    async def inspect(self, project: ProjectName, ref: LoggedModelRef) -> ModelFacts:
        self._answer()
        facts = self.facts.get(ref.name, some_facts())
        if facts.signature is None:
            raise NoSignature("The model has no signature.", hint="Log it with signature=… or an input_example.")
        return facts

    async def register(
        self,
        project: ProjectName,
        model: ModelName,
        ref: LoggedModelRef,
        *,
        key: ModelVersionId,
        tags: Mapping[str, str],
    ) -> int:
        self._answer()
        versions = self.versions.setdefault((project, model), {})
        for number, known in versions.items():
            if known == key:
                return number
        self._numbers[project, model] += 1
        number = self._numbers[project, model]
        versions[number] = key
        return number

    async def unregister(self, project: ProjectName, model: ModelName, version: int) -> None:
        self._answer()
        versions = self.versions.get((project, model), {})
        versions.pop(version, None)
        if not versions:
            self.versions.pop((project, model), None)
            self._numbers.pop((project, model), None)

    async def fetch(self, project: ProjectName, ref: LoggedModelRef, into: Path, report: ReportBytes) -> None:
        self._answer()
        files = self.files.get(ref.name, {"MLmodel": b"flavors: {}\n", "model.pkl": ref.name.encode()})
        total, done = sum(len(content) for content in files.values()), 0
        for name, content in files.items():
            if ".." in name:
                raise MalformedModel("A file's name leaves the directory.", hint="Log the model again.")
            (into / name).write_bytes(content)
            done += len(content)
            report(done, total)

    def _answer(self) -> None:
        if self.is_down:
            raise TrackingUnavailable("MLflow does not answer.", hint="Try again in a moment.")
