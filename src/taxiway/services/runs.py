"""Experiments, runs and what they logged, as screens and clients ask for and change them. Thin over MLflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.ids import ExperimentId, ProjectName, RunId
from taxiway.domain.models import LoggedModel, ModelVersion
from taxiway.domain.people import Asking
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Page, Run, check_tags
from taxiway.ports import ModelRegistry, Tracking
from taxiway.services.tracking_changes import TrackingChanges
from taxiway.store import models
from taxiway.store.database import Database

PAGE = 100


class Runs:
    """Reads MLflow, and changes tags. All raise as the ports Tracking and ModelRegistry do."""

    def __init__(
        self, *, database: Database, tracking: Tracking, registry: ModelRegistry, changes: TrackingChanges
    ) -> None:
        self._database = database
        self._tracking = tracking
        self._registry = registry
        self._changes = changes

    async def experiments(
        self, project: ProjectName, *, name_contains: str | None, limit: int, cursor: str | None
    ) -> Page[Experiment]:
        """List a project's experiments, newest first."""
        return await self._tracking.experiments(project, name_contains=name_contains, limit=limit, cursor=cursor)

    async def runs(
        self,
        project: ProjectName,
        *,
        experiments: Sequence[str],
        where: str,
        order_by: Sequence[str],
        limit: int,
        cursor: str | None,
    ) -> Page[Run]:
        """Search runs of these experiments (names or ids; none: all of the project's). Raises NotFound for one."""
        chosen = [await self._experiment(project, text) for text in experiments]
        return await self._tracking.runs(
            project, experiments=chosen, where=where, order_by=order_by, limit=limit, cursor=cursor
        )

    async def _experiment(self, project: ProjectName, text: str) -> ExperimentId:
        """Return the id of the experiment with this name, or else with this id."""
        cursor: str | None = None
        while True:
            page = await self._tracking.experiments(project, name_contains=text, limit=PAGE, cursor=cursor)
            for experiment in page.items:
                if experiment.name == text:
                    return experiment.id
            cursor = page.next_cursor
            if cursor is None:
                break
        if text.isascii() and text.isdigit():
            return ExperimentId(text)
        raise NotFound(
            f"Project {project} has no experiment of this name.", hint="List them with `taxiway experiment list`."
        )

    async def run(self, project: ProjectName, run: RunId) -> Run:
        """Return one run."""
        return await self._tracking.run(project, run)

    async def change_tags(
        self, asking: Asking, project: ProjectName, run: RunId, tags: Mapping[str, str | None]
    ) -> Run:
        """Set a run's tags, None takes one away; return the run. Raises InvalidInput for MLflow's own tags."""
        check_tags(tags)
        found = await self._tracking.run(project, run)
        await self._changes.begin(
            asking, project=project, method="tags", about=f"run_id={run}", action="tracking.change"
        )
        await self._tracking.change_tags(project, found.id, tags)
        return await self._tracking.run(project, run)

    async def delete(self, asking: Asking, project: ProjectName, run: RunId) -> None:
        """Mark a run as deleted; model versions that were made of it keep their own copy."""
        found = await self._tracking.run(project, run)
        await self._changes.begin(asking, project=project, method="delete", about=f"run_id={run}")
        await self._tracking.delete_run(project, found.id)

    async def restore(self, asking: Asking, project: ProjectName, run: RunId) -> Run:
        """Take a deleted run back; return it."""
        found = await self._tracking.run(project, run)
        await self._changes.begin(
            asking, project=project, method="restore", about=f"run_id={run}", action="tracking.change"
        )
        await self._tracking.restore_run(project, found.id)
        return await self._tracking.run(project, run)

    async def metric_history(
        self, project: ProjectName, run: RunId, metric: str, *, limit: int, cursor: str | None
    ) -> Page[MetricPoint]:
        """Return the logged values of a metric in order of step."""
        return await self._tracking.metric_history(project, run, metric, limit=limit, cursor=cursor)

    async def sampled_metric(
        self,
        project: ProjectName,
        run: RunId,
        metric: str,
        *,
        most: int,
        from_step: int | None = None,
        until_step: int | None = None,
    ) -> Sequence[MetricPoint]:
        """Return so many of a metric's values at most, evenly chosen from a part of its steps, in order of step."""
        steps = part_of_steps(from_step, until_step)
        return await self._tracking.sampled_metric(project, run, metric, most=most, steps=steps)

    async def artifacts(self, project: ProjectName, run: RunId, path: str) -> Sequence[Artifact]:
        """List one folder of a run's artifacts; '' is the root."""
        return await self._tracking.artifacts(project, run, path)

    def read_artifact(self, project: ProjectName, run: RunId, path: str) -> AsyncIterator[bytes]:
        """Stream one file of a run's artifacts."""
        return self._tracking.read_artifact(project, run, path)

    async def logged_models(
        self, project: ProjectName, run: RunId
    ) -> tuple[Sequence[LoggedModel], Sequence[ModelVersion]]:
        """List the models that a run logged, and the model versions that were made of the run."""
        logged = await self._registry.logged_in(project, run)
        async with self._database.read() as tx:
            return logged, await models.versions_of_run(tx, project, run)


def part_of_steps(first: int | None, last: int | None) -> tuple[int, int] | None:
    """Return the first and the last step to choose from; None: all. Raises InvalidInput."""
    if first is None and last is None:
        return None
    if first is None or last is None:
        missing = "from_step" if first is None else "until_step"
        raise InvalidInput("A part of the steps has a first and a last one.", hint="Give both.", field=f"/{missing}")
    if first > last:
        raise InvalidInput("The last step is before the first one.", hint="Give a greater one.", field="/until_step")
    return first, last
