"""Routes of what was measured."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Query

from taxiway.api import shapes
from taxiway.api.models import VERSION, name_of
from taxiway.api.parameters import ModelPath, ProjectPath, VersionPath
from taxiway.api.routing import TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.people import Permission
from taxiway.services.deployments import ProductionName
from taxiway.services.measurements import Series
from taxiway.wire.measurements import HostPointOut, MarkerOut, PointOut, SeriesOut

router = TaxiwayRouter(tags=["measurements"])

MOST_MINUTES = 60 * 24 * 31
Minutes = Annotated[int, Query(ge=1, le=MOST_MINUTES, description="How far back, minutes.")]
NamePath = Annotated[str, Path(max_length=80, description="A production deployment's name.")]


@router.get(VERSION + "/measurements", permission=Permission.MODEL_READ)
async def measurements_of_version(
    project: ProjectPath, model: ModelPath, version: VersionPath, services: Services, minutes: Minutes = 60
) -> SeriesOut:
    """Show requests, latency, errors, pods, CPU and memory of a staging deployment over time."""
    name = name_of(project, model, version)
    return series_out(await services.measurements.of_deployment(name, last=timedelta(minutes=minutes)))


@router.get("/production/deployments/{deployment}/measurements", permission=Permission.PRODUCTION_READ)
async def measurements_of_production(deployment: NamePath, services: Services, minutes: Minutes = 60) -> SeriesOut:
    """Show requests, latency, errors, pods, CPU and memory of a production deployment over time."""
    name = ProductionName(name=deployment)
    return series_out(await services.measurements.of_deployment(name, last=timedelta(minutes=minutes)))


@router.get("/measurements", permission=Permission.PLATFORM_READ)
async def measurements_of_platform(services: Services, minutes: Minutes = 60) -> SeriesOut:
    """Show what all deployments did together, and this host, over time."""
    return series_out(await services.measurements.of_platform(last=timedelta(minutes=minutes)))


def series_out(series: Series) -> SeriesOut:
    """Show a series."""
    return SeriesOut(
        since=series.since,
        until=series.until,
        step_seconds=int(series.step.total_seconds()),
        points=[PointOut(at=at, **shapes.load_out(window).model_dump()) for at, window in series.points],
        total=None if series.total is None else shapes.load_out(series.total),
        markers=[MarkerOut(at=event.at, reason=event.reason, message=event.message) for event in series.markers],
        host=[
            HostPointOut(
                at=period.at,
                cpus=period.cpus,
                memory_bytes=period.memory_bytes,
                disk_free_bytes=period.disk_bytes,
            )
            for period in series.host
        ],
    )
