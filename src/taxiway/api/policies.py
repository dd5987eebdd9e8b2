"""Autoscaling policies between the API's words and the domain's."""

from __future__ import annotations

import re
from datetime import timedelta

from taxiway.domain.autoscaling import AutoscalingPolicy, Metric, Rate, Schedule
from taxiway.domain.errors import InvalidInput
from taxiway.services.deployments import UNCHANGED, Unchanged
from taxiway.wire.production import PolicyIn, PolicyOut, ScheduleIn, ScheduleOut

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z", re.ASCII)


def policy_in(wanted: PolicyIn | None) -> AutoscalingPolicy | Unchanged | None:
    """Read a policy; left out is unchanged, and the metric ``none`` is no policy. Raises InvalidInput."""
    if wanted is None:
        return UNCHANGED
    if wanted.metric == "none":
        return None
    return AutoscalingPolicy(
        metric=Metric(wanted.metric),
        target=wanted.target,
        tolerance=wanted.tolerance,
        over=_seconds("over_seconds", wanted.over_seconds),
        up_window=_seconds("up_window_seconds", wanted.up_window_seconds),
        down_window=_seconds("down_window_seconds", wanted.down_window_seconds),
        up=Rate(
            pods=wanted.up_pods,
            percent=wanted.up_percent,
            period=_seconds("up_period_seconds", wanted.up_period_seconds),
        ),
        down=Rate(
            pods=wanted.down_pods,
            percent=wanted.down_percent,
            period=_seconds("down_period_seconds", wanted.down_period_seconds),
        ),
        schedules=tuple(_schedule(number, each) for number, each in enumerate(wanted.schedules)),
        idle=_seconds("idle_seconds", wanted.idle_seconds),
    )


def policy_out(policy: AutoscalingPolicy | None) -> PolicyOut | None:
    """Show a policy."""
    if policy is None:
        return None
    return PolicyOut(
        metric=str(policy.metric),
        target=policy.target,
        tolerance=policy.tolerance,
        over_seconds=policy.over.total_seconds(),
        up_window_seconds=policy.up_window.total_seconds(),
        down_window_seconds=policy.down_window.total_seconds(),
        up_pods=policy.up.pods,
        up_percent=policy.up.percent,
        up_period_seconds=policy.up.period.total_seconds(),
        down_pods=policy.down.pods,
        down_percent=policy.down.percent,
        down_period_seconds=policy.down.period.total_seconds(),
        schedules=[
            ScheduleOut(
                min_pods=each.minimum,
                days=list(each.days),
                begins=_clock(each.begins),
                until=_clock(each.until),
                zone=each.zone,
            )
            for each in policy.schedules
        ],
        idle_seconds=policy.idle.total_seconds(),
    )


def _schedule(number: int, wanted: ScheduleIn) -> Schedule:
    """Read one schedule; an error names it by its number."""
    here = f"/autoscaling/schedules/{number}"
    try:
        return Schedule(
            minimum=wanted.min_pods,
            days=tuple(wanted.days),
            begins=_minute(f"{here}/begins", wanted.begins),
            until=_minute(f"{here}/until", wanted.until),
            zone=wanted.zone,
        )
    except InvalidInput as error:
        field = (error.field or "").rpartition("/")[2]
        raise InvalidInput(error.message, hint=error.hint, field=f"{here}/{field}") from None


def _seconds(name: str, value: float) -> timedelta:
    if not 0 <= value <= 3600:
        raise InvalidInput(
            "A time of a policy is 0 to 3600 seconds.", hint="Give another.", field=f"/autoscaling/{name}"
        )
    return timedelta(seconds=value)


def _minute(field: str, text: str) -> int:
    match = _TIME.match(text)
    if match is None:
        raise InvalidInput("A schedule's time is one of the day.", hint="As in 08:00.", field=field)
    return int(match[1]) * 60 + int(match[2])


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
