"""Autoscaling: how many pods a deployment has between its least and its most. Pure: time and memory go in and out.

The number that the load asks for is

    wanted = ceil(load / target)                      where |load / (pods · target) - 1| > tolerance, else pods

with the load of all pods together and the target of one, as Knative's autoscaler does for concurrency and requests
per second (knative.dev, "KPA-specific settings"); for CPU and memory, whose target is a share of what a pod may use,
it is the formula of Kubernetes' HorizontalPodAutoscaler (kubernetes.io, "Algorithm details"), tolerance included.
Then, as in ``autoscaling/v2``:

| step           | what holds                                                                               |
| -------------- | ---------------------------------------------------------------------------------------- |
| stabilisation  | up: the least that was asked for in the window up; down: the most in the window down      |
| rate           | per period at most so many pods, or so many percent of those there were, more or fewer    |
| bounds         | never below the least (a schedule may raise it for a while), never above the most         |
| zero           | one pod becomes none where the least is 0 and ``idle`` passed without a request;          |
|                | none becomes one as soon as a request waits                                               |

Times are seconds of a clock that nobody sets, so that one that jumps changes nothing; only schedules look at the
wall clock. No data is no reason: without a window the number stays, but the bounds hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taxiway.domain.errors import InvalidInput
from taxiway.domain.measurements import Window
from taxiway.domain.resources import Resources, Scale

MOST_SCHEDULES = 20
MINUTES_OF_DAY = 24 * 60


class Metric(StrEnum):
    """What a policy looks at."""

    CPU = "cpu"
    """Percent of the CPUs that a pod may use."""
    MEMORY = "memory"
    """Percent of the memory that a pod may use."""
    CONCURRENCY = "concurrency"
    """Requests that are being answered at the same time, by pod."""
    REQUESTS = "requests"
    """Requests that come per second, by pod; those that wait are among them."""


_SHARES = (Metric.CPU, Metric.MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast the number may change: by ``pods`` or ``percent``, whichever is more, in ``period``."""

    pods: int
    percent: float
    period: timedelta

    def most(self, now: int) -> int:
        """Return by how many pods it may change from a number of them."""
        return max(self.pods, math.ceil(now * self.percent / 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A least number of pods on some days from one minute of the day until another, in a time zone.

    ``days`` are 0 (Monday) to 6. ``until`` before ``begins`` is on the next day. Minutes that a change of the clocks
    skips or repeats count as the wall clock shows them.
    """

    minimum: int
    days: tuple[int, ...]
    begins: int
    until: int
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= 100:
            raise InvalidInput("A schedule's least is 1 to 100 pods.", hint="Give another.", field=f"{_FIELD}/min_pods")
        if not self.days or not all(0 <= day <= 6 for day in self.days):
            raise InvalidInput(
                "A schedule has days from 0 (Monday) to 6.", hint="Give for example 0 to 4.", field=f"{_FIELD}/days"
            )
        if not all(0 <= minute < MINUTES_OF_DAY for minute in (self.begins, self.until)) or self.begins == self.until:
            raise InvalidInput(
                "A schedule begins and ends at different times of the day.",
                hint="As in 08:00-18:00.",
                field=f"{_FIELD}/until",
            )
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(
                "A schedule's time zone is not known here.",
                hint="Give one like Europe/Berlin.",
                field=f"{_FIELD}/zone",
            ) from None

    def holds(self, at: datetime) -> bool:
        """Tell whether it holds at a moment."""
        there = at.astimezone(ZoneInfo(self.zone))
        minute, day = there.hour * 60 + there.minute, there.weekday()
        if self.begins < self.until:
            return day in self.days and self.begins <= minute < self.until
        is_evening, is_morning = minute >= self.begins, minute < self.until
        return (day in self.days and is_evening) or ((day - 1) % 7 in self.days and is_morning)


_FIELD = "/autoscaling/schedules"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingPolicy:
    """What load one pod is to have, and how the number of pods follows it.

    ``target`` in the metric's unit: percent for CPU and memory, requests, or requests per second. ``over`` is the
    time that the load is an average of.
    """

    metric: Metric
    target: float
    tolerance: float = 0.1
    over: timedelta = timedelta(seconds=30)
    up_window: timedelta = timedelta()
    down_window: timedelta = timedelta(seconds=300)
    up: Rate = Rate(pods=4, percent=100.0, period=timedelta(seconds=15))
    down: Rate = Rate(pods=1, percent=100.0, period=timedelta(seconds=15))
    schedules: tuple[Schedule, ...] = ()
    idle: timedelta = timedelta(seconds=300)
    """How long no request must have come before the last pod is stopped, where the least is 0."""

    def __post_init__(self) -> None:
        most = 100.0 if self.metric in _SHARES else 1_000_000.0
        if not 0 < self.target <= most:
            raise InvalidInput(
                f"The target of {self.metric} is more than 0 and at most {most:g}.",
                hint="It is what one pod is to have: percent of CPU or memory, requests, or requests per second.",
                field="/autoscaling/target",
            )
        if not 0 <= self.tolerance <= 1:
            raise InvalidInput("The tolerance is 0 to 1.", hint="0.1 is usual.", field="/autoscaling/tolerance")
        for name, window, least, longest in (
            ("over", self.over, 4, 300),
            ("up_window", self.up_window, 0, 900),
            ("down_window", self.down_window, 0, 900),
            ("idle", self.idle, 10, 840),
        ):
            if not least <= window.total_seconds() <= longest:
                raise InvalidInput(
                    f"{name} is {least} to {longest} seconds.",
                    hint="Give another.",
                    field=f"/autoscaling/{name}_seconds",
                )
        for name, rate in (("up", self.up), ("down", self.down)):
            if not (0 <= rate.pods <= 100 and 0 <= rate.percent <= 10_000 and (rate.pods or rate.percent)):
                raise InvalidInput(
                    "A rate is up to 100 pods or 10,000 percent, and one of them is more than 0.",
                    hint="For example 4 pods or 100 percent in 15 seconds.",
                    field=f"/autoscaling/{name}_pods",
                )
            if not 1 <= rate.period.total_seconds() <= 900:
                raise InvalidInput(
                    "A rate's period is 1 to 900 seconds.",
                    hint="15 is usual.",
                    field=f"/autoscaling/{name}_period_seconds",
                )
        if len(self.schedules) > MOST_SCHEDULES:
            raise InvalidInput(f"There are at most {MOST_SCHEDULES} schedules.", hint="Give fewer.", field=_FIELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What ``decide`` remembers from one time to the next: what was asked for, and by how much the number changed.

    Both newest last, with seconds of the clock that nobody sets.
    """

    asked: tuple[tuple[float, int], ...] = ()
    changed: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many pods there are to be, what to remember, and why in one sentence; ``reason`` is empty for no change."""

    pods: int
    memory: Memory = field(default_factory=Memory)
    reason: str = ""


def decide(
    policy: AutoscalingPolicy,
    load: Window | None,
    *,
    scale: Scale,
    resources: Resources,
    pods: int,
    memory: Memory,
    elapsed: float,
    at: datetime,
    quiet: Window | None = None,
    needed: str = "",
) -> Decision:
    """Decide by the rules at the top of this file.

    ``pods`` is the number that was decided last, ``resources`` what one of them may use; ``load`` what was measured
    over ``policy.over``, ``quiet`` over ``policy.idle``. ``needed`` says why there must be a pod whatever was measured.
    ``elapsed`` is the clock that nobody sets, ``at`` the wall clock, for schedules alone.
    """
    least, why_least = bounds(policy, scale, at)
    if pods == 0:
        return _from_zero(least, why_least, needed, elapsed)
    within = min(max(pods, least), scale.maximum)
    measured = None if load is None else load_of(policy, load, resources)
    if measured is None:
        reason = "" if within == pods else f"{pods} -> {within}: {why_least or 'its bounds'}; nothing was measured"
        # Whoever saw nothing for a while has no right to say that fewer were asked for all the time.
        asked_anew = replace(memory, asked=(*memory.asked, (elapsed, within)))
        return Decision(pods=within, memory=_kept(policy, asked_anew, elapsed), reason=reason)
    asked = asked_for(policy, measured, pods)
    memory = _kept(policy, replace(memory, asked=(*memory.asked, (elapsed, asked))), elapsed)
    chosen = _limited(policy, _stabilised(policy, memory, pods, elapsed), memory, pods, elapsed)
    chosen = min(max(chosen, least), scale.maximum)
    if chosen == pods == 1 and least == 0 and not needed and _is_idle(policy, quiet):
        return Decision(pods=0, reason=f"1 -> 0: no request for {policy.idle.total_seconds():g} s")
    if chosen == pods:
        return Decision(pods=pods, memory=memory)
    reason = f"{pods} -> {chosen}: {_because(policy, measured, pods, chosen, least, why_least)}"
    return Decision(
        pods=chosen, memory=replace(memory, changed=(*memory.changed, (elapsed, chosen - pods))), reason=reason
    )


def bounds(policy: AutoscalingPolicy, scale: Scale, at: datetime) -> tuple[int, str]:
    """Return the least number of pods now, and the words for a schedule that raises it."""
    raised = max((schedule.minimum for schedule in policy.schedules if schedule.holds(at)), default=0)
    least = min(max(scale.minimum, raised), scale.maximum)
    return least, f"its schedule wants {raised} at least" if raised > scale.minimum else ""


def check_zero(policy: AutoscalingPolicy | None, scale: Scale) -> None:
    """Raise InvalidInput where there may be no pod and nothing says after what time."""
    if scale.minimum == 0 and policy is None:
        raise InvalidInput(
            "Without an autoscaling policy there is one pod at least.",
            hint="Give a policy too, for example concurrency=5 (`--autoscale concurrency=5`).",
            field="/min_pods",
        )


def _from_zero(least: int, why_least: str, needed: str, elapsed: float) -> Decision:
    """Only a request, or whatever else needs a pod, ends a rest: there is no load to measure."""
    woken = max(least, 1 if needed else 0)
    if woken == 0:
        return Decision(pods=0)
    why = needed or why_least or "its bounds"
    return Decision(pods=woken, memory=Memory(asked=((elapsed, woken),)), reason=f"0 -> {woken}: {why}")


def _is_idle(policy: AutoscalingPolicy, quiet: Window | None) -> bool:
    """Tell whether no request came all the time, and that was measured all the time, with a pod that was ready."""
    if quiet is None or quiet.seconds < policy.idle.total_seconds() - _SLACK_SECONDS:
        return False
    return quiet.traffic.requests == 0 and quiet.concurrency == 0 and quiet.pods >= 1


_SLACK_SECONDS = 4.0
"""What two looks may lack of a window: one at its beginning and the one that is not taken yet."""


def load_of(policy: AutoscalingPolicy, load: Window, resources: Resources) -> float | None:
    """Return the load of all pods together in the unit of the target; None where it was not measured."""
    match policy.metric:
        case Metric.CPU:
            return None if load.serving_cpus is None else 100 * load.serving_cpus / resources.cpus
        case Metric.MEMORY:
            return None if load.memory_bytes is None else 100 * load.memory_bytes / resources.memory_bytes
        case Metric.CONCURRENCY:
            return load.concurrency
        case Metric.REQUESTS:
            return load.arrivals_per_second


def asked_for(policy: AutoscalingPolicy, measured: float, pods: int) -> int:
    """Return how many pods the load asks for: the formula at the top of this file."""
    if abs(measured / (pods * policy.target) - 1) <= policy.tolerance:
        return pods
    return max(math.ceil(measured / policy.target - 1e-9), 1)


def _stabilised(policy: AutoscalingPolicy, memory: Memory, pods: int, elapsed: float) -> int:
    since_up, since_down = (
        elapsed - policy.up_window.total_seconds(),
        elapsed - policy.down_window.total_seconds(),
    )
    newest = memory.asked[-1][1]
    up = min(asked for at, asked in memory.asked if at >= since_up or at == memory.asked[-1][0])
    down = max(asked for at, asked in memory.asked if at >= since_down or at == memory.asked[-1][0])
    return max(up, pods) if newest > pods else min(down, pods)


def _limited(policy: AutoscalingPolicy, chosen: int, memory: Memory, pods: int, elapsed: float) -> int:
    rate = policy.up if chosen > pods else policy.down
    lately = [change for at, change in memory.changed if at > elapsed - rate.period.total_seconds()]
    if chosen > pods:
        before = pods - sum(change for change in lately if change > 0)
        return min(chosen, max(before + rate.most(before), pods))
    before = pods - sum(change for change in lately if change < 0)
    return max(chosen, min(before - rate.most(before), pods))


def _kept(policy: AutoscalingPolicy, memory: Memory, elapsed: float) -> Memory:
    """Forget what no window and no rate looks at any more."""
    window = max(policy.up_window, policy.down_window).total_seconds()
    period = max(policy.up.period, policy.down.period).total_seconds()
    return Memory(
        asked=tuple(each for each in memory.asked if each[0] >= elapsed - window),
        changed=tuple(each for each in memory.changed if each[0] > elapsed - period),
    )


_UNITS = {Metric.CPU: " %", Metric.MEMORY: " %", Metric.CONCURRENCY: "", Metric.REQUESTS: "/s"}


def _because(policy: AutoscalingPolicy, measured: float, pods: int, chosen: int, least: int, why_least: str) -> str:
    unit = _UNITS[policy.metric]
    each = f"{policy.metric} {measured / pods:.3g}{unit} per pod"
    if chosen == least and why_least and chosen > pods:
        return f"{why_least}; {each}"
    sign, window = (">", policy.up_window) if chosen > pods else ("<", policy.down_window)
    lasting = max(policy.over, window)
    return f"{each} {sign} {policy.target:g}{unit} for {lasting.total_seconds():g} s"
