"""What every Gateway does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from taxiway.domain.ids import AccessTokenId
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.gateway import EnvoyGateway
from taxiway.ports import Gateway
from tests.builders import a_route
from tests.contracts.waiting import Pass, fake_time, real_time, until
from tests.fakes import FakeClock, FakeGateway
from tests.integration.gateway.gate import Gate, a_gate

ONE = RoutingTable(routes=(a_route(),))
TWO = RoutingTable(routes=(a_route(), a_route(prefix="/staging/fraud/scorer/2/", backends=())))
REVOKING = RoutingTable(routes=(a_route(),), revoked=frozenset({AccessTokenId("a1")}))


@dataclass(kw_only=True)
class Kit:
    gateway: Gateway
    a_moment: Pass

    async def in_force(self, table: RoutingTable) -> RoutingVersion | None:
        return await until(self.gateway.accepted, lambda accepted: accepted == table.version, self.a_moment)


@pytest.fixture(scope="module")
def envoy() -> Iterator[Gate]:
    with a_gate() as gate:
        yield gate


@pytest.fixture(params=["fake", pytest.param("envoy", marks=pytest.mark.integration)])
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    if request.param == "fake":
        clock = FakeClock()
        yield Kit(gateway=FakeGateway(clock), a_moment=fake_time(clock))
        return
    gate: Gate = request.getfixturevalue("envoy")
    gateway = EnvoyGateway(gate.home, admin_socket=gate.admin_socket, child=gate.child)
    yield Kit(gateway=gateway, a_moment=real_time)
    await gateway.close()


async def test_a_table_comes_into_force_and_the_next_replaces_it(kit: Kit) -> None:
    for table in (ONE, TWO, REVOKING, RoutingTable(), ONE):
        await kit.gateway.publish(table)
        assert await kit.in_force(table) == table.version


async def test_publishing_twice_is_publishing_once(kit: Kit) -> None:
    for _ in range(3):
        await kit.gateway.publish(ONE)
    await kit.in_force(ONE)
    await kit.gateway.publish(ONE)
    await kit.in_force(ONE)


async def test_only_the_last_of_many_tables_counts(kit: Kit) -> None:
    for table in (ONE, TWO, REVOKING):
        await kit.gateway.publish(table)
    await kit.in_force(REVOKING)
    for _ in range(5):
        await kit.a_moment()
    assert await kit.in_force(REVOKING) == REVOKING.version
