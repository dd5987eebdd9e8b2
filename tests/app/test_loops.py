"""What the loops count of routing tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from taxiway.app.loops import CountedGateway, Loops, Nudges
from taxiway.control.observed import Observed
from taxiway.domain.errors import OutOfDisk
from taxiway.domain.routing import RoutingTable
from taxiway.gateway.activator import Activator
from taxiway.telemetry.metrics import ControlMetrics
from tests.builders import NOW
from tests.fakes import FakeClock, FakeGateway, FakeRuntime


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def gateway(clock: FakeClock) -> FakeGateway:
    return FakeGateway(clock, seconds=0)


def count(metrics: ControlMetrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"taxiway_routing_tables_{name}_total")


async def test_tables_that_were_published_are_counted(gateway: FakeGateway) -> None:
    metrics, table = ControlMetrics(), RoutingTable()
    counted = CountedGateway(gateway, metrics)

    await counted.publish(table)
    gateway.publish_fails = OutOfDisk("The disk is full.")
    with pytest.raises(OutOfDisk):
        await counted.publish(table)

    assert await counted.accepted() == table.version
    assert count(metrics, "published") == 1


async def test_a_table_that_was_refused_is_counted_once(clock: FakeClock, gateway: FakeGateway) -> None:
    metrics = ControlMetrics()
    observed = Observed(FakeRuntime(clock), gateway)
    nothing = cast("Any", None)
    loops = Loops(
        activator=Activator(table=lambda: None, wake=lambda _: None),
        database=nothing,
        adapters=nothing,
        observed=observed,
        measuring=nothing,
        capacity=nothing,
        nudges=Nudges(),
        conversions=nothing,
        projects=nothing,
        metrics=metrics,
        scrub_every=timedelta(days=7),
        scrub_bytes_per_second=1 << 20,
        now=clock,
    )
    gateway.rejects_table = True
    for _ in range(2):
        observed.published(RoutingTable())
        await gateway.publish(RoutingTable())
        for _ in range(3):
            if await observed.look_at_gateway():
                loops._on_routes()

    assert count(metrics, "rejected") == 2
