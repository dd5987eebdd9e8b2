"""Routes of build logs, container logs and access logs: read, search, follow; of dead pods too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from taxiway.api import shapes
from taxiway.api.models import VERSION, name_of
from taxiway.api.parameters import AfterSequence, Contains, LineLimit, ModelPath, ProjectPath, Tail, VersionPath
from taxiway.api.production import NAMED, NamePath
from taxiway.api.reading import read_log
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services, Streams
from taxiway.domain.deployments import Deployment, Status
from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.people import Permission
from taxiway.domain.revisions import Revision
from taxiway.services.deployments import DeploymentDetail, Name, ProductionName
from taxiway.telemetry.metrics import ControlMetrics
from taxiway.wire.logs import PodLogList, PodLogOut
from taxiway.wire.models import LogLineOut, LogPageOut

router = TaxiwayRouter(tags=["logs"])

LOOK_EVERY_SECONDS = 0.25
STREAM_LIFE_SECONDS = 600.0
"""A stream ends then, and who comes back with Last-Event-ID is authorised anew."""
SETTLED = frozenset({Status.OFF, Status.FAILED})


class Kind(StrEnum):
    """Which log of a model version."""

    BUILD = "build"
    POD = "pod"
    ACCESS = "access"
    """What the gateway wrote of the deployment's own requests: no queries, headers, bodies or addresses."""


PodQuery = Annotated[str | None, Query(max_length=80, description="Of this pod, also a dead one; else of the newest.")]
KindPath = Annotated[Kind, Path(description="The build log, a pod's container log, or the access log of the endpoint.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The log that was asked for; None where there is none yet."""

    name: LogName | None
    deployment: Deployment
    marks: str | None = None
    """What every line of this deployment has, where the log is one of all deployments."""


async def choose_log(services: ApiServices, name: Name, kind: Kind, pod: str | None) -> Chosen:
    """Find the log. Raises NotFound for a pod that is none of this deployment's."""
    detail = await services.deployments.detail(name)
    if kind is Kind.BUILD:
        if pod is not None:
            raise InvalidInput("A build log belongs to no pod.", hint="Leave `pod` out.")
        return Chosen(name=_build_log(detail.revisions), deployment=detail.deployment)
    if kind is Kind.ACCESS:
        if pod is not None:
            raise InvalidInput("An access log belongs to no pod.", hint="Leave `pod` out.")
        return Chosen(name=LogName(kind=LogKind.GATEWAY), deployment=detail.deployment, marks=_marks(detail.deployment))
    for revision in reversed(detail.revisions):
        pods = await _pods_of(services, revision)
        if pod is None and pods:
            return Chosen(name=LogName(kind=LogKind.POD, id=pods[-1]), deployment=detail.deployment)
        if pod is not None and pod in pods:
            return Chosen(name=LogName(kind=LogKind.POD, id=pod), deployment=detail.deployment)
    if pod is not None:
        raise NotFound("The deployment has no such pod, or its log is no longer kept.", hint="List them at `…/pods`.")
    return Chosen(name=None, deployment=detail.deployment)


def _marks(deployment: Deployment) -> str:
    """Return what a line of the gateway's log has of this deployment alone.

    The gateway writes JSON: whatever a caller puts into a path or an id has its quotation marks escaped there, so no
    line can pretend to be another deployment's.
    """
    return f'"deployment":"{deployment.id}"'


def _build_log(revisions: Sequence[Revision]) -> LogName | None:
    return LogName(kind=LogKind.BUILD, id=revisions[-1].request.id) if revisions else None


async def _pods_of(services: ApiServices, revision: Revision) -> list[str]:
    """List the ids of all pods of a revision, oldest first: those with a kept log and those that live."""
    kept = await services.logs.pods_of(revision.id)
    return sorted({*kept, *(pod.id for pod in services.pods_of(revision.id))})


@router.get(VERSION + "/pods", permission=Permission.MODEL_READ)
async def list_pods(
    project: ProjectPath, model: ModelPath, version: VersionPath, _asking: Asker, services: Services
) -> PodLogList:
    """List pods, living and dead, whose logs are kept; newest first."""
    detail = await services.deployments.detail(name_of(project, model, version))
    return PodLogList(items=[pod async for pod in _kept_pods(services, detail)])


@router.get(NAMED + "/pods", permission=Permission.PRODUCTION_READ)
async def list_production_pods(deployment: NamePath, services: Services) -> PodLogList:
    """List pods, living and dead, whose logs are kept; newest first."""
    detail = await services.deployments.detail(ProductionName(name=deployment))
    return PodLogList(items=[pod async for pod in _kept_pods(services, detail)])


async def _kept_pods(services: ApiServices, detail: DeploymentDetail) -> AsyncIterator[PodLogOut]:
    for revision in reversed(detail.revisions):
        living = {str(pod.id): pod for pod in services.pods_of(revision.id)}
        for pod in reversed(await _pods_of(services, revision)):
            seen = living.get(pod)
            yield PodLogOut(id=pod, revision=revision.number, phase=None if seen is None else str(seen.phase))


@router.get(VERSION + "/logs/{kind}", permission=Permission.MODEL_READ)
async def get_log(
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    kind: KindPath,
    _asking: Asker,
    services: Services,
    pod: PodQuery = None,
    after: AfterSequence = None,
    tail: Tail = None,
    contains: Contains = None,
    limit: LineLimit = 1000,
) -> LogPageOut:
    """Read the newest revision's build log, a pod's log, or the access log. Follow with ``after=next_sequence``."""
    name = name_of(project, model, version)
    return await _page(services, name, kind, pod, after=after, tail=tail, contains=contains, limit=limit)


@router.get(NAMED + "/logs/{kind}", permission=Permission.PRODUCTION_READ)
async def get_production_log(
    deployment: NamePath,
    kind: KindPath,
    services: Services,
    pod: PodQuery = None,
    after: AfterSequence = None,
    tail: Tail = None,
    contains: Contains = None,
    limit: LineLimit = 1000,
) -> LogPageOut:
    """Read the newest revision's build log, a pod's log, or the access log. Follow with ``after=next_sequence``."""
    name = ProductionName(name=deployment)
    return await _page(services, name, kind, pod, after=after, tail=tail, contains=contains, limit=limit)


async def _page(
    services: ApiServices,
    name: Name,
    kind: Kind,
    pod: str | None,
    *,
    after: int | None,
    tail: int | None,
    contains: str | None,
    limit: int,
) -> LogPageOut:
    chosen = await choose_log(services, name, kind, pod)
    if chosen.name is None:
        is_over = chosen.deployment.verdict.status in SETTLED
        return LogPageOut(log="", lines=[], next_sequence=after or 0, is_complete=is_over)
    page = await read_log(
        services.logs, chosen.name, after=after, tail=tail, contains=chosen.marks or contains, limit=limit
    )
    if chosen.marks is not None:
        page = replace(page, lines=tuple(line for line in page.lines if contains is None or contains in line.text))
    return shapes.log_page_out(chosen.name.id or str(kind), page)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream that was let in: from which log, after which sequence."""

    name: LogName
    after: int
    contains: str | None
    marks: str | None = None


async def open_stream(
    request: Request,
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    kind: KindPath,
    asking: Asker,
    services: Services,
    streams: Streams,
    pod: PodQuery = None,
    after: AfterSequence = None,
    contains: Contains = None,
    last_event_id: Annotated[
        str | None, Header(max_length=200, description="The id of the last event that was seen: goes on after it.")
    ] = None,
) -> AsyncIterator[Stream]:
    """Find the log and take one of the user's streams for as long as the answer lasts."""
    resumed, position = _resume(last_event_id)
    chosen = await choose_log(
        services, name_of(project, model, version), kind, resumed if kind is Kind.POD and resumed else pod
    )
    if chosen.name is None:
        raise NotFound("There is no log yet.", hint="Come back when the model version is Starting.")
    metrics: ControlMetrics = request.app.state.metrics
    with streams.hold(asking.principal.user), metrics.streams.track_inprogress():
        yield Stream(
            name=chosen.name,
            after=position if resumed == chosen.name.id else after or 0,
            contains=contains,
            marks=chosen.marks,
        )


def _resume(last_event_id: str | None) -> tuple[str | None, int]:
    """Read ``<log>:<sequence>``; anything else is as if there were none."""
    log, separator, sequence = (last_event_id or "").rpartition(":")
    if not separator or not sequence.isascii() or not sequence.isdecimal() or len(sequence) > 18:
        return None, 0
    return log, int(sequence)


@router.get(
    VERSION + "/logs/{kind}/stream",
    permission=Permission.MODEL_READ,
    response_class=EventSourceResponse,
)
async def stream_log(stream: Annotated[Stream, Depends(open_stream)], services: Services) -> AsyncIterator[LogLineOut]:
    """Follow a log as server-sent events: one ``line`` a line, ``end`` when nothing more will come.

    After ten minutes it ends without ``end``; an EventSource comes back by itself and goes on where it was.
    """
    began = time.monotonic()
    after = stream.after
    while time.monotonic() - began < STREAM_LIFE_SECONDS:
        page = await services.logs.read(stream.name, after=after, limit=1000, contains=stream.marks or stream.contains)
        for line in page.lines:
            if stream.marks is not None and stream.contains is not None and stream.contains not in line.text:
                continue
            shown = shapes.log_line_out(line)
            yield ServerSentEvent(data=shown, event="line", id=f"{stream.name.id}:{line.sequence}")  # type: ignore[misc]
        is_still = page.next_sequence == after
        after = page.next_sequence
        if page.is_complete and is_still:
            yield ServerSentEvent(data={"next_sequence": after}, event="end")  # type: ignore[misc]
            return
        if is_still:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
