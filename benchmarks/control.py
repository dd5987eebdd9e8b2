"""The control plane with a thousand deployments, on one core. ``make bench-control COUNT=1000``.

Real: services, store (SQLite on disk), controllers, their loops, the API without its socket. Not real: what would need
a thousand pods' memory, which are the runtime, the gateway and MLflow; what looking at pods costs is in the density
benchmark. Measured: one reconcile of every key of every controller, what the loops use of the core when nothing
happens, and what a caller waits for the API while they run.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.api.world import World as ApiWorld
from tests.api.world import make_template
from tests.builders import PROJECT, RUN_ID
from tests.control.harness import ControlPlane, a_world

from benchmarks.scoring import RESULTS
from taxiway.app.loops import Loops, Nudges
from taxiway.control.measuring import Measuring
from taxiway.control.observed import Observed
from taxiway.domain.measurements import HostUse
from taxiway.domain.models import Environment
from taxiway.domain.people import Asking
from taxiway.domain.pods import PodObservation
from taxiway.domain.resources import Capacity, Resources
from taxiway.domain.routing import RoutingVersion
from taxiway.gateway.activator import Activator
from taxiway.services.conversions import ConversionRequest, Conversions
from taxiway.store import history
from taxiway.store.database import open_database
from taxiway.store.deployments import all_living
from taxiway.telemetry.metrics import ControlMetrics

ROOM = Capacity(memory_bytes=1 << 50, cpus=1e6)
PASSES = 7
SETTLES_SECONDS = 45
CALLS = 400
PAUSE_SECONDS = 0.06
"""A caller may ask twenty times a second."""


async def fill(api: ApiWorld, count: int) -> None:
    """Convert as the API does, until there are so many deployments."""
    principal = await api.services.api_tokens.identify(api.secrets.tokens["member"])
    assert principal is not None
    conversions = Conversions(
        database=api.database, registry=api.registry, builder=api.builder, capacity=ROOM, deployments_per_user=10**6,
        nudge=api.nudge, now=api.clock,
    )  # fmt: skip
    for number in range(count):
        wanted = ConversionRequest(
            project=PROJECT, run=RUN_ID, model=f"model-{number}", resources=Resources(memory_bytes=256 << 20, cpus=0.1)
        )
        await conversions.convert_run(Asking(principal=principal), wanted)


async def passes(plane: ControlPlane) -> dict[str, list[float]]:
    """Reconcile every key of every controller, some times over; return the seconds by noun, and of all."""
    found: dict[str, list[float]] = {}
    for _ in range(PASSES):
        together = 0.0
        for noun, keys in plane.keys.items():
            began = time.perf_counter()
            for key in await keys():
                await plane.reconcile[noun](key)
            took = time.perf_counter() - began
            found.setdefault(noun, []).append(took)
            together += took
        found.setdefault("all", []).append(together)
    return found


async def api_times(api: ApiWorld, count: int) -> list[float]:
    """Ask for lists and single ones in turn, with pauses; return milliseconds."""
    took = []
    async with api.speak_as("member") as client:
        for number in range(CALLS):
            one = f"/api/v1/projects/{PROJECT}/models/model-{number % count}/versions/1"
            path = "/api/v1/models?limit=100" if number % 2 else one
            began = time.perf_counter()
            answer = await client.get(path)
            took.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, (path, answer.text)
            await asyncio.sleep(PAUSE_SECONDS)
    return took


class Still:
    """A runtime in which nothing happens: what was seen once is seen again, at no cost."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._seen: Sequence[PodObservation] = ()

    async def learn(self) -> None:
        """See what there is."""
        self._seen = await self._plane.world.runtime.observe()

    async def observe(self) -> Sequence[PodObservation]:
        """Return it."""
        return self._seen

    def __getattr__(self, name: str) -> Any:
        """Leave all else to the fake."""
        return getattr(self._plane.world.runtime, name)


@asynccontextmanager
async def running(plane: ControlPlane) -> AsyncIterator[ControlMetrics]:
    """Run the control plane's own loops over what stands still."""
    world, metrics, nudges = plane.world, ControlMetrics(), Nudges()
    runtime = Still(plane)
    await runtime.learn()
    assert world.gateway.in_force is not None
    version = world.gateway.in_force.version
    # The fake works it out anew each time; Envoy says what it was told.
    world.gateway.accepted = lambda: _same(version)
    # What does nothing here is not looked at when nothing happens.
    nothing = SimpleNamespace(make_workspaces=_nothing, finish_forgotten=_nothing, sweep=_nothing)
    adapters = SimpleNamespace(
        runtime=runtime, gateway=world.gateway, registry=world.registry, bundles=world.bundles,
        snapshots={Environment.STAGING: world.store, Environment.PRODUCTION: world.vault},
        environments=world.builder, prover=world.prover, logs=world.logs, log_files=nothing,
    )  # fmt: skip
    observed = Observed(cast("Any", runtime), world.gateway)
    measuring = Measuring(
        database=plane.database, history_database=plane.database, gateway=world.gateway, observed=observed,
        host=lambda: HostUse(cpu_seconds=0, memory_bytes=0, disk_free_bytes=0), kept=timedelta(days=1), now=world.clock,
    )  # fmt: skip
    loops = Loops(
        database=plane.database, adapters=cast("Any", adapters), observed=observed, measuring=measuring, capacity=ROOM,
        nudges=nudges, activator=Activator(table=observed.table, wake=lambda _: None),
        conversions=cast("Any", nothing), projects=cast("Any", nothing), metrics=metrics,
        scrub_every=timedelta(days=1), scrub_bytes_per_second=1, now=world.clock,
    )  # fmt: skip
    task = asyncio.create_task(loops.run())
    await asyncio.sleep(SETTLES_SECONDS)
    try:
        yield metrics
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _same(version: RoutingVersion) -> RoutingVersion:
    """Return it."""
    return version


async def _nothing() -> None:
    """Do nothing."""


async def idle(seconds: float) -> float:
    """Leave everything alone; return what this process used of a core."""
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - used) / (time.monotonic() - began)


async def measure(count: int, seconds: float, directory: Path) -> dict[str, Any]:
    """Fill, settle by the fakes' clock, and measure by the real one."""
    file = directory / "taxiway.db"
    api = ApiWorld(file, await make_template(file))
    api.fill_fakes()
    await fill(api, count)
    world = replace(await a_world(Path(tempfile.mkdtemp(dir=directory))), file=file)
    world.registry.versions |= api.registry.versions
    filling = ControlPlane(world)
    await filling.settle(within=3600)
    await filling.close()
    plane = ControlPlane(world, database=open_database(f"sqlite:///{file}"))
    await plane.observed.look()
    await history.prepare(plane.database)
    async with plane.database.read() as tx:
        found: dict[str, Any] = {"statuses": Counter(str(each.verdict.status) for each in await all_living(tx))}
    found["passes"] = await passes(plane)
    async with running(plane):
        found["idle"] = await idle(seconds)
        found["api"] = await api_times(api, count)
    return found


def table(found: dict[str, Any], count: int) -> str:
    """Return the Markdown."""
    spent = {noun: statistics.median(seconds) for noun, seconds in found["passes"].items()}
    api = statistics.quantiles(found["api"], n=100)
    statuses = ", ".join(f"{number} {status}" for status, number in found["statuses"].items())
    return "\n".join([
        f"{count:,} deployments ({statuses}), on one core.",
        "",
        "| what | figure | aim |",
        "|---|---|---|",
        f"| every key of every controller reconciled once | {1000 * spent.pop('all'):,.0f} ms | 1,000 ms |",
        *(f"| of that, {noun} | {1000 * seconds:,.0f} ms | |" for noun, seconds in spent.items()),
        f"| CPU when nothing happens | {100 * found['idle']:.1f} % | 2 % |",
        f"| the API meanwhile, p50 | {api[49]:.1f} ms | |",
        f"| the API meanwhile, p99 | {api[98]:.1f} ms | 50 ms |",
    ])  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(measure(given.count, given.seconds, Path(directory)))
    text = table(found, given.count)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "control.md").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
