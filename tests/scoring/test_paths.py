"""How are small requests answered at once, and others together, by a model that has a path for rows?"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import numpy as np
import pytest

from taxiway_scoring.app import INLINE_ROWS, HttpRequest, ScoringApp, keeps_always
from taxiway_scoring.contract import Column, Contract, Type
from taxiway_scoring.deadlines import Overdue
from taxiway_scoring.decoding import Decoder, Rows
from taxiway_scoring.payload import Request
from taxiway_scoring.serving import AsTable, RowPath
from tests.scoring.apps import ByRows, FakePredictor, Wire, X, a_post, an_app, predict


class Doubles(ByRows):
    """Doubles x; remembers how many rows it got at a time. A negative one makes it fail."""

    name = "doubles"

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.hold = threading.Event()
        self.hold.set()

    def predict(self, rows: Rows) -> Any:
        self.hold.wait(10)
        self.sizes.append(len(rows))
        values = np.array([row[0] for row in rows])
        if (values < 0).any():
            raise ValueError
        return values * 2


class Needs(Doubles):
    """Fails without a value."""

    def predict(self, rows: Rows) -> Any:
        return [row[0] * 2 for row in rows]


def by_rows(request: Request) -> Any:
    raise AssertionError("the generic path was not to be taken")


def an_app_with(plan: Doubles, *, is_quick: bool = True, may_join: bool = True, **more: Any) -> ScoringApp:
    app = an_app(by_rows, **more)
    decoder = Decoder.of(X)
    assert decoder is not None
    app.install(FakePredictor(by_rows), RowPath(decoder, plan, plan if is_quick else None, may_join))
    return app


def a_request(*values: float) -> bytes:
    body = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}}).encode()
    head = f"POST /invocations HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}x-request-id: of-{values[0]}\r\n\r\n".encode() + body


async def test_a_small_request_is_answered_within_the_turn() -> None:
    plan = Doubles()
    wire = Wire(an_app_with(plan))
    wire.feed(a_request(1.5))
    ((status, headers, body),) = await wire.settle()
    assert (status, json.loads(body)) == (200, {"predictions": [3.0]})
    assert headers["x-request-id"] == "of-1.5"
    assert headers["content-type"] == "application/json"
    assert {"x-taxiway-revision", "x-taxiway-pod", "x-content-type-options"} <= headers.keys()
    assert not wire.transport.is_closed


async def test_what_arrives_in_one_turn_is_predicted_together() -> None:
    plan = Doubles()
    app = an_app_with(plan)
    wires = [Wire(app) for _ in range(3)]
    for number, wire in enumerate(wires):
        wire.feed(a_request(*range(number, 2 * number + 1)))
    answers = [(await wire.settle())[0] for wire in wires]
    assert [json.loads(body)["predictions"] for _, _, body in answers] == [[0.0], [2.0, 4.0], [4.0, 6.0, 8.0]]
    assert plan.sizes == [6]
    assert app.telemetry.joined_inline == 3
    assert app.telemetry.requests == {200: 3}


async def test_rows_that_depend_on_each_other_are_kept_apart() -> None:
    plan = Doubles()
    app = an_app_with(plan, may_join=False)
    wires = [Wire(app) for _ in range(3)]
    for wire in wires:
        wire.feed(a_request(1.0))
    assert [(await wire.settle())[0][0] for wire in wires] == [200] * 3
    assert plan.sizes == [1, 1, 1]


@pytest.mark.parametrize("may_join", [True, False])
async def test_whose_time_is_up_is_told_and_the_process_ends(may_join: bool) -> None:
    """A call that is interrupted may leave anything behind; what was answered before it stays answered."""
    ended: list[bool] = []
    app = an_app_with(Doubles(), may_join=may_join, on_stuck=lambda: ended.append(True))

    def guard(function: Any, rows: Rows) -> Any:
        if (7.0,) in rows:
            raise Overdue
        return function(rows)

    app.guard = guard
    wires = [Wire(app) for _ in range(3)]
    for wire, value in zip(wires, (1.0, 7.0, 3.0), strict=True):
        wire.feed(a_request(value))
    answers = [(await wire.settle())[0] for wire in wires]
    assert [status for status, _, _ in answers] == ([504] * 3 if may_join else [200, 504, 504])
    assert json.loads(answers[1][2])["reason"] == "PredictionTimedOut"
    assert ended == [True]
    assert not app.is_ready


async def test_a_failure_is_its_own_requests_only() -> None:
    app = an_app_with(Doubles())
    wires = [Wire(app) for _ in range(3)]
    for wire, value in zip(wires, (1.0, -1.0, 3.0), strict=True):
        wire.feed(a_request(value))
    answers = [(await wire.settle())[0] for wire in wires]
    assert [status for status, _, _ in answers] == [200, 500, 200]
    assert json.loads(answers[1][2])["reason"] == "PredictionFailed"
    assert answers[1][1]["x-request-id"] == "of--1.0"


@pytest.mark.parametrize("is_quick", [True, False])
async def test_a_plan_that_needs_a_value_tells_which(is_quick: bool) -> None:
    wire = Wire(an_app_with(Needs(), is_quick=is_quick))
    body = b'{"dataframe_split": {"columns": ["x"], "data": [[1.0], [null]]}}'
    wire.feed(a_post(body, "Content-Type: application/json"))
    ((status, _, answer),) = await wire.settle()
    problem = json.loads(answer)
    assert (status, problem["row"], problem["column"]) == (422, 1, "x")


async def test_requests_that_are_sent_ahead_are_answered_in_order() -> None:
    wire = Wire(an_app_with(Doubles()))
    ping = b"GET /ping HTTP/1.1\r\n\r\n"
    wire.feed(a_request(1.0) + ping + a_request(2.0) + a_request(3.0))
    bodies = [body for _, _, body in await wire.settle()]
    assert [body if body == b"\n" else json.loads(body)["predictions"] for body in bodies] == [
        [2.0],
        b"\n",
        [4.0],
        [6.0],
    ]


async def test_a_client_that_leaves_before_its_answer_disturbs_nobody() -> None:
    app = an_app_with(Doubles())
    gone, stays = Wire(app), Wire(app)
    gone.feed(a_request(1.0))
    stays.feed(a_request(2.0))
    gone.connection.connection_lost(None)
    assert json.loads((await stays.settle())[0][2]) == {"predictions": [4.0]}
    assert not gone.transport.written


async def test_a_draining_pod_says_so_with_the_answer() -> None:
    wire = Wire(an_app_with(Doubles()))
    wire.feed(a_request(1.0))
    wire.connections.is_draining = True
    ((status, headers, _),) = await wire.settle()
    assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize(("seconds", "is_inline"), [(0.0, True), (0.003, False)])
async def test_a_plan_that_is_slow_keeps_to_the_worker_thread(seconds: float, is_inline: bool) -> None:
    class Slow(Doubles):
        def predict(self, rows: Rows) -> Any:
            time.sleep(seconds)
            return super().predict(rows)

    app = an_app_with(Slow())
    app.warm(b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}')
    request = HttpRequest("POST", "/invocations", {}, b'{"dataframe_split": {"columns": ["x"], "data": [[2.0]]}}')
    assert app.take(request, lambda _: None) is is_inline
    assert (await app.answer(request)).status == 200


async def test_large_requests_go_to_the_worker_thread() -> None:
    plan = Doubles()
    app = an_app_with(plan)
    many = {"dataframe_split": {"columns": ["x"], "data": [[1.0]] * (INLINE_ROWS + 1)}}
    status, answer = await predict(app, many)
    assert (status, answer["predictions"]) == (200, [2.0] * (INLINE_ROWS + 1))


async def test_what_comes_while_a_slow_model_predicts_goes_together_next() -> None:
    plan = Doubles()
    app = an_app_with(plan, is_quick=False)
    plan.hold.clear()
    asking = [
        asyncio.create_task(predict(app, json.loads(a_request(float(n)).partition(b"\r\n\r\n")[2]))) for n in range(5)
    ]
    while not app._jobs:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    plan.hold.set()
    answers = await asyncio.gather(*asking)
    assert [answer["predictions"] for _, answer in answers] == [[2.0 * n] for n in range(5)]
    assert sum(plan.sizes) == 5
    assert len(plan.sizes) < 5


async def test_a_failure_among_slow_ones_is_its_own() -> None:
    plan = Doubles()
    app = an_app_with(plan, is_quick=False)
    plan.hold.clear()
    asking = [
        asyncio.create_task(predict(app, {"dataframe_split": {"columns": ["x"], "data": [[value]]}}))
        for value in (1.0, 2.0, -1.0, 4.0)
    ]
    while len(app._jobs) < 3:
        await asyncio.sleep(0)
    plan.hold.set()
    assert [status for status, _ in await asyncio.gather(*asking)] == [200, 200, 500, 200]


def test_which_arrays_always_keep_the_promise_of_an_output_schema() -> None:
    def promises(kind: str, dtype: str, ndim: int = 1) -> bool:
        return keeps_always(Contract(outputs=(Column(None, Type(kind)),)), dtype, *[2] * (ndim - 1))

    assert promises("double", "<f8")
    assert promises("double", "<f4")
    assert promises("float", "<f4")
    assert not promises("float", "<f8"), "a number may be too large for it"
    assert promises("long", "<i8")
    assert promises("integer", "<i4")
    assert not promises("integer", "<i8")
    assert not promises("long", "<u8")
    assert not promises("double", "<i8"), "too large whole numbers are no exact doubles"
    assert not promises("string", "|O")
    assert promises("string", "<U5")
    assert promises("boolean", "|b1")
    assert keeps_always(Contract(), "<f8")


async def test_a_generic_model_joins_requests_where_its_owner_says_so() -> None:
    sizes: list[int] = []

    def generic(request: Request) -> Any:
        sizes.append(len(request.value["data"]))
        return [row[0] * 2 for row in request.value["data"]]

    for may_join in (True, False):
        sizes.clear()
        app = an_app(generic)
        decoder = Decoder.of(X)
        assert decoder is not None
        predictor = FakePredictor(generic)
        app.install(predictor, RowPath(decoder, AsTable(predictor, X), None, may_join))
        bodies = [{"dataframe_split": {"columns": ["x"], "data": [[float(n)]]}} for n in range(5)]
        asking = [asyncio.create_task(predict(app, body)) for body in bodies]
        answers = await asyncio.gather(*asking)
        assert [answer["predictions"] for _, answer in answers] == [[2.0 * n] for n in range(5)]
        assert sum(sizes) == 5
        assert may_join or sizes == [1] * 5
