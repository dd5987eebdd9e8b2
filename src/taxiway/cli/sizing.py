"""``taxiway model size``: loads a staging endpoint from here and says what to ask for in production."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import AsJson, ExitCode, Project, connected, fail, print_json, say, show_table

if TYPE_CHECKING:
    from taxiway.domain.sizing import Step

Version = Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="For example fraud/3; it must be ON.")]


def size(
    version: Version,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Request body; else the input example.")] = None,
    content_type: Annotated[str, typer.Option(help="Its type.")] = "application/json",
    max_p99: Annotated[
        float | None,
        typer.Option(
            "--max-p99", help="Milliseconds that 99 of 100 may take; else five times a lone request's, at least 100."
        ),
    ] = None,
    max_errors: Annotated[float, typer.Option("--max-errors", help="Share that may fail; 0.01 is 1 %.")] = 0.01,
    expected: Annotated[
        float | None, typer.Option("--expected", help="Requests per second as usual; else what one pod is to have.")
    ] = None,
    peak: Annotated[
        float | None, typer.Option("--peak", help="Requests per second at most; else three times as many.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="What the pods are to follow: requests, concurrency or cpu.")
    ] = "requests",
    rate: Annotated[
        float | None, typer.Option("--rate", help="Requests per second to begin with; else by a lone request's time.")
    ] = None,
    max_rate: Annotated[float, typer.Option("--max-rate", help="Requests per second to end with.")] = 10_000,
    step: Annotated[float, typer.Option("--step", help="Seconds that a step lasts; CPU is measured every ten.")] = 25,
    token: Annotated[
        str | None, typer.Option(envvar="TAXIWAY_ACCESS_TOKEN", help="Access token; else one is issued meanwhile.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the requests at the same times.")] = 0,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Load a model's endpoint in steps, and recommend CPUs, memory, pods and a policy for production."""
    from taxiway.cli.models import split_version
    from taxiway.client.sizing import example_of, load_in_steps
    from taxiway.domain.autoscaling import Metric
    from taxiway.domain.resources import Resources, parse_cpus, parse_memory
    from taxiway.domain.sizing import check_wish, knee_of, recommend

    if metric not in (Metric.REQUESTS, Metric.CONCURRENCY, Metric.CPU):
        fail("The metric is requests, concurrency or cpu.", hint="For example --metric cpu.", code=ExitCode.USAGE)
    check_wish(Metric(metric), expected, peak)
    name, number = split_version(version)
    try:
        body = None if file is None else file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", code=ExitCode.USAGE)
    with connected() as client:
        seen = client.model(name, number, project=project)
        if body is None:
            body, content_type = example_of(client, name, number, project=project), "application/json"
        loaded = load_in_steps(
            client, name, number, body=body, content_type=content_type, token=token, max_p99_ms=max_p99,
            max_errors=max_errors, begin=rate, most=max_rate, step_seconds=step, project=project, seed=seed,
            progress=_tell,
        )  # fmt: skip
    found = recommend(
        loaded.steps, loaded.limits,
        measured_with=Resources(
            memory_bytes=parse_memory(seen.resources.memory), cpus=parse_cpus(seen.resources.cpus)
        ),
        metric=Metric(metric), expected=expected, peak=peak,
    )  # fmt: skip
    knee = knee_of(loaded.steps, loaded.limits)
    command = f"taxiway production promote {version} {found.flags} --to NAME --customer NAME --reason WHY"
    if as_json:
        print_json(
            {
                "limits": asdict(loaded.limits),
                "lone_request_ms": loaded.quick_ms,
                "steps": [asdict(each) for each in loaded.steps],
                "knee": None if knee is None else asdict(knee),
                "recommendation": asdict(found),
                "flags": found.flags,
            }
        )
        return
    show_table(
        sorted(loaded.steps, key=lambda each: each.rate),
        as_json=False,
        columns=[
            ("RATE", lambda s: f"{s.rate:.4g}/s"),
            ("ACHIEVED", lambda s: f"{s.achieved:.4g}/s"),
            ("P50", lambda s: f"{s.p50_ms:.3g} ms"),
            ("P99", lambda s: f"{s.p99_ms:.3g} ms"),
            ("ERRORS", lambda s: f"{s.errors:.2%}"),
            ("CPUS", lambda s: "" if s.cpus is None else f"{s.cpus:.2f}"),
            ("MEMORY", lambda s: "" if s.memory_bytes is None else f"{s.memory_bytes / 2**20:.0f}Mi"),
            ("", lambda s: "knee" if s is knee else "" if s.holds(loaded.limits) else "over a limit"),
        ],
        empty="",
    )
    limits = f"99 of 100 within {loaded.limits.p99_ms:g} ms, {loaded.limits.errors:.2%} errors at most"
    typer.echo(f"\nOne pod serves {0 if knee is None else knee.rate:.4g}/s ({limits}); give it {found.rate:.3g}/s.")
    for note in found.notes:
        typer.echo(note)
    typer.echo(f"\n{command}")


def _tell(step: Step) -> None:
    say(f"{step.rate:.4g}/s: {step.achieved:.4g}/s answered, 99 of 100 within {step.p99_ms:.3g} ms")
