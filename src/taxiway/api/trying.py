"""Routes for trying a model by hand: whoever may issue access tokens may also ask without one."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Path, Request

from taxiway.api.models import VERSION, name_of
from taxiway.api.parameters import ModelPath, ProjectPath, VersionPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.errors import InvalidInput, NotReady
from taxiway.domain.people import Permission
from taxiway.domain.pods import PodAnswer, PodPhase
from taxiway.domain.revisions import Revision, newest_wanted
from taxiway.services.deployments import Name, ProductionName
from taxiway.wire.models import TryOut

router = TaxiwayRouter(tags=["models"])

NAMED = "/production/deployments/{deployment}"
NamePath = Annotated[str, Path(max_length=80, description="A production deployment's name.")]
KINDS = ("application/json", "text/csv")


@router.post(VERSION + "/invocations", permission=Permission.TOKEN_WRITE, errors=("NotReady",))
async def try_version(
    project: ProjectPath, model: ModelPath, version: VersionPath, request: Request, _asking: Asker, services: Services
) -> TryOut:
    """Ask a pod of a staging deployment, JSON or CSV as at its endpoint; up to 1 MiB."""
    return await _try(services, name_of(project, model, version), request)


@router.get(
    VERSION + "/endpoint", permission=Permission.TOKEN_WRITE, errors=("NotReady",), response_model=dict[str, Any]
)
async def describe_version(
    project: ProjectPath, model: ModelPath, version: VersionPath, _asking: Asker, services: Services
) -> Any:
    """Return the endpoint's own OpenAPI document, with its columns and its input example."""
    return await _describe(services, name_of(project, model, version))


@router.post(NAMED + "/invocations", permission=Permission.PRODUCTION_WRITE, errors=("NotReady",))
async def try_production(deployment: NamePath, request: Request, _asking: Asker, services: Services) -> TryOut:
    """Ask a pod of a production deployment's newest revision, JSON or CSV as at its endpoint; up to 1 MiB."""
    return await _try(services, ProductionName(name=deployment), request)


@router.get(
    NAMED + "/endpoint", permission=Permission.PRODUCTION_WRITE, errors=("NotReady",), response_model=dict[str, Any]
)
async def describe_production(deployment: NamePath, _asking: Asker, services: Services) -> Any:
    """Return the endpoint's own OpenAPI document, with its columns and its input example."""
    return await _describe(services, ProductionName(name=deployment))


async def _try(services: ApiServices, name: Name, request: Request) -> TryOut:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise InvalidInput("A model is tried with JSON or CSV.", hint=f"Send one of {', '.join(KINDS)}.")
    revision, pod, answer = await _ask(services, name, "POST", "/invocations", await request.body(), kind)
    text = answer.body.decode("utf-8", "replace")
    return TryOut(
        status=answer.status,
        milliseconds=round(answer.milliseconds, 3),
        revision=revision.number,
        pod=pod,
        content_type=answer.content_type,
        body=text,
    )


async def _describe(services: ApiServices, name: Name) -> Any:
    _, _, answer = await _ask(services, name, "GET", "/openapi.json", b"", "")
    if answer.status != 200:
        raise NotReady("The pod does not describe its endpoint at the moment.", hint="Try again in a second.")
    return json.loads(answer.body)


async def _ask(
    services: ApiServices, name: Name, method: str, path: str, body: bytes, kind: str
) -> tuple[Revision, str, PodAnswer]:
    detail = await services.deployments.detail(name)
    revision = newest_wanted(detail.revisions)
    ready = next((pod for pod in services.pods_of(revision.id) if pod.phase is PodPhase.READY), None)
    if ready is None:
        raise NotReady(
            "The deployment has no ready pod at the moment.", hint="Look at its status; switch it ON if it is OFF."
        )
    answer = await services.pods.ask(
        ready.address, method, path, body=body, content_type=kind, timeout=revision.options.timeout_seconds
    )
    return revision, ready.id, answer
