"""What a policy would do with a load: requests one by one, pods that take their time to start. Pure, with a seed.

Requests come at random at a rate that changes (a Poisson process). Of two ready pods taken at random the one with
fewer requests answers, as Envoy's LEAST_REQUEST does; a pod works on ``parallel`` of them at a time, first come, first
served, for a service time drawn from those that are given. That is CPU time: a pod that used its share of a tenth of
a second waits for the next one, as the kernel's CFS quota has it, and where pods want more than the host has cores,
all are slowed down alike; one that starts wants a core. Every two seconds what came and was answered is a sample, as
the control plane takes them, and a second later ``autoscaling.decide`` gets the window of them. Without a pod requests
wait until one is ready; one that has too many refuses more. Not simulated: callers that ask again after an error.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from heapq import heappop, heappush
from itertools import pairwise

from taxiway.domain.autoscaling import AutoscalingPolicy, Memory, decide
from taxiway.domain.errors import InvalidInput
from taxiway.domain.measurements import Sample, Traffic, Window, add_up
from taxiway.domain.resources import Resources, Scale

LOOK_EVERY = 2.0
DECIDES_AFTER = 1.0
"""How old the newest sample is on average when it is decided upon."""
RATE_HOLDS = 0.5
"""For so long a rate that changes is taken to be as it was."""
PERIOD = 0.1
"""The time in which a pod may use its share of CPU; the stub asks the kernel for it."""
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


def arrivals(rate: Callable[[float], float], duration: float, chance: random.Random) -> Iterator[float]:
    """Yield the seconds at which requests come at random: a Poisson process whose rate changes.

    It has no memory, so that a pause that is longer than the rate is looked at for can be drawn anew.
    """
    at = 0.0
    while at < duration:
        now = rate(at)
        pause = chance.expovariate(now) if now > 0 else math.inf
        at += min(pause, RATE_HOLDS)
        if pause <= RATE_HOLDS and at < duration:
            yield at


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What one simulated pod is like: seconds from its wish to its first answer, and how many it works on at a time.

    ``cpus`` is what it may use; ``overhead_seconds`` is what each answer takes besides its service time. More than
    ``queue`` requests behind those that it works on are refused, as the scoring server does.
    """

    start_seconds: float = 3.0
    parallel: int = 1
    timeout_seconds: float = 30.0
    cpus: float = 1.0
    overhead_seconds: float = 0.0
    queue: int = 128


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
    """One pod: after what work it answers first, what it works on, and what waits in it."""

    ready_at: float
    working: int = 0
    queue: deque[tuple[float, float]] = field(default_factory=deque)
    """When each came, and its service time."""
    period: int = -1
    used: float = 0.0
    """Of the share of that period."""

    @property
    def requests(self) -> int:
        return self.working + len(self.queue)


def simulate(
    policy: AutoscalingPolicy | None,
    scale: Scale,
    rate: Callable[[float], float],
    *,
    duration: float,
    service_seconds: Sequence[float],
    pod: Pod | None = None,
    cores: float = math.inf,
    seed: int = 0,
) -> Simulated:
    """Run a policy (None: as many pods as at least) for so many seconds. Raises InvalidInput for too much.

    ``cores`` are those of the host that are left for pods.
    """
    if not service_seconds or min(service_seconds) <= 0:
        raise InvalidInput("A simulation needs service times above 0.", hint="Give what one request takes.")
    if duration * max(rate(at) for at in (0, duration / 4, duration / 2, duration * 0.75)) > MOST_REQUESTS:
        raise InvalidInput("These are too many requests to simulate.", hint="Simulate a shorter time.")
    if cores <= 0:
        raise InvalidInput("A host has more than no cores.", hint="Give those that are left for pods.")
    running = _Simulation(policy, scale, pod or Pod(), cores, service_seconds, random.Random(seed))  # noqa: S311
    running.run(arrivals(rate, duration, random.Random(seed + 1)), duration)  # noqa: S311
    return running.sum_up(duration)


class _Simulation:
    """The pods and their clock.

    Work is counted in seconds of an undisturbed core, of which fewer pass when pods want more than the cores:
    ``_worked``. All that work go on alike, so what needs least of those is answered first.
    """

    def __init__(
        self, policy: AutoscalingPolicy | None, scale: Scale, pod: Pod, cores: float, services: Sequence[float],
        chance: random.Random,
    ) -> None:  # fmt: skip
        self._policy, self._scale, self._pod, self._cores = policy, scale, pod, cores
        self._services, self._chance = services, chance
        least = scale.minimum if policy is not None else max(scale.minimum, 1)
        self._wanted, self._memory = least, Memory()
        self._pods = [_Running(ready_at=0.0) for _ in range(least)]
        self._starting: list[_Running] = []
        self._held: deque[tuple[float, float]] = deque()
        """Requests that wait for a pod."""
        self._ends: list[tuple[float, int, float, float, _Running]] = []
        """By the work after which each is answered: a number, when it came, its service time, its pod."""
        self._now = self._worked = 0.0
        self._busy = 0
        self._number = 0
        self._latencies: list[float] = []
        self._errors = 0
        self._pod_seconds = 0.0
        self._changes: list[tuple[float, int, str]] = []
        self._samples: deque[Sample] = deque()
        self._answered = self._in_flight = self._before = 0
        self._spent = self._cpu = 0.0

    def run(self, due: Iterator[float], duration: float) -> None:
        """Let the events happen in their order: answers, pods that are ready, looks, decisions, requests."""
        looks, decides = LOOK_EVERY, LOOK_EVERY + DECIDES_AFTER
        arrives = next(due, math.inf)
        while True:
            # One that has less than a core waits for the rest of its time; others have the core meanwhile.
            wanted = self._busy * min(self._pod.cpus, 1.0) + len(self._starting)
            speed = min(self._cores / wanted, 1.0) if wanted else 1.0
            ends = self._now + max(self._ends[0][0] - self._worked, 0.0) / speed if self._ends else math.inf
            begins = self._starting[0].ready_at if self._starting else math.inf
            ready = self._now + max(begins - self._worked, 0.0) / speed
            at = min(ends, ready, looks, decides, arrives)
            if at > duration:
                break
            self._worked += (at - self._now) * speed
            self._now = at
            if at == ends:
                self._end()
            elif at == ready:
                self._pods.append(self._starting.pop(0))
                while self._held:
                    self._give(*self._held.popleft())
            elif at == looks:
                self._look()
                looks += LOOK_EVERY
            elif at == decides:
                self._decide()
                decides += LOOK_EVERY
            else:
                self._in_flight += 1
                self._give(at, self._chance.choice(self._services))
                arrives = next(due, math.inf)

    # ------------------------------------------------------------ requests

    def _give(self, came: float, service: float) -> None:
        """Give a request to one of two pods, or let it wait until there is one."""
        if not self._pods:
            self._held.append((came, service))
            if self._wanted == 0:
                self._decide()
            return
        one, other = self._chance.choice(self._pods), self._chance.choice(self._pods)
        chosen = one if one.requests <= other.requests else other
        if chosen.requests >= self._pod.parallel + self._pod.queue:
            self._errors += 1
            self._answer(came)
            return
        chosen.queue.append((came, service))
        self._begin(chosen)

    def _begin(self, pod: _Running) -> None:
        while pod.queue and pod.working < self._pod.parallel:
            came, service = pod.queue.popleft()
            if self._now - came > self._pod.timeout_seconds:
                self._errors += 1
                self._answer(came)
                continue
            pod.working += 1
            self._busy += 1
            self._number += 1
            heappush(self._ends, (self._work_until(pod, service), self._number, came, service, pod))

    def _work_until(self, pod: _Running, service: float) -> float:
        """Return after what work it is answered: where the pod's share of a period is used, in a later one."""
        share = self._pod.cpus * PERIOD
        if self._pod.cpus >= self._pod.parallel:
            return self._worked + service
        at = self._worked
        while True:
            period = int(at / PERIOD + 1e-9)
            if period != pod.period:
                pod.period, pod.used = period, 0.0
            possible = min(share - pod.used, (period + 1) * PERIOD - at)
            if service <= possible:
                pod.used += service
                return at + service
            service -= max(possible, 0.0)
            pod.used += max(possible, 0.0)
            at = (period + 1) * PERIOD

    def _end(self) -> None:
        _, _, came, service, pod = heappop(self._ends)
        pod.working -= 1
        self._busy -= 1
        self._cpu += service
        took = self._now - came + self._pod.overhead_seconds
        if took > self._pod.timeout_seconds:
            self._errors += 1
        else:
            self._latencies.append(took)
        self._answer(came)
        self._begin(pod)

    def _answer(self, came: float) -> None:
        self._in_flight -= 1
        self._answered += 1
        self._spent += self._now - came + self._pod.overhead_seconds

    # ------------------------------------------------------------ pods

    def _look(self) -> None:
        self._pod_seconds += LOOK_EVERY * (len(self._pods) + len(self._starting))
        self._samples.append(
            Sample(
                at=BEGIN,
                seconds=LOOK_EVERY,
                traffic=Traffic(
                    requests=self._answered, milliseconds=round(self._spent * 1000), in_flight=self._in_flight
                ),
                elapsed=self._now,
                pods=self._wanted,
                ready=len(self._pods),
                cpu_seconds=self._cpu,
                serving_cpu_seconds=self._cpu,
                more_in_flight=self._in_flight - self._before,
            )
        )
        self._answered, self._spent, self._cpu, self._before = 0, 0.0, 0.0, self._in_flight
        longest = 0.0 if self._policy is None else max(self._policy.over, self._policy.idle).total_seconds()
        while self._samples[0].elapsed < self._now - longest:
            self._samples.popleft()

    def _window(self, over: timedelta) -> Window | None:
        since = self._now - over.total_seconds()
        return add_up(sample for sample in self._samples if sample.elapsed > since)

    def _decide(self) -> None:
        policy = self._policy
        if policy is None:
            return
        may_rest = self._wanted == 1 and self._scale.minimum == 0
        decision = decide(
            policy, self._window(policy.over), scale=self._scale, resources=Resources(cpus=self._pod.cpus),
            pods=self._wanted, memory=self._memory, elapsed=self._now, at=BEGIN + timedelta(seconds=self._now),
            quiet=self._window(policy.idle) if may_rest else None, needed="a request waits" if self._held else "",
        )  # fmt: skip
        self._memory = decision.memory
        if decision.pods == self._wanted:
            return
        self._wanted = decision.pods
        self._changes.append((self._now, decision.pods, decision.reason))
        for _ in range(len(self._pods) + len(self._starting) - decision.pods):
            # One that leaves answers what it has; it gets no more.
            _ = self._starting.pop() if self._starting else self._pods.pop()
        for _ in range(decision.pods - len(self._pods) - len(self._starting)):
            self._starting.append(_Running(ready_at=self._worked + self._pod.start_seconds))

    def sum_up(self, duration: float) -> Simulated:
        """Return what came of it."""
        latencies = sorted(self._latencies)
        least = max(self._scale.minimum, 1) if self._policy is None else self._scale.minimum
        counts = [least, *(pods for _, pods, _ in self._changes)]

        def share(part: float) -> float:
            return 1000 * latencies[min(int(part * len(latencies)), len(latencies) - 1)] if latencies else 0.0

        return Simulated(
            requests=len(latencies) + self._errors,
            errors=self._errors,
            p50_ms=share(0.5),
            p95_ms=share(0.95),
            p99_ms=share(0.99),
            pod_hours=self._pod_seconds / 3600,
            most_pods=max(counts),
            flips_per_hour=flips(counts) * 3600 / duration,
            changes=self._changes,
        )


def flips(counts: Sequence[int]) -> int:
    """Return how often the number of pods changed its direction."""
    steps = [later > earlier for earlier, later in pairwise(counts) if later != earlier]
    return sum(one != other for one, other in pairwise(steps))
