"""A control plane over a world in memory, driven by hand: real controllers, services and SQLite, and no waiting.

The world (clock, fakes, file) outlives the control plane. ``ControlPlane`` does what the loops of ``Controller`` and
``Observed.run`` do, in time that only the fake clock has: looks four times a second, takes what is due, comes back
after a failure. Killing it is: drop the object, tell the fakes, make another.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text

from taxiway.control.autoscaling import AutoscalingController
from taxiway.control.controller import Reconcile
from taxiway.control.deployments import DeploymentController
from taxiway.control.observed import Observed
from taxiway.control.revisions import RevisionController
from taxiway.control.rollouts import RolloutController
from taxiway.control.routing import RoutingController
from taxiway.control.sweeping import Sweeper
from taxiway.domain.deployments import Deployment
from taxiway.domain.events import Event
from taxiway.domain.ids import ModelName, RevisionId
from taxiway.domain.models import Environment
from taxiway.domain.resources import Capacity
from taxiway.domain.revisions import Revision
from taxiway.domain.snapshots import SnapshotCopy
from taxiway.services.conversions import ConversionRequest, Conversions
from taxiway.services.deployments import DeploymentName, Deployments
from taxiway.store import events, projects, users
from taxiway.store.database import Database
from tests.builders import MODEL, PROJECT, RUN_ID, a_logged_model, a_project, a_user, an_asking
from tests.fakes import (
    FakeBuilder,
    FakeBundleStore,
    FakeClock,
    FakeGateway,
    FakeLogStore,
    FakeMeasurements,
    FakeProver,
    FakeRegistry,
    FakeRuntime,
    FakeSnapshotStore,
)
from tests.sqlite import migrated, open_quickly

P = TypeVar("P")
NAME = DeploymentName(project=PROJECT, model=MODEL, version=1)
LOOK_EVERY, RESYNC_EVERY = 0.25, 300.0
TICK = 1e-5
"""What counts as the same moment: the clock has microseconds, sums of seconds have more."""
QUIET_FOR = 1.5
"""How long nothing must have changed, with nothing due, before it is called quiet."""


@dataclass(kw_only=True)
class World:
    """What is there without the control plane."""

    clock: FakeClock
    file: Path
    runtime: FakeRuntime
    gateway: FakeGateway
    registry: FakeRegistry
    store: FakeSnapshotStore
    vault: FakeSnapshotStore
    """Production's store."""
    bundles: FakeBundleStore
    builder: FakeBuilder
    prover: FakeProver
    logs: FakeLogStore

    def open(self) -> Database:
        return open_quickly(self.file)

    def twin(self, file: Path) -> World:
        """A copy of everything as it is now, as if the control plane were killed at this moment."""
        shutil.copy(self.file, file)
        wal = self.file.with_name(self.file.name + "-wal")
        if wal.exists():
            shutil.copy(wal, file.with_name(file.name + "-wal"))
        made = deepcopy(self)
        made.file = file
        made.control_plane_died()
        return made

    def control_plane_died(self) -> None:
        for fake in (self.runtime, self.gateway, self.store, self.builder, self.prover):
            fake.control_plane_died()


async def a_world(directory: Path) -> World:
    """One user, one project, one run with two logged models; nothing converted yet."""
    clock = FakeClock()
    logs = FakeLogStore(clock)
    world = World(
        clock=clock,
        file=directory / "taxiway.db",
        runtime=FakeRuntime(clock, logs=logs),
        gateway=FakeGateway(clock),
        registry=FakeRegistry(),
        store=FakeSnapshotStore(clock),
        vault=FakeSnapshotStore(clock),
        bundles=FakeBundleStore(),
        builder=FakeBuilder(clock=clock),
        prover=FakeProver(clock=clock),
        logs=logs,
    )
    world.registry.logged[RUN_ID] = [a_logged_model()]
    database = await migrated(world.file)
    async with database.write() as tx:
        await users.insert_user(tx, a_user(), password_hash="x")
        await projects.insert_project(tx, a_project())
    await database.close()
    return world


def as_it_is(port: P, _name: str) -> P:
    """What ``wrap`` does where nothing is to be wrapped."""
    return port


class ControlPlane:
    """The controllers and services of one process. ``wrap`` puts something around each port, ``database`` too."""

    def __init__(
        self,
        world: World,
        *,
        database: Database | None = None,
        wrap: Callable[[Any, str], Any] = as_it_is,
    ) -> None:
        self.world = world
        self.database = database or world.open()
        runtime, gateway = wrap(world.runtime, "Runtime"), wrap(world.gateway, "Gateway")
        registry = wrap(world.registry, "ModelRegistry")
        stores = {
            Environment.STAGING: wrap(world.store, "SnapshotStore"),
            Environment.PRODUCTION: wrap(world.vault, "SnapshotStore"),
        }
        bundles = wrap(world.bundles, "BundleStore")
        builder, logs = wrap(world.builder, "EnvironmentBuilder"), wrap(world.logs, "LogStore")
        prover = wrap(world.prover, "Prover")
        clock = world.clock
        self.observed = Observed(runtime, gateway, elapsed=clock.elapsed)
        common: dict[str, Any] = {"database": self.database, "observed": self.observed, "now": clock}
        revisions = RevisionController(
            registry=registry, stores=stores, bundles=bundles, builder=builder, prover=prover, runtime=runtime,
            nudge=self.nudge, elapsed=clock.elapsed, **common,
        )  # fmt: skip
        deployments = DeploymentController(
            registry=registry, stores=stores, bundles=bundles, logs=logs, nudge=self.nudge, **common
        )
        routing = RoutingController(gateway=gateway, **common)
        self.measurements = FakeMeasurements()
        self.scaled: list[tuple[str, bool]] = []
        """What the autoscaler told: deployments by name, and whether there are more pods than before."""
        rollouts = RolloutController(measurements=self.measurements, nudge=self.nudge, elapsed=clock.elapsed, **common)
        self.waiting: Counter[str] = Counter()
        """Requests that wait for a pod, by deployment."""
        autoscaling = AutoscalingController(
            measurements=self.measurements, nudge=self.nudge, elapsed=clock.elapsed, waiting=self.waiting.__getitem__,
            told=lambda deployment, is_up: self.scaled.append((deployment.name, is_up)),
            capacity=Capacity(memory_bytes=1 << 40, cpus=64), **common,
        )  # fmt: skip
        self.sweeper = Sweeper(database=self.database, stores=stores, builder=builder, logs=logs, elapsed=clock.elapsed)
        self.reconcile: dict[str, Reconcile] = {
            "revision": revisions.reconcile, "deployment": deployments.reconcile, "routing": routing.reconcile,
            "rollout": rollouts.reconcile,
            "autoscaling": autoscaling.reconcile,
        }  # fmt: skip
        self.keys: dict[str, Callable[[], Awaitable[Sequence[str]]]] = {
            "revision": revisions.keys, "deployment": deployments.keys, "routing": routing.keys,
            "rollout": rollouts.keys,
            "autoscaling": autoscaling.keys,
        }  # fmt: skip
        capacity = Capacity(memory_bytes=1 << 40, cpus=64)
        self.deployments = Deployments(database=self.database, capacity=capacity, nudge=self.nudge, now=clock)
        self.conversions = Conversions(
            database=self.database, registry=registry, builder=builder, nudge=self.nudge, now=clock,
            capacity=capacity, deployments_per_user=20,
        )  # fmt: skip
        self._routed: frozenset[RevisionId] = frozenset()
        self._due: dict[tuple[str, str], float] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._next_look = self._next_resync = clock.elapsed()
        self._last_change = clock.elapsed()
        self.errors: list[Exception] = []
        """What reconciles raised, in order."""

    def nudge(self, kind: str, key: str) -> None:
        self._due[kind, key] = self.world.clock.elapsed()

    # ------------------------------------------------------------------ time

    async def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Let so much fake time pass, or less where something holds earlier."""
        end = self.world.clock.elapsed() + seconds
        while not until():
            upcoming = min([self._next_look, self._next_resync, *self._due.values()])
            if upcoming > end:
                self.world.clock.advance(max(0.0, end - self.world.clock.elapsed()))
                return
            self.world.clock.advance(max(0.0, upcoming - self.world.clock.elapsed()))
            await self._step()

    async def settle(self, *, within: float = 120.0) -> None:
        """Let time pass until nothing changes any more. Fails when that never comes."""
        began = self.world.clock.elapsed()
        await self.run(QUIET_FOR)
        await self.run(within, until=lambda: self._is_quiet(began))
        assert self._is_quiet(began), f"not quiet after {within} s: {self._due}, {self.errors[-3:]}"

    def _is_quiet(self, began: float) -> bool:
        now = self.world.clock.elapsed()
        is_idle = not self._due or min(self._due.values()) > now + QUIET_FOR
        return now - began >= QUIET_FOR and is_idle and now - self._last_change >= QUIET_FOR and not self._failures

    async def _step(self) -> None:
        now = self.world.clock.elapsed() + TICK
        if self._next_resync <= now:
            self._next_resync = now + RESYNC_EVERY
            for kind, keys in self.keys.items():
                try:
                    for key in await keys():
                        self.nudge(kind, key)
                except Exception as error:
                    self._went_wrong(error)
        if self._next_look <= now:
            self._next_look = now + LOOK_EVERY
            await self._look()
        for (kind, key), due in sorted(self._due.items()):
            if due <= now:
                await self._work(kind, key)

    async def _look(self) -> None:
        try:
            changed = await self.observed.look_at_pods()
            for revision in changed:
                self.nudge("revision", revision)
                self.nudge("routing", "table")
            self._last_change = self.world.clock.elapsed() if changed else self._last_change
        except Exception as error:
            self._went_wrong(error)
        try:
            if await self.observed.look_at_gateway():
                self._last_change = self.world.clock.elapsed()
                routed = self.observed.routed()
                for revision in routed ^ self._routed:
                    self.nudge("revision", revision)
                self._routed = routed
                self.nudge("routing", "table")
        except Exception as error:
            self._went_wrong(error)

    async def _work(self, kind: str, key: str) -> None:
        now = self.world.clock.elapsed()
        del self._due[kind, key]
        try:
            delay = await self.reconcile[kind](key)
        except Exception as error:
            self._went_wrong(error)
            times = self._failures[kind, key] = self._failures.get((kind, key), 0) + 1
            delay = timedelta(seconds=min(0.1 * 2 ** (times - 1), 30.0))
        else:
            self._failures.pop((kind, key), None)
        if delay is not None:
            self._due.setdefault((kind, key), now + delay.total_seconds())

    def _went_wrong(self, error: Exception) -> None:
        self.errors.append(error)

    # ------------------------------------------------------------------ what people do and see

    async def convert(self, *, logged_model: str | None = None, model: str = MODEL, key: str = "k1") -> DeploymentName:
        wanted = ConversionRequest(project=PROJECT, run=RUN_ID, model=model, logged_model=logged_model)
        version = await self.conversions.convert_run(an_asking(), wanted, idempotency_key=key)
        return DeploymentName(project=PROJECT, model=ModelName(model), version=version.version)

    async def on(self, name: DeploymentName = NAME) -> None:
        await self.deployments.switch_on(an_asking(), name)

    async def off(self, name: DeploymentName = NAME) -> None:
        await self.deployments.switch_off(an_asking(), name)

    async def delete(self, name: DeploymentName = NAME) -> None:
        await self.deployments.delete(an_asking(), name)

    async def deployment(self, name: DeploymentName = NAME) -> Deployment:
        return (await self.deployments.detail(name)).deployment

    async def revisions(self, name: DeploymentName = NAME) -> Sequence[Revision]:
        return (await self.deployments.detail(name)).revisions

    async def snapshot(self, name: DeploymentName = NAME) -> SnapshotCopy:
        return (await self.deployments.detail(name)).snapshot

    async def status(self, name: DeploymentName = NAME) -> str:
        return str((await self.deployment(name)).verdict.status)

    async def states(self, name: DeploymentName = NAME) -> list[str]:
        return [str(revision.state) for revision in await self.revisions(name)]

    async def events(self) -> Sequence[Event]:
        async with self.database.read() as tx:
            return await events.find(tx, limit=10_000)

    async def rows(self, table: str) -> int:
        async with self.database.read() as tx:
            return int((await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608

    async def close(self) -> None:
        await self.database.close()


async def killed(plane: ControlPlane) -> ControlPlane:
    """Kill the control plane and start another over what is left."""
    await plane.close()
    plane.world.control_plane_died()
    return ControlPlane(plane.world)
