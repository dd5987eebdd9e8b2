"""``--dry-run`` of what changes a production deployment: what would be different, without doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import print_json, say, show_table

if TYPE_CHECKING:
    from taxiway.wire.production import ProductionOut

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only check, and tell what would be different.")]


def difference(before: ProductionOut, after: ProductionOut) -> list[tuple[str, str, str]]:
    """Return what people decide that differs: its name, before, after."""
    return [(name, old, new) for (name, old), (_, new) in zip(_facts(before), _facts(after), strict=True) if old != new]


def _facts(seen: ProductionOut) -> list[tuple[str, str]]:
    policy = seen.autoscaling
    return [
        ("model", f"{seen.project}/{seen.model}/{seen.version}"),
        ("customer", seen.customer),
        ("wanted", seen.wanted),
        ("memory", seen.resources.memory),
        ("cpus", str(seen.resources.cpus)),
        ("pods", f"{seen.min_pods} to {seen.max_pods}"),
        ("autoscaling", "off" if policy is None else policy.model_dump_json(exclude_defaults=True)),
        ("quota", "none" if seen.quota_per_second is None else f"{seen.quota_per_second:g}/s + {seen.quota_burst}"),
        ("access", "with a token" if seen.needs_token else "open"),
    ]


def show_difference(before: ProductionOut, after: ProductionOut, *, as_json: bool) -> None:
    """Print what would be different; nothing was changed."""
    found = difference(before, after)
    if as_json:
        print_json([{"name": name, "before": old, "after": new} for name, old, new in found])
        return
    show_table(
        found,
        as_json=False,
        columns=[("WHAT", lambda d: d[0]), ("NOW", lambda d: d[1]), ("THEN", lambda d: d[2])],
        empty="Nothing would be different.",
    )
    say("Nothing was changed.")
