"""Large answers in pieces, and predictions as tables."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from taxiway_scoring import app as app_module
from taxiway_scoring.answers import plain, write_array, write_predictions
from taxiway_scoring.app import HttpResponse, Limits
from taxiway_scoring.contract import Column, Type
from taxiway_scoring.refusals import Refused
from taxiway_scoring.server import Connections, ServerLimits
from taxiway_scoring.streaming import (
    PIECE_CELLS,
    Pieces,
    array_pieces,
    frame_pieces,
    list_pieces,
    table_of,
    table_pieces,
)
from taxiway_scoring.tables import ARROW_STREAM, PARQUET
from tests.scoring.apps import Wire, a_contract, a_post, an_app, ask

BODY = b'{"inputs": {"x": [1.0]}}'


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 10_000), np.linspace(0, 1, 9_000, dtype=np.float32).reshape(3_000, 3), np.arange(5_000),
        np.array([np.nan, np.inf, 1.0]), np.array([True, False]), np.array(["a", "ü"] * 3_000),
        np.array(["a", "\ud800"], dtype=object), np.zeros((2, 9_000)), np.zeros((3, 0)), np.zeros(0),
    ],
)  # fmt: skip
def test_pieces_are_the_whole(values: Any) -> None:
    found = array_pieces(values)
    assert found is not None
    pieces = list(found)
    assert len(pieces) >= min(len(values), values.size / PIECE_CELLS)
    whole = write_array(values)
    assert json.loads(b"".join(pieces)) == json.loads(whole or write_predictions(values.tolist()))


def test_pieces_are_of_the_array_as_it_was() -> None:
    values = np.zeros(10)
    pieces = array_pieces(values)
    values[:] = 1
    assert pieces is not None
    assert json.loads(b"".join(pieces)) == {"predictions": [0.0] * 10}


@pytest.mark.parametrize(
    "values", [np.array([1j]), np.array([1, "a"], dtype=object), np.array([1], dtype=np.longdouble), np.array([b"x"])]
)
def test_what_could_fail_on_the_way_is_not_cut(values: Any) -> None:
    assert array_pieces(values) is None


def test_a_frame_of_numbers() -> None:
    frame = pd.DataFrame({"a": np.arange(6_000), "b": np.linspace(0, 1, 6_000)}, index=range(5, 6_005))
    pieces = list(frame_pieces(frame))
    assert len(pieces) > 3
    assert json.loads(b"".join(pieces)) == {"predictions": frame.to_dict(orient="records")}
    odd = pd.DataFrame({1: [np.nan, np.inf], None: [True, False], "f": np.array([0.1, -0.0], dtype=np.float32)})
    assert b"".join(frame_pieces(odd)).replace(b",", b", ").replace(b":", b": ").replace(b":  ", b": ") == (
        write_predictions(plain(odd))
    )


@pytest.mark.parametrize("row", [1.5, 7, True, None, "ü", "\ud800", [1, "a"], {"a": 1.5, "b": None}, 2**63 - 1])
def test_a_list_of_rows(row: Any) -> None:
    values = [row] * 5_000
    pieces = list_pieces(values)
    assert pieces is not None
    assert json.loads(b"".join(pieces)) == json.loads(write_predictions(values))


@pytest.mark.parametrize("row", [2**70, [[1]], {"a": {}}, 1j])
def test_a_list_of_what_is_hard_to_write(row: Any) -> None:
    assert list_pieces([1, row]) is None


# ------------------------------------------------------------------ tables


def read(body: bytes | Pieces, media: str) -> Any:
    whole = body if isinstance(body, bytes) else b"".join(body)
    return (
        pa.ipc.open_stream(whole).read_all() if media == ARROW_STREAM else pyarrow.parquet.read_table(io.BytesIO(whole))
    )


P, Q = Column("p", Type("double")), Column("q", Type("long"))


@pytest.mark.parametrize("media", [ARROW_STREAM, PARQUET])
@pytest.mark.parametrize(
    ("predictions", "outputs", "expected"),
    [
        (np.array([0.5, np.nan], dtype=np.float32), (), {"prediction": (pa.float32(), [0.5, None])}),
        (np.array([1, 2], dtype=np.int16), (Column(None, Type("long")),), {"prediction": (pa.int16(), [1, 2])}),
        (np.array([0.5]), (P,), {"p": (pa.float64(), [0.5])}),
        (np.array([[1, 2]]), (), {"prediction_0": (pa.int64(), [1]), "prediction_1": (pa.int64(), [2])}),
        (np.array([[1, 2]]), (P, Q), {"p": (pa.int64(), [1]), "q": (pa.int64(), [2])}),
        (np.array(["a", "b"]), (), {"prediction": (pa.string(), ["a", "b"])}),
        (np.array(["a", None], dtype=object), (), {"prediction": (pa.string(), ["a", None])}),
        (pd.Series([1.5], name="y"), (P,), {"y": (pa.float64(), [1.5])}),
        (pd.Series([1.5]), (P,), {"p": (pa.float64(), [1.5])}),
        (pd.DataFrame({"a": [True], 3: [None]}), (), {"a": (pa.bool_(), [True]), "3": (pa.null(), [None])}),
        ([1, 2], (), {"prediction": (pa.int64(), [1, 2])}),
        (["x"], (P,), {"p": (pa.string(), ["x"])}),
        ([{"a": 1}, {"b": [2]}], (), {"a": (pa.int64(), [1, None]), "b": (pa.list_(pa.int64()), [None, [2]])}),
        ([[1, "x"], [2, "y"]], (), {"prediction_0": (pa.int64(), [1, 2]), "prediction_1": (pa.string(), ["x", "y"])}),
        ({"a": [1], "b": ["x"]}, (), {"a": (pa.int64(), [1]), "b": (pa.string(), ["x"])}),
        (7, (), {"prediction": (pa.int64(), [7])}),
        (np.float64(1.5), (), {"prediction": (pa.float64(), [1.5])}),
        (np.zeros(0), (), {"prediction": (pa.float64(), [])}),
    ],
)  # fmt: skip
def test_predictions_as_a_table(predictions: Any, outputs: Any, expected: dict[str, Any], media: str) -> None:
    table = read(table_pieces(table_of(predictions, outputs), media), media)
    assert table.to_pydict() == {name: values for name, (_, values) in expected.items()}
    if not any("list" in str(kind) for kind, _ in expected.values()):
        assert table.schema.types == [kind for kind, _ in expected.values()]


@pytest.mark.parametrize("predictions", [[1, "a"], [1, [2]], {"a": [1], "b": [1, 2]}, [2**70], [[1], 5]])
def test_what_is_no_table_can_only_be_json(predictions: Any) -> None:
    with pytest.raises(Refused) as caught:
        table_of(predictions, ())
    assert (caught.value.status, caught.value.reason) == (406, "NotAcceptable")


def test_half_floats_are_wider_in_parquet() -> None:
    table = table_of(np.array([0.5], dtype=np.float16), ())
    assert read(table_pieces(table, ARROW_STREAM), ARROW_STREAM).schema.types == [pa.float16()]
    assert read(table_pieces(table, PARQUET), PARQUET).schema.types == [pa.float32()]


def test_a_large_table_comes_in_batches() -> None:
    table = table_of(np.arange(200_000), ())
    pieces = table_pieces(table, ARROW_STREAM)
    assert not isinstance(pieces, bytes)
    parts = list(pieces)
    assert len(parts) == 5
    assert max(map(len, parts)) < 600_000
    assert read(b"".join(parts), ARROW_STREAM).equals(table)


# ------------------------------------------------------------------ the app


async def answered(predictions: Any, accept: str = "*/*", **more: Any) -> HttpResponse:
    contract = a_contract(("x", "double"), **more)
    return await ask(an_app(lambda _: predictions, contract=contract), "POST", "/invocations", BODY, accept=accept)


async def test_large_answers_come_in_pieces_and_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGE_CELLS", 10)
    larger = (
        np.zeros(11),
        pd.DataFrame({"a": np.zeros(11)}),
        [0.5] * 11,
        pd.Series(np.zeros(11)),
        np.array([b"x"] * 11),
    )
    for predictions in (*larger, pd.DataFrame({"a": ["x"] * 11})):
        answer = await answered(predictions)
        assert answer.pieces is not None
        assert (answer.status, answer.body, answer.rows) == (200, b"", 11)
        assert len(json.loads(b"".join(answer.pieces))["predictions"]) == 11
    for whole in (np.zeros(10), [0.5] * 10, [[[1]]] * 11, {"a": [1] * 11}):
        answer = await answered(whole)
        assert (answer.status, answer.pieces) == (200, None)
        assert json.loads(answer.body)["predictions"] == json.loads(write_predictions(plain(whole)))["predictions"]


async def test_large_answers_are_checked_before_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGE_CELLS", 10)
    promised = [{"type": "long", "name": "a", "required": True}]
    kept = await answered(pd.DataFrame({"a": np.arange(20)}), outputs=promised)
    assert kept.pieces is not None
    contract = a_contract(("x", "double"), outputs=promised)
    for refuses in (False, True):
        limits = Limits(refuse_mismatch=refuses)
        app = an_app(lambda _: pd.DataFrame({"a": np.full(20, 0.5)}), contract=contract, limits=limits)
        for count, accept in enumerate(("*/*", ARROW_STREAM), 1):
            broken = await ask(app, "POST", "/invocations", BODY, accept=accept)
            assert (broken.status, app.telemetry.output_mismatches) == (500 if refuses else 200, count)


async def test_an_answer_as_a_table_has_its_type() -> None:
    answer = await answered(np.arange(100_000), accept=ARROW_STREAM)
    assert (answer.status, answer.content_type, answer.rows) == (200, ARROW_STREAM, 100_000)
    assert answer.pieces is not None
    refused = await answered([1, "a"], accept=PARQUET)
    assert (refused.status, refused.content_type) == (406, "application/problem+json")


# ------------------------------------------------------------------ the wire

ROWS = 60_000
LARGE = np.arange(ROWS)
EXPECTED = {"predictions": LARGE.tolist()}


def a_wire(predictions: Any = LARGE, limits: ServerLimits | None = None) -> Wire:
    return Wire(an_app(lambda _: predictions), limits)


async def test_pieces_are_chunks_and_the_connection_is_kept() -> None:
    wire = a_wire()
    wire.feed(a_post(BODY) + b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    large, ping = await wire.settle()
    assert (large[0], large[1]["transfer-encoding"], "content-length" in large[1]) == (200, "chunked", False)
    assert json.loads(large[2]) == EXPECTED
    assert ping[2] == b"\n"
    assert not wire.transport.is_closed


async def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection() -> None:
    wire = a_wire()
    wire.feed(a_post(BODY).replace(b"HTTP/1.1", b"HTTP/1.0"))
    task = wire.connection._task
    assert task is not None
    await asyncio.wait([task], timeout=5)
    head, _, body = wire.transport.written.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"connection: close" in head
    assert json.loads(body) == EXPECTED
    assert wire.transport.has_ended


async def test_no_more_is_made_than_is_read() -> None:
    wire = a_wire()
    wire.connection.pause_writing()
    wire.feed(a_post(BODY))
    for _ in range(200):
        await asyncio.sleep(0.001)
        if wire.transport.written:
            break
    await asyncio.sleep(0.01)
    assert 0 < len(wire.transport.written) < 2_000
    assert not wire.connection.is_idle
    wire.connection.resume_writing()
    ((status, _, body),) = await wire.settle()
    assert (status, json.loads(body)) == (200, EXPECTED)


async def test_who_does_not_read_is_dropped() -> None:
    wire = a_wire(limits=ServerLimits(body_seconds=0.05))
    wire.connection.pause_writing()
    wire.feed(a_post(BODY))
    task = wire.connection._task
    assert task is not None
    await asyncio.wait([task], timeout=5)
    assert wire.transport.was_aborted


async def test_who_has_gone_gets_no_more() -> None:
    wire = a_wire()
    wire.connection.pause_writing()
    wire.feed(a_post(BODY))
    task = wire.connection._task
    assert task is not None
    while not wire.transport.written:
        await asyncio.sleep(0.001)
    wire.connection.connection_lost(None)
    await asyncio.wait([task], timeout=5)
    assert len(wire.transport.written) < 2_000


async def test_a_client_that_ended_gets_its_answer_and_then_the_end() -> None:
    wire = a_wire()
    wire.connection.pause_writing()
    wire.feed(a_post(BODY))
    while not wire.transport.written:
        await asyncio.sleep(0.001)
    assert wire.connection.eof_received()
    wire.connection.resume_writing()
    ((_, _, body),) = await wire.settle()
    assert json.loads(body) == EXPECTED
    assert wire.transport.is_closed


async def test_pieces_that_fail_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterator[bytes]:
        yield b"{"
        raise RuntimeError

    wire = a_wire()
    with caplog.at_level(logging.CRITICAL, "taxiway"):
        wire.connection._waiting.append((HttpResponse(200, b"", pieces=Pieces(failing(), 0)), True, 0))
        await wire.connection._answer_all()
    assert wire.transport.was_aborted
    assert not wire.transport.written.endswith(b"0\r\n\r\n")


async def test_a_draining_pod_sends_an_answer_to_its_end() -> None:
    wire = a_wire()
    wire.connection.pause_writing()
    wire.feed(a_post(BODY))
    while not wire.transport.written:
        await asyncio.sleep(0.001)
    wire.connections.is_draining = True
    wire.connections.close_idle()
    wire.connection.resume_writing()
    ((_, _, body),) = await wire.settle()
    assert json.loads(body) == EXPECTED
    wire.connections.close_idle()
    assert wire.transport.is_closed


async def test_answers_that_nobody_reads_take_room() -> None:
    app = an_app(lambda _: LARGE)
    connections = Connections(ServerLimits(receiving_bytes=LARGE.nbytes + 100))
    slow, other = Wire(app, connections=connections), Wire(app, connections=connections)
    slow.connection.pause_writing()
    slow.feed(a_post(BODY))
    while not slow.transport.written:
        await asyncio.sleep(0.001)
    assert connections.room.taken >= LARGE.nbytes
    other.feed(a_post(BODY))
    ((status, headers, _),) = await other.settle()
    assert (status, headers["retry-after"]) == (503, "1")
    slow.connection.resume_writing()
    ((status, _, body),) = await slow.settle()
    assert (status, json.loads(body)) == (200, EXPECTED)
    assert connections.room.taken == 0
    other.feed(a_post(BODY))
    assert (await other.settle())[-1][0] == 200
