"""Is the knee found in few steps, and is what is recommended for it enough, not more than that, and calm?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.autoscaling import AutoscalingPolicy, Metric
from taxiway.domain.errors import InvalidInput
from taxiway.domain.resources import MEBIBYTE, Resources
from taxiway.domain.simulation import Shape, rate_of, simulate
from taxiway.domain.sizing import CLOSE, LEAST_RATE, USED, Limits, Recommendation, Step, knee_of, next_rate, recommend

LIMITS = Limits(p99_ms=100)
WITH = Resources(cpus=1.0, memory_bytes=1024 * MEBIBYTE)


def a_step(rate: float, *, capacity: float = 100.0, **given: float) -> Step:
    """A pod with a queue of constant service times (M/D/1), which uses a CPU at its capacity."""
    is_over, full = rate > capacity, min(rate / capacity, 0.99)
    mean_ms = 1000 / capacity * (1 + full / (2 * (1 - full)))
    fields = {
        "rate": rate, "seconds": 20.0, "achieved": min(rate, capacity), "errors": 0.0,
        "mean_ms": mean_ms, "p50_ms": mean_ms,
        "p99_ms": 5000.0 if is_over else 30.0, "cpus": min(rate / capacity, 1.0), "memory_bytes": 200 * MEBIBYTE,
    }  # fmt: skip
    return Step(**fields | given)  # type: ignore[arg-type]


def search(capacity: float, begin: float, most: float = 1e6) -> list[Step]:
    steps: list[Step] = []
    rate: float | None = begin
    while rate is not None:
        steps.append(a_step(rate, capacity=capacity))
        rate = next_rate(steps, LIMITS, most=most)
    return steps


@given(st.floats(0.5, 20_000), st.floats(0.5, 500))
def test_the_knee_is_found_to_a_quarter_in_few_steps(capacity: float, begin: float) -> None:
    steps = search(capacity, begin)
    knee = knee_of(steps, LIMITS)
    assert len(steps) <= 20
    assert knee is not None
    assert capacity / CLOSE <= knee.rate <= capacity


def test_what_holds_at_no_rate_is_not_searched_for_for_ever() -> None:
    steps = search(0.01, 50)
    assert knee_of(steps, LIMITS) is None
    assert steps[-1].rate / 2 < LEAST_RATE
    with pytest.raises(InvalidInput, match="No rate held"):
        recommend(steps, LIMITS, measured_with=WITH)


def test_the_search_ends_at_the_most_and_says_that_there_may_be_more() -> None:
    steps = search(1000, 10, most=50)
    assert [step.rate for step in steps] == [10, 20, 40, 50]
    assert any("may be higher" in note for note in recommend(steps, LIMITS, measured_with=WITH).notes)


def test_one_that_held_above_one_that_broke_does_not_count() -> None:
    steps = [a_step(10), a_step(20, p99_ms=300), a_step(40)]
    knee = knee_of(steps, LIMITS)
    assert knee is not None
    assert knee.rate == 10


def found(**given: object) -> Recommendation:
    return recommend(search(100, 10), LIMITS, measured_with=WITH, **given)  # type: ignore[arg-type]


def test_pods_are_as_many_as_the_rates_need() -> None:
    one = found(expected=150, peak=600)
    assert one.rate == pytest.approx(USED * 80 * 2**0.25)
    assert (one.scale.minimum, one.scale.maximum) == (3, 10)
    assert found().scale.minimum == 1
    assert found().scale.maximum == 3
    assert found(expected=1).scale.maximum == 1


def test_more_pods_than_there_can_be_are_said_so() -> None:
    one = found(expected=10, peak=1e6)
    assert one.scale.maximum == 100
    assert any("100 at most" in note for note in one.notes)


def test_cpus_stay_where_they_were_used_and_shrink_where_not() -> None:
    assert found().resources.cpus == 1.0
    waits = [a_step(10, cpus=0.05), a_step(20, cpus=0.11), a_step(24, p99_ms=900)]
    one = recommend(waits, LIMITS, measured_with=WITH)
    assert one.resources.cpus == 0.2
    assert any("size again" in note for note in one.notes)
    nothing = [a_step(10, cpus=None), a_step(12, p99_ms=900)]  # type: ignore[arg-type]
    assert recommend(nothing, LIMITS, measured_with=WITH).resources.cpus == 1.0


def test_memory_has_headroom() -> None:
    assert found().resources.memory_bytes == 256 * MEBIBYTE


def test_each_metric_has_the_target_of_the_same_load() -> None:
    rate = found().rate
    assert found().metric is Metric.REQUESTS
    assert found().target == pytest.approx(rate, rel=0.05)
    full = rate / 100
    # Between steps it is taken to be a straight line, which lies above the curve.
    exact = full * (1 + full / (2 * (1 - full)))
    assert exact <= found(metric=Metric.CONCURRENCY).target <= 1.5 * exact
    assert found(metric=Metric.CPU).target == pytest.approx(rate, rel=0.05)
    assert (
        found(expected=70, peak=500).flags
        == "--cpus 1 --memory 256Mi --min-pods 2 --max-pods 8 --autoscale requests=67"
    )


@pytest.mark.parametrize("wish", [{"metric": Metric.MEMORY}, {"expected": 0}, {"expected": 10, "peak": 5}])
def test_what_makes_no_sense_is_refused(wish: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        found(**wish)
    with pytest.raises(InvalidInput):
        Limits(p99_ms=0)


def test_a_load_that_was_late_itself_is_named() -> None:
    steps = [a_step(10), a_step(12, p99_ms=900, late_ms=800)]
    assert any("late itself" in note for note in recommend(steps, LIMITS, measured_with=WITH).notes)


@pytest.mark.parametrize("shape", list(Shape))
def test_what_is_recommended_stays_calm_and_loses_little(shape: Shape) -> None:
    """No recommended policy changes its direction more than four times an hour."""
    steps = search(20, 2)
    one = recommend(steps, LIMITS, measured_with=WITH, expected=4, peak=50)
    told = simulate(
        AutoscalingPolicy(metric=one.metric, target=one.target), one.scale, rate_of(shape, 50, 1800), duration=1800,
        service_seconds=[0.05], seed=5,
    )  # fmt: skip
    assert told.flips_per_hour <= 4
    # Ten times the expected load from one moment to the next is more than the pods that are there have room for.
    assert told.errors < 0.01 * told.requests
    assert told.most_pods <= one.scale.maximum
