"""Is what was counted added up right, and are quantiles what they are called?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.measurements import (
    BOUNDS_MS,
    BUCKETS,
    Sample,
    Traffic,
    add_up,
    bucket_of,
    join,
    quantile,
)
from tests.builders import NOW


def of_latencies(*milliseconds: int, errors: int = 0, in_flight: int = 0) -> Traffic:
    latencies = [0] * BUCKETS
    for value in milliseconds:
        latencies[bucket_of(value)] += 1
    return Traffic(
        requests=len(milliseconds), server_errors=errors, milliseconds=sum(milliseconds), latencies=tuple(latencies),
        in_flight=in_flight,
    )  # fmt: skip


def a_sample(traffic: Traffic, *, seconds: float = 2.0, ready: int = 1, cpu: float | None = None) -> Sample:
    return Sample(at=NOW, seconds=seconds, traffic=traffic, pods=ready, ready=ready, cpu_seconds=cpu)


some_latencies = st.lists(st.integers(0, BOUNDS_MS[-1]), min_size=1, max_size=60)


@given(some_latencies, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(milliseconds: list[int], share: float) -> None:
    found = quantile(of_latencies(*milliseconds).latencies, share)
    true = sorted(milliseconds)[min(int(-(-share * len(milliseconds) // 1)), len(milliseconds)) - 1]
    bucket = bucket_of(true)
    assert found is not None
    assert (BOUNDS_MS[bucket - 1] if bucket else 0) <= found <= BOUNDS_MS[bucket]


@given(some_latencies)
def test_a_greater_share_never_takes_less_time(milliseconds: list[int]) -> None:
    latencies = of_latencies(*milliseconds).latencies
    found = [quantile(latencies, share) or 0.0 for share in (0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)


def test_beyond_the_last_bound_the_bound_is_told() -> None:
    assert quantile(of_latencies(10**7).latencies, 0.5) == BOUNDS_MS[-1]


def test_without_requests_there_is_no_latency() -> None:
    assert quantile(Traffic().latencies, 0.5) is None


@given(some_latencies, some_latencies)
def test_what_came_since_and_what_was_before_make_all(first: list[int], second: list[int]) -> None:
    before, after = of_latencies(*first), of_latencies(*first, *second)
    assert before + after.since(before) == after


def test_a_gateway_that_began_to_count_anew_is_not_counted_backwards() -> None:
    before, after = of_latencies(*[5] * 100), of_latencies(7, 9)
    assert after.since(before) == after


def test_concurrency_is_time_spent_by_time_passed() -> None:
    window = add_up([a_sample(of_latencies(*[500] * 8)), a_sample(of_latencies(*[500] * 4))])
    assert window is not None
    assert window.concurrency == pytest.approx(12 * 0.5 / 4)
    assert window.requests_per_second == 3


def test_requests_that_outlast_the_window_count_as_what_stands_in_it() -> None:
    window = add_up([a_sample(of_latencies(in_flight=7)), a_sample(of_latencies(in_flight=5))])
    assert window is not None
    assert window.concurrency == 5


def test_requests_that_wait_have_come() -> None:
    samples = [replace(a_sample(of_latencies(*[5] * 10)), more_in_flight=more) for more in (0, 14, -4)]
    window = add_up(samples)
    assert window is not None
    assert window.requests_per_second == 5
    assert window.arrivals_per_second == 40 / 6
    both = join([window, window])
    assert both is not None
    assert both.arrivals_per_second == 80 / 6
    drained = add_up([replace(a_sample(Traffic()), more_in_flight=-9)])
    assert drained is not None
    assert drained.arrivals_per_second == 0


def test_errors_are_a_share_of_what_was_answered() -> None:
    window = add_up([a_sample(of_latencies(*[1] * 10, errors=1)), a_sample(of_latencies(*[1] * 10))])
    assert window is not None
    assert window.error_rate == 0.05


def test_cpu_is_cores_in_use_while_it_was_known() -> None:
    window = add_up([a_sample(Traffic()), a_sample(Traffic(), cpu=1.0), a_sample(Traffic(), cpu=3.0)])
    assert window is not None
    assert window.cpus == 1.0


def test_nothing_measured_is_no_window() -> None:
    assert add_up([]) is None
    assert join([]) is None


def test_windows_of_several_revisions_add_up() -> None:
    one = add_up([a_sample(of_latencies(*[10] * 10), cpu=1.0, ready=2)])
    other = add_up([a_sample(of_latencies(*[30] * 30), cpu=2.0, ready=1)])
    assert one is not None
    assert other is not None
    both = join([one, other])
    assert both is not None
    assert both.requests_per_second == 20
    assert (both.pods, both.cpus) == (3, 1.5)
    assert both.seconds == timedelta(seconds=2).total_seconds()
