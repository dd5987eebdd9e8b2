"""Are thresholds read as they are written, and refused where they say nothing?"""

from __future__ import annotations

import pytest

from taxiway.domain.errors import InvalidInput
from taxiway.domain.thresholds import Bound, Threshold, check_thresholds, missed, parse_threshold


@pytest.mark.parametrize(
    ("text", "metric", "bound", "value"),
    [
        ("auc >= 0.9", "auc", Bound.AT_LEAST, 0.9),
        ("loss<=0.2", "loss", Bound.AT_MOST, 0.2),
        (" val/f1 score >= -1e-3 ", "val/f1 score", Bound.AT_LEAST, -0.001),
    ],
)
def test_read_as_written(text: str, metric: str, bound: Bound, value: float) -> None:
    assert parse_threshold(text) == Threshold(metric=metric, bound=bound, value=value)


@pytest.mark.parametrize("text", ["", "auc", "auc > 0.9", "auc >= ", ">= 0.9", "auc >= nan", "auc >= inf"])
def test_what_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_threshold(text)
    assert refused.value.hint


def test_two_of_one_side_are_a_mistake_and_both_sides_a_range() -> None:
    low, high = parse_threshold("rate >= 0.1"), parse_threshold("rate <= 0.3")
    assert check_thresholds([low, high]) == (low, high)
    with pytest.raises(InvalidInput):
        check_thresholds([low, parse_threshold("rate >= 0.2")])
    with pytest.raises(InvalidInput):
        check_thresholds([parse_threshold(f"m{number} >= 0") for number in range(51)])


def test_what_is_missed_says_what_it_was() -> None:
    found = missed([parse_threshold("auc >= 0.9"), parse_threshold("loss <= 1")], {"auc": 0.5})
    assert found == ["auc >= 0.9 (it is 0.5)", "loss <= 1 (it was not logged)"]
