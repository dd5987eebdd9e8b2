"""``taxiway production simulate``: what a policy would do with a load, before anybody feels it. Runs here, at once."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import AsJson, ExitCode, connected, fail, print_json, say
from taxiway.cli.rollouts import Autoscale, DownWindow, policy_of

if TYPE_CHECKING:
    from taxiway.domain.simulation import Simulated

SHOWN_CHANGES = 12


def simulate(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Of this production deployment: its policy, pods and latency."),
    ] = None,
    autoscale: Autoscale = None,
    down_window: DownWindow = 300,
    min_pods: Annotated[int | None, typer.Option("--min-pods", help="Pods at least.")] = None,
    max_pods: Annotated[int | None, typer.Option("--max-pods", help="Pods at most.")] = None,
    shape: Annotated[str, typer.Option(help="steady, spike or day: how the load changes.")] = "spike",
    peak: Annotated[float, typer.Option(help="Requests per second at its highest.")] = 50,
    minutes: Annotated[float, typer.Option(help="How long it lasts.")] = 60,
    service_ms: Annotated[float | None, typer.Option("--service-ms", help="What one request takes a pod.")] = None,
    parallel: Annotated[int, typer.Option(help="Requests that a pod works on at a time: about its CPUs.")] = 1,
    start: Annotated[float, typer.Option(help="Seconds that a new pod takes to answer.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same requests.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell what a policy would do with a load: pods over time, latency, errors, pod hours, changes of direction."""
    from taxiway.api.policies import policy_in
    from taxiway.domain.resources import Scale
    from taxiway.domain.simulation import Pod, Shape, rate_of
    from taxiway.domain.simulation import simulate as run
    from taxiway.services.deployments import Unchanged
    from taxiway.wire.production import PolicyIn

    if shape not in set(Shape):
        fail("The shape is steady, spike or day.", hint="For example --shape day.", code=ExitCode.USAGE)
    wanted = policy_of(autoscale, down_window)
    if name is not None:
        with connected() as client:
            seen = client.production_deployment(name)
        if wanted is None and seen.autoscaling is not None:
            wanted = PolicyIn.model_validate(seen.autoscaling.model_dump())
        min_pods, max_pods = min_pods or seen.min_pods, max_pods or seen.max_pods
        service_ms = service_ms or (seen.load.p50_ms if seen.load else None)
    if service_ms is None:
        fail("It is not known what one request takes.", hint="Give --service-ms, for example 20.", code=ExitCode.USAGE)
    least = min_pods or 1
    policy = policy_in(wanted)
    found = run(
        None if isinstance(policy, Unchanged) else policy,
        Scale(minimum=least, maximum=max(max_pods or least, least)),
        rate_of(Shape(shape), peak, minutes * 60),
        duration=minutes * 60,
        service_seconds=[service_ms / 1000],
        pod=Pod(start_seconds=start, parallel=parallel),
        seed=seed,
    )
    if as_json:
        print_json(asdict(found))
        return
    _show(found)


def _show(found: Simulated) -> None:
    for at, _, why in found.changes[:SHOWN_CHANGES]:
        say(f"{int(at) // 60:3d}:{int(at) % 60:02d}  {why}")
    if len(found.changes) > SHOWN_CHANGES:
        say(f"… and {len(found.changes) - SHOWN_CHANGES} changes more")
    typer.echo(
        f"{found.requests} requests, {found.errors} not answered in time; "
        f"p50 {found.p50_ms:.3g} ms, p95 {found.p95_ms:.3g} ms, p99 {found.p99_ms:.3g} ms\n"
        f"{found.pod_hours:.2f} pod hours, at most {found.most_pods} pods, "
        f"{found.flips_per_hour:.2g} changes of direction an hour"
    )
