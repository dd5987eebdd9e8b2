"""Gateway in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taxiway.domain.errors import (
    GatewayRejected,
    TaxiwayError,
)
from taxiway.domain.ids import (
    RevisionId,
)
from taxiway.domain.measurements import Traffic
from taxiway.domain.routing import RoutingTable, RoutingVersion
from tests.fakes.clock import FakeClock


class FakeGateway:
    """Takes a table into force after a moment. What is in force outlives the control plane."""

    def __init__(self, clock: FakeClock, *, seconds: float = 0.2) -> None:
        self._clock = clock
        self._seconds = seconds
        self.rejects_table = False
        """Refuses what is published from now on."""
        self.never_accepts = False
        """Leaves what is published from now on lying."""
        self.is_silent = False
        """Cannot tell what is in force, as while it is restarted."""
        self.publish_fails: TaxiwayError | None = None
        self.in_force: RoutingTable | None = None
        self.counted: dict[RevisionId, Traffic] = {}
        """What it counted of each revision."""
        self.published: list[RoutingTable] = []
        self._waiting: tuple[float, RoutingTable, bool] | None = None

    async def publish(self, table: RoutingTable) -> None:
        if self.publish_fails is not None:
            raise self.publish_fails
        self.published.append(table)
        if table == self.in_force:
            self._waiting = None
        elif not self.never_accepts:
            self._waiting = (self._clock.elapsed() + self._seconds, table, self.rejects_table)

    async def accepted(self) -> RoutingVersion | None:
        if self._waiting is not None and self._clock.elapsed() >= self._waiting[0]:
            _, table, is_rejected = self._waiting
            self._waiting = None
            if is_rejected:
                raise GatewayRejected("The gateway refused the routing table.", hint="See the gateway's log.")
            self.in_force = table
        if self.is_silent:
            return None
        return None if self.in_force is None else self.in_force.version

    async def traffic(self) -> Mapping[RevisionId, Traffic] | None:
        return None if self.is_silent else dict(self.counted)

    def control_plane_died(self) -> None:
        """Nothing of a gateway dies with it."""

    def is_waiting(self) -> bool:
        """Whether a published table is not in force yet."""
        return self._waiting is not None

    def prefixes(self) -> Sequence[str]:
        """Which endpoints exist."""
        return sorted(route.prefix for route in self.in_force.routes) if self.in_force else []

    def targets(self) -> Mapping[str, Sequence[RevisionId]]:
        """Which revisions get each endpoint's requests."""
        routes = self.in_force.routes if self.in_force else ()
        return {r.prefix: [backend.revision for backend in r.backends if backend.addresses] for r in routes}
