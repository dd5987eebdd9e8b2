"""Requests that are predicted together: how many rows, whose error, and what is kept of them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway_scoring.app import JOINED_ROWS, ScoringApp, bounded
from taxiway_scoring.decoding import Decoder
from taxiway_scoring.serving import RowPath
from taxiway_scoring.spool import Spool
from taxiway_scoring.streaming import Pieces
from tests.scoring.apps import ByRows, FakePredictor, Wire, X, an_app, predict


class APlan(ByRows):
    """Predicts by a function of rows; remembers how many it was given."""

    name = "a plan"
    rows_are_independent = True

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.sizes: list[int] = []

    def predict(self, rows: Any) -> Any:
        self.sizes.append(len(rows))
        return self._function(rows)


def planned(function: Callable[[Any], Any], **more: Any) -> tuple[ScoringApp, APlan]:
    app, plan = an_app(**more), APlan(function)
    app.install(FakePredictor(lambda _: [1.0]), RowPath(Decoder.of(X), plan, plan, may_join=True))  # type: ignore[arg-type]
    return app, plan


def body_of(rows: int) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["x"], "data": [[1.0]] * rows}}).encode()


def sent(body: bytes) -> bytes:
    return b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        ([], []),
        ([5000], [[0]]),
        ([1, 5000, 1], [[0], [1], [2]]),
        ([512, 512, 1], [[0, 1], [2]]),
        ([0, 0], [[0, 1]]),
    ],
)
def test_runs_have_no_more_rows_than_may_be_joined(rows: list[int], runs: list[list[int]]) -> None:
    assert [list(run) for run in bounded(range(len(rows)), rows)] == runs


async def test_what_comes_in_one_turn_is_predicted_in_bounded_pieces() -> None:
    app, plan = planned(lambda rows: [1.0] * len(rows))
    wires = [Wire(app) for _ in range(100)]
    for wire in wires:
        wire.feed(sent(body_of(64)))
    for wire in wires:
        ((status, _, body),) = await wire.settle()
        assert (status, len(json.loads(body)["predictions"])) == (200, 64)
    assert sum(plan.sizes) == 6400
    assert max(plan.sizes) <= JOINED_ROWS


async def test_large_requests_that_wait_are_predicted_in_bounded_pieces() -> None:
    app, plan = planned(lambda rows: [1.0] * len(rows))
    answers = await asyncio.gather(*[predict(app, body_of(700)) for _ in range(20)])
    assert [status for status, _ in answers] == [200] * 20
    assert max(plan.sizes) <= JOINED_ROWS


async def test_an_error_nobody_thought_of_leaves_those_behind_it_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = planned(lambda rows: [1.0] * len(rows))
    write, calls = app._write, []

    def fails_once(predictions: Any) -> tuple[bytes | Pieces, int]:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError
        return write(predictions)

    monkeypatch.setattr(app, "_write", fails_once)
    wires = [Wire(app) for _ in range(3)]
    for wire in wires:
        wire.feed(sent(body_of(1)))
    assert [(await asyncio.wait_for(wire.settle(), 5))[0][0] for wire in wires] == [500, 200, 200]


async def test_compressed_requests_are_not_kept_for_comparison(tmp_path: Path) -> None:
    app, _ = planned(lambda rows: [1.0] * len(rows), spool=Spool(tmp_path, 1))
    status, _ = await predict(app, gzip.compress(body_of(1)), content_encoding="gzip")
    assert status == 200
    assert list(tmp_path.iterdir()) == []
    await predict(app, body_of(100))
    assert len(list(tmp_path.iterdir())) == 1
