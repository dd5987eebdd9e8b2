"""``taxiway model thresholds``: what the metrics of a model's runs must reach before it goes to production."""

from __future__ import annotations

from typing import Annotated

import typer

from taxiway.cli.output import AsJson, Project, connected, fail, show_table

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")]


def thresholds(
    name: ModelName,
    put: Annotated[
        list[str] | None, typer.Option("--set", help="As in 'auc >= 0.9'; all of them, in place of those there were.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take all of them away.")] = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's thresholds, or set them: metrics that a run must reach before its model goes to production."""
    from taxiway.domain.thresholds import parse_threshold
    from taxiway.wire.models import ThresholdIn

    if put and clear:
        fail("Give --set or --clear, not both.", hint="--set replaces those there were.")
    wanted = [parse_threshold(text) for text in put or []]
    with connected() as client:
        if wanted or clear:
            asked = [ThresholdIn(metric=one.metric, bound=one.bound.value, value=one.value) for one in wanted]
            found = client.set_thresholds(name, asked, project=project)
        else:
            found = client.thresholds(name, project=project)
    show_table(
        found.items,
        as_json=as_json,
        columns=[("METRIC", lambda t: t.metric), ("MUST BE", lambda t: f"{t.bound} {t.value:g}")],
        empty=f"None yet: `taxiway model thresholds {name} --set 'auc >= 0.9'`.",
    )
