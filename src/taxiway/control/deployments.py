"""Says how deployments are, retires what was replaced, and clears away what was deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from taxiway.control.observed import Observed
from taxiway.domain.deployments import Deployment, DeploymentWanted, is_steady, judge
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.ids import DeploymentId, RevisionId, SnapshotId
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.models import Environment, ModelVersion
from taxiway.domain.revisions import Revision, RevisionState, newest_wanted
from taxiway.domain.snapshots import SnapshotCopy
from taxiway.ports import BundleStore, Clock, LogStore, ModelRegistry, Nudge, SnapshotStore
from taxiway.store import deployments, events, models, promotions, revisions, rollouts, snapshots
from taxiway.store.database import Database


class DeploymentController:
    """Derives what is seen of a deployment; acts only where a deployment was deleted."""

    def __init__(
        self,
        *,
        database: Database,
        registry: ModelRegistry,
        stores: Mapping[Environment, SnapshotStore],
        bundles: BundleStore,
        logs: LogStore,
        observed: Observed,
        nudge: Nudge,
        now: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._stores = stores
        self._bundles = bundles
        self._logs = logs
        self._observed = observed
        self._nudge = nudge
        self._now = now

    async def keys(self) -> Sequence[str]:
        """List all deployments."""
        async with self._database.read() as tx:
            return await deployments.keys(tx)

    async def reconcile(self, key: str) -> timedelta | None:
        """Load, decide, act, record."""
        if not self._observed.has_looked:
            return timedelta(milliseconds=100)
        async with self._database.read() as tx:
            before = await deployments.find(tx, DeploymentId(key))
            if before is None:
                return None
            known = await revisions.of_deployment(tx, before.id)
            rollout = await rollouts.active_of(tx, before.id)
        for revision in known:
            if revision.state is RevisionState.QUEUED:
                self._nudge("revision", revision.id)
        if before.wanted is DeploymentWanted.DELETED and all(
            revision.state is RevisionState.RETIRED for revision in known
        ):
            await self._clear_away(before, known)
            return None
        is_ready = any(revision.state is RevisionState.READY for revision in known)
        if before.wanted is DeploymentWanted.ON and is_ready and not self._observed.routes_are_known():
            # What was seen of its route before a restart stays until it is known again.
            return timedelta(milliseconds=200)
        now = self._now()
        routed = self._observed.routed()
        verdict = judge(
            before,
            revisions=known,
            pods=self._observed.all_pods(),
            routed=routed,
            now=now,
            rejection=self._observed.rejection,
            rollout=rollout,
        )
        after = replace(
            before,
            verdict=verdict,
            observed_generation=before.generation,
            conditions=newest_wanted(known).conditions if known else (),
        )
        await self._record(before, after, known, routed, is_moving=rollout is not None)
        return timedelta(seconds=1) if known and self._is_unsettled(newest_wanted(known), now) else None

    def _is_unsettled(self, newest: Revision, now: datetime) -> bool:
        """Tell whether time alone may change the verdict."""
        is_waiting = newest.state is RevisionState.READY and newest.id not in self._observed.routed()
        return is_waiting or not all(is_steady(pod, now) for pod in self._observed.pods(newest.id))

    async def _record(
        self,
        before: Deployment,
        after: Deployment,
        known: Sequence[Revision],
        routed: frozenset[RevisionId],
        *,
        is_moving: bool,
    ) -> None:
        """Write what is seen; once the newest revision has all requests, the older ones are to be retired."""
        newest = newest_wanted(known) if known else None
        has_taken_over = newest is not None and (
            newest.state is RevisionState.IDLE or (newest.state is RevisionState.READY and newest.id in routed)
        )
        is_moved = has_taken_over and not is_moving
        replaced = [
            each for each in known
            if is_moved and newest is not None and each.number < newest.number
            and each.state is not RevisionState.RETIRED
        ]  # fmt: skip
        if after == before and not replaced:
            return
        retired: Sequence[RevisionId] = ()
        async with self._database.write() as tx:
            if not await deployments.record(tx, after, if_generation=before.generation):
                self._nudge("deployment", before.id)
                return
            if newest is not None and replaced:
                retired = await revisions.want_retire(tx, before.id, below_number=newest.number)
            if after.verdict.status is not before.verdict.status:
                await events.append(tx, self._event(before, after))
        for revision in retired:
            self._nudge("revision", revision)
        self._nudge("routing", "table")

    def _event(self, before: Deployment, after: Deployment) -> Event:
        return Event(
            at=self._now(),
            actor=CONTROL,
            project=after.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=after.id,
            topic=Topic.STATUS,
            was=str(before.verdict.status),
            became=str(after.verdict.status),
            reason=after.verdict.reason,
            message=after.verdict.message,
        )

    async def _clear_away(self, deployment: Deployment, known: Sequence[Revision]) -> None:
        """Remove all traces of a deleted deployment; each step may be done again after a crash."""
        where = deployment.environment
        async with self._database.read() as tx:
            keys = [deployment.model_version]
            if where is Environment.PRODUCTION:
                keys = [promotion.model_version for promotion in await promotions.of_deployment(tx, deployment.id)]
            versions = [v for key in keys if (v := await models.get_version_by_id(tx, key)) is not None]
            copies = [await snapshots.get(tx, key) for key in keys]
            users: dict[SnapshotId | None, int] = {}
            for digest in {copy.digest for copy in copies if copy.digest is not None}:
                users[digest] = await snapshots.users_of(tx, digest, where)
        for version in versions if where is Environment.STAGING else []:
            await self._registry.unregister(version.project, version.model, version.version)
        for key in keys if where is Environment.PRODUCTION else []:
            await self._bundles.drop(key)
        for copy in copies:
            await self._drop_files(self._stores[where], copy, is_shared=users.get(copy.digest, 0) > 0)
        for revision in known:
            for pod in await self._logs.pods_of(revision.id):
                await self._logs.forget(LogName(kind=LogKind.POD, id=pod))
        await self._forget(deployment, versions)

    async def _drop_files(self, store: SnapshotStore, copy: SnapshotCopy, *, is_shared: bool) -> None:
        await store.cancel(copy.model_version)
        if copy.digest is not None and not is_shared:
            await store.drop(copy.digest)

    async def _forget(self, deployment: Deployment, versions: Sequence[ModelVersion]) -> None:
        async with self._database.write() as tx:
            await deployments.forget(tx, deployment.id)
            for version in versions:
                await snapshots.forget(tx, version.id)
                await models.delete_version(tx, version)
            await events.append(
                tx,
                Event(
                    at=self._now(),
                    actor=CONTROL,
                    project=deployment.project,
                    subject_kind=SubjectKind.DEPLOYMENT,
                    subject=deployment.id,
                    topic=Topic.STATUS,
                    was=str(deployment.verdict.status),
                    became="Deleted",
                    reason="Deleted",
                    message=f"{deployment.path} and all that belonged to it is gone.",
                ),
            )
        self._nudge("routing", "table")
