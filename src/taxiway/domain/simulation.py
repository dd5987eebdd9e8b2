"""What a policy would do with a load: requests one by one, pods that take their time to start. Pure, with a seed.

Requests come at random at a rate that changes (a Poisson process). Each is answered by the ready pod that has the
fewest, which works on ``parallel`` of them at a time, first come, first served, for a service time drawn from those
that are given. Every two seconds what was measured goes to ``autoscaling.decide``, as it does in the control plane.
Not simulated: what pods of one host take from each other, and callers that ask again after an error.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from heapq import heappop, heappush, heapreplace
from itertools import pairwise

from taxiway.domain.autoscaling import AutoscalingPolicy, Memory, decide
from taxiway.domain.errors import InvalidInput
from taxiway.domain.measurements import NO_LATENCIES, Traffic, Window
from taxiway.domain.resources import Resources, Scale

LOOK_EVERY = 2.0
MOST_REQUESTS = 3_000_000
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, midnight: for schedules."""


class Shape(StrEnum):
    """How requests per second change over the time that is simulated."""

    STEADY = "steady"
    """The peak all the time."""
    SPIKE = "spike"
    """A tenth of the peak, and the peak for a fifth of the time in the middle."""
    DAY = "day"
    """A wave from a tenth of the peak to the peak and back."""


def rate_of(shape: Shape, peak: float, duration: float) -> Callable[[float], float]:
    """Return the requests per second at each second."""
    match shape:
        case Shape.STEADY:
            return lambda _at: peak
        case Shape.SPIKE:
            return lambda at: peak if 0.4 <= at / duration < 0.6 else peak / 10
        case Shape.DAY:
            return lambda at: peak * (0.1 + 0.9 * (1 - math.cos(2 * math.pi * at / duration)) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What one simulated pod is like: seconds from its wish to its first answer, and how many it works on at a time."""

    start_seconds: float = 3.0
    parallel: int = 1
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What came of it. Latencies in milliseconds; ``flips`` are changes of direction an hour."""

    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    pod_hours: float
    most_pods: int
    flips_per_hour: float
    changes: Sequence[tuple[float, int, str]]
    """When, to how many pods, and why."""


@dataclass(slots=True)
class _Running:
    """One pod: when it answers first, and when each of its places is free again."""

    ready_at: float
    places: list[float]
    leaves_at: float | None = None
    ends: list[float] = field(default_factory=list)


def simulate(
    policy: AutoscalingPolicy | None,
    scale: Scale,
    rate: Callable[[float], float],
    *,
    duration: float,
    service_seconds: Sequence[float],
    pod: Pod | None = None,
    seed: int = 0,
) -> Simulated:
    """Run a policy (None: as many pods as at least) for so many seconds. Raises InvalidInput for too much."""
    if not service_seconds or min(service_seconds) <= 0:
        raise InvalidInput("A simulation needs service times above 0.", hint="Give what one request takes.")
    if duration * max(rate(at) for at in (0, duration / 4, duration / 2, duration * 0.75)) > MOST_REQUESTS:
        raise InvalidInput("These are too many requests to simulate.", hint="Simulate a shorter time.")
    pod = pod or Pod()
    chance = random.Random(seed)  # noqa: S311
    least = max(scale.minimum, 1)
    pods = [_Running(ready_at=0.0, places=[0.0] * pod.parallel) for _ in range(least)]
    wanted, memory = least, Memory()
    latencies: list[float] = []
    errors, pod_seconds, look_at = 0, 0.0, LOOK_EVERY
    busy: list[tuple[float, float]] = []
    changes: list[tuple[float, int, str]] = []
    at = 0.0
    while at < duration:
        at += chance.expovariate(max(rate(at), 1e-3))
        while look_at <= min(at, duration):
            pod_seconds += LOOK_EVERY * sum(each.leaves_at is None for each in pods)
            if policy is not None:
                busy = [each for each in busy if each[1] > look_at - policy.over.total_seconds()]
                decision = decide(
                    policy, _measured(policy, busy, look_at), scale=scale, resources=Resources(), pods=wanted,
                    memory=memory, elapsed=look_at, at=BEGIN + timedelta(seconds=look_at),
                )  # fmt: skip
                memory = decision.memory
                if decision.pods != wanted:
                    wanted = decision.pods
                    changes.append((look_at, wanted, decision.reason))
                    _scale(pods, wanted, look_at, pod)
            look_at += LOOK_EVERY
        if at >= duration:
            break
        took = _answer(pods, at, chance.choice(service_seconds), pod.timeout_seconds)
        if took is None:
            errors += 1
            continue
        latencies.append(took)
        busy.append((at, at + took))
    return _sum_up(latencies, errors, pod_seconds, changes, duration, scale)


def _scale(pods: list[_Running], wanted: int, at: float, pod: Pod) -> None:
    staying = [each for each in pods if each.leaves_at is None]
    for each in staying[wanted:]:
        each.leaves_at = at
    for _ in range(wanted - len(staying)):
        ready = at + pod.start_seconds
        pods.append(_Running(ready_at=ready, places=[ready] * pod.parallel))
    pods[:] = [each for each in pods if each.leaves_at is None]


def _answer(pods: list[_Running], at: float, service: float, timeout: float) -> float | None:
    """Let the ready pod with the fewest requests answer; return how long it took, None for too long."""
    ready = [each for each in pods if each.ready_at <= at] or pods
    for each in ready:
        while each.ends and each.ends[0] <= at:
            heappop(each.ends)
    chosen = min(ready, key=lambda each: len(each.ends))
    begins = max(at, chosen.places[0])
    if begins + service - at > timeout:
        return None
    heapreplace(chosen.places, begins + service)
    heappush(chosen.ends, begins + service)
    return begins + service - at


def _measured(policy: AutoscalingPolicy, busy: Sequence[tuple[float, float]], now: float) -> Window:
    """Return what the control plane would have measured: requests that ended, and their time."""
    since = now - policy.over.total_seconds()
    ended = [(begin, end) for begin, end in busy if since < end <= now]
    seconds = min(policy.over.total_seconds(), now)
    spent = sum(end - begin for begin, end in ended)
    working = sum(max(min(end, now) - max(begin, since), 0.0) for begin, end in busy)
    return Window(
        seconds=seconds,
        traffic=Traffic(requests=len(ended), milliseconds=round(spent * 1000), latencies=NO_LATENCIES),
        concurrency=spent / seconds,
        pods=1.0,
        cpus=working / seconds,
        serving_cpus=working / seconds,
        memory_bytes=None,
    )


def _sum_up(
    latencies: list[float],
    errors: int,
    pod_seconds: float,
    changes: list[tuple[float, int, str]],
    duration: float,
    scale: Scale,
) -> Simulated:
    latencies.sort()
    counts = [max(scale.minimum, 1), *(pods for _, pods, _ in changes)]
    steps = [later > earlier for earlier, later in pairwise(counts)]
    flips = sum(one != other for one, other in pairwise(steps))

    def share(part: float) -> float:
        return 1000 * latencies[min(int(part * len(latencies)), len(latencies) - 1)] if latencies else 0.0

    return Simulated(
        requests=len(latencies) + errors,
        errors=errors,
        p50_ms=share(0.5),
        p95_ms=share(0.95),
        p99_ms=share(0.99),
        pod_hours=pod_seconds / 3600,
        most_pods=max(counts),
        flips_per_hour=flips * 3600 / duration,
        changes=changes,
    )
