"""What was last seen of pods and of the gateway, shared by the controllers and shown by the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.ids import RevisionId
from taxiway.domain.pods import PodObservation
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.ports import Gateway, Runtime

log = structlog.get_logger()


class Observed:
    """Looks at the runtime and the gateway twice a second and tells which revisions changed."""

    def __init__(self, runtime: Runtime, gateway: Gateway, *, every: timedelta = timedelta(milliseconds=250)) -> None:
        self._runtime = runtime
        self._gateway = gateway
        self._every = every
        self._pods: dict[RevisionId, tuple[PodObservation, ...]] = {}
        self._wanted: RoutingTable | None = None
        self._accepted: RoutingVersion | None = None
        self._routed: frozenset[RevisionId] = frozenset()
        self.rejection: GatewayRejected | None = None
        self.has_looked = False

    def pods(self, revision: RevisionId) -> Sequence[PodObservation]:
        """Return the revision's pods as last seen."""
        return self._pods.get(revision, ())

    def all_pods(self) -> Mapping[RevisionId, Sequence[PodObservation]]:
        """Return all pods as last seen."""
        return self._pods

    def routed(self) -> frozenset[RevisionId]:
        """Return the revisions that the accepted routing table sends requests to.

        While a newer table waits to be accepted, both its revisions and those of the one before may get requests;
        only those of the accepted one count as routed.
        """
        return self._routed

    def published(self, table: RoutingTable) -> None:
        """Remember which table the gateway was given last."""
        self._wanted = table

    def is_accepted(self) -> bool:
        """Tell whether the table that was published last is in force."""
        return self._wanted is not None and self._accepted == self._wanted.version

    async def look(self) -> tuple[frozenset[RevisionId], bool]:
        """Look once; return the revisions whose pods changed and whether the accepted routes changed."""
        seen: dict[RevisionId, list[PodObservation]] = {}
        for pod in await self._runtime.observe():
            seen.setdefault(pod.revision, []).append(pod)
        pods = {key: tuple(sorted(value, key=lambda pod: pod.id)) for key, value in seen.items()}
        changed = {key for key in pods.keys() | self._pods.keys() if _gist(pods.get(key)) != _gist(self._pods.get(key))}
        self._pods = pods
        self.has_looked = True
        return frozenset(changed), await self._look_at_gateway()

    async def _look_at_gateway(self) -> bool:
        try:
            accepted = await self._gateway.accepted()
        except GatewayRejected as rejection:
            self.rejection = rejection
            log.warning("routing table rejected", message=rejection.message)
            return True
        if accepted == self._accepted:
            return False
        self._accepted = accepted
        if self._wanted is not None and accepted == self._wanted.version:
            self.rejection = None
            self._routed = frozenset(
                backend.revision for route in self._wanted.routes for backend in route.backends if backend.addresses
            )
        return True

    async def run(self, on_pods: Callable[[frozenset[RevisionId]], None], on_routes: Callable[[], None]) -> None:
        """Look until cancelled and tell what changed."""
        while True:
            try:
                changed, routes_changed = await self.look()
                if changed:
                    on_pods(changed)
                if routes_changed:
                    on_routes()
            except Exception:
                log.exception("not observed")
            await asyncio.sleep(self._every.total_seconds())


def _gist(pods: Sequence[PodObservation] | None) -> object:
    """Return what matters for decisions: not the memory and the CPU seconds, which change at every look."""
    if pods is None:
        return None
    return [
        (pod.id, pod.phase, pod.address, pod.restarts, pod.failure, len(pod.phases), pod.started_at) for pod in pods
    ]
