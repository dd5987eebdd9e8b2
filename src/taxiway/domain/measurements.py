"""What is measured of a revision: requests and their latency at the gateway, and what its pods use.

A *count* only grows while the gateway lives; a *sample* is what came between two looks; a *window* adds samples up.
Everything here is a pure function of counts: what the autoscaler and a rollout look at is what graphs show.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate

BOUNDS_MS = (
    1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750,
    1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000, 300_000,
)  # fmt: skip
"""Upper bounds of the latency buckets, milliseconds; the gateway measures whole ones. One more bucket has no bound."""
BUCKETS = len(BOUNDS_MS) + 1
NO_LATENCIES = (0,) * BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests that were answered, those of them answered 4xx and 5xx, and how long they took in all and by bucket.

    A request that found no pod, or no answer in time, is one of the 5xx. ``in_flight`` is of one moment. ``rows`` are
    the predictions that pods say they returned; the gateway does not know them.
    """

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    milliseconds: int = 0
    latencies: tuple[int, ...] = NO_LATENCIES
    in_flight: int = 0
    rows: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        """Add what came later."""
        return Traffic(
            requests=self.requests + other.requests,
            client_errors=self.client_errors + other.client_errors,
            server_errors=self.server_errors + other.server_errors,
            milliseconds=self.milliseconds + other.milliseconds,
            latencies=tuple(map(int.__add__, self.latencies, other.latencies)),
            in_flight=other.in_flight,
            rows=self.rows + other.rows,
        )

    def since(self, before: Traffic) -> Traffic:
        """Return what came after ``before``; all of it where the gateway began to count anew."""
        if before.requests > self.requests or before.milliseconds > self.milliseconds:
            return self
        if before.requests == self.requests and before.latencies == self.latencies:
            # So it is of most deployments at most times: a thousand of them are looked at every two seconds.
            return Traffic(in_flight=self.in_flight, rows=max(self.rows - before.rows, 0))
        return Traffic(
            requests=self.requests - before.requests,
            client_errors=max(self.client_errors - before.client_errors, 0),
            server_errors=max(self.server_errors - before.server_errors, 0),
            milliseconds=self.milliseconds - before.milliseconds,
            latencies=tuple(max(now - was, 0) for now, was in zip(self.latencies, before.latencies, strict=True)),
            in_flight=self.in_flight,
            rows=max(self.rows - before.rows, 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """What is used of this host: CPU seconds since it was started, bytes of memory; bytes free on the data's disk."""

    cpu_seconds: float
    memory_bytes: int
    disk_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What came of one revision in so many seconds up to ``at``, and its pods at that moment.

    ``elapsed`` is that moment on the clock that nobody sets. ``cpu_seconds`` were used meanwhile by all pods,
    ``serving_cpu_seconds`` by those that were ready all the while; memory is of all pods, bytes. None where not known.
    """

    at: datetime
    seconds: float
    traffic: Traffic
    elapsed: float = 0.0
    pods: int = 0
    ready: int = 0
    cpu_seconds: float | None = None
    serving_cpu_seconds: float | None = None
    memory_bytes: int | None = None
    more_in_flight: int = 0
    """How many more requests were being answered at its end than at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All that was measured of a deployment since somebody began to look, and its pods at the last look.

    Memory is of all pods, bytes; None where not known.
    """

    traffic: Traffic = field(default_factory=Traffic)
    cpu_seconds: float = 0.0
    pods: int = 0
    ready: int = 0
    memory_bytes: int | None = None

    def after(self, samples: Sequence[Sample]) -> Total:
        """Add one look: a sample of each of its revisions that had pods or traffic."""
        traffic = self.traffic
        for sample in samples:
            if sample.traffic.requests or sample.traffic.rows:
                traffic += sample.traffic
        memory = [sample.memory_bytes for sample in samples if sample.memory_bytes is not None]
        return Total(
            traffic=replace(traffic, in_flight=sum(sample.traffic.in_flight for sample in samples)),
            cpu_seconds=self.cpu_seconds + sum(sample.cpu_seconds or 0.0 for sample in samples),
            pods=sum(sample.pods for sample in samples),
            ready=sum(sample.ready for sample in samples),
            memory_bytes=sum(memory) if memory else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Samples of one revision, or of several, added up. Rates are by second, latencies in milliseconds.

    ``concurrency`` is how many requests were being answered on average; ``pods`` how many were ready on average.
    """

    seconds: float
    traffic: Traffic
    concurrency: float
    pods: float
    cpus: float | None
    memory_bytes: int | None
    serving_cpus: float | None = None
    """Without what pods used to start: that says nothing of the load. Not kept in the history."""
    more_in_flight: int = 0
    """How many more requests were being answered at its end than at its beginning. Not kept in the history."""

    @property
    def requests_per_second(self) -> float:
        """Answered requests."""
        return self.traffic.requests / self.seconds

    @property
    def arrivals_per_second(self) -> float:
        """Requests that came, whether they were answered or not: also more than pods can answer."""
        return max(self.traffic.requests + self.more_in_flight, 0) / self.seconds

    @property
    def rows_per_second(self) -> float:
        """Predictions that were returned."""
        return self.traffic.rows / self.seconds

    @property
    def error_rate(self) -> float:
        """Share of requests answered 5xx; 0 without requests."""
        return self.traffic.server_errors / self.traffic.requests if self.traffic.requests else 0.0

    def latency(self, share: float) -> float | None:
        """Return the latency that ``share`` of the requests stayed within; None without requests."""
        return quantile(self.traffic.latencies, share)


def bucket_of(milliseconds: float) -> int:
    """Return the number of the latency bucket."""
    return bisect_left(BOUNDS_MS, milliseconds)


def quantile(latencies: Sequence[int], share: float) -> float | None:
    """Estimate a quantile (0 < share ≤ 1) in milliseconds from counts by bucket; None where all are 0.

    Within a bucket values are taken to be spread evenly, as Prometheus' ``histogram_quantile`` does; of the last
    bucket, which has no upper bound, the lower one is returned.
    """
    total = sum(latencies)
    if total == 0:
        return None
    wanted = share * total
    for number, reached in enumerate(accumulate(latencies)):
        if reached >= wanted and latencies[number]:
            if number == len(BOUNDS_MS):
                break
            low = BOUNDS_MS[number - 1] if number else 0
            into = (wanted - (reached - latencies[number])) / latencies[number]
            return low + (BOUNDS_MS[number] - low) * max(into, 0.0)
    return float(BOUNDS_MS[-1])


def add_up(samples: Iterable[Sample]) -> Window | None:
    """Add up samples of one revision, oldest first; None without any.

    Concurrency is by Little's law the time that all answers took by the time that passed. Requests that take longer
    than the window would be missing; they are what was in flight at every look.
    """
    known = list(samples)
    seconds = sum(sample.seconds for sample in known)
    if seconds <= 0:
        return None
    traffic = Traffic()
    for sample in known:
        traffic += sample.traffic
    standing = min(sample.traffic.in_flight for sample in known)
    memory = [sample.memory_bytes for sample in known if sample.memory_bytes is not None]
    return Window(
        seconds=seconds,
        traffic=traffic,
        concurrency=max(traffic.milliseconds / 1000 / seconds, float(standing)),
        pods=sum(sample.ready * sample.seconds for sample in known) / seconds,
        cpus=_cores([(sample.cpu_seconds, sample.seconds) for sample in known]),
        memory_bytes=memory[-1] if memory else None,
        serving_cpus=_cores([(sample.serving_cpu_seconds, sample.seconds) for sample in known]),
        more_in_flight=sum(sample.more_in_flight for sample in known),
    )


def _cores(used: Sequence[tuple[float | None, float]]) -> float | None:
    """Return the cores that were used on average, by CPU seconds in so many seconds, where they are known."""
    measured = sum(seconds for spent, seconds in used if spent is not None)
    return sum(spent for spent, _ in used if spent is not None) / measured if measured else None


def join(windows: Sequence[Window]) -> Window | None:
    """Put windows of several revisions over the same time together; None without any."""
    if not windows:
        return None
    traffic, in_flight = Traffic(), 0
    for window in windows:
        traffic += window.traffic
        in_flight += window.traffic.in_flight
    cpus = [window.cpus for window in windows if window.cpus is not None]
    serving = [window.serving_cpus for window in windows if window.serving_cpus is not None]
    memory = [window.memory_bytes for window in windows if window.memory_bytes is not None]
    return Window(
        seconds=max(window.seconds for window in windows),
        traffic=replace(traffic, in_flight=in_flight),
        concurrency=sum(window.concurrency for window in windows),
        pods=sum(window.pods for window in windows),
        cpus=sum(cpus) if cpus else None,
        memory_bytes=sum(memory) if memory else None,
        serving_cpus=sum(serving) if serving else None,
        more_in_flight=sum(window.more_in_flight for window in windows),
    )
