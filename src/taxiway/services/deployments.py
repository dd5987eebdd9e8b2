"""What people can ask of a deployment: ON, OFF, other resources, tags, delete; and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from taxiway.domain.autoscaling import AutoscalingPolicy, check_zero
from taxiway.domain.compatibility import Change, compare
from taxiway.domain.conversions import check_tags
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.errors import Conflict, GenerationMismatch
from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId
from taxiway.domain.models import Environment, ModelVersion
from taxiway.domain.people import Asking
from taxiway.domain.quotas import Quota
from taxiway.domain.resources import Capacity, Resources, Scale, format_memory
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, ScoringOptions, newest_wanted
from taxiway.domain.rollouts import Strategy
from taxiway.domain.snapshots import SnapshotCopy
from taxiway.ports import Clock, Nudge
from taxiway.services.rollouts import begin_rollout, refuse_during_rollout
from taxiway.store import audit, deployments, events, models, promotions, revisions, snapshots
from taxiway.store.database import Database, Transaction
from taxiway_scoring.contract import compile_signature


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentName:
    """How people name a staging deployment: by its model version."""

    project: ProjectName
    model: ModelName
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionName:
    """How people name a production deployment."""

    name: str


Name = DeploymentName | ProductionName


async def named(tx: Transaction, name: Name) -> Deployment:
    """Return a deployment by its name. Raises NotFound."""
    if isinstance(name, ProductionName):
        return await deployments.get_of_production(tx, name.name)
    return await deployments.get_of_version(tx, name.project, name.model, name.version)


def promised(known: Sequence[Deployment], *, but: str) -> list[tuple[Resources, int]]:
    """Return what production deployments that are ON have at least, all but one: of a pod, and how many pods."""
    return [
        (each.resources, each.scale.minimum)
        for each in known
        if each.name != but and each.wanted is DeploymentWanted.ON
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetail:
    """A deployment with all that belongs to it."""

    deployment: Deployment
    version: ModelVersion
    revisions: tuple[Revision, ...]
    snapshot: SnapshotCopy


class Unchanged(Enum):
    """Stands for what is left as it is, where None says something."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class ContractChanges:
    """What callers may feel when one version takes another's place. ``since`` is None where there is none before."""

    since: int | None
    changes: tuple[Change, ...]


class Deployments:
    """Intentions about deployments. Every change raises Conflict when somebody else was quicker."""

    def __init__(self, *, database: Database, capacity: Capacity, nudge: Nudge, now: Clock) -> None:
        self._database = database
        self._capacity = capacity
        self._nudge = nudge
        self._now = now

    async def detail(self, name: Name) -> DeploymentDetail:
        """Return a deployment with its model version and revisions. Raises NotFound."""
        async with self._database.read() as tx:
            deployment = await named(tx, name)
            version = await models.get_version_by_id(tx, deployment.model_version)
            if version is None:
                raise AssertionError(f"deployment {deployment.id} has no model version")
            known = await revisions.of_deployment(tx, deployment.id)
            copy = await snapshots.get(tx, deployment.model_version)
        return DeploymentDetail(deployment=deployment, version=version, revisions=tuple(known), snapshot=copy)

    async def serving(self, deployment: Deployment) -> Sequence[Revision]:
        """List the deployment's revisions that are to serve."""
        async with self._database.read() as tx:
            known = await revisions.of_deployment(tx, deployment.id)
        return [revision for revision in known if revision.wanted is RevisionWanted.SERVE]

    async def contract_changes(self, name: DeploymentName, *, since: int | None = None) -> ContractChanges:
        """Compare a model version's contract with that of another version, or of the one before. Raises NotFound."""
        async with self._database.read() as tx:
            version = await models.get_version(tx, name.project, name.model, name.version)
            if since is None:
                before = await models.version_before(tx, version)
            else:
                before = await models.get_version(tx, name.project, name.model, since)
        if before is None:
            return ContractChanges(since=None, changes=())
        old, new = (compile_signature(each.facts.signature or {}) for each in (before, version))
        return ContractChanges(since=before.version, changes=compare(old, new))

    async def search(
        self, wanted: deployments.DeploymentFilter, *, before: DeploymentId | None, limit: int
    ) -> Sequence[Deployment]:
        """List deployments, newest first."""
        async with self._database.read() as tx:
            return await deployments.search(tx, wanted, before=before, limit=limit)

    async def switch_on(self, asking: Asking, name: Name, *, dry_run: bool = False) -> Deployment:
        """Serve again, with the same URL and configuration. ON already (and not Failed): no effect."""
        async with self._database.write(dry_run=dry_run) as tx:
            before = await named(tx, name)
            _refuse_deleted(before)
            known = await revisions.of_deployment(tx, before.id)
            newest = newest_wanted(known)
            is_on = before.wanted is DeploymentWanted.ON
            if is_on and newest.state is not RevisionState.FAILED:
                return before
            after = await self._want(tx, before, wanted=DeploymentWanted.ON)
            await self._check_promises(tx, after)
            await refuse_during_rollout(tx, before)
            await self._new_revision(tx, asking, after, known, why="It was switched ON.")
            await self._tell(tx, asking, before, after, "SwitchedOn", "It was switched ON.")
        if not dry_run:
            self._nudge_all(after.id)
        return after

    async def switch_off(self, asking: Asking, name: Name, *, dry_run: bool = False) -> Deployment:
        """Stop serving; the URL and the configuration are kept. Cancels whatever is under way. OFF: no effect."""
        async with self._database.write(dry_run=dry_run) as tx:
            before = await named(tx, name)
            _refuse_deleted(before)
            if before.wanted is DeploymentWanted.OFF:
                return before
            after = await self._want(tx, before, wanted=DeploymentWanted.OFF)
            retired = await revisions.want_retire(tx, before.id)
            await self._tell(tx, asking, before, after, "SwitchedOff", "It was switched OFF.")
        if not dry_run:
            self._nudge_all(after.id, *retired)
        return after

    async def configure(
        self,
        asking: Asking,
        name: Name,
        *,
        resources: Resources | None = None,
        options: ScoringOptions | None = None,
        needs_token: bool | None = None,
        tags: Mapping[str, str] | None = None,
        scale: Scale | None = None,
        autoscaling: AutoscalingPolicy | Unchanged | None = UNCHANGED,
        quota: Quota | Unchanged | None = UNCHANGED,
        strategy: Strategy | None = None,
        if_generation: int | None = None,
        dry_run: bool = False,
    ) -> Deployment:
        """Change what is given. A change that pods feel makes a new revision, which comes up beside the old one.

        A ``dry_run`` of this and of the others returns what would be, and changes nothing.
        With a ``strategy`` the new revision gets its requests step by step. With ``if_generation`` it raises
        GenerationMismatch when the deployment is of another generation. Raises LimitReached for more than the host
        has, or has left beside what production is promised.
        """
        if resources is not None:
            self._capacity.check(resources)
        async with self._database.write(dry_run=dry_run) as tx:
            before = await named(tx, name)
            _refuse_deleted(before)
            if if_generation is not None and before.generation != if_generation:
                raise GenerationMismatch(
                    f"The deployment is of generation {before.generation}, not {if_generation}.",
                    hint="Look at it again and repeat the change if it still fits.",
                )
            if tags is not None:
                await models.set_tags(tx, before.model_version, check_tags(tags))
            after = await self._want(
                tx,
                before,
                resources=resources or before.resources,
                options=options or before.options,
                needs_token=before.needs_token if needs_token is None else needs_token,
                scale=scale,
                autoscaling=autoscaling,
                quota=quota,
            )
            await self._check_promises(tx, after)
            is_felt = (after.resources, after.options) != (before.resources, before.options)
            if is_felt and after.wanted is DeploymentWanted.ON:
                await refuse_during_rollout(tx, before)
                known = await revisions.of_deployment(tx, before.id)
                # One that gets few requests at first begins with few pods.
                pods = None if strategy is not None else newest_wanted(known).pods or None
                why = "Its configuration was changed."
                new = await self._new_revision(tx, asking, after, known, why=why, pods=pods)
                if strategy is not None:
                    await begin_rollout(tx, asking, strategy, before=before, known=known, new=new, now=self._now)
            await self._tell(tx, asking, before, after, "Configured", "Its configuration was changed.")
            living = [revision.id for revision in await revisions.of_deployment(tx, before.id)]
        if dry_run:
            return after
        self._nudge_all(after.id, *living[-1:])
        self._nudge("rollout", after.id)
        self._nudge("autoscaling", after.id)
        return after

    async def delete(self, asking: Asking, name: Name, *, dry_run: bool = False) -> None:
        """Delete the model version with its deployment, files, logs and tokens. Deleted already: NotFound."""
        async with self._database.write(dry_run=dry_run) as tx:
            before = await named(tx, name)
            if before.wanted is DeploymentWanted.DELETED:
                return
            after = await self._want(tx, before, wanted=DeploymentWanted.DELETED)
            retired = await revisions.want_retire(tx, before.id)
            for key in await self._versions(tx, before):
                await snapshots.want_drop(tx, key)
            await self._tell(tx, asking, before, after, "Deleting", "Its deletion was asked for.")
        if not dry_run:
            self._nudge_all(after.id, *retired)

    async def _versions(self, tx: Transaction, deployment: Deployment) -> Sequence[ModelVersionId]:
        """Return the model versions that are the deployment's own: in production one for each promotion."""
        if deployment.environment is Environment.STAGING:
            return [deployment.model_version]
        return [promotion.model_version for promotion in await promotions.of_deployment(tx, deployment.id)]

    async def _check_promises(self, tx: Transaction, after: Deployment) -> None:
        """Raise LimitReached where production would be promised more than this host has."""
        if after.environment is Environment.PRODUCTION and after.wanted is DeploymentWanted.ON:
            others = await deployments.in_production(tx)
            self._capacity.check_promised(promised(others, but=after.name), after.resources, after.scale.minimum)

    async def _want(
        self,
        tx: Transaction,
        before: Deployment,
        *,
        wanted: DeploymentWanted | None = None,
        resources: Resources | None = None,
        options: ScoringOptions | None = None,
        needs_token: bool | None = None,
        scale: Scale | None = None,
        autoscaling: AutoscalingPolicy | Unchanged | None = UNCHANGED,
        quota: Quota | Unchanged | None = UNCHANGED,
    ) -> Deployment:
        after = replace(
            before,
            wanted=wanted or before.wanted,
            resources=resources or before.resources,
            options=options or before.options,
            needs_token=before.needs_token if needs_token is None else needs_token,
            scale=scale or before.scale,
            autoscaling=before.autoscaling if isinstance(autoscaling, Unchanged) else autoscaling,
            quota=before.quota if isinstance(quota, Unchanged) else quota,
            generation=before.generation + 1,
            changed_at=self._now(),
        )
        check_zero(after.autoscaling, after.scale)
        await deployments.want(tx, after)
        return after

    async def _new_revision(
        self,
        tx: Transaction,
        asking: Asking,
        deployment: Deployment,
        known: Sequence[Revision],
        *,
        why: str,
        pods: int | None = None,
    ) -> Revision:
        # The newest of what the deployment serves: one that a rollout's limits took back is newer, and serves another.
        newest = next((each for each in reversed(known) if each.model_version == deployment.model_version), known[-1])
        again = newest.renewed(self._now(), by=asking.principal.name, why=why, number=known[-1].number + 1)
        revision = replace(again, resources=deployment.resources, options=deployment.options, pods=pods)
        await revisions.insert_revision(tx, revision)
        return revision

    async def _tell(
        self, tx: Transaction, asking: Asking, before: Deployment, after: Deployment, reason: str, message: str
    ) -> None:
        await events.append(
            tx,
            Event(
                at=after.changed_at,
                actor=asking.principal.name,
                project=after.project,
                subject_kind=SubjectKind.DEPLOYMENT,
                subject=after.id,
                was=str(before.wanted),
                became=str(after.wanted),
                reason=reason,
                message=message,
            ),
        )
        await audit.append(
            tx,
            at=after.changed_at,
            asking=asking,
            action=_ACTIONS[reason],
            object_kind=SubjectKind.DEPLOYMENT,
            object=after.path.strip("/"),
            project=after.project,
            before=_shown(before),
            after=_shown(after),
        )

    def _nudge_all(self, deployment: DeploymentId, *retired: RevisionId) -> None:
        for revision in retired:
            self._nudge("revision", revision)
        self._nudge("deployment", deployment)
        self._nudge("routing", "table")


_ACTIONS = {
    "SwitchedOn": "deployment.on",
    "SwitchedOff": "deployment.off",
    "Configured": "deployment.configure",
    "Deleting": "deployment.delete",
}


def _shown(deployment: Deployment) -> dict[str, object]:
    return {
        "wanted": str(deployment.wanted),
        "memory": format_memory(deployment.resources.memory_bytes),
        "cpus": deployment.resources.cpus,
        "needs_token": deployment.needs_token,
        "pods": [deployment.scale.minimum, deployment.scale.maximum],
        "autoscaling": shown_policy(deployment.autoscaling),
        "quota_per_second": None if deployment.quota is None else deployment.quota.per_second,
        "timeout_seconds": deployment.options.timeout_seconds,
    }


def shown_policy(policy: AutoscalingPolicy | None) -> str:
    """Say a policy in a few words, for the audit log."""
    return "" if policy is None else f"{policy.metric} {policy.target:g} per pod"


def _refuse_deleted(deployment: Deployment) -> None:
    if deployment.wanted is DeploymentWanted.DELETED:
        raise Conflict("The deployment is being deleted.", hint="Convert the run again for a new version.")
