"""Keeps the gateway's routing table equal to what deployments and revisions say.

Ready before route: a revision is routed once it was READY. Route before stop: a revision that is to be retired
leaves the table first. A pod keeps its place in the table while it is restarted: its address stays the same,
and the gateway finds it again without the control plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from taxiway.control.observed import Observed
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.ids import DeploymentId
from taxiway.domain.pods import PodPhase
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.ports import Clock, Gateway
from taxiway.store import access_tokens, deployments, revisions
from taxiway.store.database import Database

log = structlog.get_logger()

LEAVING = (PodPhase.DRAINING, PodPhase.STOPPED, PodPhase.FAILED)


def plan_routes(
    known: Sequence[Deployment], living: Mapping[DeploymentId, Sequence[Revision]], observed: Observed
) -> tuple[EndpointRoute, ...]:
    """Decide each endpoint's backend: the newest revision that is READY and wanted."""
    routes = []
    for deployment in known:
        if deployment.wanted is DeploymentWanted.DELETED:
            continue
        backends: tuple[Backend, ...] = ()
        if deployment.wanted is DeploymentWanted.ON:
            for revision in reversed(living.get(deployment.id, ())):
                if revision.state is RevisionState.READY and revision.wanted is RevisionWanted.SERVE:
                    addresses = tuple(pod.address for pod in observed.pods(revision.id) if pod.phase not in LEAVING)
                    backends = (Backend(revision=revision.id, addresses=addresses),)
                    break
        routes.append(
            EndpointRoute(
                prefix=deployment.path,
                deployment=deployment.id,
                backends=backends,
                needs_token=deployment.needs_token,
                timeout_seconds=deployment.options.timeout_seconds,
            )
        )
    return tuple(routes)


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
            revoked = await access_tokens.revoked(tx, now=self._now())
        table = RoutingTable(routes=plan_routes(known, living, self._observed), revoked=frozenset(revoked))
        if self._published is None or table != self._published:
            self._observed.published(table)
            await self._gateway.publish(table)
            self._published = table
            log.info("routing table published", endpoints=len(table.routes), version=table.version[:12])
        return None
