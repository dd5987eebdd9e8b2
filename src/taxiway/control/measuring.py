"""Looks every two seconds at what the gateway counted and what pods use, and remembers it.

The last minutes are in memory, for the autoscaler, rollouts and lists; the last days are in the history's file, for
graphs. A look that the gateway does not answer makes no sample: no data is not the same as no requests.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from taxiway.control.observed import Observed
from taxiway.domain.deployments import Deployment
from taxiway.domain.ids import DeploymentId, PodId, RevisionId
from taxiway.domain.measurements import HostUse, Sample, Total, Traffic, Window, add_up, join
from taxiway.domain.models import Environment
from taxiway.domain.pods import PodObservation, PodPhase
from taxiway.ports import Clock, Gateway
from taxiway.store import deployments, history, revisions, usage
from taxiway.store.database import Database
from taxiway.store.history import ALL, COARSE, FINE, FINE_KEPT, HOST, Period
from taxiway.store.usage import Usage

EVERY = timedelta(seconds=2)
REMEMBERED = timedelta(minutes=15)
"""How far back windows reach: the longest stabilisation window and rollout step."""


class Measuring:
    """Takes samples, answers for windows of them, and writes the history."""

    def __init__(
        self,
        *,
        database: Database,
        history_database: Database,
        gateway: Gateway,
        observed: Observed,
        host: Callable[[], HostUse],
        kept: timedelta,
        now: Clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._history = history_database
        self._gateway = gateway
        self._observed = observed
        self._host = host
        self._kept = kept
        self._now = now
        self._elapsed = elapsed
        self._counted: Mapping[RevisionId, Traffic] | None = None
        self._looked_at = 0.0
        self._cpu: dict[PodId, PodObservation] = {}
        """The pods at the last look."""
        self._samples: dict[RevisionId, deque[Sample]] = defaultdict(lambda: deque(maxlen=_MOST_SAMPLES))
        self._written: dict[int, datetime] = {}
        self._deployments: dict[RevisionId, DeploymentId] = {}
        self._known: dict[DeploymentId, Deployment] = {}
        """The deployments that were measured, as they were then, also one that was deleted since."""
        self._totals: dict[DeploymentId, Total] = {}
        self._host_was: dict[int, tuple[HostUse | None, float]] = {}
        """Of the last period of each step."""

    def of_revision(self, revision: RevisionId, *, over: timedelta) -> Window | None:
        """Add up the samples of the last while; None without any."""
        since = self._elapsed() - over.total_seconds()
        return add_up(sample for sample in self._samples.get(revision, ()) if sample.elapsed > since)

    def of_deployment(self, deployment: DeploymentId, *, over: timedelta) -> Window | None:
        """Add up the samples of all of a deployment's revisions."""
        keys = [key for key in self._samples if self._deployments.get(key) == deployment]
        return join([window for key in keys if (window := self.of_revision(key, over=over)) is not None])

    def between(self, revision: RevisionId, since: datetime, until: datetime) -> Window | None:
        """Add up the samples that were taken between two moments, the second included."""
        return add_up(sample for sample in self._samples.get(revision, ()) if since < sample.at <= until)

    def totals(self) -> Sequence[tuple[Deployment, Total]]:
        """Return what was measured of each deployment since this process began to look."""
        return [(self._known[key], total) for key, total in self._totals.items()]

    async def look(self) -> None:
        """Take a sample of every revision that is routed or has pods, and write what is due of the history."""
        counted, elapsed, at = await self._gateway.traffic(), self._elapsed(), self._now()
        cpu = self._cpu_used()
        if counted is None:
            return
        taken: Mapping[RevisionId, Sample] = {}
        if self._counted is not None and elapsed > self._looked_at:
            taken = self._sample(counted, cpu, at=at, seconds=elapsed - self._looked_at)
        self._counted, self._looked_at = counted, elapsed
        await self._learn_deployments()
        self._add_to_totals(taken)
        await self._write(at)

    def _sample(
        self,
        counted: Mapping[RevisionId, Traffic],
        cpu: Mapping[RevisionId, tuple[float, float]],
        *,
        at: datetime,
        seconds: float,
    ) -> Mapping[RevisionId, Sample]:
        before, taken = self._counted or {}, dict[RevisionId, Sample]()
        all_pods = self._observed.all_pods()
        rows = self._observed.take_rows()
        for key in counted.keys() | all_pods.keys() | rows.keys():
            pods = all_pods.get(key, ())
            now, was = counted.get(key, Traffic()), before.get(key, Traffic())
            traffic = now.since(was)
            traffic = replace(traffic, rows=rows.get(key, 0))
            spent, serving = cpu.get(key, (None, None))
            if pods or traffic.requests or traffic.rows:
                taken[key] = Sample(
                    at=at,
                    seconds=seconds,
                    traffic=traffic,
                    elapsed=self._elapsed(),
                    pods=len(pods),
                    ready=sum(pod.phase is PodPhase.READY for pod in pods),
                    cpu_seconds=spent,
                    serving_cpu_seconds=serving,
                    memory_bytes=_memory(pods),
                    more_in_flight=now.in_flight - was.in_flight,
                )
                self._samples[key].append(taken[key])
        for key in list(self._samples):
            while self._samples[key] and self._samples[key][0].at < at - REMEMBERED:
                self._samples[key].popleft()
            if not self._samples[key]:
                del self._samples[key]
        return taken

    def _add_to_totals(self, taken: Mapping[RevisionId, Sample]) -> None:
        """Add a look's samples; of a deployment without any, nothing came and no pod is there."""
        by_deployment: dict[DeploymentId, list[Sample]] = {key: [] for key in self._known}
        for key, sample in taken.items():
            if self._deployments.get(key) in by_deployment:
                by_deployment[self._deployments[key]].append(sample)
        self._totals = {key: self._totals.get(key, Total()).after(samples) for key, samples in by_deployment.items()}

    def _cpu_used(self) -> Mapping[RevisionId, tuple[float, float]]:
        """Return the CPU seconds of each revision's pods since the last look: of all, and of those ready all along."""
        used: dict[RevisionId, tuple[float, float]] = {}
        known: dict[PodId, PodObservation] = {}
        for key, pods in self._observed.all_pods().items():
            for pod in pods:
                if pod.cpu_seconds is None:
                    continue
                known[pod.id] = pod
                was = self._cpu.get(pod.id, pod)
                more = pod.cpu_seconds - (was.cpu_seconds or 0.0)
                # Where nothing counts for a whole pod, one that was restarted counts from nothing again.
                more = pod.cpu_seconds if more < 0 else more
                served = was.phase is pod.phase is PodPhase.READY and was.restarts == pod.restarts
                spent, serving = used.get(key, (0.0, 0.0))
                used[key] = (spent + more, serving + (more if served else 0.0))
        self._cpu = known
        return used

    # -------------------------------------------------------------- history

    async def _write(self, at: datetime) -> None:
        periods: list[Period] = []
        due = [step for step in (FINE, COARSE) if _begin(at, step) != self._written.setdefault(step, _begin(at, step))]
        if not due:
            return
        for step in due:
            periods += self._periods(self._written[step], step)
            self._written[step] = _begin(at, step)
        if COARSE in due:
            await self._add_usage([period for period in periods if period.step == COARSE])
        async with self._history.write() as tx:
            await history.insert_periods(tx, periods)
            if COARSE in due:
                await history.delete_before(tx, step=FINE, at=at - FINE_KEPT)
                await history.delete_before(tx, step=COARSE, at=at - self._kept)

    async def _add_usage(self, periods: Sequence[Period]) -> None:
        """Put a minute of production's deployments on their account."""
        used = [
            period for period in periods
            if period.deployment in self._known
            and self._known[period.deployment].environment is Environment.PRODUCTION
        ]  # fmt: skip
        if not used:
            return
        async with self._database.write() as tx:
            for period in used:
                deployment = self._known[period.deployment]
                await usage.add(
                    tx,
                    Usage(
                        deployment=period.deployment,
                        day=period.at.date(),
                        name=deployment.name,
                        customer=deployment.customer,
                        requests=period.traffic.requests,
                        rows=period.traffic.rows,
                        client_errors=period.traffic.client_errors,
                        server_errors=period.traffic.server_errors,
                        cpu_seconds=(period.cpus or 0.0) * period.seconds,
                        pod_seconds=period.pods * period.seconds,
                    ),
                )

    async def _learn_deployments(self) -> None:
        """Learn whose the revisions are that were measured, as long as they are there to be asked for."""
        unknown = self._samples.keys() - self._deployments.keys()
        if unknown:
            async with self._database.read() as tx:
                self._deployments |= dict(await revisions.deployments_of(tx, list(unknown)))
                self._known |= {each.id: each for each in await deployments.all_living(tx)}
        self._deployments = {key: found for key, found in self._deployments.items() if key in self._samples}
        measured = set(self._deployments.values())
        self._known = {key: found for key, found in self._known.items() if key in measured}

    def _periods(self, begin: datetime, step: int) -> list[Period]:
        end = begin + timedelta(seconds=step)
        found: list[Period] = []
        windows: list[Window] = []
        for key in self._samples:
            window = self.between(key, begin, end)
            if window is not None and key in self._deployments:
                windows.append(window)
                found.append(_period(key, self._deployments[key], window, begin, step))
        together = join(windows)
        if together is not None:
            found.append(_period(ALL, DeploymentId(""), together, begin, step))
        found.append(self._host_period(begin, step))
        return found

    def _host_period(self, begin: datetime, step: int) -> Period:
        use, elapsed = self._host(), self._elapsed()
        was, at = self._host_was.get(step, (None, elapsed))
        self._host_was[step] = (use, elapsed)
        return Period(
            key=HOST,
            deployment=DeploymentId(""),
            at=begin,
            step=step,
            seconds=float(step),
            traffic=Traffic(),
            concurrency=0.0,
            pods=0.0,
            cpus=None if was is None or elapsed <= at else (use.cpu_seconds - was.cpu_seconds) / (elapsed - at),
            memory_bytes=use.memory_bytes,
            disk_bytes=use.disk_free_bytes,
        )


_MOST_SAMPLES = int(REMEMBERED / EVERY) + 10


def _period(key: str, deployment: DeploymentId, window: Window, begin: datetime, step: int) -> Period:
    return Period(
        key=key,
        deployment=deployment,
        at=begin,
        step=step,
        seconds=window.seconds,
        traffic=window.traffic,
        concurrency=window.concurrency,
        pods=window.pods,
        cpus=window.cpus,
        memory_bytes=window.memory_bytes,
    )


def _memory(pods: Sequence[PodObservation]) -> int | None:
    known = [pod.memory_bytes for pod in pods if pod.memory_bytes is not None]
    return sum(known) if known else None


def _begin(at: datetime, step: int) -> datetime:
    """Return when the period began that a moment is in."""
    return at - timedelta(seconds=at.timestamp() % step)
