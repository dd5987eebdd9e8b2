"""``taxiway production simulate``: what a policy would do with a load, before anybody feels it. Runs here, at once.

With ``--recorded`` the load is what came to a deployment, and beside what is simulated stands what was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxiway.cli.output import AsJson, ExitCode, connected, fail, print_json, say, show_table
from taxiway.cli.rollouts import Autoscale, DownWindow, IdleAfter, policy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from taxiway.domain.simulation import Simulated
    from taxiway.wire.measurements import LoadOut, SeriesOut

SHOWN_CHANGES = 12
LEAST_REQUESTS = 20
"""Fewer in a point say little of what one takes."""


def simulate(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Of this production deployment: its policy, pods and latency."),
    ] = None,
    autoscale: Autoscale = None,
    down_window: DownWindow = 300,
    idle_after: IdleAfter = 300,
    min_pods: Annotated[int | None, typer.Option("--min-pods", help="Pods at least.")] = None,
    max_pods: Annotated[int | None, typer.Option("--max-pods", help="Pods at most.")] = None,
    shape: Annotated[str, typer.Option(help="steady, spike or day: how the load changes.")] = "spike",
    peak: Annotated[float, typer.Option(help="Requests per second at its highest.")] = 50,
    minutes: Annotated[float, typer.Option(help="How long it lasts.")] = 60,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="The last minutes of that deployment instead, and the truth beside it.")
    ] = False,
    service_ms: Annotated[float | None, typer.Option("--service-ms", help="What one request takes a pod.")] = None,
    cpus: Annotated[float | None, typer.Option("--cpus", help="CPUs of a pod; else 1, or the deployment's.")] = None,
    parallel: Annotated[
        int | None, typer.Option(help="Requests that a pod works on at a time; else one for each whole CPU.")
    ] = None,
    cores: Annotated[
        float | None, typer.Option(help="Cores of the host that are left for pods; else as many as they want.")
    ] = None,
    start: Annotated[float, typer.Option(help="Seconds that a new pod takes to answer.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same requests.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell what a policy would do with a load: pods over time, latency, errors, pod hours, changes of direction."""
    import math

    from taxiway.api.policies import policy_in
    from taxiway.domain.autoscaling import check_zero
    from taxiway.domain.resources import Scale, parse_cpus
    from taxiway.domain.simulation import Pod, Shape, rate_of
    from taxiway.domain.simulation import simulate as run
    from taxiway.services.deployments import Unchanged
    from taxiway.wire.production import PolicyIn

    if shape not in set(Shape):
        fail("The shape is steady, spike or day.", hint="For example --shape day.", code=ExitCode.USAGE)
    if recorded and name is None:
        fail("Say of which deployment.", hint="Give its name before --recorded.", code=ExitCode.USAGE)
    wanted = policy_of(autoscale, down_window, idle_after)
    rate, seconds, truth = rate_of(Shape(shape), peak, minutes * 60), minutes * 60, None
    if name is not None:
        with connected() as client:
            seen = client.production_deployment(name)
            series = client.production_measurements(name, minutes=max(int(minutes), 1)) if recorded else None
        if wanted is None and seen.autoscaling is not None:
            wanted = PolicyIn.model_validate(seen.autoscaling.model_dump())
        min_pods = seen.min_pods if min_pods is None else min_pods
        max_pods = max_pods or seen.max_pods
        cpus = cpus or parse_cpus(seen.resources.cpus)
        service_ms = service_ms or service_of(seen.load, series)
        if series is not None:
            if not series.points:
                fail(f"Nothing was measured of {name} in that time.", hint="Give more --minutes.")
            rate, seconds, truth = rate_of_series(series), _seconds_of(series), truth_of(series)
    if service_ms is None:
        fail("It is not known what one request takes.", hint="Give --service-ms, for example 20.", code=ExitCode.USAGE)
    given = policy_in(wanted)
    policy = None if isinstance(given, Unchanged) else given
    least = 1 if min_pods is None else min_pods
    scale = Scale(minimum=least, maximum=max(max_pods or least, least, 1))
    check_zero(policy, scale)
    cpus = cpus or 1.0
    found = run(
        policy,
        scale,
        rate,
        duration=seconds,
        service_seconds=[service_ms / 1000],
        pod=Pod(start_seconds=start, parallel=parallel or max(int(cpus), 1), cpus=cpus),
        cores=cores or math.inf,
        seed=seed,
    )
    if as_json:
        print_json(asdict(found) | ({} if truth is None else {"truth": asdict(truth)}))
        return
    _show(found, truth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What was measured of a deployment, named as what is simulated."""

    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    pod_hours: float
    most_pods: int
    flips_per_hour: float


def truth_of(series: SeriesOut) -> Truth:
    """Add up what was measured. Pods are those that were ready."""
    from taxiway.domain.simulation import flips

    total, step, seconds = series.total, series.step_seconds, _seconds_of(series)
    counts = [round(point.pods) for point in series.points]
    requests = [point.requests_per_second * step for point in series.points]
    failed = [count * point.error_rate for count, point in zip(requests, series.points, strict=True)]
    return Truth(
        requests=round(sum(requests)),
        errors=round(sum(failed)),
        p50_ms=total.p50_ms if total else None,
        p95_ms=total.p95_ms if total else None,
        p99_ms=total.p99_ms if total else None,
        pod_hours=sum(point.pods * step for point in series.points) / 3600,
        most_pods=max(counts),
        flips_per_hour=flips(counts) * 3600 / seconds,
    )


def _seconds_of(series: SeriesOut) -> float:
    """Return how long was measured: from the first point's beginning to the last one's end."""
    return (series.points[-1].at - series.points[0].at).total_seconds() + series.step_seconds


def rate_of_series(series: SeriesOut) -> Callable[[float], float]:
    """Return the requests per second at each second since the first point; none where nothing was measured."""
    begin = series.points[0].at
    rates = {
        int((point.at - begin).total_seconds()) // series.step_seconds: point.requests_per_second
        for point in series.points
    }
    return lambda at: rates.get(int(at) // series.step_seconds, 0.0)


def service_of(load: LoadOut | None, series: SeriesOut | None) -> float | None:
    """Return what one request takes a pod, milliseconds: the median of the point in which fewest waited for others."""
    if series is None:
        return load.p50_ms if load else None
    step = series.step_seconds
    known = [
        point.p50_ms for point in series.points if point.p50_ms and point.requests_per_second * step >= LEAST_REQUESTS
    ]
    return min(known, default=series.total.p50_ms if series.total else None)


def _show(found: Simulated, truth: Truth | None) -> None:
    for at, _, why in found.changes[:SHOWN_CHANGES]:
        say(f"{int(at) // 60:3d}:{int(at) % 60:02d}  {why}")
    if len(found.changes) > SHOWN_CHANGES:
        say(f"… and {len(found.changes) - SHOWN_CHANGES} changes more")
    if truth is not None:
        _show_both(found, truth)
        return
    typer.echo(
        f"{found.requests} requests, {found.errors} not answered in time; "
        f"p50 {found.p50_ms:.3g} ms, p95 {found.p95_ms:.3g} ms, p99 {found.p99_ms:.3g} ms\n"
        f"{found.pod_hours:.2f} pod hours, at most {found.most_pods} pods, "
        f"{found.flips_per_hour:.2g} changes of direction an hour"
    )


def _show_both(found: Simulated, truth: Truth) -> None:
    rows: list[tuple[str, Any, Any]] = [
        ("requests", found.requests, truth.requests),
        ("not answered", found.errors, truth.errors),
        ("p50 ms", found.p50_ms, truth.p50_ms),
        ("p95 ms", found.p95_ms, truth.p95_ms),
        ("p99 ms", found.p99_ms, truth.p99_ms),
        ("pod hours", found.pod_hours, truth.pod_hours),
        ("pods at most", found.most_pods, truth.most_pods),
        ("changes of direction an hour", found.flips_per_hour, truth.flips_per_hour),
    ]
    show_table(
        rows,
        as_json=False,
        columns=[
            ("", lambda row: row[0]),
            ("SIMULATED", lambda row: _figure(row[1])),
            ("MEASURED", lambda row: _figure(row[2])),
        ],
        empty="",
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
