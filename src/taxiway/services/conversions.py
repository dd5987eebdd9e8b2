"""Convert to model: from a run's logged model to a model version with a staging deployment."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from taxiway.domain.conversions import Conversion, check_tags, choose_logged_model
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import Conflict, InvalidInput, LimitReached, NotFound, TaxiwayError
from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId, RunId, new_id
from taxiway.domain.models import Environment, LoggedModelRef, ModelFacts, ModelVersion
from taxiway.domain.names import check_model_name
from taxiway.domain.people import Asking
from taxiway.domain.resources import Capacity, Resources, format_memory
from taxiway.domain.revisions import Revision, RevisionWanted, ScoringOptions
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState, SnapshotWanted
from taxiway.ports import Clock, EnvironmentBuilder, ModelRegistry, Nudge
from taxiway.store import audit, conversions, deployments, events, models, revisions, snapshots
from taxiway.store.database import Database, Transaction

log = structlog.get_logger()

FINISH_AFTER = timedelta(seconds=30)
"""How old an unfinished conversion must be before it is finished for whoever asked: then nobody is at it."""
KEYS_KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRequest:
    """What a data scientist asks for. ``logged_model`` may be left out where the run logged one model only."""

    project: ProjectName
    run: RunId
    model: str
    logged_model: str | None = None
    resources: Resources = field(default_factory=Resources)
    options: ScoringOptions = field(default_factory=ScoringOptions)
    needs_token: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Return what tells two requests apart, for idempotency keys."""
        text = json.dumps(
            [
                self.project,
                self.run,
                self.model,
                self.logged_model,
                str(self.resources),
                str(self.options),
                self.needs_token,
                sorted(self.tags.items()),
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What a conversion would do: all checks passed."""

    model: ModelName
    source: LoggedModelRef
    facts: ModelFacts
    request: EnvironmentRequest
    metrics: Mapping[str, float]


class Conversions:
    """The intention *Convert to model*."""

    def __init__(
        self,
        *,
        database: Database,
        registry: ModelRegistry,
        builder: EnvironmentBuilder,
        capacity: Capacity,
        deployments_per_user: int,
        nudge: Nudge,
        now: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._builder = builder
        self._capacity = capacity
        self._deployments_per_user = deployments_per_user
        self._nudge = nudge
        self._now = now

    async def preflight(self, wanted: ConversionRequest) -> Preflight:
        """Check all that can be checked before anything is written.

        Raises InvalidInput, NoSignature, MalformedModel, UnsupportedRequirements, NoInterpreter, LimitReached
        or TrackingUnavailable, each with what to do.
        """
        model = check_model_name(wanted.model)
        check_tags(wanted.tags)
        self._capacity.check(wanted.resources)
        logged = await self._registry.logged_in(wanted.project, wanted.run)
        source = choose_logged_model(tuple(logged), wanted.logged_model).ref
        facts = await self._registry.inspect(wanted.project, source)
        metrics = await self._registry.metrics_of(wanted.project, wanted.run)
        # It may look for interpreters, which takes a second.
        request = await asyncio.to_thread(self._builder.check, facts)
        return Preflight(model=model, source=source, facts=facts, request=request, metrics=metrics)

    async def convert_run(
        self, asking: Asking, wanted: ConversionRequest, *, idempotency_key: str | None = None
    ) -> ModelVersion:
        """Accept a conversion and do it: register the version, ask for its deployment.

        The same idempotency key with the same request returns the same model version, also after a crash; with
        another request it raises Conflict. Raises as ``preflight`` does.
        """
        key = idempotency_key or new_id()
        known = await self._known(asking, key, wanted)
        if isinstance(known, ModelVersion):
            return known
        conversion = known or await self._accept(asking, wanted, key)
        try:
            version = await self.finish(conversion)
        except InvalidInput:
            async with self._database.write() as tx:
                await conversions.forget(tx, conversion.id)
            raise
        return version

    async def _known(self, asking: Asking, key: str, wanted: ConversionRequest) -> ModelVersion | Conversion | None:
        async with self._database.read() as tx:
            known = await conversions.find(tx, asking.principal.user, key)
            if known is None:
                return None
            if known.request_digest != wanted.digest():
                raise Conflict("This idempotency key was used for another conversion.", hint="Use a new key.")
            if known.unfinished is not None:
                return known.unfinished
            version = await models.get_version_by_id(tx, known.id)
        if version is None:
            raise NotFound("The model version of this idempotency key was deleted.", hint="Use a new key.")
        return version

    async def _accept(self, asking: Asking, wanted: ConversionRequest, key: str) -> Conversion:
        checked = await self.preflight(wanted)
        conversion = Conversion(
            id=ModelVersionId(new_id()),
            project=wanted.project,
            model=checked.model,
            source=checked.source,
            facts=checked.facts,
            request=checked.request,
            resources=wanted.resources,
            options=wanted.options,
            needs_token=wanted.needs_token,
            asking=asking,
            tags=check_tags(wanted.tags),
            metrics=checked.metrics,
        )
        async with self._database.write() as tx:
            owned = await deployments.count_of_owner(tx, asking.principal.user)
            if owned >= self._deployments_per_user and not asking.principal.is_administrator:
                raise LimitReached(
                    f"You have {owned} deployments, and {self._deployments_per_user} are allowed.",
                    hint="Delete one that is not needed, or ask an administrator for more.",
                )
            await conversions.insert_conversion(
                tx, conversion, idempotency_key=key, request_digest=wanted.digest(), at=self._now()
            )
        return conversion

    async def finish(self, conversion: Conversion) -> ModelVersion:
        """Do an accepted conversion, from wherever it stopped. Twice is once."""
        number = await self._registry.register(
            conversion.project,
            conversion.model,
            conversion.source,
            key=conversion.id,
            tags=conversion.tags,
        )
        async with self._database.write() as tx:
            if await conversions.finish(tx, conversion.id):
                await self._insert(tx, conversion, number)
            version = await models.get_version_by_id(tx, conversion.id)
        if version is None or version.deployment is None:
            raise NotFound("The model version was deleted while it was made.", hint="Convert the run again.")
        self._nudge("deployment", version.deployment)
        self._nudge("revision", _first_revision(conversion.id))
        return version

    async def _insert(self, tx: Transaction, conversion: Conversion, number: int) -> None:
        now, asking = self._now(), conversion.asking
        await models.ensure_model(tx, conversion.project, conversion.model, by=asking.principal.user, at=now)
        version = ModelVersion(
            id=conversion.id,
            project=conversion.project,
            model=conversion.model,
            version=number,
            source=conversion.source,
            facts=conversion.facts,
            owner=asking.principal.user,
            created_at=now,
            tags=conversion.tags,
            metrics=conversion.metrics,
        )
        deployment = Deployment(
            id=DeploymentId(f"d-{conversion.id}"),
            environment=Environment.STAGING,
            project=conversion.project,
            model=conversion.model,
            version=number,
            model_version=conversion.id,
            owner=asking.principal.user,
            wanted=DeploymentWanted.ON,
            resources=conversion.resources,
            options=conversion.options,
            needs_token=conversion.needs_token,
            generation=1,
            created_at=now,
            changed_at=now,
        )
        revision = Revision(
            id=_first_revision(conversion.id),
            deployment=deployment.id,
            number=1,
            project=conversion.project,
            model=conversion.model,
            version=number,
            model_version=conversion.id,
            request=conversion.request,
            resources=conversion.resources,
            options=conversion.options,
            created_at=now,
            wanted=RevisionWanted.SERVE,
            generation=1,
            made_by=asking.principal.name,
            why="It was converted.",
        )
        copy = SnapshotCopy(
            model_version=conversion.id,
            wanted=SnapshotWanted.KEEP,
            state=SnapshotState.PENDING,
            digest=None,
            began_at=None,
        )
        await models.insert_version(tx, version)
        await deployments.insert_deployment(tx, deployment)
        await snapshots.insert_copy(tx, copy, project=conversion.project, source=conversion.source)
        await revisions.insert_revision(tx, revision)
        await events.append(
            tx,
            Event(
                at=now,
                actor=asking.principal.name,
                project=conversion.project,
                subject_kind=SubjectKind.DEPLOYMENT,
                subject=deployment.id,
                became=str(deployment.verdict.status),
                reason="Converted",
                message=f"Run {conversion.source.run_id} was converted to {version.model} version {number}.",
            ),
        )
        await audit.append(
            tx,
            at=now,
            asking=asking,
            action="model.convert",
            object_kind=SubjectKind.MODEL_VERSION,
            object=f"{version.project}/{version.model}/{number}",
            project=version.project,
            after={
                "run": conversion.source.run_id,
                "logged_model": conversion.source.model_id or conversion.source.path,
                "memory": format_memory(conversion.resources.memory_bytes),
                "cpus": conversion.resources.cpus,
            },
        )

    async def finish_forgotten(self) -> None:
        """Finish conversions that a crash interrupted, and forget keys that are a day old."""
        now = self._now()
        async with self._database.read() as tx:
            left = await conversions.unfinished(tx, before=now - FINISH_AFTER)
        for conversion in left:
            try:
                await self.finish(conversion)
            except InvalidInput as error:
                log.warning("conversion given up", id=conversion.id, message=error.message)
                async with self._database.write() as tx:
                    await conversions.forget(tx, conversion.id)
            except TaxiwayError as error:
                log.warning("conversion not finished yet", id=conversion.id, message=error.message)
        async with self._database.write() as tx:
            await conversions.forget_done(tx, before=now - KEYS_KEPT_FOR)


def _first_revision(version: ModelVersionId) -> RevisionId:
    return RevisionId(f"r-{version}-1")
