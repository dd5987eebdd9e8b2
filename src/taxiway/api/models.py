"""Routes of conversions and of model versions with their staging deployments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from fastapi import Header, Query, Response

from taxiway.api import shapes
from taxiway.api.cursors import read_cursor, write_cursor
from taxiway.api.guard import check_permission
from taxiway.api.parameters import Cursor, IdPath, Limit, ModelPath, ProjectPath, Text, VersionPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.deployments import Deployment, Status
from taxiway.domain.errors import InvalidInput, NotFound
from taxiway.domain.ids import DeploymentId, ModelName, ProjectName, RunId, UserId
from taxiway.domain.models import LoggedModelRef
from taxiway.domain.names import is_slug
from taxiway.domain.people import Permission, Principal
from taxiway.domain.resources import Resources, parse_cpus, parse_memory
from taxiway.services.conversions import ConversionRequest
from taxiway.services.deployments import DeploymentDetail, DeploymentName
from taxiway.store.deployments import DeploymentFilter
from taxiway.wire.models import (
    ConfigurationIn,
    ContractChangesOut,
    ConversionIn,
    ModelVersionDetailOut,
    ModelVersionOut,
    ModelVersionPage,
    PreflightOut,
)
from taxiway.wire.production import ProductionConfigurationIn, PromotionIn

router = TaxiwayRouter(tags=["models"])

VERSION = "/projects/{project}/models/{model}/versions/{version}"
RUN = "/projects/{project}/runs/{run}"
REFUSALS = (
    "NoSignature",
    "MalformedModel",
    "UnsupportedRequirements",
    "NoInterpreter",
    "LimitReached",
    "TrackingUnavailable",
)
"""What a conversion can be refused with at once."""

IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[\x21-\x7e]{1,120}$", description="The same key never makes a second model version."),
]
IfMatch = Annotated[
    str | None, Header(max_length=40, description='The deployment\'s generation, as in `"3"` or `3`; else 412.')
]


def name_of(project: str, model: str, version: int) -> DeploymentName:
    """Read a model version's name from the path. Raises NotFound for what can be no model's name."""
    if not is_slug(model):
        raise NotFound("There is no such model.", hint="List them with `taxiway model list`.")
    return DeploymentName(project=ProjectName(project), model=ModelName(model), version=version)


def _request(services: ApiServices, project: str, run: str, wanted: ConversionIn) -> ConversionRequest:
    return ConversionRequest(
        project=ProjectName(project),
        run=RunId(run),
        model=wanted.model,
        logged_model=wanted.logged_model,
        resources=resources_of(services.default_resources, wanted),
        options=shapes.options_in(services.default_options, wanted),
        needs_token=wanted.needs_token,
        tags=wanted.tags,
    )


def resources_of(
    base: Resources, wanted: ConversionIn | ConfigurationIn | PromotionIn | ProductionConfigurationIn
) -> Resources:
    """Return the resources that are asked for; what is left out is as in ``base``."""
    return Resources(
        memory_bytes=base.memory_bytes if wanted.memory is None else parse_memory(wanted.memory),
        cpus=base.cpus if wanted.cpus is None else parse_cpus(wanted.cpus),
    )


@router.post(RUN + "/conversions/preflight", permission=Permission.MODEL_WRITE, errors=REFUSALS)
async def preflight_conversion(
    project: ProjectPath, run: IdPath, wanted: ConversionIn, _asking: Asker, services: Services
) -> PreflightOut:
    """Check a conversion without doing it; changes nothing."""
    checked = await services.conversions.preflight(_request(services, project, run, wanted))
    return PreflightOut(
        model=checked.model,
        logged_model=_logged_model(checked.source),
        python=checked.request.python,
        environment_id=checked.request.id,
        facts=shapes.facts_out(checked.facts),
    )


@router.post(RUN + "/conversions", permission=Permission.MODEL_WRITE, status_code=202, errors=("Conflict", *REFUSALS))
async def convert_run(
    project: ProjectPath,
    run: IdPath,
    wanted: ConversionIn,
    asking: Asker,
    services: Services,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ModelVersionDetailOut:
    """Convert a run's logged model to a model version with a staging deployment.

    Answers once the version is registered and its deployment asked for; look at the version to see it come up.
    """
    version = await services.conversions.convert_run(
        asking, _request(services, project, run, wanted), idempotency_key=idempotency_key
    )
    name = DeploymentName(project=version.project, model=version.model, version=version.version)
    shown = await show_detail(services, asking.principal, name)
    response.headers["Location"] = f"/api/v1/projects/{name.project}/models/{name.model}/versions/{name.version}"
    return shown


@router.get("/models", permission=Permission.MODEL_READ, errors=("NotFound",))
async def list_model_versions(
    asking: Asker,
    services: Services,
    project: Text = None,
    model: Text = None,
    status: Annotated[Status | None, Query(description="The one word that people see.")] = None,
    owner: Text = None,
    contains: Annotated[str | None, Query(max_length=200, description="Part of the model's name.")] = None,
    tag: Annotated[str | None, Query(max_length=700, description="`key=value`")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ModelVersionPage:
    """List model versions with their staging deployments, newest first; of all projects that one sees."""
    before = read_cursor("models", cursor)
    projects = visible_projects(asking.principal, Permission.MODEL_READ, project)
    if project is not None:
        await services.projects.get(asking, ProjectName(project))
    owner_id: UserId | None = None
    if owner is not None:
        owner_id = await services.users.find_id(owner)
        if owner_id is None:
            return ModelVersionPage(items=[], next_cursor=None)
    found = await services.deployments.search(
        DeploymentFilter(
            projects=projects,
            model=model,
            status=status,
            owner=owner_id,
            contains=contains,
            tag=None if tag is None else _tag(tag),
        ),
        before=None if before is None else DeploymentId(before),
        limit=limit + 1,
    )
    shown = found[:limit]
    return ModelVersionPage(
        items=await _versions_out(services, shown, asking.principal),
        next_cursor=write_cursor("models", shown[-1].id) if len(found) > limit else None,
    )


def visible_projects(
    principal: Principal, permission: Permission, project: str | None
) -> tuple[ProjectName, ...] | None:
    """Return the projects that a list is about; None for all. Raises NotFound for one that is not visible."""
    if project is not None:
        check_permission(principal, permission, project)
        return (ProjectName(project),)
    return None if principal.is_administrator else tuple(sorted(principal.projects))


def _tag(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise InvalidInput("A tag is given as key=value.", hint="For example ?tag=team=risk.")
    return key, value


async def _versions_out(
    services: ApiServices, found: Iterable[Deployment], principal: Principal
) -> list[ModelVersionOut]:
    shown = list(found)
    counts = await services.promotions.counts() if principal.is_administrator else None
    owners = await services.users.names(deployment.owner for deployment in shown)
    return [
        shapes.model_version_out(
            deployment,
            public_url=services.public_url,
            owner=owners.get(deployment.owner, deployment.owner),
            load=services.measurements.now(deployment.id),
            production_count=None
            if counts is None
            else counts[deployment.project, deployment.model, deployment.version],
        )
        for deployment in shown
    ]


@router.get(VERSION, permission=Permission.MODEL_READ)
async def get_model_version(
    project: ProjectPath, model: ModelPath, version: VersionPath, asking: Asker, services: Services, response: Response
) -> ModelVersionDetailOut:
    """Show a model version: status, endpoint, phases, pods, configuration, signature, and what one may do."""
    shown = await show_detail(services, asking.principal, name_of(project, model, version))
    response.headers["ETag"] = f'"{shown.generation}"'
    return shown


@router.get(VERSION + "/contract-changes", permission=Permission.MODEL_READ)
async def get_contract_changes(
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    services: Services,
    since: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Another version; the one before.")] = None,
) -> ContractChangesOut:
    """Tell what callers may feel if this version takes another's place, column by column."""
    found = await services.deployments.contract_changes(name_of(project, model, version), since=since)
    return shapes.contract_changes_out(found)


async def show_detail(services: ApiServices, principal: Principal, name: DeploymentName) -> ModelVersionDetailOut:
    """Show a deployment with all that belongs to it."""
    detail = await services.deployments.detail(name)
    owner = detail.deployment.owner
    names = await services.users.names([owner])
    return shapes.model_version_detail_out(
        detail,
        pods={revision.id: services.pods_of(revision.id) for revision in detail.revisions},
        principal=principal,
        public_url=services.public_url,
        owner=names.get(owner, owner),
        model_path=model_path(detail),
    )


def model_path(detail: DeploymentDetail) -> str:
    """Return MLflow's own URI of the logged model that the version was made of."""
    source = detail.version.source
    return f"models:/{source.model_id}" if source.model_id else f"runs:/{source.run_id}/{source.path or source.name}"


def _logged_model(source: LoggedModelRef) -> str:
    return source.model_id or source.path or source.name


@router.patch(VERSION, permission=Permission.MODEL_WRITE, errors=("Conflict", "GenerationMismatch"))
async def configure_model_version(
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    wanted: ConfigurationIn,
    asking: Asker,
    services: Services,
    if_match: IfMatch = None,
) -> ModelVersionOut:
    """Change resources, options, access or tags; what is left out stays."""
    name = name_of(project, model, version)
    present = (await services.deployments.detail(name)).deployment
    changed = await services.deployments.configure(
        asking,
        name,
        resources=resources_of(present.resources, wanted),
        options=shapes.options_in(present.options, wanted),
        needs_token=wanted.needs_token,
        tags=wanted.tags,
        # What is left out was read a moment ago: it must not undo what somebody else changed since.
        if_generation=present.generation if if_match is None else _generation(if_match),
    )
    return (await _versions_out(services, [changed], asking.principal))[0]


def _generation(if_match: str) -> int:
    match = re.fullmatch(r'"?([0-9]{1,9})"?', if_match, re.ASCII)
    if match is None:
        raise InvalidInput("If-Match takes a deployment's generation.", hint='Send for example If-Match: "3".')
    return int(match[1])


@router.delete(VERSION, permission=Permission.MODEL_WRITE, status_code=204, errors=("Conflict",))
async def delete_model_version(
    project: ProjectPath, model: ModelPath, version: VersionPath, asking: Asker, services: Services
) -> None:
    """Delete a model version with its endpoint, files, logs and access tokens."""
    await services.deployments.delete(asking, name_of(project, model, version))


@router.post(VERSION + "/on", permission=Permission.MODEL_WRITE, errors=("Conflict",))
async def switch_on(
    project: ProjectPath, model: ModelPath, version: VersionPath, asking: Asker, services: Services
) -> ModelVersionOut:
    """Serve again, with the same URL and configuration; also tries a Failed one again."""
    changed = await services.deployments.switch_on(asking, name_of(project, model, version))
    return (await _versions_out(services, [changed], asking.principal))[0]


@router.post(VERSION + "/off", permission=Permission.MODEL_WRITE, errors=("Conflict",))
async def switch_off(
    project: ProjectPath, model: ModelPath, version: VersionPath, asking: Asker, services: Services
) -> ModelVersionOut:
    """Stop serving, or cancel what is under way; URL and configuration are kept."""
    changed = await services.deployments.switch_off(asking, name_of(project, model, version))
    return (await _versions_out(services, [changed], asking.principal))[0]
