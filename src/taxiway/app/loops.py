"""The loops of the control plane: what is observed, one controller a noun, and what is done now and then."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog

from taxiway.app.adapters import Adapters
from taxiway.control.autoscaling import AutoscalingController
from taxiway.control.checking import LiveChecks
from taxiway.control.controller import Controller, Reconcile
from taxiway.control.deployments import DeploymentController
from taxiway.control.measuring import EVERY as MEASURE_EVERY
from taxiway.control.measuring import Measuring
from taxiway.control.observed import Observed
from taxiway.control.revisions import RevisionController
from taxiway.control.rollouts import RolloutController
from taxiway.control.routing import RoutingController
from taxiway.control.scrubbing import Scrubber
from taxiway.control.sweeping import Sweeper
from taxiway.domain.errors import GatewayRejected, TaxiwayError
from taxiway.domain.ids import RevisionId
from taxiway.domain.measurements import Traffic
from taxiway.domain.pods import PodPhase
from taxiway.domain.resources import Capacity
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.domain.scrubs import Scrub
from taxiway.gateway.activator import Activator
from taxiway.ports import Clock, Gateway
from taxiway.services.conversions import Conversions
from taxiway.services.projects import Projects
from taxiway.store import deployments
from taxiway.store.database import Database
from taxiway.telemetry.metrics import ControlMetrics

log = structlog.get_logger()


RESYNC = timedelta(minutes=5)
"""Every deployment and revision is looked at so often though nobody was told of a change: some milliseconds each."""
RESYNC_SHARED = timedelta(seconds=15)
"""The same where the database is PostgreSQL: another control plane's API may have written, and tells nobody here."""


class Nudges:
    """Puts keys on the controllers' queues; nothing happens for a noun whose controller does not run here."""

    def __init__(self) -> None:
        self._controllers: dict[str, Controller] = {}

    def __call__(self, kind: str, key: str) -> None:
        """Tell the noun's controller that there is work for a key."""
        controller = self._controllers.get(kind)
        if controller is not None:
            controller.queue.put(key)

    def join(self, controllers: tuple[Controller, ...]) -> None:
        """Let these controllers be told from now on."""
        self._controllers = {controller.noun: controller for controller in controllers}


class Loops:
    """Everything that runs for as long as this control plane is the one that acts."""

    def __init__(
        self,
        *,
        database: Database,
        adapters: Adapters,
        observed: Observed,
        measuring: Measuring,
        capacity: Capacity,
        nudges: Nudges,
        activator: Activator,
        conversions: Conversions,
        projects: Projects,
        metrics: ControlMetrics,
        scrub_every: timedelta,
        scrub_bytes_per_second: int,
        now: Clock,
    ) -> None:
        self._database = database
        self._adapters = adapters
        self._observed = observed
        self._measuring = measuring
        self._capacity = capacity
        self._nudges = nudges
        self._activator = activator
        self._conversions = conversions
        self._projects = projects
        self._metrics = metrics
        self._scrub_every = scrub_every
        self._scrub_bytes_per_second = scrub_bytes_per_second
        self._now = now
        self._routed: frozenset[RevisionId] = frozenset()
        self._rejection: GatewayRejected | None = None

    async def run(self) -> None:
        """Observe, converge and tidy up until cancelled. Controllers are new each time: they remember nothing."""
        controllers = self._make_controllers()
        self._nudges.join(controllers)
        sweeper = Sweeper(
            database=self._database,
            stores=self._adapters.snapshots,
            builder=self._adapters.environments,
            logs=self._adapters.logs,
        )
        checks = LiveChecks(
            database=self._database,
            prover=self._adapters.prover,
            observed=self._observed,
            nudge=self._nudges,
            now=self._now,
        )
        scrubber = Scrubber(
            database=self._database,
            stores=self._adapters.snapshots,
            bundles=self._adapters.bundles,
            now=self._now,
            period=self._scrub_every,
            bytes_per_second=self._scrub_bytes_per_second,
            told=self._on_scrub,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._observed.run(self._on_pods, self._on_routes))
            for controller in controllers:
                tasks.create_task(controller.run())
            tasks.create_task(every(MEASURE_EVERY, "measurements", self._measuring.look))
            tasks.create_task(every(timedelta(seconds=2), "workspaces", self._projects.make_workspaces))
            tasks.create_task(every(timedelta(seconds=10), "conversions", self._conversions.finish_forgotten))
            tasks.create_task(every(timedelta(seconds=60), "sweep", sweeper.sweep))
            tasks.create_task(every(timedelta(seconds=60), "logs", self._sweep_logs))
            tasks.create_task(every(timedelta(seconds=20), "live checks", checks.look))
            tasks.create_task(every(timedelta(seconds=5), "scrub", scrubber.look))
            tasks.create_task(every(timedelta(seconds=5), "gauges", self._measure))

    def _make_controllers(self) -> tuple[Controller, ...]:
        adapters, metrics = self._adapters, self._metrics
        resync = RESYNC if self._database.is_sqlite else RESYNC_SHARED
        revision = RevisionController(
            database=self._database,
            registry=adapters.registry,
            stores=adapters.snapshots,
            bundles=adapters.bundles,
            builder=adapters.environments,
            prover=adapters.prover,
            runtime=adapters.runtime,
            observed=self._observed,
            nudge=self._nudges,
            now=self._now,
        )
        deployment = DeploymentController(
            database=self._database,
            registry=adapters.registry,
            stores=adapters.snapshots,
            bundles=adapters.bundles,
            logs=adapters.logs,
            observed=self._observed,
            nudge=self._nudges,
            now=self._now,
        )
        routing = RoutingController(
            database=self._database,
            gateway=CountedGateway(adapters.gateway, metrics),
            observed=self._observed,
            now=self._now,
        )
        rollout = RolloutController(
            database=self._database,
            observed=self._observed,
            measurements=self._measuring,
            nudge=self._nudges,
            now=self._now,
        )
        autoscaling = AutoscalingController(
            database=self._database,
            observed=self._observed,
            measurements=self._measuring,
            capacity=self._capacity,
            nudge=self._nudges,
            now=self._now,
            waiting=self._activator.waiting,
            told=metrics.scaled,
        )
        return (
            Controller(
                "autoscaling", reconcile=timed("autoscaling", autoscaling.reconcile, metrics), keys=autoscaling.keys
            ),
            Controller("rollout", reconcile=timed("rollout", rollout.reconcile, metrics), keys=rollout.keys),
            Controller(
                "revision", reconcile=timed("revision", revision.reconcile, metrics), keys=revision.keys, resync=resync
            ),
            Controller(
                "deployment",
                reconcile=timed("deployment", deployment.reconcile, metrics),
                keys=deployment.keys,
                resync=resync,
            ),
            # It reads all that there is: where that is much, every change of a thousand must not bring it.
            Controller(
                "routing",
                reconcile=timed("routing", routing.reconcile, metrics),
                keys=routing.keys,
                width=1,
                share=0.25,
            ),
        )

    def _on_pods(self, changed: frozenset[RevisionId]) -> None:
        for revision in changed:
            self._nudges("revision", revision)
        self._nudges("routing", "table")

    def _on_routes(self) -> None:
        routed, rejection = self._observed.routed(), self._observed.rejection
        if rejection is not None and rejection is not self._rejection:
            self._metrics.routing_rejected.inc()
        self._rejection = rejection
        for revision in routed ^ self._routed:
            self._nudges("revision", revision)
        self._routed = routed
        self._activator.look()
        self._nudges("routing", "table")

    def _on_scrub(self, scrub: Scrub) -> None:
        self._metrics.show_scrub(
            ended=scrub.ended_at.timestamp() if scrub.ended_at is not None else 0,
            bytes_read=scrub.bytes_read,
            is_complete=not scrub.trouble,
            damages=Counter((str(damage.environment), str(damage.place)) for damage in scrub.unmended),
            mended=len(scrub.damages) - len(scrub.unmended),
        )

    async def _sweep_logs(self) -> None:
        await self._adapters.log_files.sweep()

    async def _measure(self) -> None:
        async with self._database.read() as tx:
            by_status = await deployments.count_by_status(tx)
        phases: Counter[str] = Counter({str(phase): 0 for phase in PodPhase})
        phases.update(str(pod.phase) for pods in self._observed.all_pods().values() for pod in pods)
        self._metrics.show_pods(phases)
        self._metrics.show_deployments(by_status)
        self._metrics.routing_accepted.set(1 if self._observed.is_accepted() else 0)


class CountedGateway:
    """A gateway whose tables are counted once it took them."""

    def __init__(self, gateway: Gateway, metrics: ControlMetrics) -> None:
        self._gateway = gateway
        self._metrics = metrics

    async def publish(self, table: RoutingTable) -> None:
        """Publish and count."""
        await self._gateway.publish(table)
        self._metrics.routing_published.inc()

    async def accepted(self) -> RoutingVersion | None:
        """Ask what is in force."""
        return await self._gateway.accepted()

    async def traffic(self) -> Mapping[RevisionId, Traffic] | None:
        """Ask what was counted."""
        return await self._gateway.traffic()


def timed(noun: str, reconcile: Reconcile, metrics: ControlMetrics) -> Reconcile:
    """Count and time a controller's reconciles."""

    async def reconcile_and_count(key: str) -> timedelta | None:
        began, is_ok = time.perf_counter(), False
        try:
            delay = await reconcile(key)
            is_ok = True
            return delay
        finally:
            metrics.reconciled(noun, seconds=time.perf_counter() - began, is_ok=is_ok)

    return reconcile_and_count


async def every(period: timedelta, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do something now and again after each period, until cancelled; a failure is logged and tried again."""
    while True:
        try:
            await work()
        except TaxiwayError as error:
            log.warning("periodic work failed", what=what, reason=error.reason, message=error.message)
        except Exception:
            log.exception("periodic work failed", what=what)
        await asyncio.sleep(period.total_seconds())
