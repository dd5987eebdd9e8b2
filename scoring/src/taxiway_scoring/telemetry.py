"""What a pod counts, and how Prometheus reads it. Every metric is declared here, once.

A small writer of our own: the text format is a page long, and a client library would have to agree with whatever the
model pins.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of latency, seconds."""

METRICS = {
    "taxiway_pod_requests_total": ("counter", "Requests to the prediction routes, by status code."),
    "taxiway_pod_request_seconds": ("histogram", "Time from the whole request to the answer, seconds."),
    "taxiway_pod_rows_total": ("counter", "Predictions returned."),
    "taxiway_pod_in_flight": ("gauge", "Requests being answered or waiting."),
    "taxiway_pod_joined_requests_total": (
        "counter",
        "Requests whose rows were predicted together with those of others.",
    ),
    "taxiway_pod_careful_reads_total": ("counter", "Requests that only the careful reader could read."),
    "taxiway_pod_serving_path": ("gauge", "1 for the path from rows to predictions: plan, frame or pyfunc."),
    "taxiway_pod_output_mismatches_total": ("counter", "Answers that broke the model's own output schema."),
    "taxiway_pod_load_seconds": ("gauge", "Time that loading the model took, seconds."),
    "taxiway_pod_example_seconds": ("gauge", "Time that scoring the input example took, seconds."),
    "taxiway_pod_cpu_seconds_total": ("counter", "CPU time of the process, seconds."),
    "taxiway_pod_memory_bytes": ("gauge", "Resident memory of the process, bytes."),
    "taxiway_pod_up_seconds": ("gauge", "Time since the process started, seconds."),
}


class Telemetry:
    """Counts of one process. Used from the event loop only."""

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        self.rows = 0
        self.in_flight = 0
        self.output_mismatches = 0
        self.joined = 0
        self.careful = 0
        self.path = ("", "")
        """The serving path and its name."""
        self.load_seconds = 0.0
        self.example_seconds = 0.0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._began = time.monotonic()

    def count(self, status: int, seconds: float, rows: int) -> None:
        """Count one answered prediction request."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds
        self.rows += rows

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format 0.0.4."""
        usage = os.times()
        values = {
            "taxiway_pod_requests_total": [
                (f'{{code="{code}"}}', float(count)) for code, count in sorted(self.requests.items())
            ],
            "taxiway_pod_request_seconds": self._histogram(),
            "taxiway_pod_rows_total": [("", float(self.rows))],
            "taxiway_pod_in_flight": [("", float(self.in_flight))],
            "taxiway_pod_joined_requests_total": [("", float(self.joined))],
            "taxiway_pod_careful_reads_total": [("", float(self.careful))],
            "taxiway_pod_serving_path": [(f'{{path="{self.path[0]}",name="{self.path[1]}"}}', 1.0)],
            "taxiway_pod_output_mismatches_total": [("", float(self.output_mismatches))],
            "taxiway_pod_load_seconds": [("", self.load_seconds)],
            "taxiway_pod_example_seconds": [("", self.example_seconds)],
            "taxiway_pod_cpu_seconds_total": [("", usage.user + usage.system)],
            "taxiway_pod_memory_bytes": [("", float(_resident_bytes()))],
            "taxiway_pod_up_seconds": [("", time.monotonic() - self._began)],
        }
        lines = []
        for name, (kind, text) in METRICS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{labels} {value:.17g}" for labels, value in values[name]]
        return ("\n".join(lines) + "\n").encode()

    def _histogram(self) -> list[tuple[str, float]]:
        total, lines = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets):
            total += count
            lines.append((f'_bucket{{le="{bound}"}}', float(total)))
        return [*lines, ("_sum", self._seconds), ("_count", float(total))]


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
