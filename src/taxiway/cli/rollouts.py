"""``taxiway production rollout``: how requests move from one revision to the next, and the options that begin one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.differences import DryRun
from taxiway.cli.output import AsJson, ExitCode, connected, fail, say, show

if TYPE_CHECKING:
    from taxiway.wire.production import PolicyIn, ProductionDetailOut, RolloutOut, StrategyIn

Canary = Annotated[
    str | None, typer.Option("--canary", metavar="PERCENTS", help="Move requests step by step, as in 5,25,50.")
]
Tagged = Annotated[
    bool, typer.Option("--tagged", help="Give the new revision no requests, only the address …/@next, until moved on.")
]
StepSeconds = Annotated[float, typer.Option("--step", help="Seconds that a step lasts.")]
MaxErrorRise = Annotated[
    float, typer.Option("--max-error-rise", help="Go back when so much more of the requests fail; 0.01 is 1 %.")
]
MaxLatency = Annotated[
    float, typer.Option("--max-latency", help="Go back when the 95th percentile is so many times the old one's.")
]
MinRequests = Annotated[int, typer.Option("--min-requests", help="Requests that a step needs.")]


Autoscale = Annotated[
    str | None,
    typer.Option(
        "--autoscale",
        metavar="METRIC=TARGET",
        help="cpu, memory (percent), concurrency or requests (per second) of one pod, as in concurrency=5; or none.",
    ),
]
QuotaRate = Annotated[
    float | None, typer.Option("--quota", metavar="PER_SECOND", help="Requests a second of each caller; 0 for none.")
]
QuotaBurst = Annotated[
    int | None, typer.Option("--quota-burst", help="Requests above it at once; else twice the rate.")
]
DownWindow = Annotated[float, typer.Option("--down-window", help="Seconds that fewer pods must have been enough.")]

IdleAfter = Annotated[
    float,
    typer.Option("--idle-after", help="With --min-pods 0: seconds without a request until the last pod is stopped."),
]


def policy_of(text: str | None, down_window: float, idle_after: float = 300) -> PolicyIn | None:
    """Read --autoscale; None where it was not given."""
    from pydantic import ValidationError

    from taxiway.wire.production import PolicyIn

    if text is None:
        return None
    metric, _, target = text.partition("=")
    try:
        return PolicyIn.model_validate(
            {
                "metric": metric,
                "target": float(target or 0),
                "down_window_seconds": down_window,
                "idle_seconds": idle_after,
            }
        )
    except (ValidationError, ValueError):
        fail(
            "--autoscale takes a metric and the target of one pod.",
            hint="For example concurrency=5, requests=100, cpu=70, memory=80, or none.",
            code=ExitCode.USAGE,
        )


def strategy_of(
    canary: str | None, *, tagged: bool, step: float, max_error_rise: float, max_latency: float, min_requests: int
) -> StrategyIn | None:
    """Read the options that begin a rollout; None where neither steps nor a tag are asked for."""
    from taxiway.wire.production import StrategyIn

    if canary is None and not tagged:
        return None
    if canary is not None and tagged:
        fail("Give --canary or --tagged, not both.", hint="A tagged one can be moved on later.", code=ExitCode.USAGE)
    texts = [text.strip() for text in (canary or "").split(",") if text.strip()]
    if not all(text.isascii() and text.isdecimal() for text in texts) or (canary is not None and not texts):
        fail("--canary takes whole percents.", hint="For example --canary 5,25,50.", code=ExitCode.USAGE)
    return StrategyIn(
        steps=[int(text) for text in texts],
        step_seconds=step,
        max_error_rate_rise=max_error_rise,
        max_latency_ratio=max_latency,
        min_requests=min_requests,
    )


def rollout(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A production deployment's name.")],
    pause: Annotated[bool, typer.Option("--pause", help="Stay at the present share.")] = False,
    percent: Annotated[int | None, typer.Option("--percent", help="Stay at this share instead.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the steps.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Give the new revision all requests now.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give the old revision all requests again.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the act.")] = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Show the rollout that is under way, or change it: pause, stay at a share, go on, finish or abort."""
    from taxiway.wire.production import RolloutChangeIn

    asked = {"pause": pause or percent is not None, "run": resume, "finish": finish, "abort": abort}
    chosen = [wanted for wanted, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        fail("Say one thing.", hint="Give one of --pause, --percent, --resume, --finish, --abort.", code=ExitCode.USAGE)
    with connected() as client:
        if chosen:
            change = RolloutChangeIn.model_validate({"wanted": chosen[0], "percent": percent, "reason": reason})
            seen = client.change_rollout(name, change, dry_run=dry_run)
            if dry_run:
                say(f"The rollout can do that; it is now {_state(seen)}. Nothing was changed.")
                return
        else:
            seen = client.production_deployment(name)
    if seen.rollout is None:
        say("There never was one. Begin one with `taxiway production promote … --canary 5,25,50`.")
        return
    show(seen.rollout, as_json=as_json, fields=rollout_fields(seen.rollout))


def _state(seen: ProductionDetailOut) -> str:
    return "over" if seen.rollout is None else f"{seen.rollout.state} at {seen.rollout.percent} %"


def rollout_fields(found: RolloutOut) -> list[tuple[str, object]]:
    """Return what is shown of a rollout."""
    return [
        ("rollout", f"{found.state}: {found.message}"),
        ("revisions", f"{found.old_revision} -> {found.new_revision}"),
        ("share", f"{found.percent} % of {', '.join(map(str, [*found.steps, 100]))}"),
        ("begun", f"{found.begun_at:%Y-%m-%d %H:%M} by {found.begun_by}"),
    ]
