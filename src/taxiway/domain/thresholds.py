"""Thresholds: what a run's metrics must reach before its model goes to production; a model's owners set them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from taxiway.domain.errors import InvalidInput

MAX_THRESHOLDS = 50
MAX_NAME = 250
_WRITTEN = re.compile(r"\s*(?P<metric>\S.*?)\s*(?P<bound><=|>=)\s*(?P<value>\S+)\s*")


class Bound(StrEnum):
    """On which side of the value a metric must be; the value itself is allowed."""

    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One metric's bound. Raises InvalidInput for a name or a value that no metric has."""

    metric: str
    bound: Bound
    value: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.metric) <= MAX_NAME or not self.metric.isprintable():
            raise InvalidInput(
                f"A metric's name has 1 to {MAX_NAME} printable characters.",
                hint="Write a threshold as 'auc >= 0.9'.",
                field="/thresholds",
            )
        if not math.isfinite(self.value):
            raise InvalidInput(
                "A threshold's value is a finite number.", hint="Write it as 'auc >= 0.9'.", field="/thresholds"
            )

    def __str__(self) -> str:
        return f"{self.metric} {self.bound} {self.value:g}"

    def is_reached(self, value: float | None) -> bool:
        """Tell whether a metric of this value is on the right side; one that is missing or not a number is not."""
        if value is None or math.isnan(value):
            return False
        return value >= self.value if self.bound is Bound.AT_LEAST else value <= self.value


def parse_threshold(text: str) -> Threshold:
    """Read ``auc >= 0.9`` or ``loss <= 0.2``. Raises InvalidInput."""
    found = _WRITTEN.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        return Threshold(metric=found["metric"], bound=Bound(found["bound"]), value=float(found["value"]))
    except ValueError:
        raise InvalidInput(
            "A threshold is a metric, >= or <=, and a number.", hint="For example 'auc >= 0.9'.", field="/thresholds"
        ) from None


def check_thresholds(thresholds: Sequence[Threshold]) -> tuple[Threshold, ...]:
    """Return them when they are acceptable: at most 50, and no two of one metric and side. Raises InvalidInput."""
    if len(thresholds) > MAX_THRESHOLDS:
        raise InvalidInput(f"A model has at most {MAX_THRESHOLDS} thresholds.", hint="Give fewer.", field="/thresholds")
    seen: set[tuple[str, Bound]] = set()
    for threshold in thresholds:
        key = threshold.metric, threshold.bound
        if key in seen:
            raise InvalidInput(
                f"There are two thresholds of {threshold.metric} {threshold.bound}.",
                hint="Keep the stricter one.",
                field="/thresholds",
            )
        seen.add(key)
    return tuple(thresholds)


def missed(thresholds: Sequence[Threshold], metrics: Mapping[str, float]) -> Sequence[str]:
    """Say of each threshold that is not reached what the metric was."""
    return [
        f"{threshold} (it is {metrics[threshold.metric]:g})"
        if threshold.metric in metrics
        else f"{threshold} (it was not logged)"
        for threshold in thresholds
        if not threshold.is_reached(metrics.get(threshold.metric))
    ]
