"""Moves the requests of production deployments from one revision to the next, step by step.

What becomes of a rollout is decided by ``domain.rollouts``. Its limits are part of what was asked for; so when one is
broken, what the deployment serves is put back here, in the same transaction, and entered into the audit log as done
by the control plane on behalf of who began the rollout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from taxiway.control.observed import Observed
from taxiway.domain.deployments import Deployment
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.people import ITSELF, Asking
from taxiway.domain.revisions import Revision
from taxiway.domain.rollouts import Rollout, RolloutState, RolloutView, advance
from taxiway.ports import Clock, Measurements, Nudge
from taxiway.store import audit, deployments, events, revisions, rollouts
from taxiway.store.database import Database, Transaction

LOOK_EVERY = timedelta(seconds=1)
LOOK_SELDOM = timedelta(seconds=10)


class RolloutController:
    """Loads, decides and records; the routing table and the revisions follow by themselves."""

    def __init__(
        self,
        *,
        database: Database,
        observed: Observed,
        measurements: Measurements,
        nudge: Nudge,
        now: Clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._observed = observed
        self._measurements = measurements
        self._nudge = nudge
        self._now = now
        self._elapsed = elapsed
        self._in_force: dict[str, tuple[tuple[RevisionId, int], float, datetime]] = {}
        """Rollout → whose share was seen in force, and since when by both clocks."""

    async def keys(self) -> Sequence[str]:
        """List the deployments with an active rollout."""
        async with self._database.read() as tx:
            return [rollout.deployment for rollout in await rollouts.active(tx)]

    async def reconcile(self, key: str) -> timedelta | None:
        """Load, decide, record."""
        if not self._observed.has_looked:
            return timedelta(milliseconds=100)
        async with self._database.read() as tx:
            before = await rollouts.active_of(tx, DeploymentId(key))
            revision = None if before is None else await revisions.find(tx, before.new)
        if before is None or revision is None:
            return None
        after = advance(self._see(before, revision), self._now())
        if after != before:
            await self._record(before, after)
        if not after.is_active:
            return None
        # One that is tried by its tag alone has no requests to be watched for.
        return LOOK_SELDOM if after.state is RolloutState.PAUSED and after.percent == 0 else LOOK_EVERY

    def _see(self, rollout: Rollout, revision: Revision) -> RolloutView:
        share = self._observed.share(rollout.new)
        waited, since = self._waited(rollout, share)
        now = self._now()
        return RolloutView(
            rollout=rollout,
            revision=revision,
            share=share,
            waited=waited,
            old=self._measurements.between(rollout.old, since, now),
            new=self._measurements.between(rollout.new, since, now),
        )

    def _waited(self, rollout: Rollout, share: int | None) -> tuple[timedelta, datetime]:
        """Return how long the present share has been seen in force, by a clock that nobody sets, and since when."""
        elapsed, now = self._elapsed(), self._now()
        if share != rollout.percent:
            self._in_force.pop(rollout.id, None)
            return timedelta(), now
        mark = (rollout.new, share)
        known = self._in_force.get(rollout.id)
        if known is None or known[0] != mark:
            known = self._in_force[rollout.id] = (mark, elapsed, now)
        return timedelta(seconds=elapsed - known[1]), known[2]

    async def _record(self, before: Rollout, after: Rollout) -> None:
        async with self._database.write() as tx:
            if not await rollouts.record(tx, after):
                self._nudge("rollout", before.deployment)
                return
            deployment = await deployments.find(tx, before.deployment)
            if deployment is None:
                return
            if (after.state, after.percent) != (before.state, before.percent):
                await events.append(tx, self._event(before, after, deployment))
            if after.state is RolloutState.ABORTED:
                await self._put_back(tx, after, deployment)
        if not after.is_active:
            self._in_force.pop(after.id, None)
            self._nudge("revision", after.new)
        self._nudge("routing", "table")
        self._nudge("deployment", after.deployment)

    async def _put_back(self, tx: Transaction, rollout: Rollout, deployment: Deployment) -> None:
        """Let the deployment serve what it served before: while a rollout is active nobody else changes that."""
        await revisions.want_retire(tx, rollout.deployment, only=rollout.new)
        now, before = self._now(), rollout.before
        restored = replace(
            deployment, project=before.project, model=before.model, version=before.version,
            model_version=before.model_version, resources=before.resources, options=before.options,
            generation=deployment.generation + 1, changed_at=now,
        )  # fmt: skip
        await deployments.want(tx, restored)
        await audit.append(
            tx,
            at=now,
            asking=Asking(principal=ITSELF),
            action="rollout.abort",
            object_kind=SubjectKind.DEPLOYMENT,
            object=deployment.path.strip("/"),
            project=restored.project,
            before={"serves": f"{deployment.project}/{deployment.model}/{deployment.version}"},
            after={
                "serves": f"{before.project}/{before.model}/{before.version}",
                "reason": rollout.reason,
                "message": rollout.message,
                "begun_by": rollout.by,
            },
        )

    def _event(self, before: Rollout, after: Rollout, deployment: Deployment) -> Event:
        return Event(
            at=self._now(),
            actor=CONTROL,
            project=deployment.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=deployment.id,
            topic=Topic.ROLLOUT,
            was=f"{before.state} {before.percent} %",
            became=f"{after.state} {after.percent} %",
            reason=f"Rollout{after.reason}",
            message=after.message,
        )
