"""What was last seen of pods and of the gateway, shared by the controllers and shown by the API."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.ids import RevisionId
from taxiway.domain.pods import PodObservation
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.ports import Gateway, Runtime

log = structlog.get_logger()

GATEWAY_PATIENCE = timedelta(seconds=5)
"""How long the gateway may say nothing before it counts as routing nothing: it may be on its way up again."""

AWAITED_EVERY = timedelta(milliseconds=40)
"""How often to look while a request waits for a pod."""


class Observed:
    """Looks at the runtime and the gateway four times a second and tells what changed."""

    def __init__(
        self,
        runtime: Runtime,
        gateway: Gateway,
        *,
        every: timedelta = timedelta(milliseconds=250),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._gateway = gateway
        self._every = every
        self._elapsed = elapsed
        self._pods: dict[RevisionId, tuple[PodObservation, ...]] = {}
        self._rows: Counter[RevisionId] = Counter()
        self._looked_at = 0.0
        self._targets: dict[RoutingVersion, Mapping[RevisionId, int]] = {}
        """The revisions that get requests by a table, and their share of their endpoint's, whole percents."""
        self._addresses: dict[RoutingVersion, frozenset[str]] = {}
        self._tables: dict[RoutingVersion, RoutingTable] = {}
        self._wanted: RoutingVersion | None = None
        self._published_at: float | None = None
        self._accepted: RoutingVersion | None = None
        self._silent_since: float | None = None
        self._routes_are_known = False
        self.rejection: GatewayRejected | None = None
        """Why the gateway refused the table that was published last; None where it did not."""
        self.has_looked = False
        self.is_awaited: Callable[[], bool] = lambda: False
        """Whether somebody waits for what is seen next: then it is looked more often."""

    def table(self) -> RoutingTable | None:
        """Return the table that is in force; None where it is not known."""
        return None if self._accepted is None else self._tables.get(self._accepted)

    def pods(self, revision: RevisionId) -> Sequence[PodObservation]:
        """Return the revision's pods as last seen."""
        return self._pods.get(revision, ())

    def all_pods(self) -> Mapping[RevisionId, Sequence[PodObservation]]:
        """Return all pods as last seen."""
        return self._pods

    def take_rows(self) -> Mapping[RevisionId, int]:
        """Return how many predictions pods returned since this was asked last."""
        taken, self._rows = self._rows, Counter()
        return taken

    def has_looked_since(self, elapsed: float) -> bool:
        """Tell whether what is known of the pods is newer than a moment of the clock that nobody sets."""
        return self.has_looked and self._looked_at > elapsed

    def routed(self) -> frozenset[RevisionId]:
        """Return the revisions that the accepted routing table sends requests to."""
        return frozenset() if self._accepted is None else frozenset(self._targets.get(self._accepted, {}))

    def share(self, revision: RevisionId) -> int | None:
        """Return the share of requests that the accepted table gives a revision; None where it does not name it."""
        return None if self._accepted is None else self._targets.get(self._accepted, {}).get(revision)

    def may_get_requests(self, revision: RevisionId) -> bool:
        """Tell whether the table in force, or one that may come into force any moment, names the revision.

        Until a table of this process is accepted, that of the one before it is in force, and nobody knows it.
        """
        return not self._routes_are_known or any(revision in targets for targets in self._targets.values())

    def may_be_asked(self, address: str) -> bool:
        """Tell whether the table in force, or one that may come into force any moment, names a pod's address."""
        return not self._routes_are_known or any(address in found for found in self._addresses.values())

    def routes_are_known(self) -> bool:
        """Tell whether ``routed`` says what is so; a gateway that says nothing for long is taken to route nothing."""
        if self._routes_are_known or self.rejection is not None:
            return True
        return (
            self._published_at is not None and self._elapsed() - self._published_at > GATEWAY_PATIENCE.total_seconds()
        )

    def published(self, table: RoutingTable) -> None:
        """Remember a table; called before the gateway gets it, so that it never accepts one that is not known."""
        self._wanted = table.version
        self._targets.pop(table.version, None)
        self._targets[table.version] = shares_of(table)
        self._addresses[table.version] = frozenset(
            address for route in table.routes for backend in route.backends for address in backend.addresses
        )
        self._tables[table.version] = table
        self._published_at = self._elapsed() if self._published_at is None else self._published_at
        self.rejection = None
        self._fold()

    def is_accepted(self) -> bool:
        """Tell whether the table that was published last is in force."""
        return self._wanted is not None and self._accepted == self._wanted

    async def look(self) -> tuple[frozenset[RevisionId], bool]:
        """Look once; return the revisions whose pods changed and whether the accepted routes changed."""
        return await self.look_at_pods(), await self.look_at_gateway()

    async def look_at_pods(self) -> frozenset[RevisionId]:
        """Look at the runtime; return the revisions whose pods changed."""
        began = self._elapsed()
        seen: dict[RevisionId, list[PodObservation]] = {}
        for pod in await self._runtime.observe():
            seen.setdefault(pod.revision, []).append(pod)
        pods = {key: tuple(sorted(value, key=lambda pod: pod.id)) for key, value in seen.items()}
        changed = {
            key for key in pods.keys() | self._pods.keys() if gist_of(pods.get(key)) != gist_of(self._pods.get(key))
        }
        self._count_rows(pods)
        self._pods = pods
        self._looked_at = began
        self.has_looked = True
        return frozenset(changed)

    def _count_rows(self, pods: Mapping[RevisionId, Sequence[PodObservation]]) -> None:
        """Count what pods returned since the last look; of one that is seen first by this process, nothing yet."""
        known = {pod.id: pod.rows for seen in self._pods.values() for pod in seen}
        for key, seen in pods.items():
            self._rows[key] += sum(max(pod.rows - known.get(pod.id, pod.rows), 0) for pod in seen)

    async def look_at_gateway(self) -> bool:
        """Look at the gateway; tell whether the accepted routes, or what is known of them, changed."""
        was = (self._accepted, self.routed(), self.rejection, self._routes_are_known)
        try:
            self._hear(await self._gateway.accepted())
        except GatewayRejected as rejection:
            self.rejection = rejection
            log.warning("routing table rejected", message=rejection.message)
        self._fold()
        return was != (self._accepted, self.routed(), self.rejection, self._routes_are_known)

    def _hear(self, accepted: RoutingVersion | None) -> None:
        """Take what the gateway says; one that cannot tell for a moment is taken to have changed nothing."""
        if accepted is not None:
            self._accepted, self._silent_since = accepted, None
            return
        now = self._elapsed()
        self._silent_since = now if self._silent_since is None else self._silent_since
        if now - self._silent_since > GATEWAY_PATIENCE.total_seconds():
            self._accepted = None

    def _fold(self) -> None:
        """Forget the tables that cannot come into force any more."""
        self._routes_are_known |= self._accepted in self._targets
        if self._wanted is not None and self._accepted == self._wanted:
            self.rejection = None
            self._targets = {self._wanted: self._targets[self._wanted]}
            self._addresses = {self._wanted: self._addresses[self._wanted]}
            self._tables = {self._wanted: self._tables[self._wanted]}

    async def run(self, on_pods: Callable[[frozenset[RevisionId]], None], on_routes: Callable[[], None]) -> None:
        """Look until cancelled and tell what changed."""
        while True:
            try:
                changed = await self.look_at_pods()
                if changed:
                    on_pods(changed)
            except Exception:
                log.exception("pods not observed")
            try:
                if await self.look_at_gateway():
                    on_routes()
            except Exception:
                log.exception("gateway not observed")
            every = min(self._every, AWAITED_EVERY) if self.is_awaited() else self._every
            await asyncio.sleep(every.total_seconds())


def shares_of(table: RoutingTable) -> Mapping[RevisionId, int]:
    """Return the revisions that get requests, and their share; 0 for one that only its tag leads to."""
    shares: dict[RevisionId, int] = {}
    for route in table.routes:
        for backend in route.backends:
            if backend.addresses:
                share = 0 if route.tag else backend.weight
                shares[backend.revision] = max(shares.get(backend.revision, 0), share)
    return shares


def gist_of(pods: Sequence[PodObservation] | None) -> object:
    """Return what matters for decisions: not the memory and the CPU seconds, which change at every look."""
    if pods is None:
        return None
    return [
        (pod.id, pod.phase, pod.address, pod.restarts, pod.failure, len(pod.phases), pod.started_at) for pod in pods
    ]
