"""Every metric of the control plane, declared once.

Labels have few values: no ids, and of names that people choose only those of deployments, of which there are as many as
the host has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from taxiway.domain.deployments import Deployment
from taxiway.domain.measurements import BOUNDS_MS, HostUse, Total
from taxiway.domain.models import Environment

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DEPLOYMENT = ("environment", "project", "deployment")
"""Labels: ``deployment`` is the name of a production deployment, and MODEL/VERSION of a staging one."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeasuredMetrics(Collector):
    """What was measured of deployments and of this host: the figures that graphs, the autoscaler and rollouts have."""

    def __init__(self) -> None:
        self.totals: Callable[[], Sequence[tuple[Deployment, Total]]] = tuple
        self.host: Callable[[], HostUse | None] = lambda: None

    def collect(self) -> Iterator[Metric]:
        """Tell the counts at this moment."""
        yield from self._of_deployments()
        yield from self._of_host()

    def _of_deployments(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "taxiway_deployment_requests",
            "Requests to the endpoint that were answered, also by the gateway itself, by class of status.",
            labels=(*DEPLOYMENT, "status"),
        )
        seconds = HistogramMetricFamily(
            "taxiway_deployment_request_seconds", "Time to answer, at the gateway.", labels=DEPLOYMENT
        )
        rows = CounterMetricFamily("taxiway_deployment_rows", "Predictions that pods returned.", labels=DEPLOYMENT)
        in_flight = GaugeMetricFamily(
            "taxiway_deployment_in_flight", "Requests that wait or are being answered.", labels=DEPLOYMENT
        )
        pods = GaugeMetricFamily("taxiway_deployment_pods", "Pods that there are.", labels=DEPLOYMENT)
        ready = GaugeMetricFamily("taxiway_deployment_ready_pods", "Pods that are ready.", labels=DEPLOYMENT)
        cpu = CounterMetricFamily(
            "taxiway_deployment_cpu_seconds", "CPU time of all pods, starts included, seconds.", labels=DEPLOYMENT
        )
        memory = GaugeMetricFamily("taxiway_deployment_memory_bytes", "Memory of all pods, bytes.", labels=DEPLOYMENT)
        for deployment, total in self.totals():
            labels, traffic = labels_of(deployment), total.traffic
            answered = {"4xx": traffic.client_errors, "5xx": traffic.server_errors}
            answered["2xx"] = max(traffic.requests - sum(answered.values()), 0)
            for status, count in sorted(answered.items()):
                requests.add_metric((*labels, status), count)
            bounds = (*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf")
            counts = accumulate(traffic.latencies)
            buckets = [(bound, float(count)) for bound, count in zip(bounds, counts, strict=True)]
            seconds.add_metric(labels, buckets, sum_value=traffic.milliseconds / 1000)
            rows.add_metric(labels, traffic.rows)
            in_flight.add_metric(labels, traffic.in_flight)
            pods.add_metric(labels, total.pods)
            ready.add_metric(labels, total.ready)
            cpu.add_metric(labels, total.cpu_seconds)
            if total.memory_bytes is not None:
                memory.add_metric(labels, total.memory_bytes)
        yield from (requests, seconds, rows, in_flight, pods, ready, cpu, memory)

    def _of_host(self) -> Iterator[Metric]:
        cpu = CounterMetricFamily("taxiway_host_cpu_seconds", "CPU time that this host's cores were busy, seconds.")
        memory = GaugeMetricFamily("taxiway_host_memory_bytes", "Memory that is in use on this host, bytes.")
        disk = GaugeMetricFamily("taxiway_host_disk_free_bytes", "Room on the disk of the data, bytes.")
        use = self.host()
        if use is not None:
            cpu.add_metric((), use.cpu_seconds)
            memory.add_metric((), use.memory_bytes)
            disk.add_metric((), use.disk_free_bytes)
        yield from (cpu, memory, disk)


class ControlMetrics:
    """The metrics and the registry that they are in; one of these a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "taxiway_api_requests",
            "Answered requests by route template, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "taxiway_api_request_seconds",
            "Time to answer, streams included, by route template and method.",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.logins = Counter(
            "taxiway_logins", "Attempts to sign in with a password by outcome.", ("outcome",), registry=self.registry
        )
        self.denials = Counter(
            "taxiway_denials", "Requests that were refused, by reason.", ("reason",), registry=self.registry
        )
        self.streams = Gauge("taxiway_log_streams", "Open log streams.", registry=self.registry)
        self.reconciles = Counter(
            "taxiway_reconciles",
            "Finished reconciles by noun and outcome.",
            ("noun", "outcome"),
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "taxiway_reconcile_seconds",
            "Time of a reconcile by noun.",
            ("noun",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.deployments = Gauge("taxiway_deployments", "Deployments by status.", ("status",), registry=self.registry)
        self.pods = Gauge("taxiway_pods", "Pods by phase.", ("phase",), registry=self.registry)
        self.scalings = Counter(
            "taxiway_scalings",
            "Changes of the number of pods by the autoscaler; the deployment's events have the reasons.",
            (*DEPLOYMENT, "direction"),
            registry=self.registry,
        )
        self.measured = MeasuredMetrics()
        self.registry.register(self.measured)
        self.damages = Gauge(
            "taxiway_snapshot_damages",
            "Damaged files of kept snapshots that the last scrub found and did not mend, by store and copy.",
            ("environment", "place"),
            registry=self.registry,
        )
        self.mended = Counter(
            "taxiway_snapshot_files_mended", "Damaged files that scrubs made whole again.", registry=self.registry
        )
        self.scrub_ended = Gauge(
            "taxiway_scrub_ended_timestamp_seconds", "When the last scrub ended; 0 before.", registry=self.registry
        )
        self.scrub_bytes = Gauge("taxiway_scrub_bytes", "Bytes that the last scrub read.", registry=self.registry)
        self.scrub_is_whole = Gauge(
            "taxiway_scrub_complete", "1 when the last scrub could read everything.", registry=self.registry
        )
        self.routing_published = Counter(
            "taxiway_routing_tables_published", "Routing tables given to the gateway.", registry=self.registry
        )
        self.routing_rejected = Counter(
            "taxiway_routing_tables_rejected", "Routing tables that the gateway refused.", registry=self.registry
        )
        self.routing_accepted = Gauge(
            "taxiway_routing_table_accepted",
            "1 when the routing table that was published last is in force.",
            registry=self.registry,
        )

    def answered(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        shown = method if method in METHODS else "other"
        self.requests.labels(route, shown, str(status)).inc()
        self.request_seconds.labels(route, shown).observe(seconds)

    def reconciled(self, noun: str, *, seconds: float, is_ok: bool) -> None:
        """Count one reconcile."""
        self.reconciles.labels(noun, "ok" if is_ok else "error").inc()
        self.reconcile_seconds.labels(noun).observe(seconds)

    def scaled(self, deployment: Deployment, is_up: bool) -> None:
        """Count one change by the autoscaler."""
        self.scalings.labels(*labels_of(deployment), "up" if is_up else "down").inc()

    def show_scrub(
        self, *, ended: float, bytes_read: int, is_complete: bool, damages: Mapping[tuple[str, str], int], mended: int
    ) -> None:
        """Set what the last scrub found; damages by environment and copy, those that are left out become 0."""
        self.scrub_ended.set(ended)
        self.scrub_bytes.set(bytes_read)
        self.scrub_is_whole.set(is_complete)
        self.mended.inc(mended)
        self.damages.clear()
        for labels, value in damages.items():
            self.damages.labels(*labels).set(value)

    def show_deployments(self, by_status: Mapping[str, int]) -> None:
        """Set how many deployments have each status; statuses that are left out become 0."""
        _show(self.deployments, by_status)

    def show_pods(self, by_phase: Mapping[str, int]) -> None:
        """Set how many pods are in each phase; phases that are left out become 0."""
        _show(self.pods, by_phase)

    def text(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self.registry)


def labels_of(deployment: Deployment) -> tuple[str, str, str]:
    """Return the values of ``DEPLOYMENT``."""
    is_production = deployment.environment is Environment.PRODUCTION
    name = deployment.name if is_production else f"{deployment.model}/{deployment.version}"
    return str(deployment.environment), str(deployment.project), name


def _show(gauge: Gauge, values: Mapping[str, int]) -> None:
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)
