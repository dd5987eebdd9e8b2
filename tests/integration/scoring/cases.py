"""What is sent to both servers: bodies of every form, ordinary and odd."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

SPLIT, RECORDS, INSTANCES, INPUTS = "dataframe_split", "dataframe_records", "instances", "inputs"
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Case:
    """One body for one model. ``must_pass``: both servers have to predict."""

    model: str
    body: bytes
    content_type: str = JSON
    must_pass: bool = False
    may_be_beyond: bool = False
    """Whether it may be accepted where MLflow refuses it."""


def as_json(body: object) -> bytes:
    return json.dumps(body).encode()


def forms(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same rows in each form: four names, six layouts."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    by_column = {name: [row.get(name) for row in rows] for name in columns}
    yield {SPLIT: {"columns": columns, "data": [[row.get(name) for name in columns] for row in rows]}}
    yield {RECORDS: list(rows)}
    yield {INSTANCES: list(rows)}
    yield {INPUTS: list(rows)}
    yield {INPUTS: by_column}
    yield {INSTANCES: by_column}


def all_forms(model: str, rows: Sequence[dict[str, Any]], *, must_pass: bool = False) -> Iterator[Case]:
    for body in forms(rows):
        yield Case(model, as_json(body), must_pass=must_pass)


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


PAYMENT = {"amount": 10.0, "hour": 3, "country": "DE"}
NUMBERS = dict(zip("abcde", [0.1, -2.5, 3, 1e-7, 1e5]))
KINDS: dict[str, Any] = {
    "boolean": True, "integer": 1, "long": 2**60, "float": 0.1, "double": 0.1, "string": "x", "binary": "YWJj",
    "datetime": "2024-01-02T03:04:05",
}  # fmt: skip
ODD: dict[str, list[Any]] = {
    "boolean": [1, 0, "true", "false", None, 2, 0.0],
    "integer": [1.0, 1.7, 3e9, 2**31, -(2**31), "5", None, True, [1]],
    "long": [1.0, 1.7, 1e3, 2**63, -(2**63), "5", None, True, 1e300],
    "float": [1, 2**24 + 1, 1e39, "1", None, True, 1e-50, 3.4e38],
    "double": [1, 2**53 + 1, 2**70, "1", None, True, -0.0, 10**30, 5e-324],
    "string": [1, 1.5, True, None, "", "ü", "\0", {"a": 1}, ["a"], "NA", "1"],
    "binary": ["", "ab", "a b", "YW-_", "ü", None, 5, "YWJj\nYWJj", "YQ=="],
    "datetime": [
        "2024-01-02", "2024-01-02 03:04", "2024-01-02T03:04:05.123456789", "2024-01-02T03:04:05Z",
        "2024-01-02T03:04:05+02:00", "2024-13-01", "01/02/2024", "2024", "1500-01-01", "9999-01-01", 0, 1.5, None, "",
        "2024-02-30", "2024-01-02T24:00:00",
    ],
}  # fmt: skip


def tables() -> Iterator[Case]:
    """Trained models, by every way that a table can be sent."""
    other = {"amount": 400, "hour": 12, "country": "XX"}
    for model in ("sklearn", "proba"):
        yield from all_forms(model, [PAYMENT, other], must_pass=True)
        yield Case(model, b"amount,hour,country\n10.0,3,DE\n400,12,XX\n", CSV, must_pass=True)
        yield Case(model, parquet(pd.DataFrame([PAYMENT, PAYMENT])), PARQUET, must_pass=True)
    for model in ("lightgbm", "xgboost"):
        yield from all_forms(model, [NUMBERS, NUMBERS], must_pass=True)
        yield from all_forms(model, [NUMBERS, NUMBERS | {"a": None}], must_pass=True)
        yield Case(model, as_json({INPUTS: NUMBERS}), must_pass=True)
        yield Case(model, b"a,b,c,d,e\n0.1,2,3,4,5\n,2,3,4,1e300\n", CSV, must_pass=True)
        yield Case(model, parquet(pd.DataFrame([NUMBERS | {"c": 3.0}])), PARQUET, must_pass=True)
        nothing: list[Any] = [{INSTANCES: []}, {RECORDS: []}, {SPLIT: {"columns": list("abcde"), "data": []}}]
        for empty in nothing:
            yield Case(model, as_json(empty))
        yield Case(model, b"a,b,c,d,e\n", CSV)
    for changed in (
        PAYMENT | {"hour": 2.5}, PAYMENT | {"amount": 1}, PAYMENT | {"zz": 1}, PAYMENT | {"country": None},
        {"amount": 1.5, "hour": 1},
    ):  # fmt: skip
        yield Case("sklearn", parquet(pd.DataFrame([changed])), PARQUET)
    with_nulls = pd.DataFrame({"amount": [1.0, 2.0], "hour": pd.array([1, None], dtype="Int64"), "country": ["a", "b"]})
    yield Case("sklearn", parquet(with_nulls), PARQUET)
    yield Case("sklearn", b"PAR1junk", PARQUET)
    yield Case("sklearn", parquet(pd.DataFrame([PAYMENT]))[:-9], PARQUET)


def parquet_types() -> Iterator[Case]:
    """Parquet with columns of other types than the contract's."""
    columns = {
        "one": [
            pa.array([1, 2**53 + 1]), pa.array([1, None]), pa.array([1.5], pa.float32()), pa.array(["1"]),
            pa.array([True]), pa.array([1.5, None, float("inf"), float("nan")]), pa.array([1], pa.decimal128(5, 2)),
            pa.nulls(2), pa.array([[1.0]]),
            pa.array([1.5, 1.5]).dictionary_encode(), pa.array([], pa.float64()), pa.array([2**63], pa.uint64()),
        ],
        "one_long": [
            pa.array([1.0]), pa.array([1.7]), pa.array([1, None]), pa.array([1], pa.int8()),
            pa.array([2**63], pa.uint64()),
            pa.array([1], pa.uint32()), pa.array(["1"]), pa.array([True]), pa.array([1e300]), pa.array([1.0, None]),
            pa.array([0], pa.timestamp("s")), pa.array([1, 2**60]),
        ],
        "word": [
            pa.array(["a", None, ""]), pa.array([1]), pa.array([b"x"]), pa.array(["a", "b"]).dictionary_encode(),
            pa.array([True]), pa.array([["a"]]), pa.nulls(1), pa.array(["a"], pa.large_string()),
        ],
    }  # fmt: skip
    for model, arrays in columns.items():
        for array in arrays:
            sink = io.BytesIO()
            pyarrow.parquet.write_table(pa.table({"word" if model == "word" else "x": array}), sink)
            yield Case(model, sink.getvalue(), PARQUET, may_be_beyond=True)
    kinds = pa.table({f"a_{kind}": [value] for kind, value in KINDS.items()})
    at, times = kinds.schema.get_field_index("a_datetime"), pa.array([1_700_000_000], pa.timestamp("s"))
    binary = kinds.set_column(kinds.schema.get_field_index("a_binary"), "a_binary", pa.array([b"abc"]))
    for table in (
        kinds, binary, binary.set_column(at, "a_datetime", times), binary.set_column(at, "a_datetime", pa.array([5])),
        binary.set_column(at, "a_datetime", times.cast(pa.date32())),
        binary.set_column(at, "a_datetime", times.cast(pa.timestamp("us", tz="UTC"))),
    ):  # fmt: skip
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink)
        yield Case("kinds", sink.getvalue(), PARQUET, may_be_beyond=True)
    for numbers in ([[1.5, 2.0]], [[1.5, None]], [None], [["1"]]):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"numbers": numbers, "thing": [{"id": 1, "note": "n"}]}), sink)
        yield Case("nested", sink.getvalue(), PARQUET, may_be_beyond=True)


CSV_HEAD = "amount,hour,country\n"
CSV_TEXTS = [
    "country,hour,amount,zz\nDE,2,1.5,q\n", CSV_HEAD + "1.5,2.0,DE\n", CSV_HEAD + ",2,\n", CSV_HEAD + "1,,DE\n",
    CSV_HEAD + '1,2,"D\nE"\n', CSV_HEAD + "1,2\n", CSV_HEAD + "1,2,DE,4\n", "amount,amount,hour,country\n1,1,2,DE\n",
    "\ufeff" + CSV_HEAD + "1,2,DE\n", "amount,hour,country\r1,2,DE\r", "amount,hour,country\r\n1,2,DE\r\n\r\n", "",
    "amount,hour\n1,2\n", CSV_HEAD + "inf,2,DE\n", CSV_HEAD + "1e400,2,DE\n", CSV_HEAD + "x,2,DE\n",
    CSV_HEAD + " 1 , 2 ,DE\n", CSV_HEAD + '1,2,"=HYPERLINK(1)"\n', CSV_HEAD + "1_0,2,DE\n", CSV_HEAD + "1,0x10,DE\n",
    CSV_HEAD + '1,2,"DE\n', CSV_HEAD + "1,9223372036854775808,DE\n", CSV_HEAD + "1,1e1,DE\n", CSV_HEAD + "1,1.7,DE\n",
    CSV_HEAD + "1,2,NA\n", CSV_HEAD + f"1,2,{'x' * 200_000}\n", CSV_HEAD + "0.1234567890123456789,2,DE\n",
    "amount;hour;country\n1;2;DE\n", CSV_HEAD + "1,2,D\0E\n", CSV_HEAD + "\n1,2,DE\n \n", CSV_HEAD,
]  # fmt: skip


def csv_texts() -> Iterator[Case]:
    """CSV with all that makes CSV awkward."""
    for text in CSV_TEXTS:
        yield Case("sklearn", text.encode(), CSV)
    yield Case("sklearn", CSV_HEAD.encode() + b"1,2,\xff\n", CSV)
    yield Case("kinds", f"{','.join('a_' + k for k in KINDS)}\nTrue,1,2,0.1,0.1,x,YWJj,2024-01-01\n".encode(), CSV)
    for model, texts in {
        "one": ["x\n1\nNA\n\n3\n", "x\n1\n \n", "x\n\n", "x\n"],
        "one_long": ["x\n1\n", "x\n1.0\n", "x\n+1\n", "x\n01\n", "x\n1\nNA\n", "x\n1.5\n"],
        "word": ['word\nNA\nx\n""\n', "word\n1\n2\n", "word\n x \n"],
        "unnamed": ["p,q\n1,2.5\n", "p,q\n1.5,2.5\n", "p\n1\n"],
        "unnamed_one": ["p\n1\n"],
        "tensor": ["a,b,c\n1,2,3\n"],
        "hinted": ["amount,country\n1,DE\n"],
    }.items():
        for text in texts:
            yield Case(model, text.encode(), CSV)


def kinds() -> Iterator[Case]:
    """Every type of column with ordinary and odd values, required and optional."""
    row = {f"a_{kind}": value for kind, value in KINDS.items()}
    yield from all_forms("kinds", [row], must_pass=True)
    yield from all_forms("kinds", [row | {"extra": 1}], must_pass=True)
    for kind, values in ODD.items():
        for value in values:
            yield from all_forms("kinds", [row | {f"a_{kind}": value}])
        yield from all_forms("kinds", [{name: v for name, v in row.items() if name != f"a_{kind}"}])
        yield from all_forms("kinds", [row | {f"o_{kind}": KINDS[kind]}] * 2, must_pass=True)
        yield from all_forms("kinds", [row | {f"o_{kind}": None}, row | {f"o_{kind}": KINDS[kind]}])
    yield from all_forms("kinds", [row | {"o_long": 5}, row])
    yield from all_forms("kinds", [row | {"o_string": "x"}, row | {"o_double": 1}])
    yield from all_forms("kinds", [row, row | {"a_datetime": "2024-01-01"}])
    for body in (
        {INPUTS: {"x": [1.0, 2**53 + 1]}}, {SPLIT: {"columns": ["x"], "data": [[1.0], [2**53 + 1]]}},
        {RECORDS: [{"x": 1.0}, {"x": 2}]},
    ):  # fmt: skip
        yield Case("one_long", as_json(body))


def nested() -> Iterator[Case]:
    """Lists, objects and maps in columns."""
    row: dict[str, Any] = {"numbers": [1.5, 2.0], "thing": {"id": 1, "note": "n"}}
    full = {"grid": [[1, 2], [3]], "words": ["a", "b"], "by_name": {"x": 1.5}, "free": {"q": [1, None]}}
    changes: list[dict[str, Any]] = [
        {}, full, dict.fromkeys(full), {"numbers": [5, 7]}, {"numbers": [1.5, None]}, {"numbers": [None]},
        {"numbers": []}, {"numbers": ["1"]}, {"numbers": None}, {"numbers": [1, 2.5]}, {"words": ["a", None]},
        {"grid": [[1.0]]}, {"grid": [[None]]}, {"thing": {"id": 1, "zz": 2}}, {"thing": {"note": "x"}},
        {"thing": {"id": 1.5}}, {"thing": {"id": 1.0}}, {"thing": {"id": 1, "note": None}}, {"thing": {"id": True}},
        {"by_name": {"x": 1}}, {"by_name": {"x": 7}}, {"by_name": {"x": None}}, {"by_name": [1]},
    ]  # fmt: skip
    for change in changes:
        yield from all_forms("nested", [row | change])
        yield Case("nested", as_json({INPUTS: row | change}))
    for change in ({}, full):
        yield Case("nested", as_json({RECORDS: [row | change, row | change]}), must_pass=True)


def unnamed() -> Iterator[Case]:
    """Columns without names, in lists of lists and lists of values."""
    values: list[Any] = [
        [[1, 2.5], [3, 4.5]], [[1, 2], [3, 4]], [[1.5, 2]], [[1, "2"]], [[1, None]], [[1]], [[1, 2, 3]], [1, 2], [],
        [[]], 5, "x", {"a": [1]}, [[True, 1]], [[2**60 + 1, 1]], [[1, 2], [3]], None,
    ]  # fmt: skip
    for value in values:
        for model in ("unnamed", "unnamed_one", "one", "one_long"):
            yield Case(model, as_json({INSTANCES: value}))
            yield Case(model, as_json({INPUTS: value}))
            named = {"columns": ["x"]} if model.startswith("one") else {}
            yield Case(model, as_json({SPLIT: {"data": value, **named}}))
    for rows in (
        [{"p": 1, "q": 2.5}], [{"p": 1.5, "q": 2.5}], [{"p": 1, "q": 2.5}, {"q": 1, "p": 2}],
        [{"q": 1.5, "p": 1}, {"p": 1, "q": 2}], [{"p": 1}, {"q": 2.5}], [{"p": 1}, {"p": 1, "q": 2.5}],
    ):  # fmt: skip
        yield Case("unnamed", as_json({RECORDS: rows}))
    yield Case("unnamed", parquet(pd.DataFrame({"p": [1], "q": [2.5]})), PARQUET, must_pass=True)


def tensors() -> Iterator[Case]:
    """Tensors, alone and named."""
    yield Case("tensor", as_json({INPUTS: [[1.5, 2, 3], [4, 5, 6]]}), must_pass=True)
    values: list[Any] = [
        [[1, 2, 3]], [[1, 2]], [1, 2, 3], [["1", 2, 3]], [[None, 1, 2]], [[1, 2, 3], [4]], [], [[True, 1, 2]], 5,
        {"a": [[1, 2, 3]]}, [[[1, 2, 3]]], [[2**53 + 1, 1, 1]], [[1.7, 2]], [[1.0, 2**53 + 1]], [[2**63, 2]],
        [["1", 2]],
    ]  # fmt: skip
    for value in values:
        for model in ("tensor", "long_tensor"):
            yield Case(model, as_json({INSTANCES: value}))
            yield Case(model, as_json({INPUTS: value}))
            yield Case(model, as_json({SPLIT: {"data": value}}))
    by_name: list[Any] = [
        {"a": [1, 2], "b": [[1, 2], [3, 4.5]]}, [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4.5]}],
        {"a": [1.5], "b": [[1, 2]]}, {"a": [1]}, {"a": [1], "b": [[1, 2]], "c": [5]}, {"a": [1], "b": [[1e39, 2]]},
        {"a": [1], "b": [[1, 2, 3]]},
    ]  # fmt: skip
    for value in by_name:
        yield Case("tensors", as_json({INSTANCES: value}))
        yield Case("tensors", as_json({INPUTS: value}))
    for rows in ([[1, [1, 2]]], [[1.5, [1, 2]]]):
        yield Case("tensors", as_json({SPLIT: {"columns": ["a", "b"], "data": rows}}))
    yield Case("tensors", as_json({RECORDS: [{"a": 1, "b": [1.5, 2]}]}))
    yield Case("long_tensor", as_json({RECORDS: [{"p": 1, "q": 2}]}))
    yield Case("long_tensor", as_json({RECORDS: [{"p": 1.5, "q": 2}]}))
    yield Case("tensor", parquet(pd.DataFrame({"a": [1.0], "b": [2.5], "c": [3.0]})), PARQUET)
    yield Case("long_tensor", parquet(pd.DataFrame({"a": [1.5], "b": [2.5]})), PARQUET)


def hinted() -> Iterator[Case]:
    """Models with type hints, which check their input themselves."""
    payment = {"amount": 1.5, "country": "DE"}
    yield Case("hinted", as_json({INPUTS: [payment, payment | {"tags": ["a"]}]}), must_pass=True)
    values: list[Any] = [
        [payment], [payment | {"amount": "1.5"}], [payment | {"country": 5}], [{"amount": 1}], [payment | {"zz": 1}],
        [], [payment | {"amount": None}], payment, "x", [1], [payment | {"tags": None}], [payment | {"tags": ["a", 1]}],
        None,
    ]  # fmt: skip
    for value in values:
        for form in (INPUTS, INSTANCES, SPLIT, RECORDS):
            yield Case("hinted", as_json({form: value}))
    for numbers in ([1, 2], ["1", 2], [1.5], [1.0], [True], [None], 5, [], [10**30], ["x"]):
        yield Case("hinted_numbers", as_json({INPUTS: numbers}))
        yield Case("hinted_numbers", as_json({INPUTS: numbers, "params": {"a": 1}}))
    yield Case("hinted", parquet(pd.DataFrame([payment])), PARQUET)


def params() -> Iterator[Case]:
    """A model with code paths, called with parameters."""
    data = {SPLIT: {"columns": ["amount"], "data": [[10], [2]]}}
    every = {"floor": 1.5, "top": 7, "mode": "x", "dry": True, "weights": [1, 2.5]}
    good_ones: list[Any] = [None, {}, every, {"unknown": 1}, {"floor": 1}, {"weights": []}, {"top": 2**62}]
    for good in good_ones:
        yield Case("rules", as_json(data | {"params": good}), must_pass=True)
    odd: list[Any] = [
        {"floor": None}, {"weights": None}, {"weights": [1, None]}, {"top": True}, {"top": 1.0}, {"top": 2.5},
        {"floor": "1"}, {"floor": True}, {"mode": 5}, {"dry": 1}, {"weights": 1.0}, {"weights": ["a"]},
        {"top": 2**63}, {"floor": 2**60 + 1}, {"mode": None}, [1], "x",
    ]  # fmt: skip
    for given in odd:
        yield Case("rules", as_json(data | {"params": given}))


BODIES: list[bytes] = [
    b'{"inputs":[NaN]}', b'{"inputs":[1e400]}', b'{"inputs":[1],"inputs":[2]}', b'\xef\xbb\xbf{"inputs":[1]}',
    '{"inputs":[1]}'.encode("utf-16"), b"", b"null", b"[1]", b'"x"', b'{"inputs":[1],"instances":[1]}', b"{}",
    b'{"inputs":[1],"zz":2}', b'{"inputs":[1],"signature_name":"x"}', b'{"inputs":[1]', b"[" * 100_000,
    b'{"inputs":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"inputs":[' + b"9" * 5000 + b"]}", b'{"inputs":[-0]}',
    b'{"inputs":[1]}   ', b'{"inputs":null}', b'{"inputs":[]}', b'{"instances":[]}', b'{"inputs":"\xff"}',
    b'{"dataframe_split":{"columns":["amount"],"data":[[1]],"index":["a"]}}',
    b'{"dataframe_split":{"columns":["amount"],"data":[[1]],"index":[[1]]}}',
    b'{"dataframe_split":{"columns":["amount","amount"],"data":[[1,2]]}}',
    b'{"dataframe_split":{"columns":["amount","b","b"],"data":[[1,2,3]]}}',
    b'{"dataframe_split":{"columns":["amount",true],"data":[[1,2]]}}',
    b'{"dataframe_split":{"columns":["amount",null],"data":[[1,2]]}}',
    b'{"dataframe_split":{"columns":["amount"],"data":[[1,2]]}}',
    b'{"dataframe_split":{"columns":["amount","b"],"data":[[1]]}}',
    b'{"dataframe_split":{"columns":["amount"],"data":[1]}}',
    b'{"dataframe_split":{"columns":["amount"],"data":{"amount":[1]}}}',
    b'{"dataframe_split":{"columns":["amount"]}}', b'{"dataframe_split":[]}',
    b'{"dataframe_split":{"columns":["amount"],"data":[[1]],"dtype":"x"}}',
    b'{"dataframe_split":{"columns":["amount"],"data":[]}}', b'{"dataframe_split":{"columns":[0],"data":[[1]]}}',
    b'{"dataframe_records":{"amount":1}}', b'{"dataframe_records":[{"amount":1},{}]}',
    b'{"dataframe_records":[{"amount":1},5]}', b'{"dataframe_records":[]}',
    b'{"instances":[{"amount":1},{"amount":2,"q":1}]}', b'{"instances":[{"amount":1,"q":1},{"amount":2}]}',
    b'{"inputs":[{"amount":1},{"q":1}]}', b'{"inputs":{"amount":[1,2],"q":[1]}}', b'{"inputs":{"amount":[]}}',
]  # fmt: skip


def odd_bodies() -> Iterator[Case]:
    """Bodies and content types that are not what they should be."""
    for body in BODIES:
        yield Case("rules", body)
    good = b'{"inputs":[1.5]}'
    for must_pass, kind in (
        (True, "application/json; charset=utf-8"), (True, "application/json;charset=UTF-8"),
        (False, "application/json; charset=latin-1"), (False, "application/json; x=y"), (False, "text/plain"),
    ):  # fmt: skip
        yield Case("rules", good, kind, must_pass)
    yield Case("word", b'{"inputs":["\\ud800"]}')
    for value in ("x", ["x", "y"], {"word": "x"}, {"word": ["x", None]}, [1], ["x", None]):
        yield Case("word", as_json({INPUTS: value}))
        yield Case("word", as_json({INSTANCES: value}))
    yield Case("word", as_json({SPLIT: {"columns": ["word"], "data": [["x"], [None]]}}), must_pass=True)


ANSWERS = [
    "frame", "series", "unnamed_series", "float32", "float64", "matrix", "int64", "bools", "not_numbers", "objects",
    "texts", "bytes", "times", "times_ns", "times_us", "list", "generics", "dict", "text", "number", "whole",
    "none", "numpy_number", "pydantic", "tuple", "surrogate",
]  # fmt: skip


def answers() -> Iterator[Case]:
    """Every kind of answer that a model may give."""
    for kind in ANSWERS:
        yield Case("answers", as_json({INPUTS: {"x": [1]}, "params": {"kind": kind}}), must_pass=True)
    for kind in ("complex", "decimal_list"):
        yield Case("answers", as_json({INPUTS: {"x": [1]}, "params": {"kind": kind}}))


def all_cases() -> dict[str, Iterable[Case]]:
    groups = (tables, parquet_types, csv_texts, kinds, nested, unnamed, tensors, hinted, params, odd_bodies, answers)
    return {group.__name__: list(group()) for group in groups}
