"""What was measured, set beside what is simulated: is it read right from a series?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import typer.testing

from taxiway.cli import application
from taxiway.cli.output import ExitCode
from taxiway.cli.simulating import rate_of_series, service_of, truth_of
from taxiway.wire.measurements import LoadOut, PointOut, SeriesOut
from tests.builders import NOW

RUNNER = typer.testing.CliRunner()
STEP = 10


def a_load(rate: float, **given: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "requests_per_second": rate, "rows_per_second": rate, "error_rate": 0.0, "client_error_rate": 0.0,
        "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0, "concurrency": 0.1, "pods": 1.0, "cpus": None,
        "memory_bytes": None,
    }  # fmt: skip
    return fields | given


def a_series(*points: tuple[int, dict[str, Any]]) -> SeriesOut:
    return SeriesOut(
        since=NOW, until=NOW + timedelta(minutes=10), step_seconds=STEP, markers=[], host=[],
        points=[PointOut(at=NOW + timedelta(seconds=at), **load) for at, load in points],
        total=LoadOut(**a_load(7, p99_ms=44.0)),
    )  # fmt: skip


SERIES = a_series(
    (0, a_load(5)), (10, a_load(50, p50_ms=80.0, pods=3.0, error_rate=0.1)), (40, a_load(1, p50_ms=4.0, pods=2.0)),
    (50, a_load(20, pods=2.6)),
)  # fmt: skip


def test_the_truth_is_all_points_together() -> None:
    truth = truth_of(SERIES)
    assert truth.requests == 760
    assert truth.errors == 50
    assert truth.p99_ms == 44.0
    assert truth.pod_hours == pytest.approx(8.6 * STEP / 3600)
    assert truth.most_pods == 3
    assert truth.flips_per_hour == pytest.approx(2 * 3600 / 60)


def test_the_load_is_what_came_and_none_where_nothing_was_measured() -> None:
    rate = rate_of_series(SERIES)
    assert [rate(at) for at in (0, 9.9, 10, 25, 45, 59, 70)] == [5, 5, 50, 0, 1, 20, 0]


def test_what_one_request_takes_is_seen_where_fewest_wait_and_enough_came() -> None:
    assert service_of(LoadOut(**a_load(5, p50_ms=99.0)), None) == 99.0
    assert service_of(None, SERIES) == 10.0
    assert service_of(None, None) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recorded", "--service-ms", "5"], "Say of which deployment."),
        (["--service-ms", "5", "--min-pods", "0"], "Without an autoscaling policy there is one pod at least."),
        ([], "It is not known what one request takes."),
        (["--shape", "zigzag"], "The shape is steady, spike or day."),
    ],
)
def test_what_cannot_be_simulated_is_said(arguments: list[str], says: str) -> None:
    ended = RUNNER.invoke(application, ["production", "simulate", *arguments])
    told = ended.stderr or str(ended.exception)
    assert says in told
    assert ended.exit_code in (ExitCode.USAGE, ExitCode.FAILED)


def test_a_policy_to_zero_is_simulated() -> None:
    asked = ["--service-ms", "20", "--min-pods", "0", "--autoscale", "requests=10", "--idle-after", "60"]
    ended = RUNNER.invoke(application, ["production", "simulate", *asked, "--shape", "steady", "--peak", "0.005"])
    assert ended.exit_code == ExitCode.DONE
    assert "1 -> 0: no request for 60 s" in ended.stderr
    assert "0 -> 1: a request waits" in ended.stderr
