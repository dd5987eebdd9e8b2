"""Rollouts: how the requests of a production deployment move from one revision to the next.

| wanted | state   | seen                                                            | next    | split           |
| ------ | ------- | --------------------------------------------------------------- | ------- | --------------- |
| any    | ended   |                                                                 | same    | stays           |
| any    | any     | the new revision failed, or is to be retired                    | Aborted | all to the old  |
| abort  | any     |                                                                 | Aborted | all to the old  |
| any    | any     | gets requests, and a limit is broken beyond doubt               | Aborted | all to the old  |
| any    | any     | the new revision is not ready yet                               | same    | stays           |
| finish | any     | the new revision is ready                                       | Done    | all to the new  |
| pause  | Running |                                                                 | Paused  | as wanted       |
| run    | Paused  |                                                                 | Running | stays           |
| run    | Running | no step yet                                                     | Running | first step      |
| run    | Running | the gateway has not taken the step's split into force           | Running | stays           |
| run    | Running | the step's time is not over, or there were too few requests     | Running | stays           |
| run    | Running | the step is over and a limit is broken                          | Aborted | all to the old  |
| run    | Running | the step is over, within the limits                             | Running | next step       |
| run    | Running | the last step is over, within the limits                        | Done    | all to the new  |

A limit compares the new revision with the old one over the same time. Before a step is over it is broken only where
chance is no excuse: the lower end of Wilson's 95 % interval of the new error rate lies above what is allowed, or
four times the requests that a step needs were measured for the latency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import sqrt

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId
from taxiway.domain.measurements import Window
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, ScoringOptions

NEXT = "next"
"""The tag of the new revision: it alone answers at ``@next`` below the endpoint."""
MOST_STEPS = 20
SHORTEST_STEP = timedelta(seconds=5)
LONGEST_STEP = timedelta(minutes=15)
ENOUGH_FOR_LATENCY = 4
"""Times the requests that a step needs: from then on its latency counts before it is over."""
LATENCY_FLOOR_MS = 5.0
"""Differences below it are the clock's and the buckets', not the model's."""
Z = 1.645
"""Of the one-sided 95 %."""
LATENCY_SHARE = 0.95


class RolloutWanted(StrEnum):
    """What people want of a rollout."""

    RUN = "run"
    PAUSE = "pause"
    FINISH = "finish"
    ABORT = "abort"


class RolloutState(StrEnum):
    """What is seen of it."""

    RUNNING = "Running"
    PAUSED = "Paused"
    DONE = "Done"
    ABORTED = "Aborted"


ENDED = (RolloutState.DONE, RolloutState.ABORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse the new revision may be than the old one in the same time.

    ``error_rate_rise`` is a difference of shares of requests (0.01: one more request of a hundred), ``latency_ratio``
    is of 95th percentiles; None asks for neither. ``requests`` is how many the new one must have answered in a step.
    """

    error_rate_rise: float | None = 0.01
    latency_ratio: float | None = 1.5
    requests: int = 50

    def __post_init__(self) -> None:
        if self.error_rate_rise is not None and not 0 <= self.error_rate_rise < 1:
            raise InvalidInput(
                "The rise of the error rate is a share from 0 to below 1.",
                hint="Give for example 0.01 for one request of a hundred.",
                field="/rollout/max_error_rate_rise",
            )
        if self.latency_ratio is not None and not 1 <= self.latency_ratio <= 100:
            raise InvalidInput(
                "The ratio of latencies is from 1 to 100.",
                hint="Give for example 1.5 for half as much again.",
                field="/rollout/max_latency_ratio",
            )
        if not 1 <= self.requests <= 1_000_000:
            raise InvalidInput(
                "A step needs from 1 to 1,000,000 requests.", hint="Give another.", field="/rollout/min_requests"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """By which whole percents the new revision gets requests, and how long each step lasts.

    Without steps it stays at 0 %, reachable by its tag alone, until somebody moves it on.
    """

    steps: tuple[int, ...]
    step: timedelta = timedelta(minutes=5)
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not rising or len(self.steps) > MOST_STEPS or not all(1 <= percent <= 99 for percent in self.steps):
            raise InvalidInput(
                f"A rollout has up to {MOST_STEPS} steps of rising whole percents from 1 to 99; 100 follows.",
                hint="Give for example 5, 25, 50.",
                field="/rollout/steps",
            )
        if not SHORTEST_STEP <= self.step <= LONGEST_STEP:
            raise InvalidInput(
                f"A step lasts from {SHORTEST_STEP.seconds} seconds to {LONGEST_STEP.seconds // 60} minutes.",
                hint="Give for example 300.",
                field="/rollout/step_seconds",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What of a deployment goes back to what it was when a rollout is aborted."""

    project: ProjectName
    model: ModelName
    version: int
    model_version: ModelVersionId
    resources: Resources
    options: ScoringOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One movement of requests from ``old`` to ``new``. ``state`` and all after it is seen, what is before is wanted.

    ``step`` counts from 1; 0 before the first. ``percent`` is what the new revision is to get now.
    """

    id: str
    deployment: DeploymentId
    old: RevisionId
    new: RevisionId
    before: Served
    strategy: Strategy
    by: str
    created_at: datetime
    wanted: RolloutWanted = RolloutWanted.RUN
    wanted_percent: int | None = None
    """With ``pause``: the share to stay at."""
    generation: int = 1
    state: RolloutState = RolloutState.RUNNING
    step: int = 0
    percent: int = 0
    reason: str = ""
    message: str = "The new revision is coming up."
    changed_at: datetime | None = None
    """When the state or the share changed last."""

    @property
    def is_active(self) -> bool:
        """Whether it still decides who gets which requests."""
        return self.state not in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """All that is seen of a rollout at one moment.

    ``share`` is what the accepted routing table gives the new revision, None for nothing or unknown. ``waited`` is how
    long this process has seen the present share in force; ``old`` and ``new`` what was measured since.
    """

    rollout: Rollout
    revision: Revision
    """The new one."""
    share: int | None
    waited: timedelta
    old: Window | None
    new: Window | None


def advance(view: RolloutView, now: datetime) -> Rollout:
    """Decide by the table at the top of this file."""
    rollout, revision = view.rollout, view.revision
    if not rollout.is_active:
        return rollout
    if revision.wanted is RevisionWanted.RETIRE or revision.state in _GONE:
        failure = revision.failure
        why = failure.message if failure is not None else "It is to be retired."
        return _aborted(rollout, "RevisionFailed", f"Revision {revision.number} did not hold. {why}", now)
    if rollout.wanted is RolloutWanted.ABORT:
        return _aborted(rollout, "AbortedByPerson", "Somebody ended it; all requests go to the revision before.", now)
    is_measured = rollout.percent > 0 and view.share == rollout.percent
    if is_measured and (broken := broken_limit(view, is_over=False)) is not None:
        return _aborted(rollout, broken[0], broken[1], now)
    if revision.state is not RevisionState.READY:
        return _told(rollout, "Waiting", f"Revision {revision.number} is coming up.")
    if rollout.wanted is RolloutWanted.FINISH:
        return _done(rollout, revision, "Somebody finished it.", now)
    if rollout.wanted is RolloutWanted.PAUSE or not rollout.strategy.steps:
        return _paused(rollout, now)
    if rollout.state is RolloutState.PAUSED:
        rollout = replace(rollout, state=RolloutState.RUNNING, changed_at=now)
    if rollout.step == 0:
        return _at_step(rollout, revision, 1, now)
    if view.share != rollout.percent:
        return _told(rollout, "Routing", f"The gateway is taking {rollout.percent} % into force.")
    return _judge_step(replace(view, rollout=rollout), now)


def _judge_step(view: RolloutView, now: datetime) -> Rollout:
    rollout, strategy = view.rollout, view.rollout.strategy
    answered = 0 if view.new is None else view.new.traffic.requests
    where = f"Step {rollout.step} of {len(strategy.steps)}: revision {view.revision.number} gets {rollout.percent} %"
    if view.waited < strategy.step:
        return _told(rollout, "Watching", f"{where} for {_seconds(strategy.step)}.")
    if answered < strategy.limits.requests:
        missing = f"{answered} of {strategy.limits.requests} requests that it needs were answered"
        return _told(rollout, "TooFewRequests", f"{where}; {missing}.")
    broken = broken_limit(view, is_over=True)
    if broken is not None:
        return _aborted(rollout, broken[0], broken[1], now)
    if rollout.step == len(strategy.steps):
        return _done(rollout, view.revision, f"It stayed within its limits: {compared(view)}.", now)
    return _at_step(rollout, view.revision, rollout.step + 1, now)


def broken_limit(view: RolloutView, *, is_over: bool) -> tuple[str, str] | None:
    """Return reason and sentence of a limit that the new revision breaks; None while it holds or cannot be told."""
    old, new, limits = view.old, view.new, view.rollout.strategy.limits
    if new is None or new.traffic.requests < limits.requests:
        return None
    old_rate = 0.0 if old is None else old.error_rate
    if limits.error_rate_rise is not None:
        rate = new.error_rate if is_over else surely_above(new.traffic.server_errors, new.traffic.requests)
        if rate > old_rate + limits.error_rate_rise:
            allowed = f"{_percent(limits.error_rate_rise)} more is allowed"
            return "ErrorRateTooHigh", f"Too many errors at {view.rollout.percent} %: {compared(view)}; {allowed}."
    enough = limits.requests * (1 if is_over else ENOUGH_FOR_LATENCY)
    if limits.latency_ratio is not None and old is not None and new.traffic.requests >= enough:
        was, is_now = old.latency(LATENCY_SHARE), new.latency(LATENCY_SHARE)
        is_comparable = was is not None and is_now is not None and old.traffic.requests >= enough
        if is_comparable and is_now > max(was * limits.latency_ratio, was + LATENCY_FLOOR_MS):  # type: ignore[operator]
            allowed = f"{limits.latency_ratio:g} times as much is allowed"
            return "LatencyTooHigh", f"Too slow at {view.rollout.percent} %: {compared(view)}; {allowed}."
    return None


def compared(view: RolloutView) -> str:
    """Say what was measured of both in the same time."""
    return f"{_measured(view.new)}; before {_measured(view.old)}"


def _measured(window: Window | None) -> str:
    if window is None or not window.traffic.requests:
        return "no requests"
    traffic, p95 = window.traffic, window.latency(LATENCY_SHARE) or 0.0
    rate = _percent(window.error_rate)
    return f"{traffic.server_errors} of {traffic.requests} requests failed ({rate}), p95 {p95:.3g} ms"


def surely_above(errors: int, requests: int) -> float:
    """Return the lower end of Wilson's score interval of a share (E. B. Wilson, 1927), one-sided 95 %."""
    share = errors / requests
    middle = share + Z * Z / (2 * requests)
    spread = Z * sqrt(share * (1 - share) / requests + Z * Z / (4 * requests * requests))
    return max((middle - spread) / (1 + Z * Z / requests), 0.0)


_GONE = (RevisionState.FAILED, RevisionState.RETIRING, RevisionState.RETIRED)


def _at_step(rollout: Rollout, revision: Revision, step: int, now: datetime) -> Rollout:
    percent = rollout.strategy.steps[step - 1]
    # A share that somebody set by hand may be greater than the next step's.
    percent = max(percent, rollout.percent)
    message = f"Step {step} of {len(rollout.strategy.steps)}: revision {revision.number} gets {percent} %."
    return replace(
        rollout, state=RolloutState.RUNNING, step=step, percent=percent, reason="Step", message=message, changed_at=now
    )


def _paused(rollout: Rollout, now: datetime) -> Rollout:
    percent = rollout.percent if rollout.wanted_percent is None else rollout.wanted_percent
    message = f"It stays at {percent} % until somebody moves it on."
    if rollout.state is RolloutState.PAUSED and rollout.percent == percent:
        return _told(rollout, "Paused", message)
    return replace(
        rollout, state=RolloutState.PAUSED, percent=percent, reason="Paused", message=message, changed_at=now
    )


def _done(rollout: Rollout, revision: Revision, why: str, now: datetime) -> Rollout:
    message = f"Revision {revision.number} gets all requests. {why}"
    return replace(rollout, state=RolloutState.DONE, percent=100, reason="Finished", message=message, changed_at=now)


def _aborted(rollout: Rollout, reason: str, message: str, now: datetime) -> Rollout:
    return replace(rollout, state=RolloutState.ABORTED, percent=0, reason=reason, message=message, changed_at=now)


def _told(rollout: Rollout, reason: str, message: str) -> Rollout:
    return replace(rollout, reason=reason, message=message)


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _seconds(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    return f"{seconds // 60} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds} s"
