"""Keeps the gateway's routing table equal to what deployments and revisions say.

Ready before route: a revision is routed once it was READY. Route before stop: a revision that is to be retired
leaves the table first. A pod keeps its place in the table while it is restarted: its address stays the same,
and the gateway finds it again without the control plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import structlog

from taxiway.control.observed import Observed
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.pods import PodPhase, in_order, was_ready
from taxiway.domain.resources import Scale
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.domain.rollouts import NEXT, Rollout
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.ports import Clock, Gateway
from taxiway.store import access_tokens, deployments, revisions, rollouts
from taxiway.store.database import Database

log = structlog.get_logger()

SERVED = (RevisionState.READY, RevisionState.IDLE)
LEAVING = (PodPhase.DRAINING, PodPhase.STOPPED, PodPhase.FAILED)


def plan_routes(
    known: Sequence[Deployment],
    living: Mapping[DeploymentId, Sequence[Revision]],
    observed: Observed,
    rollouts: Mapping[DeploymentId, Rollout] = MappingProxyType({}),
) -> tuple[EndpointRoute, ...]:
    """Decide each endpoint's backends: the newest revision that is READY and wanted, of a rollout both by share."""
    routes = []
    for deployment in known:
        if deployment.wanted is DeploymentWanted.DELETED:
            continue
        backends: Mapping[RevisionId, Backend] = {}
        if deployment.wanted is DeploymentWanted.ON:
            backends = {
                revision.id: Backend(revision=revision.id, addresses=_addresses(observed, revision, deployment.scale))
                for revision in living.get(deployment.id, ())
                if revision.state in SERVED and revision.wanted is RevisionWanted.SERVE
            }
        route = EndpointRoute(
            prefix=deployment.path,
            deployment=deployment.id,
            backends=tuple(backends.values())[-1:],
            needs_token=deployment.needs_token,
            quota=deployment.quota,
            timeout_seconds=deployment.options.timeout_seconds,
            wakes=deployment.scale.minimum == 0,
        )
        rollout = rollouts.get(deployment.id)
        if rollout is None:
            routes.append(route)
            continue
        routes.append(replace(route, backends=_split(backends, rollout)))
        if rollout.new in backends:
            alone = (backends[rollout.new],)
            routes.append(replace(route, prefix=f"{deployment.path}@{NEXT}/", backends=alone, tag=NEXT))
    return tuple(routes)


def _addresses(observed: Observed, revision: Revision, scale: Scale) -> tuple[str, ...]:
    """Return where the revision's pods are: not those that were never ready, nor those that are too many."""
    pods = in_order([pod for pod in observed.pods(revision.id) if pod.phase not in LEAVING])
    kept = [pod for pod in pods[: revision.pods_within(scale)] if was_ready(pod)]
    return tuple(sorted(pod.address for pod in kept))


def _split(backends: Mapping[RevisionId, Backend], rollout: Rollout) -> tuple[Backend, ...]:
    """Give both their share; where only one of them is there, it gets all: that is better than no answer."""
    shares = {rollout.old: 100 - rollout.percent, rollout.new: rollout.percent}
    found = [replace(backends[key], weight=share) for key, share in shares.items() if key in backends]
    if len(found) == 1 and found[0].revision == rollout.old:
        return (replace(found[0], weight=100),)
    if len(found) == 1 and rollout.percent == 0:
        return ()
    return tuple(replace(backend, weight=100) for backend in found) if len(found) == 1 else tuple(found)


class RoutingController:
    """Publishes the whole table whenever it differs from the last one."""

    def __init__(self, *, database: Database, gateway: Gateway, observed: Observed, now: Clock) -> None:
        self._database = database
        self._gateway = gateway
        self._observed = observed
        self._now = now
        self._published: RoutingTable | None = None

    async def keys(self) -> Sequence[str]:
        """There is one table."""
        return ("table",)

    async def reconcile(self, _key: str) -> timedelta | None:
        """Load, decide, publish."""
        if not self._observed.has_looked:
            return timedelta(milliseconds=100)
        async with self._database.read() as tx:
            known = await deployments.all_living(tx)
            living: dict[DeploymentId, list[Revision]] = {}
            for revision in await revisions.living(tx):
                living.setdefault(revision.deployment, []).append(revision)
            moving = {rollout.deployment: rollout for rollout in await rollouts.active(tx)}
            revoked = await access_tokens.revoked(tx, now=self._now())
        table = RoutingTable(routes=plan_routes(known, living, self._observed, moving), revoked=frozenset(revoked))
        if self._published is None or table != self._published:
            self._observed.published(table)
            await self._gateway.publish(table)
            self._published = table
            log.info("routing table published", endpoints=len(table.routes), version=table.version[:12])
        return None
