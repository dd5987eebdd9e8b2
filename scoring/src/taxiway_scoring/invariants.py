"""Ready-made invariants, for a model's own ``taxiway_invariants.py``.

Each takes ``predict`` and ``example`` as Taxiway hands them to a ``check_…`` function, asks for predictions of rows
that are made from the example, and raises AssertionError where what it stands for does not hold. Predictions are one
number a row; of several columns the last one counts: the positive class of a classifier's probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Predict = Callable[[Any], Any]


def never_falls(predict: Predict, example: Any, column: str, values: Sequence[Any], *, slack: float = 0.0) -> None:
    """Demand that, all else equal, the prediction does not fall by more than ``slack`` as a column takes the values."""
    for number, row in _rows(example):
        scores = _scores(predict, _with(row, column, values))
        for before, after, value in zip(scores, scores[1:], values[1:]):
            if not after >= before - slack:
                raise AssertionError(f"row {number}: it falls where {column} becomes {value!r}")


def never_rises(predict: Predict, example: Any, column: str, values: Sequence[Any], *, slack: float = 0.0) -> None:
    """Demand that, all else equal, the prediction does not rise by more than ``slack`` as a column takes the values."""
    for number, row in _rows(example):
        scores = _scores(predict, _with(row, column, values))
        for before, after, value in zip(scores, scores[1:], values[1:]):
            if not after <= before + slack:
                raise AssertionError(f"row {number}: it rises where {column} becomes {value!r}")


def is_steady(predict: Predict, example: Any, column: str, step: float, *, most: float) -> None:
    """Demand that rounding a column to multiples of ``step`` changes no prediction by more than ``most``."""
    for number, row in _rows(example):
        value = float(row[column].iloc[0])
        before, after = _scores(predict, _with(row, column, [value, round(value / step) * step]))
        if not abs(after - before) <= most:
            raise AssertionError(f"row {number}: rounding {column} to {step:g} changes it by {abs(after - before):.3g}")


def answers_without(predict: Predict, example: Any, columns: Iterable[str]) -> None:
    """Demand a finite prediction where one of the columns is missing (null), each by itself."""
    for column in columns:
        for number, row in _rows(example):
            (score,) = _scores(predict, _with(row, column, [None]))
            if not math.isfinite(score):
                raise AssertionError(f"row {number}: without {column} it is {score}")


def _rows(example: Any) -> list[tuple[int, Any]]:
    if example is None or not hasattr(example, "iloc"):
        raise AssertionError("the model has no input example that is a table")
    return [(number, example.iloc[[number]]) for number in range(min(len(example), 20))]


def _with(row: Any, column: str, values: Sequence[Any]) -> Any:
    """Return the row as often as there are values, with these in the column."""
    import pandas as pd

    if column not in row.columns:
        raise AssertionError(f"the input example has no column {column}")
    made = pd.concat([row] * len(values), ignore_index=True)
    kind = row[column].dtype
    made[column] = pd.Series(list(values))
    if made[column].notna().all():
        made[column] = made[column].astype(kind)
    elif kind.kind in "iuf":
        made[column] = made[column].astype(float)
    else:
        made[column] = made[column].astype(object)
    return made


def _scores(predict: Predict, rows: Any) -> list[float]:
    import numpy as np

    found = np.asarray(predict(rows), dtype=float)
    return [float(value) for value in (found if found.ndim == 1 else found.reshape(len(found), -1)[:, -1])]
