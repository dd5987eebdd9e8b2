"""Lets the pods of production deployments follow their load, by ``domain.autoscaling``.

The number is decided here and nowhere else; it is remembered with the revision, so that a control plane that starts
anew goes on from it. What the number was asked to be lately is remembered in memory alone: after a start, fewer pods
are not thought of before the whole window down was seen again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from taxiway.control.observed import Observed
from taxiway.domain.autoscaling import AutoscalingPolicy, Decision, Memory, decide
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.resources import Capacity
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.ports import Clock, Measurements, Nudge
from taxiway.store import deployments, events, revisions, rollouts
from taxiway.store.database import Database

LOOK_EVERY = timedelta(seconds=2)


class AutoscalingController:
    """Loads, decides and records the number of pods of each revision that serves."""

    def __init__(
        self,
        *,
        database: Database,
        observed: Observed,
        measurements: Measurements,
        capacity: Capacity,
        nudge: Nudge,
        now: Clock,
        waiting: Callable[[DeploymentId], int] = lambda _: 0,
        told: Callable[[Deployment, bool], None] = lambda *_: None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._observed = observed
        self._measurements = measurements
        self._capacity = capacity
        self._nudge = nudge
        self._now = now
        self._waiting = waiting
        """How many requests wait for a pod of a deployment."""
        self._told = told
        """Hears of each change whether there are more pods than before."""
        self._elapsed = elapsed
        self._memories: dict[RevisionId, Memory] = {}

    async def keys(self) -> Sequence[str]:
        """List the production deployments that have a policy and are ON."""
        async with self._database.read() as tx:
            known = await deployments.in_production(tx)
        return [each.id for each in known if _is_scaled(each)]

    async def reconcile(self, key: str) -> timedelta | None:
        """Load, decide, record."""
        if not self._observed.has_looked:
            return timedelta(milliseconds=100)
        async with self._database.read() as tx:
            deployment = await deployments.find(tx, DeploymentId(key))
            if deployment is None or not _is_scaled(deployment):
                return None
            known = await revisions.of_deployment(tx, deployment.id)
            others = await deployments.in_production(tx)
            living = await revisions.living(tx)
            moving = await rollouts.active_of(tx, deployment.id)
        serving = [each for each in known if _serves(each)]
        self._forget(known, serving)
        used = self._used(others, living)
        needed = "a rollout compares it" if moving is not None else ""
        needed = "a request waits" if self._waiting(deployment.id) > 0 else needed
        for revision in serving:
            await self._scale(deployment, revision, used=used, needed=needed)
        return LOOK_EVERY

    def _forget(self, known: Sequence[Revision], serving: Sequence[Revision]) -> None:
        for key in {each.id for each in known} - {each.id for each in serving}:
            self._memories.pop(key, None)

    def _used(self, others: Sequence[Deployment], living: Sequence[Revision]) -> tuple[int, float]:
        """Return the memory and the CPUs that all pods of production may use at present."""
        scales = {each.id: each.scale for each in others}
        mine = [(each, each.pods_within(scales[each.deployment])) for each in living if each.deployment in scales]
        return (
            sum(each.resources.memory_bytes * pods for each, pods in mine),
            sum(each.resources.cpus * pods for each, pods in mine),
        )

    async def _scale(self, deployment: Deployment, revision: Revision, *, used: tuple[int, float], needed: str) -> None:
        policy = deployment.autoscaling
        if policy is None:
            return
        elapsed, pods = self._elapsed(), revision.pods_within(deployment.scale)
        decision = decide(
            policy,
            self._measurements.of_revision(revision.id, over=policy.over),
            scale=deployment.scale,
            resources=revision.resources,
            pods=pods,
            memory=self._memories.get(revision.id, Memory(asked=((elapsed, pods),))),
            elapsed=elapsed,
            at=self._now(),
            quiet=self._measurements.of_revision(revision.id, over=policy.idle),
            needed=needed,
        )
        decision = self._fitting(revision, decision, pods, used)
        self._memories[revision.id] = decision.memory
        if decision.pods != pods or revision.pods != pods:
            await self._record(deployment, revision, pods, decision)

    def _fitting(self, revision: Revision, decision: Decision, pods: int, used: tuple[int, float]) -> Decision:
        """Hold a number back that this host has no room for."""
        if decision.pods <= pods:
            return decision
        memory, cpus = self._capacity.memory_bytes - used[0], self._capacity.cpus - used[1]
        room = int(min(memory / revision.resources.memory_bytes, cpus / revision.resources.cpus) + 1e-9)
        most = pods + max(room, 0)
        if decision.pods <= most:
            return decision
        reason = f"{decision.reason}; this host has room for {most}" if most > pods else ""
        *earlier, last = decision.memory.changed or ((self._elapsed(), 0),)
        changed = (*earlier, (last[0], most - pods)) if most > pods else tuple(earlier)
        return Decision(pods=most, memory=replace(decision.memory, changed=changed), reason=reason)

    async def _record(self, deployment: Deployment, revision: Revision, was: int, decision: Decision) -> None:
        async with self._database.write() as tx:
            if not await revisions.record_pods(tx, revision.id, decision.pods):
                return
            if decision.reason:
                await events.append(tx, self._event(deployment, revision, was, decision))
        if decision.reason:
            self._told(deployment, decision.pods > was)
        self._nudge("revision", revision.id)
        self._nudge("routing", "table")

    def _event(self, deployment: Deployment, revision: Revision, was: int, decision: Decision) -> Event:
        return Event(
            at=self._now(),
            actor=CONTROL,
            project=deployment.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=deployment.id,
            topic=Topic.SCALE,
            was=_pods(was),
            became=_pods(decision.pods),
            reason="ScaledUp" if decision.pods > was else "ScaledDown",
            message=f"Revision {revision.number}: {decision.reason}.",
        )


def _is_scaled(deployment: Deployment) -> bool:
    policy: AutoscalingPolicy | None = deployment.autoscaling
    return policy is not None and deployment.wanted is DeploymentWanted.ON


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _serves(revision: Revision) -> bool:
    return revision.state in (RevisionState.READY, RevisionState.IDLE) and revision.wanted is RevisionWanted.SERVE
