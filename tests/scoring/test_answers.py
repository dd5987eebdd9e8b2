"""Predictions as JSON, known by what they offer: without NumPy, pandas or pydantic at hand."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import Any

import pytest

from taxiway_scoring.answers import plain, write_predictions


class Numpy:
    """Stands for NumPy's arrays and scalars."""

    def __init__(self, turned: Any) -> None:
        self._turned = turned

    def tolist(self) -> Any:
        return self if self._turned is Ellipsis else self._turned

    def __float__(self) -> float:
        return 0.5


Numpy.__module__ = "numpy"


class Pydantic2:
    def model_dump(self) -> dict[str, Any]:
        return {"a": float("nan")}


class Pydantic1:
    __fields__ = ()

    def dict(self) -> dict[str, Any]:
        return {"a": 1}


class NAType:
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None), (True, True), (3, 3), ("ü", "ü"), (0.1, 0.1), (-0.0, -0.0), (5e-324, 5e-324),
        (math.nan, None), (math.inf, None), ([1, (2, {3})], [1, [2, [3]]]),
        ({1: 2, None: 3, False: 4}, {"1": 2, "null": 3, "false": 4}),
        (b"\x00\xff", "AP8=\n"), (date(2024, 1, 2), "2024-01-02"), (datetime(2024, 1, 2, 3), "2024-01-02T03:00:00"),  # noqa: DTZ001
        (time(3, 4), "03:04:00"), (Numpy([1.5, math.nan]), [1.5, None]), (Numpy(...), 0.5), (Pydantic2(), {"a": None}),
        (Pydantic1(), {"a": 1}), (NAType(), None), ([{"a": [Numpy(1)]}], [{"a": [1]}]),
    ],
)  # fmt: skip
def test_what_a_model_may_return(value: Any, expected: Any) -> None:
    assert repr(plain(value)) == repr(expected) or plain(value) == expected


@pytest.mark.parametrize("value", [object(), 1j, [object()], {"a": 1j}])
def test_what_json_has_not(value: Any) -> None:
    with pytest.raises(TypeError):
        plain(value)


def test_what_is_written_is_strict_json() -> None:
    written = write_predictions(plain([0.1, math.nan, "ü\ud800", 2**70]))
    assert json.loads(written, parse_constant=pytest.fail) == {"predictions": [0.1, None, "ü\ud800", 2**70]}
    assert "ü".encode() in write_predictions(["ü"])
