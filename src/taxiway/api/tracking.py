"""Routes of experiments, runs, metrics, artifacts and logged models: MLflow's, for screens and commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query, Response
from fastapi.responses import StreamingResponse

from taxiway.api import shapes
from taxiway.api.cursors import read_cursor, write_cursor
from taxiway.api.parameters import Cursor, IdPath, Limit, ProjectPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ProjectName, RunId
from taxiway.domain.people import Permission
from taxiway.wire.tracking import (
    ArtifactList,
    ExperimentPage,
    LoggedModelList,
    MetricPage,
    RunChangeIn,
    RunOut,
    RunPage,
)

router = TaxiwayRouter(tags=["tracking"])

RUN = "/projects/{project}/runs/{run}"
UNAVAILABLE = ("TrackingUnavailable",)
Step = Annotated[int, Query(ge=-(2**63), lt=2**63)]
"""MLflow keeps steps in 64 bits."""
DOWNLOAD_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


def _next(kind: str, cursor: str | None) -> str | None:
    return None if cursor is None else write_cursor(kind, cursor)


@router.get("/projects/{project}/experiments", permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def list_experiments(
    project: ProjectPath,
    asking: Asker,
    services: Services,
    contains: Annotated[str | None, Query(max_length=200, description="Part of the name.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ExperimentPage:
    """List a project's experiments, newest first."""
    known = await services.projects.get(asking, ProjectName(project))
    page = await services.runs.experiments(
        known.name, name_contains=contains, limit=limit, cursor=read_cursor("experiments", cursor)
    )
    return ExperimentPage(
        items=[shapes.experiment_out(item) for item in page.items],
        next_cursor=_next("experiments", page.next_cursor),
    )


@router.get("/projects/{project}/runs", permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def list_runs(
    project: ProjectPath,
    asking: Asker,
    services: Services,
    experiment: Annotated[str | None, Query(max_length=500, description="Only of this one, by name or id.")] = None,
    where: Annotated[
        str, Query(alias="filter", max_length=4000, description="MLflow's filter language: `metrics.rmse < 1`.")
    ] = "",
    order_by: Annotated[
        list[str] | None, Query(max_length=10, description="As in MLflow: `metrics.rmse DESC`; may be repeated.")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> RunPage:
    """Search runs, newest first where no order is given."""
    known = await services.projects.get(asking, ProjectName(project))
    page = await services.runs.runs(
        known.name,
        experiments=() if experiment is None else (experiment,),
        where=where,
        order_by=tuple(order_by or ()),
        limit=limit,
        cursor=read_cursor("runs", cursor),
    )
    return RunPage(items=[shapes.run_out(item) for item in page.items], next_cursor=_next("runs", page.next_cursor))


@router.get(RUN, permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def get_run(project: ProjectPath, run: IdPath, asking: Asker, services: Services) -> RunOut:
    """Show one run."""
    known = await services.projects.get(asking, ProjectName(project))
    return shapes.run_out(await services.runs.run(known.name, RunId(run)))


@router.patch(RUN, permission=Permission.TRACKING_WRITE, errors=UNAVAILABLE)
async def change_run(
    project: ProjectPath, run: IdPath, wanted: RunChangeIn, asking: Asker, services: Services
) -> RunOut:
    """Set or take away a run's tags; its notes are one of them."""
    known = await services.projects.get(asking, ProjectName(project))
    return shapes.run_out(await services.runs.change_tags(asking, known.name, RunId(run), wanted.tags))


@router.delete(RUN, permission=Permission.TRACKING_WRITE, errors=UNAVAILABLE, status_code=204)
async def delete_run(project: ProjectPath, run: IdPath, asking: Asker, services: Services) -> None:
    """Delete a run; it can be restored. Model versions that were made of it stay. Deleted already: no effect."""
    known = await services.projects.get(asking, ProjectName(project))
    await services.runs.delete(asking, known.name, RunId(run))


@router.post(RUN + "/restore", permission=Permission.TRACKING_WRITE, errors=UNAVAILABLE)
async def restore_run(project: ProjectPath, run: IdPath, asking: Asker, services: Services) -> RunOut:
    """Take a deleted run back. Not deleted: no effect."""
    known = await services.projects.get(asking, ProjectName(project))
    return shapes.run_out(await services.runs.restore(asking, known.name, RunId(run)))


@router.get(RUN + "/metrics/{key:path}", permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def get_metric_history(
    project: ProjectPath,
    run: IdPath,
    key: Annotated[str, Path(max_length=250, description="The metric's name; it may hold slashes.")],
    asking: Asker,
    services: Services,
    limit: Limit = 1000,
    cursor: Cursor = None,
    sample: Annotated[
        int | None,
        Query(ge=2, le=2500, description="Instead of pages: so many at most, evenly chosen, with the first and last."),
    ] = None,
    from_step: Annotated[
        Step | None, Query(description="With `sample` and `until_step`: the first to choose from.")
    ] = None,
    until_step: Annotated[
        Step | None, Query(description="With `sample` and `from_step`: the last to choose from.")
    ] = None,
) -> MetricPage:
    """List the logged values of a metric in order of step."""
    known = await services.projects.get(asking, ProjectName(project))
    if sample is not None:
        chosen = await services.runs.sampled_metric(
            known.name, RunId(run), key, most=sample, from_step=from_step, until_step=until_step
        )
        return MetricPage(items=[shapes.metric_point_out(item) for item in chosen], next_cursor=None)
    if from_step is not None or until_step is not None:
        raise InvalidInput(
            "Pages hold all steps; only an even choice can be of a part of them.",
            hint="Say with `sample` how many values to choose.",
            field="/sample",
        )
    page = await services.runs.metric_history(
        known.name, RunId(run), key, limit=limit, cursor=read_cursor("metrics", cursor)
    )
    return MetricPage(
        items=[shapes.metric_point_out(item) for item in page.items], next_cursor=_next("metrics", page.next_cursor)
    )


@router.get(RUN + "/artifacts", permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def list_artifacts(
    project: ProjectPath,
    run: IdPath,
    asking: Asker,
    services: Services,
    path: Annotated[str, Query(max_length=2000, description="A folder; '' is the root.")] = "",
) -> ArtifactList:
    """List one folder of a run's artifacts."""
    known = await services.projects.get(asking, ProjectName(project))
    found = await services.runs.artifacts(known.name, RunId(run), check_path(path))
    return ArtifactList(items=[shapes.artifact_out(item) for item in found])


@router.get(
    RUN + "/artifacts/content",
    permission=Permission.TRACKING_READ,
    errors=UNAVAILABLE,
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file"}},
)
async def download_artifact(
    project: ProjectPath,
    run: IdPath,
    asking: Asker,
    services: Services,
    path: Annotated[str, Query(min_length=1, max_length=2000, description="A file.")],
) -> Response:
    """Download one file of a run's artifacts; a browser saves it and never shows it."""
    known = await services.projects.get(asking, ProjectName(project))
    chunks = services.runs.read_artifact(known.name, RunId(run), check_path(path))
    # The first bytes before the status: a missing file is 404, not half an answer.
    first = await anext(chunks, b"")
    name = quote(path.rsplit("/", 1)[-1], safe="")
    return StreamingResponse(
        _joined(first, chunks),
        media_type="application/octet-stream",
        headers={**DOWNLOAD_HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def check_path(path: str) -> str:
    """Return an artifact's path, or raise InvalidInput for one that is absolute, climbs or is not plain."""
    is_plain = path.isprintable() and "\\" not in path and not path.startswith("/")
    if not is_plain or any(part in ("", ".", "..") for part in path.split("/") if path):
        raise InvalidInput(
            "An artifact's path is relative, with names between single slashes.", hint="List the folder to see them."
        )
    return path


@router.get(RUN + "/logged-models", permission=Permission.TRACKING_READ, errors=UNAVAILABLE)
async def list_logged_models(project: ProjectPath, run: IdPath, asking: Asker, services: Services) -> LoggedModelList:
    """List the models that a run logged, and the model versions that were made of it."""
    known = await services.projects.get(asking, ProjectName(project))
    logged, versions = await services.runs.logged_models(known.name, RunId(run))
    return LoggedModelList(
        items=[shapes.logged_model_out(item) for item in logged],
        versions=[f"{version.model}/{version.version}" for version in versions],
    )
