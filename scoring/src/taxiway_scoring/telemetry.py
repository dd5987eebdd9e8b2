"""What a pod counts, and how Prometheus reads it. Every metric is declared here, once.

A small writer of our own: the text format is a page long, and a client library would have to agree with whatever the
model pins. The workers of a pod count in memory that they share, so that whoever is asked tells the whole.
"""

from __future__ import annotations

import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Iterator

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
    "taxiway_pod_cpu_seconds_total": ("counter", "CPU time of all its processes, seconds."),
    "taxiway_pod_memory_bytes": ("gauge", "Memory of all its processes, what they share counted once, bytes."),
    "taxiway_pod_up_seconds": ("gauge", "Time since the process started, seconds."),
    "taxiway_pod_workers": ("gauge", "Processes that predict."),
    "taxiway_pod_worker_restarts_total": ("counter", "Workers that were replaced, by reason: stuck or crashed."),
}


CODES = (200, 400, 404, 405, 406, 413, 415, 422, 429, 500, 503, 504)
"""The status codes of prediction routes; others are counted as 500."""
_AT = {code: at for at, code in enumerate(CODES)}
_BUCKET = len(CODES)
_FIELDS = (
    "seconds",
    "rows",
    "in_flight",
    "output_mismatches",
    "joined",
    "joined_inline",
    "careful",
    "pid",
    "beat",
    "closed",
    "stuck",
    "crashed",
)
_FIELD = {name: at for at, name in enumerate(_FIELDS, _BUCKET + len(BUCKETS) + 1)}
_SIZE = _BUCKET + len(BUCKETS) + 1 + len(_FIELDS)


class Board:
    """Numbers of several processes in shared memory: a slot for the parent and one for each worker."""

    def __init__(self, slots: int = 1) -> None:
        cells = memoryview(mmap.mmap(-1, slots * _SIZE * 8)).cast("d")
        self.slots = [cells[at : at + _SIZE] for at in range(0, slots * _SIZE, _SIZE)]

    def get(self, slot: int, field: str) -> float:
        """Return a number of a slot."""
        return self.slots[slot][_FIELD[field]]

    def set(self, slot: int, field: str, value: float) -> None:
        """Write a number of a slot."""
        self.slots[slot][_FIELD[field]] = value

    def sum(self, field: str) -> float:
        """Return the sum over all slots."""
        return sum(slot[_FIELD[field]] for slot in self.slots)

    @property
    def pids(self) -> list[int]:
        """The processes that live, the parent first."""
        return [int(slot[_FIELD["pid"]]) for slot in self.slots if slot[_FIELD["pid"]]]


class _Number:
    """A field of the own slot as an attribute."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._at = _FIELD[name]

    def __get__(self, instance: Telemetry, _owner: type) -> float:
        return instance.cells[self._at]

    def __set__(self, instance: Telemetry, value: float) -> None:
        instance.cells[self._at] = value


class Telemetry:
    """Counts of one process, next to those of the others on its board. A number has one thread that writes it."""

    in_flight = _Number()
    output_mismatches = _Number()
    joined = _Number()
    joined_inline = _Number()
    careful = _Number()
    closed = _Number()
    beat = _Number()

    def __init__(self, board: Board | None = None) -> None:
        self.board = board or Board()
        self.path = ("", "")
        """The serving path and its name."""
        self.load_seconds = 0.0
        self.example_seconds = 0.0
        self._began = time.monotonic()
        self.take_slot(0)

    def take_slot(self, number: int) -> None:
        """Count in this slot from now on: that of the parent (0) or of a worker."""
        self.cells = self.board.slots[number]
        self.board.set(number, "pid", os.getpid())
        self.in_flight = 0

    @property
    def requests(self) -> dict[int, int]:
        """How many requests had which status code, in all processes."""
        sums = [int(sum(slot[at] for slot in self.board.slots)) for at in range(len(CODES))]
        return {code: count for code, count in zip(CODES, sums) if count}

    def count(self, status: int, seconds: float, rows: int) -> None:
        """Count one answered prediction request."""
        cells = self.cells
        cells[_AT.get(status, _AT[500])] += 1
        cells[_BUCKET + bisect_left(BUCKETS, seconds)] += 1
        cells[_SECONDS] += seconds
        cells[_ROWS] += rows

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format 0.0.4."""
        board, pids = self.board, self.board.pids
        values = {
            "taxiway_pod_requests_total": [
                (f'{{code="{code}"}}', float(count)) for code, count in self.requests.items()
            ],
            "taxiway_pod_request_seconds": self._histogram(),
            "taxiway_pod_rows_total": [("", board.sum("rows"))],
            "taxiway_pod_in_flight": [("", board.sum("in_flight"))],
            "taxiway_pod_joined_requests_total": [("", board.sum("joined") + board.sum("joined_inline"))],
            "taxiway_pod_careful_reads_total": [("", board.sum("careful"))],
            "taxiway_pod_serving_path": [(f'{{path="{self.path[0]}",name="{self.path[1]}"}}', 1.0)],
            "taxiway_pod_output_mismatches_total": [("", board.sum("output_mismatches"))],
            "taxiway_pod_load_seconds": [("", self.load_seconds)],
            "taxiway_pod_example_seconds": [("", self.example_seconds)],
            "taxiway_pod_cpu_seconds_total": [("", sum(map(_cpu_seconds, pids)))],
            "taxiway_pod_memory_bytes": [("", float(_memory_bytes(pids)))],
            "taxiway_pod_up_seconds": [("", time.monotonic() - self._began)],
            "taxiway_pod_workers": [("", float(max(1, len(pids) - 1)))],
            "taxiway_pod_worker_restarts_total": [
                (f'{{reason="{reason}"}}', board.sum(reason)) for reason in ("stuck", "crashed")
            ],
        }
        return ("\n".join(_lines(values)) + "\n").encode()

    def _histogram(self) -> list[tuple[str, float]]:
        total, lines = 0.0, []
        for at, bound in enumerate((*map(str, BUCKETS), "+Inf"), _BUCKET):
            total += sum(slot[at] for slot in self.board.slots)
            lines.append((f'_bucket{{le="{bound}"}}', total))
        return [*lines, ("_sum", self.board.sum("seconds")), ("_count", total)]


_SECONDS, _ROWS = _FIELD["seconds"], _FIELD["rows"]


def _lines(values: dict[str, list[tuple[str, float]]]) -> Iterator[str]:
    for name, (kind, text) in METRICS.items():
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"
        for labels, value in values[name]:
            yield f"{name}{labels} {value:.17g}"


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children that ended (proc(5), fields 14 to 17)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def _memory_bytes(pids: list[int]) -> int:
    """Return the resident memory of one process; of several the proportional set sizes, for they share most of it."""
    try:
        if len(pids) > 1:
            return sum(map(_proportional_bytes, pids))
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _proportional_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Pss:"))
