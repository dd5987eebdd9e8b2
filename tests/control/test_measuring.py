"""Does what the gateway counted become samples, windows and a history that forgets?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from taxiway.control.measuring import EVERY, Measuring
from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import RevisionId
from taxiway.domain.measurements import BUCKETS, HostUse, Traffic
from taxiway.services.deployments import ProductionName
from taxiway.services.measurements import MeasurementHistory
from taxiway.services.usage import UsageReports
from taxiway.store import history
from taxiway.store.database import Database
from taxiway.telemetry.metrics import ControlMetrics
from tests.builders import MODEL, an_asking
from tests.control.harness import NAME, ControlPlane
from tests.control.test_production import promote
from tests.sqlite import open_quickly

MINUTE = timedelta(minutes=1)
ROWS = 3
"""Of each request."""


def counted(requests: int, *, errors: int = 0) -> Traffic:
    """So many requests of ten milliseconds each."""
    latencies = [0] * BUCKETS
    latencies[6] = requests
    return Traffic(requests=requests, server_errors=errors, milliseconds=10 * requests, latencies=tuple(latencies))


@dataclass
class Scene:
    """A model that is ON, and what looks at it."""

    plane: ControlPlane
    measuring: Measuring
    past: MeasurementHistory
    file: Database
    revision: RevisionId

    async def pass_by(self, seconds: float, *, per_second: int = 0, errors: int = 0) -> None:
        """Let time pass with a look every two seconds."""
        counts = self.plane.world.gateway.counted
        for _ in range(int(seconds / EVERY.total_seconds())):
            self.plane.world.runtime.return_rows(self.revision, per_second * 2 * ROWS)
            await self.plane.run(EVERY.total_seconds())
            before = counts.get(self.revision, Traffic())
            counts[self.revision] = before + counted(per_second * 2, errors=errors * 2)
            await self.measuring.look()


@pytest.fixture
async def scene(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Scene]:
    clock = plane.world.clock
    file = open_quickly(tmp_path / "history.db")
    await history.prepare(file)
    measuring = Measuring(
        database=plane.database, history_database=file, gateway=plane.world.gateway, observed=plane.observed,
        host=lambda: HostUse(cpu_seconds=clock.elapsed() * 0.5, memory_bytes=1 << 30, disk_free_bytes=1 << 40),
        kept=timedelta(days=1), now=clock, elapsed=clock.elapsed,
    )  # fmt: skip
    past = MeasurementHistory(database=plane.database, history_database=file, live=measuring, now=clock)
    await plane.convert()
    await plane.settle()
    (revision,) = await plane.revisions()
    await measuring.look()
    yield Scene(plane=plane, measuring=measuring, past=past, file=file, revision=revision.id)
    await file.close()


async def test_the_last_minute_is_what_was_counted_in_it(scene: Scene) -> None:
    await scene.pass_by(60, per_second=50)
    await scene.pass_by(60, per_second=5, errors=1)
    window = scene.measuring.of_revision(scene.revision, over=MINUTE)
    assert window is not None
    assert window.requests_per_second == pytest.approx(5)
    assert window.error_rate == pytest.approx(0.2)
    assert window.concurrency == pytest.approx(0.05)
    assert window.rows_per_second == pytest.approx(5 * ROWS)
    assert window.pods == 1
    deployment = await scene.plane.deployment()
    assert scene.past.now(deployment.id) == window


async def test_what_a_start_takes_is_no_load(scene: Scene) -> None:
    await scene.pass_by(20)
    scene.plane.world.runtime.crash(scene.revision)
    await scene.pass_by(2)
    window = scene.measuring.of_revision(scene.revision, over=timedelta(seconds=1))
    assert window is not None
    assert window.cpus == pytest.approx(1, rel=0.2)
    assert window.serving_cpus == 0
    await scene.pass_by(2)
    window = scene.measuring.of_revision(scene.revision, over=timedelta(seconds=1))
    assert window is not None
    assert window.cpus == window.serving_cpus == pytest.approx(1, rel=0.2)


async def test_a_wall_clock_that_jumps_changes_no_window(scene: Scene) -> None:
    await scene.pass_by(60, per_second=5)
    before = scene.measuring.of_revision(scene.revision, over=MINUTE)
    for jump in (timedelta(hours=3), timedelta(hours=-6)):
        scene.plane.world.clock.jump(jump)
        assert scene.measuring.of_revision(scene.revision, over=MINUTE) == before


async def test_a_gateway_that_says_nothing_makes_no_sample(scene: Scene) -> None:
    scene.plane.world.gateway.is_silent = True
    await scene.pass_by(70, per_second=5)
    assert scene.measuring.of_revision(scene.revision, over=MINUTE) is None
    scene.plane.world.gateway.is_silent = False
    await scene.pass_by(2)
    window = scene.measuring.of_revision(scene.revision, over=MINUTE)
    assert window is not None, "what came meanwhile is not lost"
    assert window.requests_per_second == pytest.approx(5, rel=0.1)


async def test_the_history_has_points_and_markers(scene: Scene) -> None:
    await scene.pass_by(300, per_second=3)
    series = await scene.past.of_deployment(NAME, last=timedelta(minutes=5))
    assert len(series.points) == pytest.approx(30, abs=2)
    assert {round(window.requests_per_second) for _, window in series.points[1:]} == {3}
    assert any(marker.became == "ON" for marker in series.markers)
    platform = await scene.past.of_platform(last=timedelta(minutes=5))
    assert platform.points[-1][1].requests_per_second == pytest.approx(3)
    assert platform.host[-1].cpus == pytest.approx(0.5)


async def test_long_times_have_no_more_points_than_a_screen(scene: Scene) -> None:
    await scene.pass_by(20 * 60, per_second=1)
    series = await scene.past.of_deployment(NAME, last=timedelta(days=7))
    assert series.step == timedelta(minutes=28)
    assert 1 <= len(series.points) <= 2
    assert series.points[-1][1].requests_per_second == pytest.approx(1, rel=0.05)


async def test_production_has_an_account_of_what_it_used(plane: ControlPlane, scene: Scene) -> None:
    await promote(plane)
    await plane.settle()
    (revision,) = (await plane.deployments.detail(ProductionName(name="fraud-acme"))).revisions
    promoted = replace(scene, revision=revision.id)
    await promoted.pass_by(240, per_second=5, errors=1)
    today = plane.world.clock.now.date()
    reports = UsageReports(database=plane.database, cost_per_pod_hour=3600.0)
    (used,) = await reports.between(today, today)
    assert (used.name, used.customer) == ("fraud-acme", "Acme")
    assert 600 <= used.requests <= 1200
    assert used.server_errors == pytest.approx(used.requests / 5)
    assert used.rows == pytest.approx(used.requests * ROWS, rel=0.05)
    assert used.cost == pytest.approx(used.pod_hours * 3600)
    assert 0.03 <= used.pod_hours <= 0.07
    assert await reports.between(today, today, customer="Somebody else") == []
    with pytest.raises(InvalidInput):
        await reports.between(today, today - timedelta(days=1))


async def test_what_was_measured_is_exported(plane: ControlPlane, scene: Scene) -> None:
    metrics = ControlMetrics()
    metrics.measured.totals = scene.measuring.totals
    metrics.measured.host = lambda: HostUse(cpu_seconds=7.5, memory_bytes=1 << 30, disk_free_bytes=1 << 40)

    def value(name: str, **more: str) -> float | None:
        labels = {"environment": "staging", "project": "fraud", "deployment": f"{MODEL}/1", **more}
        return metrics.registry.get_sample_value(f"taxiway_deployment_{name}", labels)

    await scene.pass_by(1800, per_second=5, errors=1)

    requests, errors = value("requests_total", status="2xx"), value("requests_total", status="5xx")
    assert requests == pytest.approx(1800 * 4, rel=0.01), "also what no window remembers any more"
    assert errors == pytest.approx(1800, rel=0.01)
    assert requests is not None
    assert errors is not None
    assert value("request_seconds_count") == value("request_seconds_bucket", le="+Inf") == requests + errors
    assert value("request_seconds_bucket", le="0.01") == requests + errors
    assert value("request_seconds_bucket", le="0.007") == 0
    assert value("request_seconds_sum") == pytest.approx((requests + errors) * 0.01)
    assert value("rows_total") == pytest.approx((requests + errors) * ROWS, rel=0.01)
    assert (value("pods"), value("ready_pods")) == (1, 1)
    assert value("cpu_seconds_total") == pytest.approx(1800, rel=0.05)
    assert metrics.registry.get_sample_value("taxiway_host_cpu_seconds_total") == 7.5
    text = metrics.text().decode()
    assert {family.name for family in text_string_to_metric_families(text)} >= {
        "taxiway_deployment_requests", "taxiway_host_disk_free_bytes",
    }  # fmt: skip

    await plane.deployments.switch_off(an_asking(), NAME)
    await scene.pass_by(60)
    assert (value("pods"), value("ready_pods"), value("in_flight")) == (0, 0, 0), "it has none any more"
    assert value("requests_total", status="2xx") == requests


async def test_what_is_old_is_forgotten(scene: Scene) -> None:
    await scene.pass_by(120, per_second=1)
    scene.plane.world.clock.advance(timedelta(days=2))
    await scene.pass_by(120, per_second=1)
    async with scene.file.read() as tx:
        kept = await history.of_key(
            tx, history.ALL, step=history.COARSE, since=scene.plane.world.clock.now - timedelta(days=9),
            until=scene.plane.world.clock.now,
        )  # fmt: skip
    assert kept
    assert all(period.at > scene.plane.world.clock.now - timedelta(days=1) for period in kept)


async def test_a_revision_that_is_gone_is_let_go_of(scene: Scene) -> None:
    await scene.pass_by(10, per_second=1)
    scene.plane.world.gateway.counted.clear()
    await scene.plane.delete()
    await scene.plane.settle()
    scene.plane.world.clock.advance(timedelta(minutes=20))
    await scene.measuring.look()
    assert scene.measuring.of_revision(scene.revision, over=timedelta(days=1)) is None


async def test_what_a_deleted_deployment_used_last_is_on_its_account(plane: ControlPlane, scene: Scene) -> None:
    await promote(plane)
    await plane.settle()
    (revision,) = (await plane.deployments.detail(ProductionName(name="fraud-acme"))).revisions
    promoted = replace(scene, revision=revision.id)
    await promoted.pass_by(20, per_second=5)
    await plane.deployments.delete(an_asking(), ProductionName(name="fraud-acme"))
    await plane.settle()
    await promoted.pass_by(120)
    (used,) = await UsageReports(database=plane.database).between(
        plane.world.clock.now.date(), plane.world.clock.now.date()
    )
    assert (used.name, used.customer, used.requests, used.rows) == ("fraud-acme", "Acme", 100, 300)
