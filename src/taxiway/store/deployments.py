"""Deployments ↔ rows. ``wanted`` columns are written by services, ``seen`` ones by controllers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update

from taxiway.domain.deployments import (
    Deployment,
    DeploymentWanted,
    Status,
    Verdict,
)
from taxiway.domain.errors import Conflict, NotFound
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, UserId
from taxiway.domain.models import Environment
from taxiway.domain.resources import Resources, Scale
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.deployments
V = schema.model_versions
IS_STAGING = T.c.environment == Environment.STAGING.value


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(
        id=DeploymentId(row.id),
        environment=Environment(row.environment),
        project=ProjectName(row.project),
        model=ModelName(row.model),
        version=row.version,
        model_version=ModelVersionId(row.model_version),
        owner=UserId(row.owner),
        wanted=DeploymentWanted(row.wanted),
        resources=Resources(memory_bytes=row.memory_bytes, cpus=row.cpus_milli / 1000),
        options=mapping.scoring_options.load(row.options),
        needs_token=row.needs_token,
        generation=row.generation,
        created_at=from_microseconds(row.created_at),
        changed_at=from_microseconds(row.changed_at),
        name=row.name or "",
        customer=row.customer,
        scale=Scale(minimum=row.min_pods, maximum=row.max_pods),
        autoscaling=mapping.autoscaling.load(row.autoscaling),
        quota=mapping.quota.load(row.quota),
        observed_generation=row.observed_generation,
        verdict=Verdict(status=Status(row.status), reason=row.reason, message=row.message, hint=row.hint),
        conditions=mapping.conditions.load(row.conditions),
    )


def _wanted(deployment: Deployment) -> dict[str, Any]:
    return {
        "wanted": deployment.wanted.value,
        "memory_bytes": deployment.resources.memory_bytes,
        "cpus_milli": round(deployment.resources.cpus * 1000),
        "options": mapping.scoring_options.dump(deployment.options),
        "needs_token": deployment.needs_token,
        "version": deployment.version,
        "project": deployment.project,
        "model": deployment.model,
        "model_version": deployment.model_version,
        "min_pods": deployment.scale.minimum,
        "max_pods": deployment.scale.maximum,
        "autoscaling": mapping.autoscaling.dump(deployment.autoscaling),
        "quota": mapping.quota.dump(deployment.quota),
        "generation": deployment.generation,
        "changed_at": to_microseconds(deployment.changed_at),
    }


def _seen(deployment: Deployment) -> dict[str, Any]:
    return {
        "observed_generation": deployment.observed_generation,
        "status": deployment.verdict.status.value,
        "reason": deployment.verdict.reason,
        "message": deployment.verdict.message,
        "hint": deployment.verdict.hint,
        "conditions": mapping.conditions.dump(deployment.conditions),
    }


async def insert_deployment(tx: Transaction, deployment: Deployment) -> None:
    """Remember a new deployment."""
    await tx.execute(
        insert(T).values(
            id=deployment.id,
            environment=deployment.environment.value,
            name=deployment.name or None,
            customer=deployment.customer,
            owner=deployment.owner,
            created_at=to_microseconds(deployment.created_at),
            **_wanted(deployment),
            **_seen(deployment),
        )
    )


async def want(tx: Transaction, deployment: Deployment) -> None:
    """Write what people want of the deployment, whose generation must be one more than the remembered.

    Raises Conflict when somebody else changed it in between.
    """
    result = await tx.execute(
        update(T)
        .where(T.c.id == deployment.id, T.c.generation == deployment.generation - 1)
        .values(_wanted(deployment))
    )
    if result.rowcount != 1:
        raise Conflict(
            f"Deployment {deployment.path} was changed by somebody else at the same time.",
            hint="Look at it again and repeat the change if it still fits.",
        )


async def record(tx: Transaction, deployment: Deployment, *, if_generation: int) -> bool:
    """Write what was seen, unless the wanted part has moved on; tell whether it was written."""
    result = await tx.execute(
        update(T).where(T.c.id == deployment.id, T.c.generation == if_generation).values(_seen(deployment))
    )
    return bool(result.rowcount == 1)


async def find(tx: Transaction, key: DeploymentId) -> Deployment | None:
    """Return one deployment, or None."""
    row = (await tx.execute(select(T).where(T.c.id == key))).first()
    return None if row is None else _deployment(row)


async def get_of_version(tx: Transaction, project: ProjectName, model: ModelName, version: int) -> Deployment:
    """Return the staging deployment of a model version. Raises NotFound."""
    query = select(T).where(T.c.project == project, T.c.model == model, T.c.version == version, IS_STAGING)
    row = (await tx.execute(query)).first()
    if row is None:
        raise NotFound(
            f"Project {project} has no version {version} of a model '{model}'.",
            hint="List them with `taxiway model list`.",
        )
    return _deployment(row)


async def get_of_production(tx: Transaction, name: str) -> Deployment:
    """Return a production deployment by its name. Raises NotFound."""
    row = (await tx.execute(select(T).where(T.c.name == name))).first()
    if row is None:
        raise NotFound(f"There is no production deployment '{name}'.", hint="List them with `taxiway production list`.")
    return _deployment(row)


async def in_production(tx: Transaction, *, customer: str | None = None) -> Sequence[Deployment]:
    """List the production deployments by name, or those of one customer."""
    query = select(T).where(T.c.environment == Environment.PRODUCTION.value).order_by(T.c.name)
    if customer is not None:
        query = query.where(T.c.customer == customer)
    return [_deployment(row) for row in (await tx.execute(query)).all()]


async def all_living(tx: Transaction) -> Sequence[Deployment]:
    """List every deployment."""
    return [_deployment(row) for row in (await tx.execute(select(T).order_by(T.c.id))).all()]


async def count_by_status(tx: Transaction) -> Mapping[str, int]:
    """Count every deployment by its status."""
    query = select(T.c.status, func.count()).group_by(T.c.status)
    return {str(status): int(count) for status, count in (await tx.execute(query)).all()}


async def keys(tx: Transaction) -> Sequence[DeploymentId]:
    """List every deployment's id."""
    return [DeploymentId(key) for key in (await tx.execute(select(T.c.id))).scalars()]


async def forget(tx: Transaction, key: DeploymentId) -> None:
    """Delete a deployment with its revisions and access tokens."""
    await tx.execute(delete(schema.revisions).where(schema.revisions.c.deployment == key))
    await tx.execute(delete(schema.access_tokens).where(schema.access_tokens.c.deployment == key))
    await tx.execute(delete(schema.rollouts).where(schema.rollouts.c.deployment == key))
    await tx.execute(delete(schema.promotions).where(schema.promotions.c.deployment == key))
    await tx.execute(delete(T).where(T.c.id == key))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFilter:
    """What a list shows. ``projects`` None means all; each other field narrows where it is set."""

    projects: tuple[ProjectName, ...] | None = None
    model: str | None = None
    status: Status | None = None
    owner: UserId | None = None
    contains: str | None = None
    tag: tuple[str, str] | None = None


async def search(
    tx: Transaction, wanted: DeploymentFilter, *, before: DeploymentId | None, limit: int
) -> Sequence[Deployment]:
    """List staging deployments, newest first, whose id is less than ``before``."""
    query: Select[Any] = select(T).join(V, V.c.id == T.c.model_version).where(IS_STAGING)
    query = query.order_by(T.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(T.c.id < before)
    if wanted.projects is not None:
        query = query.where(T.c.project.in_(wanted.projects))
    if wanted.model is not None:
        query = query.where(T.c.model == wanted.model)
    if wanted.status is not None:
        query = query.where(T.c.status == wanted.status.value)
    if wanted.owner is not None:
        query = query.where(T.c.owner == wanted.owner)
    if wanted.contains is not None:
        query = query.where(T.c.model.contains(wanted.contains, autoescape=True))
    if wanted.tag is not None:
        name, value = wanted.tag
        query = query.where(V.c.tags[name].as_string() == value)
    return [_deployment(row) for row in (await tx.execute(query)).all()]


async def count_of_owner(tx: Transaction, owner: UserId) -> int:
    """Count the staging deployments of a user."""
    query = select(func.count()).select_from(T).where(T.c.owner == owner, IS_STAGING)
    return int((await tx.execute(query)).scalar_one())
