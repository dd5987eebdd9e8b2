"""Models and model versions ↔ rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RunId, UserId
from taxiway.domain.models import Environment, ModelVersion
from taxiway.domain.thresholds import Threshold
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds
from taxiway.store.waiting import insert_if_new

M = schema.models
T = schema.model_versions
D = schema.deployments
IS_STAGING = T.c.environment == Environment.STAGING.value


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        id=ModelVersionId(row.id),
        project=ProjectName(row.project),
        model=ModelName(row.model),
        version=row.version,
        source=mapping.logged_model_ref.load(row.source),
        facts=mapping.model_facts.load(row.facts),
        owner=UserId(row.owner),
        created_at=from_microseconds(row.created_at),
        tags=row.tags,
        metrics=row.metrics,
        environment=Environment(row.environment),
        deployment=None if row.deployment is None else DeploymentId(row.deployment),
    )


_SELECT = select(T, D.c.id.label("deployment")).outerjoin(D, D.c.model_version == T.c.id)


async def ensure_model(tx: Transaction, project: ProjectName, name: ModelName, *, by: UserId, at: datetime) -> bool:
    """Make the model where it is new; tell whether it was."""
    return await insert_if_new(tx, M, project=project, name=name, created_by=by, created_at=to_microseconds(at))


async def insert_version(tx: Transaction, version: ModelVersion) -> None:
    """Remember a new model version."""
    await tx.execute(
        insert(T).values(
            id=version.id,
            project=version.project,
            model=version.model,
            version=version.version,
            source=mapping.logged_model_ref.dump(version.source),
            run_id=version.source.run_id,
            facts=mapping.model_facts.dump(version.facts),
            owner=version.owner,
            created_at=to_microseconds(version.created_at),
            tags=dict(version.tags),
            metrics=dict(version.metrics),
            environment=version.environment.value,
        )
    )


async def get_version(tx: Transaction, project: ProjectName, model: ModelName, version: int) -> ModelVersion:
    """Return one model version. Raises NotFound."""
    query = _SELECT.where(T.c.project == project, T.c.model == model, T.c.version == version, IS_STAGING)
    row = (await tx.execute(query)).first()
    if row is None:
        raise NotFound(
            f"Project {project} has no version {version} of a model '{model}'.",
            hint="List them with `taxiway model list`.",
        )
    return _version(row)


async def get_version_by_id(tx: Transaction, key: ModelVersionId) -> ModelVersion | None:
    """Return one model version, or None."""
    row = (await tx.execute(_SELECT.where(T.c.id == key))).first()
    return None if row is None else _version(row)


async def versions_of_run(tx: Transaction, project: ProjectName, run: RunId) -> Sequence[ModelVersion]:
    """List the model versions that were made from a run."""
    query = _SELECT.where(T.c.project == project, T.c.run_id == run, IS_STAGING).order_by(T.c.id)
    return [_version(row) for row in (await tx.execute(query)).all()]


async def version_before(tx: Transaction, version: ModelVersion) -> ModelVersion | None:
    """Return the same model's version with the next smaller number that is still there, or None."""
    is_older = (T.c.project == version.project) & (T.c.model == version.model) & (T.c.version < version.version)
    row = (await tx.execute(_SELECT.where(is_older, IS_STAGING).order_by(T.c.version.desc()).limit(1))).first()
    return None if row is None else _version(row)


async def set_tags(tx: Transaction, key: ModelVersionId, tags: Mapping[str, str]) -> None:
    """Replace a version's tags."""
    await tx.execute(update(T).where(T.c.id == key).values(tags=dict(tags)))


async def thresholds_of(tx: Transaction, project: ProjectName, model: ModelName) -> Sequence[Threshold]:
    """Return a model's thresholds. Raises NotFound."""
    row = (await tx.execute(select(M.c.thresholds).where(M.c.project == project, M.c.name == model))).first()
    if row is None:
        raise NotFound(f"Project {project} has no model '{model}'.", hint="List them with `taxiway model list`.")
    return mapping.thresholds.load(row.thresholds)


async def set_thresholds(
    tx: Transaction, project: ProjectName, model: ModelName, thresholds: Sequence[Threshold]
) -> None:
    """Replace a model's thresholds."""
    document = mapping.thresholds.dump(tuple(thresholds))
    await tx.execute(update(M).where(M.c.project == project, M.c.name == model).values(thresholds=document))


async def delete_version(tx: Transaction, version: ModelVersion) -> bool:
    """Forget a version, and its model when it was the last; tell whether the model is gone too."""
    await tx.execute(delete(T).where(T.c.id == version.id))
    same_model = (T.c.project == version.project) & (T.c.model == version.model) & IS_STAGING
    left = (await tx.execute(select(func.count()).select_from(T).where(same_model))).scalar_one()
    if left == 0:
        await tx.execute(delete(M).where(M.c.project == version.project, M.c.name == version.model))
    return left == 0


async def count_in_project(tx: Transaction, project: ProjectName) -> int:
    """Count the model versions of a project."""
    query = select(func.count()).select_from(T).where(T.c.project == project, IS_STAGING)
    return int((await tx.execute(query)).scalar_one())
