"""Every metric of the control plane, declared once. Labels have few values: no ids, no names that people choose."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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


def _show(gauge: Gauge, values: Mapping[str, int]) -> None:
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)
