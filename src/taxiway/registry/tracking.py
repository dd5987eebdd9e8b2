"""MLflowTracking: the port Tracking over MLflow's REST API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.ids import ExperimentId, ProjectName, RunId
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Page, Run
from taxiway.registry.artifacts import check_path, list_folder, root_of
from taxiway.registry.connection import MLflowConnection, MLflowRefused, unavailable
from taxiway.registry.filters import refused_filter
from taxiway.registry.reading import (
    Unreadable,
    in_order_of_step,
    items,
    mapping,
    read_experiment,
    read_metric,
    read_run,
    text,
)

T = TypeVar("T")
WORKSPACES = "/api/3.0/mlflow"
MOST_EXPERIMENTS = 10_000
SAMPLING_PATIENCE = timedelta(seconds=15)
"""MLflow's database goes through all values of a metric to choose some: of a million in some seconds."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")


class MLflowTracking:
    """Reads what was tracked. Keeps nothing."""

    def __init__(self, connection: MLflowConnection) -> None:
        self._connection = connection

    async def ensure_workspace(self, project: ProjectName) -> None:
        """Make the project's workspace. Twice is once."""
        try:
            await self._connection.send("POST", None, "/workspaces", {"name": project}, api=WORKSPACES)
        except MLflowRefused as refused:
            if not refused.is_there_already:
                raise InvalidInput(
                    f"MLflow takes no workspace of the name {project}.", hint="Choose another name.", field="/name"
                ) from refused

    async def experiments(
        self, project: ProjectName, *, name_contains: str | None, limit: int, cursor: str | None
    ) -> Page[Experiment]:
        """List the experiments that are not deleted, newest first."""
        asked: dict[str, Any] = {
            "max_results": limit,
            "view_type": "ACTIVE_ONLY",
            "order_by": ["creation_time DESC", "experiment_id DESC"],
        }
        if name_contains:
            asked["filter"] = f"name ILIKE {quoted(f'%{name_contains}%')}"
        answer = await self._search(project, "/experiments/search", asked, cursor=cursor, what="experiment")
        page = _page(answer, "experiments", read_experiment)
        if not name_contains:
            return page
        # In MLflow's pattern '%' and '_' stand for more than themselves.
        wanted = name_contains.casefold()
        return Page(items=tuple(e for e in page.items if wanted in e.name.casefold()), next_cursor=page.next_cursor)

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
        """Search runs with MLflow's filter language in ``where``. No experiments means all of the project's."""
        searched = list(experiments) or await self._all_experiments(project)
        if not searched:
            return Page(items=())
        asked: dict[str, Any] = {
            "experiment_ids": searched,
            "max_results": limit,
            "run_view_type": "ACTIVE_ONLY",
            "order_by": list(order_by),
        }
        if where:
            asked["filter"] = where
        try:
            answer = await self._search(project, "/runs/search", asked, cursor=cursor, what="run")
        except InvalidInput as error:
            refused = error.__cause__
            if where and isinstance(refused, MLflowRefused) and not _is_of_order(refused.words):
                raise refused_filter(where, refused.words) from refused
            raise
        return _page(answer, "runs", read_run)

    async def run(self, project: ProjectName, run: RunId) -> Run:
        """Return one run."""
        return _read(read_run, await run_json(self._connection, project, run))

    async def change_tags(self, project: ProjectName, run: RunId, tags: Mapping[str, str | None]) -> None:
        """Set a run's tags, all or none; None takes one away, after that. One that is not there: fine."""
        sent = [{"key": key, "value": value} for key, value in tags.items() if value is not None]
        if sent:
            await self._change(project, run, "/runs/log-batch", {"tags": sent})
        for key in (key for key, value in tags.items() if value is None):
            # MLflow has one answer for a run that is not there and for a tag that is not.
            if key in (await self.run(project, run)).tags:
                await self._change(project, run, "/runs/delete-tag", {"key": key})

    async def delete_run(self, project: ProjectName, run: RunId) -> None:
        """Mark a run as deleted. Twice is once."""
        await self._change(project, run, "/runs/delete", {})

    async def restore_run(self, project: ProjectName, run: RunId) -> None:
        """Take the mark away. Twice is once."""
        await self._change(project, run, "/runs/restore", {})

    async def _change(self, project: ProjectName, run: RunId, path: str, more: Mapping[str, Any]) -> None:
        try:
            await self._connection.send("POST", project, path, {"run_id": check_run_id(run, project), **more})
        except MLflowRefused as refused:
            if refused.is_missing:
                raise refused.explained("run", project=project) from refused
            raise InvalidInput(
                "MLflow does not accept this change of the run.",
                hint="A deleted run must be restored first; a tag's name has up to 250 letters, its value 8,000.",
                field="/tags",
            ) from refused

    async def metric_history(
        self, project: ProjectName, run: RunId, metric: str, *, limit: int, cursor: str | None
    ) -> Page[MetricPoint]:
        """Return the logged values of a metric in order of step, as far as they were logged in that order."""
        query = {"run_id": check_run_id(run, project), "metric_key": metric, "max_results": str(limit)}
        if cursor:
            query["page_token"] = cursor
        try:
            answer = await self._connection.get(project, "/metrics/get-history", query)
        except MLflowRefused as refused:
            raise refused.explained(f"metric of run {run}", project=project) from refused
        page = _page(answer, "metrics", read_metric)
        return Page(items=in_order_of_step(page.items), next_cursor=page.next_cursor)

    async def sampled_metric(
        self, project: ProjectName, run: RunId, metric: str, *, most: int, steps: tuple[int, int] | None
    ) -> Sequence[MetricPoint]:
        """Return so many of a metric's values at most, evenly chosen by MLflow's database, in order of step."""
        query = {"run_ids": check_run_id(run, project), "metric_key": metric, "max_results": str(most)}
        if steps is not None:
            query |= {"start_step": str(steps[0]), "end_step": str(steps[1])}
        try:
            answer = await self._connection.get(
                project, "/metrics/get-history-bulk-interval", query, patience=SAMPLING_PATIENCE
            )
        except MLflowRefused as refused:
            raise refused.explained(f"metric of run {run}", project=project) from refused
        return in_order_of_step(_page(answer, "metrics", read_metric).items)

    async def artifacts(self, project: ProjectName, run: RunId, path: str) -> Sequence[Artifact]:
        """List one folder of a run's artifacts; '' is the root."""
        folder = check_path(path)
        root = await self._artifact_root(project, run)
        found = await self._list(project, f"{root}/{folder}".rstrip("/"), what=f"artifact of run {run}")
        return [
            Artifact(path=f"{folder}/{entry.path}".lstrip("/"), is_folder=entry.is_folder, size_bytes=entry.size_bytes)
            for entry in found
        ]

    async def read_artifact(self, project: ProjectName, run: RunId, path: str) -> AsyncIterator[bytes]:
        """Stream one file of a run's artifacts."""
        asked = check_path(path)
        root = await self._artifact_root(project, run)
        parent, _, name = f"{root}/{asked}".rpartition("/")
        what = f"artifact of run {run}"
        entries = await self._list(project, parent, what=what)
        if not any(entry.path == name and not entry.is_folder for entry in entries):
            raise NotFound(f"There is no such {what} in project {project}.", hint="List the artifacts first.")
        try:
            async with self._connection.open_artifact(project, f"{root}/{asked}") as chunks:
                async for chunk in chunks:
                    yield chunk
        except MLflowRefused as refused:
            raise refused.explained(what, project=project) from refused

    async def _artifact_root(self, project: ProjectName, run: RunId) -> str:
        found = await run_json(self._connection, project, run)
        return root_of(_read(lambda data: text(mapping(data.get("info")), "artifact_uri"), found), project)

    async def _list(self, project: ProjectName, folder: str, *, what: str) -> Sequence[Artifact]:
        try:
            return await list_folder(self._connection, project, folder)
        except MLflowRefused as refused:
            raise refused.explained(what, project=project) from refused

    async def _all_experiments(self, project: ProjectName) -> list[ExperimentId]:
        found: list[ExperimentId] = []
        cursor = None
        while len(found) < MOST_EXPERIMENTS:
            page = await self.experiments(project, name_contains=None, limit=1000, cursor=cursor)
            found += [experiment.id for experiment in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _search(
        self, project: ProjectName, path: str, asked: dict[str, Any], *, cursor: str | None, what: str
    ) -> dict[str, Any]:
        if cursor:
            asked["page_token"] = cursor
        try:
            return await self._connection.send("POST", project, path, asked)
        except MLflowRefused as refused:
            raise refused.explained(what, project=project) from refused


def quoted(value: str) -> str:
    """Write a text in MLflow's filter language, which knows both quotes and no way to write them inside themselves."""
    for quote in ("'", '"'):
        if quote not in value:
            return f"{quote}{value}{quote}"
    raise InvalidInput(
        "A searched text cannot have both kinds of quotation marks.", hint="Search for a part of it.", field="/name"
    )


def _is_of_order(words: str) -> bool:
    """Tell whether MLflow speaks of the order or the cursor rather than of the filter."""
    return "order_by" in words or "page token" in words.lower() or "page_token" in words


def check_run_id(run: RunId, project: ProjectName) -> RunId:
    """Return a run's id when it can be one. Raises NotFound."""
    if _ID.match(run) is None:
        raise NotFound(f"There is no such run in project {project}.", hint="See `taxiway run list`.")
    return run


async def run_json(connection: MLflowConnection, project: ProjectName, run: RunId) -> dict[str, Any]:
    """Return a run as MLflow tells it. Raises NotFound."""
    try:
        answer = await connection.get(project, "/runs/get", {"run_id": check_run_id(run, project)})
        return mapping(answer.get("run"))
    except MLflowRefused as refused:
        raise refused.explained("run", project=project) from refused
    except Unreadable as error:
        raise unavailable("MLflow's answer about a run is not understood.") from error


def _read(read: Callable[[Mapping[str, Any]], T], data: Mapping[str, Any]) -> T:
    try:
        return read(data)
    except Unreadable as error:
        raise unavailable("MLflow's answer is not understood.") from error


def _page(answer: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> Page[T]:
    return _read(
        lambda data: Page(
            items=tuple(read(item) for item in items(data, key)), next_cursor=text(data, "next_page_token") or None
        ),
        answer,
    )
