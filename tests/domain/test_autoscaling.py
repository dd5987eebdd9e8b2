"""Do pods follow the load, within bounds, without flapping, and never without data?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.autoscaling import (
    AutoscalingPolicy,
    Decision,
    Memory,
    Metric,
    Rate,
    Schedule,
    asked_for,
    check_zero,
    decide,
)
from taxiway.domain.errors import InvalidInput
from taxiway.domain.measurements import Traffic, Window
from taxiway.domain.resources import Resources, Scale
from tests.builders import NOW

SCALE = Scale(minimum=1, maximum=10)
POLICY = AutoscalingPolicy(metric=Metric.CONCURRENCY, target=5)
AT_ONCE = Rate(pods=100, percent=0, period=timedelta(seconds=1))
QUICK = replace(POLICY, up=AT_ONCE, down=AT_ONCE, down_window=timedelta())


def a_load(
    concurrency: float = 0.0, *, rps: float = 0.0, cpus: float | None = None, memory: int | None = None
) -> Window:
    return Window(
        seconds=30, traffic=Traffic(requests=round(rps * 30)), concurrency=concurrency, pods=1, cpus=None,
        serving_cpus=cpus, memory_bytes=memory,
    )  # fmt: skip


def one(
    policy: AutoscalingPolicy, load: Window | None, *, pods: int = 1, memory: Memory | None = None,
    elapsed: float = 1000.0, at: datetime = NOW, scale: Scale = SCALE, resources: Resources | None = None,
) -> Decision:  # fmt: skip
    return decide(
        policy, load, scale=scale, resources=resources or Resources(), pods=pods, memory=memory or Memory(),
        elapsed=elapsed, at=at,
    )  # fmt: skip


def run(policy: AutoscalingPolicy, loads: list[float | None], *, pods: int = 1, every: float = 2.0) -> list[int]:
    """Decide again and again; the load is that of all pods together."""
    memory, found = Memory(), []
    for number, load in enumerate(loads):
        decision = one(policy, None if load is None else a_load(load), pods=pods, memory=memory, elapsed=number * every)
        pods, memory = decision.pods, decision.memory
        found.append(pods)
    return found


def test_pods_are_the_load_by_the_target_rounded_up() -> None:
    assert [one(QUICK, a_load(load)).pods for load in (4, 5, 7.4, 10, 23, 100)] == [1, 1, 2, 2, 5, 10]


def test_each_metric_has_its_own_unit() -> None:
    resources = Resources(memory_bytes=1 << 30, cpus=2)
    for metric, target, load in (
        (Metric.CPU, 50.0, a_load(cpus=3.0)),
        (Metric.MEMORY, 40.0, a_load(memory=1 << 30)),
        (Metric.REQUESTS, 100.0, a_load(rps=290)),
    ):
        policy = replace(QUICK, metric=metric, target=target)
        assert one(policy, load, resources=resources).pods == 3, metric


def test_within_the_tolerance_nothing_changes() -> None:
    assert asked_for(POLICY, 10.9, 2) == 2
    assert asked_for(POLICY, 9.1, 2) == 2
    assert asked_for(POLICY, 11.1, 2) == 3


def test_a_steady_load_of_101_percent_never_flaps() -> None:
    assert set(run(QUICK, [5.05 * 3] * 500, pods=3)) == {3}


@given(st.floats(0.1, 60))
def test_a_steady_load_is_answered_once(load: float) -> None:
    found = run(QUICK, [load] * 200)
    assert len(set(found[1:])) == 1, "the second decision is the last one"


@given(st.floats(0.1, 200), st.floats(0.1, 200), st.integers(1, 10))
def test_more_load_never_asks_for_fewer(one_load: float, other: float, pods: int) -> None:
    low, high = sorted((one_load, other))
    assert one(QUICK, a_load(low), pods=pods).pods <= one(QUICK, a_load(high), pods=pods).pods


any_load = st.one_of(st.none(), st.floats(0, 1000))


@given(st.lists(any_load, min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 20))
def test_never_beyond_the_bounds(loads: list[float | None], least: int, more: int) -> None:
    scale, memory, pods = Scale(minimum=least, maximum=least + more), Memory(), least
    for number, load in enumerate(loads):
        window = None if load is None else a_load(load)
        decision = one(POLICY, window, pods=pods, memory=memory, elapsed=number * 2.0, scale=scale)
        pods, memory = decision.pods, decision.memory
        assert scale.minimum <= pods <= scale.maximum


@given(st.integers(1, 10))
def test_no_data_is_no_reason(pods: int) -> None:
    decision = one(POLICY, None, pods=pods)
    assert (decision.pods, decision.reason) == (pods, "")
    assert one(replace(POLICY, metric=Metric.CPU), a_load(9), pods=pods).pods == pods, "CPU was not measured"


def test_bounds_that_changed_hold_without_data() -> None:
    assert one(POLICY, None, pods=1, scale=Scale(minimum=3, maximum=5)).pods == 3
    assert one(POLICY, None, pods=9, scale=Scale(minimum=3, maximum=5)).pods == 5


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40), st.integers(-(10**6), 10**6))
def test_a_wall_clock_that_jumps_changes_nothing(loads: list[float], seconds: int) -> None:
    def decisions(jump: timedelta) -> list[int]:
        memory, pods, found = Memory(), 1, []
        for number, load in enumerate(loads):
            at = NOW + (jump if number >= len(loads) // 2 else timedelta())
            decision = one(POLICY, a_load(load), pods=pods, memory=memory, elapsed=number * 2.0, at=at)
            pods, memory = decision.pods, decision.memory
            found.append(pods)
        return found

    assert decisions(timedelta(seconds=seconds)) == decisions(timedelta())


def test_down_only_after_the_whole_window_asked_for_fewer() -> None:
    policy = replace(POLICY, down_window=timedelta(seconds=60), down=AT_ONCE)
    found = run(policy, [*[20.0] * 5, *[4.0] * 40], pods=4)
    assert found[5:34] == [4] * 29
    assert found[-1] == 1


def test_up_waits_for_its_window_too() -> None:
    policy = replace(QUICK, up_window=timedelta(seconds=10))
    assert run(policy, [4, 4, 50, 4, 50, 50, 50, 50, 50, 50, 50])[:9] == [1] * 9
    assert run(policy, [4] + [50.0] * 8)[-1] == 10


def test_a_rate_holds_the_number_back() -> None:
    slow = replace(QUICK, up=Rate(pods=2, percent=0, period=timedelta(seconds=10)))
    assert run(slow, [50.0] * 12)[:6] == [3, 3, 3, 3, 3, 5]
    double = replace(QUICK, up=Rate(pods=0, percent=100, period=timedelta(seconds=10)))
    assert run(double, [50.0] * 17)[::5] == [2, 4, 8, 10]


def test_the_reason_has_the_numbers() -> None:
    assert one(QUICK, a_load(14.8), pods=2).reason == "2 -> 3: concurrency 7.4 per pod > 5 for 30 s"
    assert one(QUICK, a_load(2.0), pods=3).reason == "3 -> 1: concurrency 0.667 per pod < 5 for 30 s"


def test_a_schedule_raises_the_least() -> None:
    office = Schedule(minimum=4, days=(0, 1, 2, 3, 4), begins=8 * 60, until=18 * 60, zone="Europe/Berlin")
    policy = replace(QUICK, schedules=(office,))
    # A Monday in summer: Berlin is two hours ahead of UTC.
    for hour, pods in ((5, 1), (6, 4), (15, 4), (16, 1)):
        found = one(policy, a_load(1.0), at=datetime(2026, 7, 6, hour, 30, tzinfo=UTC))
        assert found.pods == pods, hour
    assert one(policy, a_load(1.0), at=datetime(2026, 7, 5, 12, tzinfo=UTC)).pods == 1, "a Sunday"
    reason = one(policy, None, at=datetime(2026, 7, 6, 12, tzinfo=UTC)).reason
    assert reason == "1 -> 4: its schedule wants 4 at least; nothing was measured"


def test_a_schedule_may_go_past_midnight() -> None:
    night = Schedule(minimum=2, days=(4,), begins=22 * 60, until=6 * 60)
    assert night.holds(datetime(2026, 7, 10, 23, tzinfo=UTC)), "Friday evening"
    assert night.holds(datetime(2026, 7, 11, 5, tzinfo=UTC)), "Saturday morning"
    assert not night.holds(datetime(2026, 7, 11, 23, tzinfo=UTC))
    assert not night.holds(datetime(2026, 7, 10, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    "make",
    [
        lambda: AutoscalingPolicy(metric=Metric.CPU, target=101),
        lambda: AutoscalingPolicy(metric=Metric.CONCURRENCY, target=0),
        lambda: replace(POLICY, tolerance=2),
        lambda: replace(POLICY, over=timedelta(seconds=1)),
        lambda: replace(POLICY, down_window=timedelta(hours=1)),
        lambda: replace(POLICY, up=Rate(pods=0, percent=0, period=timedelta(seconds=15))),
        lambda: Schedule(minimum=1, days=(7,), begins=0, until=1),
        lambda: Schedule(minimum=1, days=(1,), begins=5, until=5),
        lambda: Schedule(minimum=1, days=(1,), begins=5, until=9, zone="Mars/Olympus"),
        lambda: Schedule(minimum=1, days=(1,), begins=5, until=9, zone="../../etc/passwd"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


ZERO = Scale(minimum=0, maximum=10)
RESTING = replace(POLICY, idle=timedelta(seconds=60))


def nothing(*, seconds: float = 60.0, requests: int = 0, concurrency: float = 0.0, pods: float = 1.0) -> Window:
    return Window(
        seconds=seconds, traffic=Traffic(requests=requests), concurrency=concurrency, pods=pods, cpus=None,
        memory_bytes=None,
    )  # fmt: skip


def rest(
    quiet: Window | None, *, pods: int = 1, needed: str = "", scale: Scale = ZERO, load: Window | None = None,
    elapsed: float = 1000.0, at: datetime = NOW, policy: AutoscalingPolicy = RESTING,
) -> Decision:  # fmt: skip
    return decide(
        policy, load or a_load(), scale=scale, resources=Resources(), pods=pods, memory=Memory(), elapsed=elapsed,
        at=at, quiet=quiet, needed=needed,
    )  # fmt: skip


def test_the_last_pod_rests_after_a_time_without_a_request() -> None:
    assert (rest(nothing()).pods, rest(nothing()).reason) == (0, "1 -> 0: no request for 60 s")


@pytest.mark.parametrize(
    "quiet",
    [
        None,
        nothing(seconds=50),
        nothing(requests=1),
        nothing(concurrency=1.0),
        nothing(pods=0.5),
    ],
    ids=["no data", "not long enough", "a request", "one that takes long", "it was not ready all the time"],
)
def test_the_last_pod_stays(quiet: Window | None) -> None:
    assert rest(quiet) == rest(quiet, scale=SCALE)
    assert rest(quiet).pods == 1


def test_the_last_pod_stays_where_it_is_needed_or_is_the_least() -> None:
    assert rest(nothing(), needed="a request waits").pods == 1
    assert rest(nothing(), scale=SCALE).pods == 1
    schedule = Schedule(minimum=1, days=tuple(range(7)), begins=0, until=1439)
    assert rest(nothing(), policy=replace(RESTING, schedules=(schedule,)), at=NOW.replace(hour=9)).pods == 1


def test_only_what_needs_a_pod_ends_a_rest() -> None:
    woken = rest(None, pods=0, needed="a request waits")
    assert (woken.pods, woken.reason) == (1, "0 -> 1: a request waits")
    assert rest(nothing(requests=9), pods=0, load=a_load(50.0)).pods == 0
    assert rest(None, pods=0, scale=Scale(minimum=2, maximum=3)).reason == "0 -> 2: its bounds"


@given(
    pods=st.integers(0, 10), concurrency=st.floats(0, 200), elapsed=st.floats(0, 1e9),
    jump=st.timedeltas(-timedelta(days=900), timedelta(days=900)), has_data=st.booleans(), is_needed=st.booleans(),
)  # fmt: skip
def test_going_to_zero_keeps_the_bounds_and_needs_data_and_no_clock(
    pods: int, concurrency: float, elapsed: float, jump: timedelta, has_data: bool, is_needed: bool
) -> None:
    quiet = nothing() if has_data else None
    needed = "a request waits" if is_needed else ""
    found = rest(quiet, pods=pods, needed=needed, load=a_load(concurrency), elapsed=elapsed, at=NOW + jump)
    assert found == rest(quiet, pods=pods, needed=needed, load=a_load(concurrency), elapsed=elapsed)
    assert int(is_needed) <= found.pods <= ZERO.maximum
    if pods and found.pods == 0:
        assert has_data
        assert pods == 1


def test_no_pod_at_least_needs_a_policy() -> None:
    with pytest.raises(InvalidInput):
        check_zero(None, ZERO)
    check_zero(RESTING, ZERO)
    check_zero(None, SCALE)
