"""Does a simulated load meet what queues are known to do, and a policy what it is for?"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from taxiway.domain.autoscaling import AutoscalingPolicy, Metric
from taxiway.domain.errors import InvalidInput
from taxiway.domain.resources import Scale
from taxiway.domain.simulation import Pod, Shape, Simulated, rate_of, simulate

POLICY = AutoscalingPolicy(metric=Metric.CONCURRENCY, target=2, over=timedelta(seconds=10))
ONE = Scale(minimum=1, maximum=1)


def run(shape: Shape, peak: float, *, policy: AutoscalingPolicy | None = POLICY, most: int = 6) -> Simulated:
    duration = 1200.0
    return simulate(
        policy, Scale(minimum=1, maximum=most), rate_of(shape, peak, duration), duration=duration,
        service_seconds=[0.05], seed=7,
    )  # fmt: skip


def test_one_pod_waits_as_a_queue_of_one_server_does() -> None:
    # M/D/1 at half its capacity: half wait for nothing; the wait's tail is C exp(-eta t) with eta = 1.2564 and
    # C = 0.661 in service times (Cramer and Lundberg), so that 99 of 100 take less than (3.336 + 1) * 50 ms.
    found = simulate(None, ONE, lambda _at: 10.0, duration=4000, service_seconds=[0.05], seed=1)
    assert found.requests == pytest.approx(40_000, rel=0.02)
    assert found.p50_ms == pytest.approx(50, abs=3)
    assert found.p99_ms == pytest.approx(216.8, rel=0.06)
    assert found.pod_hours == pytest.approx(4000 / 3600, rel=0.01)


def test_more_load_than_one_can_answer_is_answered_by_more() -> None:
    alone, scaled = run(Shape.SPIKE, 60.0, policy=None), run(Shape.SPIKE, 60.0)
    assert alone.p99_ms > 10 * scaled.p99_ms or alone.errors > 0
    assert scaled.errors < 0.01 * scaled.requests < alone.errors
    assert 3 <= scaled.most_pods <= 6
    assert scaled.pod_hours < 6 * 1200 / 3600


def test_a_steady_load_makes_no_good_policy_flip_and_shows_a_bad_one() -> None:
    good = replace(POLICY, metric=Metric.REQUESTS, target=13)
    assert run(Shape.STEADY, 30.0, policy=good).flips_per_hour <= 4
    # Two at a time are more than a pod that works on one can answer: it is overloaded before there are more.
    assert run(Shape.STEADY, 30.0).flips_per_hour > 4


def test_a_day_goes_up_and_down_once() -> None:
    found = run(Shape.DAY, 60.0)
    pods = [count for _, count, _ in found.changes]
    assert max(pods) > 2
    assert found.changes[-1][1] < max(pods)
    assert all(" per pod " in why for _, _, why in found.changes)


def test_a_pod_refuses_what_it_has_no_room_for_and_the_others_do_not_wait_longer() -> None:
    # Twice as much as one can answer: half is refused, and who is answered waited behind 128 of 50 ms at most.
    found = simulate(None, ONE, lambda _at: 40.0, duration=600, service_seconds=[0.05], seed=1)
    assert found.errors == pytest.approx(12_000, rel=0.05)
    assert found.p99_ms == pytest.approx(129 * 50, rel=0.02)
    assert simulate(None, ONE, lambda _at: 10.0, duration=600, service_seconds=[0.05], seed=1).errors == 0


def test_the_same_seed_is_the_same_run() -> None:
    assert run(Shape.SPIKE, 40.0) == run(Shape.SPIKE, 40.0)


def test_pods_that_start_slowly_let_callers_wait_longer() -> None:
    def p99(start: float) -> float:
        return simulate(
            POLICY, Scale(minimum=1, maximum=6), rate_of(Shape.SPIKE, 60, 600), duration=600,
            service_seconds=[0.05], pod=Pod(start_seconds=start), seed=3,
        ).p99_ms  # fmt: skip

    assert p99(30.0) > p99(1.0)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidInput):
        simulate(None, ONE, lambda _at: 1.0, duration=10, service_seconds=[])
    with pytest.raises(InvalidInput):
        simulate(None, ONE, lambda _at: 1e6, duration=3600, service_seconds=[0.1])
    with pytest.raises(InvalidInput):
        simulate(None, ONE, lambda _at: 1.0, duration=10, service_seconds=[0.1], cores=0)


def test_pods_share_the_cores_of_their_host() -> None:
    def p99(cores: float) -> float:
        return simulate(
            None, Scale(minimum=4, maximum=4), lambda _at: 30.0, duration=600, service_seconds=[0.05], cores=cores,
            seed=2,
        ).p99_ms  # fmt: skip

    # Four pods of which one or two work at a time feel no lack of four cores, and much of one and a half.
    assert p99(4) == p99(math.inf)
    assert p99(1.6) > 1.5 * p99(4)


def test_a_pod_that_waits_for_its_share_leaves_the_cores_to_others() -> None:
    def p50(cores: float) -> float:
        pod = Pod(cpus=0.25)
        return simulate(
            None, Scale(minimum=8, maximum=8), lambda _at: 60.0, duration=300, service_seconds=[0.025], pod=pod,
            cores=cores, seed=2,
        ).p50_ms  # fmt: skip

    # Eight pods of a quarter each want two cores at most, though six of them have a request at a time.
    assert p50(2) == p50(math.inf)
    assert p50(1) > p50(2)


def test_pods_start_later_where_cores_are_few() -> None:
    def worst(cores: float) -> float:
        policy = AutoscalingPolicy(metric=Metric.REQUESTS, target=12, over=timedelta(seconds=10))
        scale = Scale(minimum=1, maximum=4)
        return simulate(
            policy, scale, lambda _at: 45.0, duration=60, service_seconds=[0.05], cores=cores, seed=3
        ).p99_ms  # fmt: skip

    assert worst(1.5) > worst(math.inf)


def test_less_than_a_cpu_is_a_share_of_each_tenth_of_a_second() -> None:
    pod = Pod(cpus=0.5)
    alone = simulate(None, ONE, lambda _at: 0.2, duration=2000, service_seconds=[0.02], pod=pod, seed=4)
    assert alone.p50_ms == pytest.approx(20, abs=0.1)
    # 120 ms of work are done in three or four periods, 50 in each: that takes 170 to 250 ms.
    long = simulate(None, ONE, lambda _at: 0.2, duration=2000, service_seconds=[0.12], pod=pod, seed=4)
    assert 170 <= long.p50_ms <= 250
    # More than half a core's work never ends.
    over = simulate(None, ONE, lambda _at: 30.0, duration=200, service_seconds=[0.02], pod=pod, seed=4)
    assert over.p99_ms > 5000


def test_the_last_pod_rests_and_the_first_request_waits_for_its_start() -> None:
    policy = replace(POLICY, idle=timedelta(seconds=60))
    found = simulate(
        policy, Scale(minimum=0, maximum=1), lambda at: 5.0 if at % 600 < 60 else 0.0, duration=1200,
        service_seconds=[0.01], pod=Pod(start_seconds=4), seed=6,
    )  # fmt: skip
    assert [why for _, _, why in found.changes] == ["0 -> 1: a request waits", "1 -> 0: no request for 60 s"] * 2
    assert found.errors == 0
    assert found.p99_ms > 3000
    assert 0.03 < found.pod_hours < 0.12


def test_policies_of_cpu_are_simulated_too() -> None:
    policy = replace(POLICY, metric=Metric.CPU, target=60)
    assert run(Shape.SPIKE, 60.0, policy=policy).most_pods > 2
