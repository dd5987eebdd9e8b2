"""Arrow and Parquet: what is accepted becomes what the same JSON becomes, what is refused is named by its place."""

from __future__ import annotations

import asyncio
import builtins
import datetime as dt
import gzip
import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from taxiway_scoring import app as app_module
from taxiway_scoring import tables
from taxiway_scoring.app import HttpRequest
from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Decoder
from taxiway_scoring.payload import Request, read_request
from taxiway_scoring.refusals import Refused
from taxiway_scoring.serving import RowPath
from taxiway_scoring.tables import ARROW_FILE, ARROW_STREAM, PARQUET, Columns
from tests.scoring.apps import ByRows, FakePredictor, a_contract, a_tensor, an_app, ask
from tests.scoring.test_declared import a_parquet, a_stream

TIME = "2024-01-02T03:04:05.000000000"
WHOLE = "must be a whole number of 64 bits"
ALL = a_contract(
    ("b", "boolean"), ("i", "integer"), ("l", "long"), ("f", "float"), ("d", "double"), ("s", "string"),
    ("t", "datetime"),
)  # fmt: skip


def read(contract: Contract, table: Any, media: str = ARROW_STREAM) -> Request:
    make: dict[str, Callable[[Any], bytes]] = {
        ARROW_STREAM: a_stream, ARROW_FILE: lambda t: a_stream(t, make=pa.ipc.new_file), PARQUET: a_parquet,
    }  # fmt: skip
    return read_request(contract, make[media](table), media)


def refusal(contract: Contract, table: Any, media: str = ARROW_STREAM) -> Refused:
    with pytest.raises(Refused) as caught:
        read(contract, table, media)
    return caught.value


def one(kind: str, values: Any, type_: Any = None) -> Any:
    """The cells of a column of one contract's type."""
    found: Columns = read(a_contract(("x", kind)), pa.table({"x": pa.array(values, type_)})).value
    return found.cells(0)


@pytest.mark.parametrize("media", [ARROW_STREAM, ARROW_FILE, PARQUET])
def test_a_table_becomes_typed_columns(media: str) -> None:
    table = pa.table(
        {
            "more": [1, 2],
            "t": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5), None], pa.timestamp("us")),  # noqa: DTZ001
            "s": ["a", None], "d": [0.1, None], "f": pa.array([0.5, 2.0], pa.float32()), "l": [2**62, -1],
            "i": pa.array([1, 2], pa.int8()), "b": [True, False],
        }
    )  # fmt: skip
    request = read(ALL, table, media)
    columns: Columns = request.value
    assert (request.form, request.rows, columns.is_plain, columns.names) == ("table", 2, True, ALL.names)
    assert [columns.cells(at) for at in range(7)] == [
        [True, False], [1, 2], [2**62, -1], [0.5, 2.0], [0.1, None], ["a", None], [TIME, None],
    ]  # fmt: skip
    assert [values.dtype.str for values in columns.values[:5]] == ["|b1", "<i4", "<i8", "<f4", "<f8"]
    frame = columns.frame()
    assert [str(dtype) for dtype in frame.dtypes][:5] == ["bool", "int32", "int64", "float32", "float64"]
    assert str(frame["t"].dtype) == "datetime64[ns]"


@pytest.mark.parametrize(
    ("kind", "values", "type_", "cells"),
    [
        ("long", [1.0, -3.0], pa.float64(), [1, -3]),
        ("long", [2**63 - 1], pa.uint64(), [2**63 - 1]),
        ("integer", [2**31 - 1, -(2**31)], pa.int64(), [2**31 - 1, -(2**31)]),
        ("double", [1, None, 2**53, 2**60], pa.int64(), [1.0, None, 2.0**53, 2.0**60]),
        ("double", [1.5, None, math.nan], pa.float32(), [1.5, None, None]),
        ("double", [1.5], pa.float16(), [1.5]),
        ("double", [None, None], pa.null(), [None, None]),
        ("float", [0.1, None], pa.float64(), [float(np.float32(0.1)), None]),
        ("float", [2**24, 3 * 2**30], pa.int64(), [2.0**24, 3.0 * 2**30]),
        ("string", ["a", None, "a"], pa.large_string(), ["a", None, "a"]),
        ("string", ["a", "b", "a"], pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"]),
        ("string", ["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
        ("string", ["a", None, "ü" * 40], pa.string_view(), ["a", None, "ü" * 40]),
        ("string", [None], pa.null(), [None]),
        ("long", [5, 5, 7], pa.dictionary(pa.int8(), pa.int64()), [5, 5, 7]),
        ("datetime", [dt.date(2024, 1, 2), None], pa.date32(), ["2024-01-02T00:00:00.000000000", None]),
        ("datetime", [0], pa.timestamp("s"), ["1970-01-01T00:00:00.000000000"]),
        ("datetime", ["2024-01-02", None], pa.string(), ["2024-01-02", None]),
    ],
)  # fmt: skip
def test_lossless_conversions_are_made(kind: str, values: list[Any], type_: Any, cells: list[Any]) -> None:
    found = one(kind, values, type_)
    assert found == cells
    assert [type(cell) for cell in found] == [type(cell) for cell in cells]


@pytest.mark.parametrize(
    ("kind", "values", "type_", "row", "said"),
    [
        ("long", [1.0, 1.7], pa.float64(), 1, "Row 1, column 'x' must be a whole number of 64 bits."),
        ("long", [1, None], pa.int64(), 1, f"Row 1, column 'x' {WHOLE} (null is not allowed)."),
        ("long", [math.nan], pa.float64(), 0, f"Row 0, column 'x' {WHOLE} (null is not allowed)."),
        ("long", [2.0**60], pa.float64(), 0, "Row 0, column 'x' must be a whole number of 64 bits."),
        ("long", [0, 2**63], pa.uint64(), 1, "Row 1, column 'x' must be a whole number of 64 bits."),
        ("integer", [0, 0, 2**31], pa.int64(), 2, "Row 2, column 'x' must be a whole number of 32 bits."),
        ("long", [math.inf], pa.float64(), 0, "Row 0, column 'x' must be a whole number of 64 bits."),
        ("double", [0, 2**53 + 1], pa.int64(), 1, "Row 1, column 'x' must be a number."),
        ("double", [2**64 - 1], pa.uint64(), 0, "Row 0, column 'x' must be a number."),
        ("float", [2**24 + 1], pa.int32(), 0, "Row 0, column 'x' must be a number of 32 bits."),
        ("float", [1.0, 1e39], pa.float64(), 1, "Row 1, column 'x' must be a number of 32 bits."),
        ("boolean", [True, None], pa.bool_(), 1, "Row 1, column 'x' must be true or false (null is not allowed)."),
        ("boolean", [None], pa.null(), 0, "Row 0, column 'x' must be true or false (null is not allowed)."),
        ("datetime", [0, 2**40], pa.timestamp("s"), 1, "Row 1, column 'x' must be an ISO 8601 time without an offset."),
        ("datetime", ["2024-13-01"], pa.string(), 0, "Row 0, column 'x' must be an ISO 8601 time without an offset."),
    ],
)  # fmt: skip
def test_lossy_ones_are_refused_with_row_and_column(
    kind: str, values: list[Any], type_: Any, row: int, said: str
) -> None:
    found = refusal(a_contract(("x", kind)), pa.table({"x": pa.array(values, type_)}))
    assert (found.status, found.reason, found.message) == (422, "ContractViolation", said)
    assert found.places == {"row": row, "column": "x"}


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        ("boolean", pa.array([1])), ("long", pa.array(["1"])), ("long", pa.array([True])), ("double", pa.array([True])),
        ("string", pa.array([1])), ("string", pa.array([b"x"])), ("double", pa.array([[1.0]])),
        ("datetime", pa.array([0], pa.timestamp("s", tz="UTC"))), ("datetime", pa.array([0])),
        ("double", pa.array([1], pa.decimal128(5, 2))), ("string", pa.array([{"a": "b"}])),
        ("double", pa.RunEndEncodedArray.from_arrays([2], [1.0])),
    ],
)  # fmt: skip
def test_another_type_is_refused_with_its_column(kind: str, array: Any) -> None:
    found = refusal(a_contract(("x", kind)), pa.table({"x": array}))
    assert (found.status, found.places) == (422, {"column": "x"})
    assert found.message.endswith("; the table has it in another type.")


@pytest.mark.parametrize("media", [ARROW_STREAM, PARQUET])
def test_names(media: str) -> None:
    contract = a_contract(("x", "double"), ("y", "double"), optional=("y",))
    assert refusal(contract, pa.table({"y": [1.0]}), media).message == "The table lacks column 'x'."
    without = read(contract, pa.table({"x": [1.0]}), media)
    assert (without.value.is_plain, without.value.names, list(without.value.frame())) == (False, ("x",), ["x"])
    assert read(contract, pa.table({"x": [math.inf], "y": [1.0]}), media).value.is_plain is False
    none = read(contract, pa.table({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}), media)
    assert (none.rows, none.value.is_plain, len(none.value.frame())) == (0, False, 0)


def test_a_name_that_stands_twice_is_refused() -> None:
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    for media in (ARROW_STREAM, PARQUET):
        assert refusal(a_contract(("x", "double")), twice, media).message == "The table has a column name twice."


def test_nested_and_binary_values_are_checked_as_json() -> None:
    items = {"type": "array", "items": {"type": "long"}}
    contract = a_contract(("a", items), ("b", "binary"), ("t", "datetime"))
    table = pa.table({"a": [[1, 2], []], "b": [b"abc", b""], "t": pa.array([0, None], pa.timestamp("ms"))})
    for media in (ARROW_STREAM, PARQUET):
        request = read(contract, table, media)
        frame = request.value
        assert (request.form, list(frame["b"]), str(frame["t"].dtype)) == ("frame", [b"abc", b""], "datetime64[ns]")
        assert [list(cell) for cell in frame["a"]] == [[1, 2], []]
    wrong = refusal(contract, table.set_column(0, "a", pa.array([[1], [1, None]])))
    assert wrong.message.startswith("Row 1, column 'a'[1] must be a whole number")
    assert "nested" in refusal(contract, table.set_column(1, "b", pa.array([[b"x"], [b"y"]]))).message
    views = pa.array([[1], [2]], pa.list_view(pa.int64()))
    assert "not read" in refusal(contract, table.set_column(0, "a", views)).message


def test_structs_and_maps() -> None:
    thing = {"type": "object", "properties": {"p": {"type": "double"}, "q": {"type": "string", "required": False}}}
    contract = a_contract(("o", thing), ("m", {"type": "map", "values": {"type": "long"}}))
    maps = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))
    table = pa.table({"o": [{"p": 1.5, "q": None}], "m": maps})
    (row,) = read(contract, table).value.to_dict(orient="records")
    assert row == {"o": {"p": 1.5, "q": None}, "m": {"k": 1}}
    twice = pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))
    assert refusal(contract, table.set_column(1, "m", twice)).message == "A map in the table has a key twice."
    wrong = refusal(contract, pa.table({"o": [{"p": "text"}], "m": maps}))
    assert (wrong.status, wrong.places) == (422, {"row": 0, "column": "o"})


def test_tensors_and_models_without_a_signature() -> None:
    tensor = a_contract(inputs=[a_tensor("int64", -1, 2)])
    assert read(tensor, pa.table({"a": [1], "b": [2]})).value == {"columns": ["a", "b"], "data": [[1, 2]]}
    assert refusal(tensor, pa.table({"a": [1.5], "b": [2.0]})).status == 422
    frame = read(Contract(), pa.table({"a": pa.array([1.5], pa.float32()), "__index_level_0__": [7]}), PARQUET)
    assert (frame.form, [str(dtype) for dtype in frame.value.dtypes], frame.rows) == ("frame", ["float32"], 1)
    assert "not read" in refusal(Contract(), pa.table({"a": pa.array([1], pa.decimal128(5, 2))})).message


def test_texts_of_parquet_stay_texts_and_categories_categories() -> None:
    table = pa.table({"s": ["a", "b", "a"], "c": pa.array(["a", "b", "a"]).dictionary_encode(), "b": [b"x"] * 3})
    for media in (ARROW_STREAM, PARQUET):
        frame = read(Contract(), table, media).value
        assert frame.dtypes.astype(str).to_list() == table.to_pandas().dtypes.astype(str).to_list()
        assert frame.equals(table.to_pandas())


# ------------------------------------------------------------------ bytes

NO_ARROW = "The body is not an Arrow table."
X = a_contract(("x", "double"), ("s", "string"))
GOOD = pa.table({"x": [1.5, 2.5], "s": ["a", "b"]})


@pytest.mark.parametrize(
    ("body", "media", "said"),
    [
        (b"", ARROW_STREAM, NO_ARROW),
        (b"zx81secret" * 9, ARROW_STREAM, NO_ARROW),
        (a_stream(GOOD)[:-60], ARROW_STREAM, NO_ARROW),
        (a_stream(GOOD), ARROW_FILE, NO_ARROW),
        (a_stream(GOOD, make=pa.ipc.new_file), ARROW_STREAM, NO_ARROW),
        (a_stream(GOOD).replace(b"ab", b"\xff\xff"), ARROW_STREAM, NO_ARROW),
        (a_stream(pa.table({"x": [{"name": 1}]})).replace(b"name", b"na\xffe"), ARROW_STREAM, NO_ARROW),
        (b"PAR1junkPAR1", PARQUET, "The body is not a Parquet table."),
        (a_parquet(GOOD)[:-9], PARQUET, "The body is not a Parquet table."),
        (a_stream(GOOD), PARQUET, "The body is not a Parquet table."),
    ],
)
def test_what_is_no_table_is_malformed(body: bytes, media: str, said: str) -> None:
    nested = a_contract(("x", {"type": "object", "properties": {"name": {"type": "long"}}}))
    with pytest.raises(Refused) as caught:
        read_request(nested if b"na\xffe" in body else X, body, media)
    assert (caught.value.status, caught.value.reason, caught.value.message) == (400, "MalformedBody", said)


ENDS_THE_PROCESS = bytes.fromhex(
    "504152311504151015104c15021500120000000000000000f83f1500151215122c15041510150615061c1808000000000000"
    "f83f1808000000000000f83f16022808000000000000f83f1808000000000000f83f11110000000200000003010102001504"
    "192c35001806736368656d61150200150a2302180178001604191c191c26001c150a1935000610191801781500160416bc01"
    "16bc01263426081c1808000000000000f83f1808000000000000f83f16022808000000000000f83f1808000000000000f83f"
    "111100192c15041500150200150015101502003c29061926020200000016bc011604260816bc01002820706172717565742d"
    "6370702d6172726f772076657273696f6e2032352e302e31191c1c000000b600000050415231"
)
"""A file with one wrong byte, of which ``pyarrow.parquet.read_metadata(…).row_group(0).column(0)`` calls abort."""


def test_a_file_by_which_pyarrow_ends_the_process_does_not() -> None:
    with pytest.raises(Refused) as caught:
        read_request(a_contract(("x", "double")), ENDS_THE_PROCESS, PARQUET)
    assert caught.value.status == 400


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 100_000)
    zeros = pa.table({"x": [0.0] * 20_000})
    contract = a_contract(("x", "double"))
    repeated = pa.table({"s": pa.array(["long" * 1_000] * 100).dictionary_encode()})
    bodies = [
        (contract, a_stream(zeros, "zstd"), ARROW_STREAM), (contract, a_stream(zeros, "lz4"), ARROW_STREAM),
        (contract, a_parquet(zeros), PARQUET), (contract, a_parquet(zeros, use_dictionary=False), PARQUET),
        (a_contract(("s", "string")), a_stream(repeated), ARROW_STREAM),
        (a_contract(("s", "string")), a_parquet(repeated), PARQUET),
    ]  # fmt: skip
    for fits, body, media in bodies:
        with pytest.raises(Refused) as caught:
            read_request(fits, body, media)
        assert (caught.value.status, caught.value.message) == (413, "The table is too large when it is unpacked.")


def test_columns_that_come_along_count(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": [1.0] * 50, "x.y": ["long" * 1_000] * 50, "z": ["long" * 1_000] * 50})
    assert read(a_contract(("x", "double")), table, PARQUET).value.cells(0) == [1.0] * 50
    assert read(a_contract(("x.y", "string")), table, PARQUET).value.cells(0) == ["long" * 1_000] * 50
    monkeypatch.setattr(tables, "MAX_TABLE_CELLS", 70)
    assert refusal(a_contract(("x", "double")), table, PARQUET).status == 413
    assert read(a_contract(("x", "double")), table.select(["x", "z"]), PARQUET).rows == 50


def test_too_many_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE_CELLS", 1_000)
    nulls = pa.table({"x": pa.nulls(2_000)})
    for media in (ARROW_STREAM, ARROW_FILE, PARQUET):
        assert refusal(a_contract(("x", "double")), nulls, media).status == 413
    lists = pa.table({"x": pa.array([list(range(2_000))])})
    assert refusal(a_contract(("x", {"type": "array", "items": {"type": "long"}})), lists).status == 413


def test_an_encoding_that_repeats_texts_is_refused() -> None:
    body = a_parquet(GOOD, use_dictionary=False, column_encoding={"s": "DELTA_BYTE_ARRAY", "x": "PLAIN"})
    with pytest.raises(Refused) as caught:
        read_request(X, body, PARQUET)
    assert "DELTA_BYTE_ARRAY" in caught.value.message


def test_without_pyarrow_or_with_an_old_one_it_is_415(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    said = refusal(X, GOOD)
    assert (said.status, said.message) == (
        415, "For this content type the model's environment needs pyarrow 14.0.1 or newer.",
    )  # fmt: skip
    for version in ("14.0.1", "15.0.0.dev3", "100.1.0"):
        monkeypatch.setattr(pa, "__version__", version)
        assert read(X, GOOD).rows == 2
    real = builtins.__import__

    def none(name: str, *more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", none)
    body = b"ARROW"
    with pytest.raises(Refused) as caught:
        read_request(X, body, ARROW_STREAM)
    assert caught.value.status == 415
    assert "add pyarrow to its requirements" in caught.value.message


# ------------------------------------------------------------------ through the app


class Half(ByRows):
    """A plan."""

    name = "half"

    def predict(self, rows: Any) -> Any:
        return np.array([row[0] / 2 for row in rows], dtype=np.float32)


async def test_a_table_is_predicted_by_the_plan_and_answered_as_a_table() -> None:
    app = an_app(contract=X)
    decoder = Decoder.of(X)
    assert decoder is not None
    app.install(FakePredictor(lambda _: [9.0]), RowPath(decoder, Half(), None, may_join=False))
    for sent, kind in ((a_stream(GOOD), ARROW_STREAM), (a_parquet(GOOD), PARQUET)):
        answer = await ask(app, "POST", "/invocations", sent, content_type=kind)
        assert json.loads(answer.body) == {"predictions": [0.75, 1.25]}
        arrow = await ask(app, "POST", "/invocations", sent, content_type=kind, accept=ARROW_STREAM)
        assert (arrow.status, arrow.content_type, arrow.rows) == (200, ARROW_STREAM, 2)
        table = pa.ipc.open_stream(arrow.body).read_all()
        assert (table.schema, table.to_pydict()) == (
            pa.schema({"prediction": pa.float32()}),
            {"prediction": [0.75, 1.25]},
        )
    infinite = a_stream(pa.table({"x": [math.inf], "s": ["a"]}))
    assert json.loads((await ask(app, "POST", "/invocations", infinite, content_type=ARROW_STREAM)).body) == {
        "predictions": [9.0]
    }
    as_parquet = await ask(
        app,
        "POST",
        "/invocations",
        b'{"dataframe_records": [{"x": 1, "s": "a"}]}',
        content_type="application/json",
        accept=PARQUET,
    )
    assert pyarrow.parquet.read_table(io.BytesIO(as_parquet.body)).num_rows == 1


async def test_an_answer_of_a_type_that_there_is_not() -> None:
    answer = await ask(an_app(), "POST", "/invocations", b'{"inputs": {"x": [1]}}', accept="text/html")
    assert (answer.status, json.loads(answer.body)["reason"]) == (406, "NotAcceptable")
    assert answer.content_type == "application/problem+json"


async def test_a_table_that_a_typed_model_does_not_take() -> None:
    answer = await ask(an_app(is_typed=True), "POST", "/invocations", a_stream(GOOD), content_type=ARROW_STREAM)
    assert answer.status == 200  # the real predictor refuses it; it is not read here


@pytest.mark.parametrize("has_pyarrow", [True, False])
async def test_what_is_offered_is_what_there_is(monkeypatch: pytest.MonkeyPatch, has_pyarrow: bool) -> None:
    monkeypatch.setattr(app_module, "are_understood", lambda: has_pyarrow)
    app = an_app()
    post = json.loads((await ask(app, path="/openapi.json")).body)["paths"]["/invocations"]["post"]
    for content in (post["requestBody"]["content"], post["responses"]["200"]["content"]):
        assert [media in content for media in (ARROW_STREAM, PARQUET)] == [has_pyarrow] * 2
    answer = await ask(app, "POST", "/invocations", b'{"inputs": {"x": [1]}}', accept=ARROW_STREAM)
    assert answer.status == (200 if has_pyarrow else 406)
    lenient = await ask(app, "POST", "/invocations", b'{"inputs": {"x": [1]}}', accept=f"{ARROW_STREAM}, */*;q=0.1")
    assert lenient.content_type == (ARROW_STREAM if has_pyarrow else "application/json")


async def test_gzip_goes_around_tables_too() -> None:
    app = an_app(lambda request: request.value.frame()["x"].to_numpy(), contract=X)
    body = gzip.compress(a_stream(GOOD))
    answer = await ask(
        app, "POST", "/invocations", body, content_type=ARROW_STREAM, accept=ARROW_STREAM, content_encoding="gzip"
    )
    assert pa.ipc.open_stream(answer.body).read_all().to_pydict() == {"prediction": [1.5, 2.5]}


async def test_small_requests_stay_in_the_event_loop_whatever_way_json_is_asked_for() -> None:
    app = an_app(contract=X)
    decoder = Decoder.of(X)
    assert decoder is not None
    app.install(FakePredictor(lambda _: [9.0]), RowPath(decoder, Half(), Half(), may_join=False))
    body = b'{"dataframe_split": {"columns": ["x", "s"], "data": [[1.0, "a"]]}}'
    for accept, is_taken in (
        ("", True), ("*/*", True), ("application/json, */*;q=0.5", True), (ARROW_STREAM, False), ("text/html", False),
    ):  # fmt: skip
        answers: list[Any] = []
        assert app.take(HttpRequest("POST", "/invocations", {"accept": accept}, body), answers.append) is is_taken
        await asyncio.sleep(0.001)
        assert [answer.body for answer in answers] == [b'{"predictions": [0.5]}'] * is_taken
