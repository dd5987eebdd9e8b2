"""Revisions ↔ rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from taxiway.domain.ids import (
    DeploymentId,
    EnvironmentId,
    ModelName,
    ModelVersionId,
    ProjectName,
    RevisionId,
)
from taxiway.domain.models import Environment
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.store import mapping, schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds

T = schema.revisions
ENDED = (RevisionState.RETIRED.value,)


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        id=RevisionId(row.id),
        deployment=DeploymentId(row.deployment),
        number=row.number,
        project=ProjectName(row.project),
        model=ModelName(row.model),
        version=row.version,
        model_version=ModelVersionId(row.model_version),
        request=mapping.environment_request.load(row.request),
        resources=Resources(memory_bytes=row.memory_bytes, cpus=row.cpus_milli / 1000),
        options=mapping.scoring_options.load(row.options),
        created_at=from_microseconds(row.created_at),
        environment=Environment(row.environment),
        made_by=row.made_by,
        why=row.why,
        wanted=RevisionWanted(row.wanted),
        generation=row.generation,
        pods=row.pods,
        state=RevisionState(row.state),
        observed_generation=row.observed_generation,
        phases=mapping.phases.load(row.phases),
        conditions=mapping.conditions.load(row.conditions),
        failure=mapping.failure.load(row.failure),
    )


def _seen(revision: Revision) -> dict[str, Any]:
    return {
        "state": revision.state.value,
        "observed_generation": revision.observed_generation,
        "phases": mapping.phases.dump(revision.phases),
        "conditions": mapping.conditions.dump(revision.conditions),
        "failure": mapping.failure.dump(revision.failure),
    }


async def insert_revision(tx: Transaction, revision: Revision) -> None:
    """Remember a new revision."""
    await tx.execute(
        insert(T).values(
            id=revision.id,
            deployment=revision.deployment,
            number=revision.number,
            project=revision.project,
            model=revision.model,
            version=revision.version,
            model_version=revision.model_version,
            request=mapping.environment_request.dump(revision.request),
            environment_id=revision.request.id,
            memory_bytes=revision.resources.memory_bytes,
            cpus_milli=round(revision.resources.cpus * 1000),
            options=mapping.scoring_options.dump(revision.options),
            created_at=to_microseconds(revision.created_at),
            environment=revision.environment.value,
            made_by=revision.made_by,
            why=revision.why,
            wanted=revision.wanted.value,
            generation=revision.generation,
            pods=revision.pods,
            **_seen(revision),
        )
    )


async def find(tx: Transaction, key: RevisionId) -> Revision | None:
    """Return one revision, or None."""
    row = (await tx.execute(select(T).where(T.c.id == key))).first()
    return None if row is None else _revision(row)


async def of_deployment(tx: Transaction, deployment: DeploymentId) -> Sequence[Revision]:
    """List a deployment's revisions in order of their number."""
    query = select(T).where(T.c.deployment == deployment).order_by(T.c.number)
    return [_revision(row) for row in (await tx.execute(query)).all()]


async def living(tx: Transaction) -> Sequence[Revision]:
    """List the revisions that are not retired, in order of their number."""
    query = select(T).where(T.c.state.not_in(ENDED)).order_by(T.c.deployment, T.c.number)
    return [_revision(row) for row in (await tx.execute(query)).all()]


async def living_keys(tx: Transaction) -> Sequence[RevisionId]:
    """List the ids of the revisions that are not retired."""
    query = select(T.c.id).where(T.c.state.not_in(ENDED))
    return [RevisionId(key) for key in (await tx.execute(query)).scalars()]


async def deployments_of(tx: Transaction, keys: Sequence[RevisionId]) -> Sequence[tuple[RevisionId, DeploymentId]]:
    """Tell whose deployment each of these revisions is; unknown ones are left out."""
    query = select(T.c.id, T.c.deployment).where(T.c.id.in_(keys))
    return [(RevisionId(row.id), DeploymentId(row.deployment)) for row in (await tx.execute(query)).all()]


async def want_retire(
    tx: Transaction, deployment: DeploymentId, *, below_number: int | None = None, only: RevisionId | None = None
) -> Sequence[RevisionId]:
    """Say that the deployment's revisions (those below a number, or one) are to be retired; return those it changed."""
    condition = (T.c.deployment == deployment) & (T.c.wanted == RevisionWanted.SERVE.value) & (T.c.state.not_in(ENDED))
    if below_number is not None:
        condition &= T.c.number < below_number
    if only is not None:
        condition &= T.c.id == only
    changed = [RevisionId(key) for key in (await tx.execute(select(T.c.id).where(condition))).scalars()]
    if changed:
        await tx.execute(
            update(T)
            .where(T.c.id.in_(changed))
            .values(wanted=RevisionWanted.RETIRE.value, generation=T.c.generation + 1)
        )
    return changed


async def record(tx: Transaction, revision: Revision, *, if_generation: int) -> bool:
    """Write what was seen, unless the wanted part has moved on; tell whether it was written."""
    result = await tx.execute(
        update(T).where(T.c.id == revision.id, T.c.generation == if_generation).values(_seen(revision))
    )
    return bool(result.rowcount == 1)


async def record_pods(tx: Transaction, key: RevisionId, pods: int) -> bool:
    """Write how many pods there are to be; apart, for nobody else writes it. Tell whether the revision is known."""
    result = await tx.execute(update(T).where(T.c.id == key).values(pods=pods))
    return bool(result.rowcount == 1)


async def waiting_for_environment(tx: Transaction, environment: EnvironmentId) -> int:
    """Count the revisions that still need this environment to be built."""
    states = [RevisionState.QUEUED.value, RevisionState.PREPARING.value]
    query = (
        select(func.count())
        .select_from(T)
        .where(
            T.c.environment_id == environment,
            T.c.state.in_(states),
            T.c.wanted == RevisionWanted.SERVE.value,
        )
    )
    return int((await tx.execute(query)).scalar_one())


async def environments(tx: Transaction) -> Sequence[EnvironmentId]:
    """List the environments that any remembered revision names."""
    query = select(T.c.environment_id).distinct()
    return [EnvironmentId(key) for key in (await tx.execute(query)).scalars()]
