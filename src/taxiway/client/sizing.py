"""Loads a staging endpoint in steps from here, and looks up what its pod used meanwhile.

Requests arrive at random, as callers' do. CPU and memory are the platform's own measurements; its clock counts. What
all that means is in ``domain.sizing``.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from taxiway.client.calls import plain
from taxiway.client.loading import Answer, Endpoint, load
from taxiway.client.sync import Client
from taxiway.domain.errors import InvalidInput, NotReady
from taxiway.domain.simulation import Shape, arrivals, rate_of
from taxiway.domain.sizing import Limits, Step, next_rate
from taxiway.wire.measurements import SeriesOut

TRIES = 30
LEAST_STEP_SECONDS = 5.0
TOKEN_DAYS = 1 / 4
SETTLES_SECONDS = 13.0
"""After so long the platform has written down what was in its last ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The steps of one endpoint, in the order they were made, and the limits that were held against them."""

    steps: Sequence[Step]
    limits: Limits
    quick_ms: float
    """What one request takes when there is no other: the median."""


def example_of(client: Client, name: str, version: int, *, project: str | None = None) -> bytes:
    """Return the model's own input example as a request body. Raises InvalidInput where it has none."""
    path = ("projects", client.in_project(project), "models", name, "versions", version, "endpoint")
    document = client.send(plain("GET", *path))
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    example = content.get("application/json", {}).get("example")
    if example is None:
        raise InvalidInput("The model was logged without an input example.", hint="Give a request body with --file.")
    return json.dumps(example).encode()


def load_in_steps(
    client: Client,
    name: str,
    version: int,
    *,
    body: bytes,
    content_type: str = "application/json",
    token: str | None = None,
    max_p99_ms: float | None = None,
    max_errors: float = 0.01,
    begin: float | None = None,
    most: float = 10_000.0,
    step_seconds: float = 25.0,
    project: str | None = None,
    seed: int = 0,
    progress: Callable[[Step], None] = lambda _step: None,
) -> Loaded:
    """Load until the knee is known. Without ``max_p99_ms``: five times what one request takes alone, 100 at least.

    Without ``begin`` the first rate is a tenth of what one request after the other would be. Without a token one is
    issued for as long as this takes. Raises NotReady where the endpoint refuses the body.
    """
    if step_seconds < LEAST_STEP_SECONDS:
        raise InvalidInput(f"A step lasts {LEAST_STEP_SECONDS:g} seconds at least.", hint="25 are usual.")
    seen = client.model(name, version, project=project)
    if not seen.is_available:
        raise NotReady(
            f"{name}/{version} is {seen.status}.", hint=f"`taxiway model on {name}/{version}` switches it ON."
        )
    issued = None
    if token is None and seen.needs_token:
        issued = client.issue_token(name, version, caller="taxiway model size", days=TOKEN_DAYS, project=project)
        token = issued.token
    headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {token}"} if token else {})
    endpoint = Endpoint(url=f"{seen.url}/invocations", body=body, headers=headers)
    try:
        quick_ms = _alone(endpoint)
        limits = Limits(p99_ms=max_p99_ms or max(round(5 * quick_ms), 100), errors=max_errors)
        chance = random.Random(seed)  # noqa: S311
        ahead = _clock_ahead(client.measurements(name, version, minutes=1, project=project))
        steps: list[Step] = []
        times: list[tuple[datetime, datetime]] = []
        rate: float | None = min(begin or max(100 / quick_ms, 1.0), most)
        while rate is not None:
            since = datetime.now().astimezone() + ahead
            due = arrivals(rate_of(Shape.STEADY, rate, step_seconds), step_seconds, chance)
            answers = asyncio.run(load(endpoint, due))
            times.append((since, since + timedelta(seconds=step_seconds)))
            steps.append(step_of(answers, rate=rate, seconds=step_seconds))
            progress(steps[-1])
            rate = next_rate(steps, limits, most=most)
    finally:
        if issued is not None:
            client.revoke_token(name, version, issued.id, project=project)
    time.sleep(SETTLES_SECONDS)
    minutes = int((datetime.now().astimezone() + ahead - times[0][0]).total_seconds() // 60) + 1
    series = client.measurements(name, version, minutes=minutes, project=project)
    measured = [_with_use(step, series, *span) for step, span in zip(steps, times, strict=True)]
    return Loaded(steps=measured, limits=limits, quick_ms=quick_ms)


def _alone(endpoint: Endpoint) -> float:
    """Send some requests one after the other; return the median in milliseconds. The first ones warm up."""
    took = []
    for number in range(TRIES):
        [answer] = asyncio.run(load(endpoint, [0.0]))
        if not answer.is_good:
            raise NotReady(
                f"The endpoint answered {answer.status or 'nothing'} to a single request.",
                hint="Try the body and the token with `taxiway model predict`.",
            )
        if number >= TRIES // 3:
            took.append(answer.took * 1000)
    return statistics.median(took)


def step_of(answers: Sequence[Answer], *, rate: float, seconds: float) -> Step:
    """Sum up what came of one step. Latency is that of all requests, those that failed included."""
    took = sorted(answer.took * 1000 for answer in answers) or [0.0]
    late = sorted(answer.late * 1000 for answer in answers) or [0.0]
    good = sum(answer.is_good for answer in answers)
    return Step(
        rate=rate,
        seconds=seconds,
        achieved=good / seconds,
        errors=1 - good / len(answers) if answers else 0.0,
        mean_ms=statistics.fmean(took),
        p50_ms=_share(took, 0.5),
        p99_ms=_share(took, 0.99),
        late_ms=_share(late, 0.99),
    )


def _share(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def _clock_ahead(series: SeriesOut) -> timedelta:
    """Return how far the platform's clock is ahead of this one's; a series ends a second after its present."""
    return series.until - timedelta(seconds=1) - datetime.now().astimezone()


def _with_use(step: Step, series: SeriesOut, since: datetime, until: datetime) -> Step:
    """Add what one pod used: the mean of the CPUs, the most of the memory, of the points that lie in the step."""
    long = timedelta(seconds=series.step_seconds)
    within = [each for each in series.points if since <= each.at and each.at + long <= until and each.pods > 0]
    cpus = [each.cpus / each.pods for each in within if each.cpus is not None]
    memory = [each.memory_bytes / each.pods for each in within if each.memory_bytes is not None]
    return replace(
        step,
        cpus=statistics.fmean(cpus) if cpus else None,
        memory_bytes=round(max(memory)) if memory else None,
    )
