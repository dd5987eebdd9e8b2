"""What size a model needs: at which rates it is loaded, where it gives in, and what follows for production. Pure.

One pod is loaded in steps. The rate doubles while the limits hold, and halves until they do; then the geometric mean
of the greatest rate that held and the least that did not is tried, until they are less than ``CLOSE`` apart. The
greatest that held is the knee. From it:

| what      | rule                                                                                                    |
| --------- | ------------------------------------------------------------------------------------------------------- |
| a pod     | is to have ``USED`` of the knee: the rest serves until there are more pods                              |
| CPUs      | those that were measured with, where more than ``BUSY`` of them were used at the knee, else ``ROOM``    |
|           | times what was used, for bursts; in tenths                                                              |
| memory    | the most that was seen, and a quarter, in steps of 64Mi                                                 |
| least     | as many pods as the expected rate needs                                                                 |
| most      | as many as the peak needs                                                                               |
| target    | the requests per second, the concurrency or the percent of its CPUs that one pod has at that rate       |

Requests are what is recommended where nothing else is asked for: the formula of autoscaling takes the load to be the
same whatever pods there are. Concurrency is not: it grows faster than the load and falls when pods come, so that pods
may come and go at a steady load. Nor is CPU, of which a full pod cannot use more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from taxiway.domain.autoscaling import Metric
from taxiway.domain.errors import InvalidInput
from taxiway.domain.resources import MAX_CPUS, MAX_PODS, MEBIBYTE, MIN_CPUS, Resources, Scale

CLOSE = 1.25
USED = 0.7
BUSY = 0.6
ROOM = 1.5
MEMORY_ROOM = 1.25
MEMORY_STEP = 64 * MEBIBYTE
LEAST_RATE = 0.2
"""Requests per second; what does not hold below is not searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What callers are to feel at most: milliseconds at the 99th percentile, and the share of requests that fail."""

    p99_ms: float
    errors: float = 0.01

    def __post_init__(self) -> None:
        if not self.p99_ms > 0:
            raise InvalidInput("The limit of the 99th percentile is above 0 ms.", hint="Give for example 100.")
        if not 0 <= self.errors < 1:
            raise InvalidInput("The limit of errors is a share from 0 to below 1.", hint="0.01 is 1 %.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate, and what was seen at it. ``late_ms`` is how late the load's own program was, at the 99th percentile.

    ``achieved`` are good answers per second; ``cpus`` and ``memory_bytes`` are of one pod, None where not measured.
    """

    rate: float
    seconds: float
    achieved: float
    errors: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    late_ms: float = 0.0
    cpus: float | None = None
    memory_bytes: int | None = None

    def holds(self, limits: Limits) -> bool:
        """Tell whether the limits hold."""
        return self.p99_ms <= limits.p99_ms and self.errors <= limits.errors

    @property
    def concurrency(self) -> float:
        """Requests that were being answered on average, by Little's law."""
        return self.achieved * self.mean_ms / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to ask for in production. ``rate`` is what one pod is to have, requests per second."""

    resources: Resources
    scale: Scale
    metric: Metric
    target: float
    rate: float
    notes: Sequence[str] = ()
    """What to know of it, in sentences."""

    @property
    def flags(self) -> str:
        """Options of ``taxiway production promote`` and ``configure``."""
        memory = self.resources.memory_bytes // MEBIBYTE
        return (
            f"--cpus {self.resources.cpus:g} --memory {memory}Mi --min-pods {self.scale.minimum} "
            f"--max-pods {self.scale.maximum} --autoscale {self.metric}={self.target:g}"
        )


def next_rate(steps: Sequence[Step], limits: Limits, *, most: float) -> float | None:
    """Return the rate to try after these steps, ``most`` at most; None where the knee is known well enough."""
    good = max((step.rate for step in steps if step.holds(limits)), default=None)
    bad = min((step.rate for step in steps if not step.holds(limits)), default=None)
    if good is None:
        return None if bad is None or bad / 2 < LEAST_RATE else bad / 2
    if bad is None:
        return None if good >= most else min(good * 2, most)
    # Where noise let a smaller rate break than one that held, the knee is what held below it.
    below = max((step.rate for step in steps if step.rate < bad and step.holds(limits)), default=None)
    if below is None or bad / below <= CLOSE:
        return None
    return math.sqrt(below * bad)


def knee_of(steps: Sequence[Step], limits: Limits) -> Step | None:
    """Return the step of the greatest rate below which all held; None where none did."""
    held = None
    for step in sorted(steps, key=lambda each: each.rate):
        if not step.holds(limits):
            break
        held = step
    return held


def recommend(
    steps: Sequence[Step],
    limits: Limits,
    *,
    measured_with: Resources,
    metric: Metric = Metric.REQUESTS,
    expected: float | None = None,
    peak: float | None = None,
) -> Recommendation:
    """Recommend by the table at the top of this file. Raises InvalidInput where no step held, or for a wrong wish.

    ``expected`` and ``peak`` are requests per second of all callers; else what one pod is to have, and three times it.
    """
    knee = knee_of(steps, limits)
    if knee is None:
        raise InvalidInput(
            f"No rate held a 99th percentile of {limits.p99_ms:g} ms and {limits.errors:.2%} errors.",
            hint="Give the pod more CPUs, or a longer limit (`--max-p99`).",
        )
    check_wish(metric, expected, peak)
    rate = USED * knee.rate
    cpus, notes = _cpus(knee, measured_with)
    usual = rate if expected is None else expected
    most = max(3 * usual if peak is None else peak, usual)
    least_pods, most_pods = math.ceil(usual / rate - 1e-9), math.ceil(most / rate - 1e-9)
    if most_pods > MAX_PODS:
        notes = (*notes, f"The peak needs {most_pods} pods; a deployment has {MAX_PODS} at most.")
    if all(step.holds(limits) for step in steps):
        notes = (*notes, "The limits held at every rate that was tried: the knee may be higher (`--max-rate`).")
    if any(not step.holds(limits) and step.late_ms > step.p99_ms / 2 for step in steps):
        notes = (
            *notes,
            "The program that made the load was late itself: with more CPUs for it the knee may be higher.",
        )
    return Recommendation(
        resources=Resources(cpus=cpus, memory_bytes=_memory(steps, measured_with)),
        scale=Scale(minimum=min(least_pods, MAX_PODS), maximum=min(max(most_pods, least_pods), MAX_PODS)),
        metric=metric,
        target=_target(steps, metric, rate, cpus),
        rate=rate,
        notes=notes,
    )


def check_wish(metric: Metric, expected: float | None, peak: float | None) -> None:
    """Raise InvalidInput for what cannot be recommended for."""
    if metric is Metric.MEMORY:
        raise InvalidInput("Memory does not follow the load of a model.", hint="Use requests, concurrency or cpu.")
    if (expected is not None and expected <= 0) or (peak is not None and peak < (expected or 0)):
        raise InvalidInput("The peak is at least the expected rate, which is above 0.", hint="Give both per second.")


def _cpus(knee: Step, measured_with: Resources) -> tuple[float, tuple[str, ...]]:
    if knee.cpus is None:
        return measured_with.cpus, ("CPU was not measured: these are the CPUs that the pod has.",)
    if knee.cpus > BUSY * measured_with.cpus:
        return measured_with.cpus, ()
    enough = math.ceil(10 * ROOM * knee.cpus - 1e-9) / 10
    cpus = min(max(enough, MIN_CPUS), measured_with.cpus, MAX_CPUS)
    if cpus == measured_with.cpus:
        return cpus, ()
    return cpus, (f"At the knee {knee.cpus:.2g} of {measured_with.cpus:g} CPUs were used; size again with {cpus:g}.",)


def _memory(steps: Sequence[Step], measured_with: Resources) -> int:
    most = max((step.memory_bytes for step in steps if step.memory_bytes is not None), default=None)
    if most is None:
        return measured_with.memory_bytes
    return math.ceil(most * MEMORY_ROOM / MEMORY_STEP) * MEMORY_STEP


def _target(steps: Sequence[Step], metric: Metric, rate: float, cpus: float) -> float:
    match metric:
        case Metric.CONCURRENCY:
            found = _at(steps, rate, lambda step: step.concurrency)
        case Metric.CPU:
            used = _at(steps, rate, lambda step: step.cpus)
            found = None if used is None else min(100 * used / cpus, 95.0)
        case _:
            found = rate
    if found is None:
        raise InvalidInput("CPU was not measured.", hint="Use requests or concurrency (`--metric`).")
    return float(f"{found:.2g}")


def _at(steps: Sequence[Step], rate: float, figure: Callable[[Step], float | None]) -> float | None:
    """Return a figure at a rate: by a straight line between the steps around it, and from nothing at no load."""
    known = [(step.rate, value) for step in steps if (value := figure(step)) is not None]
    for (low, below), (high, above) in pairwise([(0.0, 0.0), *sorted(known)]):
        if low <= rate <= high:
            return below + (above - below) * (rate - low) / (high - low)
    return None
