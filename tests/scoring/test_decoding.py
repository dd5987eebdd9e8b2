"""Does the quick reader only ever say what the careful one says? It may pass on anything; it may not differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Decoder, Rows, rows_of
from taxiway_scoring.payload import JSON_TYPE, read_request
from taxiway_scoring.refusals import Refused
from tests.scoring.apps import a_contract, a_tensor

MIXED = a_contract(
    ("s", "string"), ("d", "double"), ("n", "long"), ("i", "integer"), ("f", "float"), ("b", "boolean"),
    ("t", "datetime"),
)  # fmt: skip
ROW: tuple[Any, ...] = ("a", 0.5, 7, -1, 1.5, True, "2024-02-29T12:00:00")


def decode(contract: Contract, body: object) -> Rows | None:
    decoder = Decoder.of(contract)
    assert decoder is not None
    return decoder.decode(body if isinstance(body, bytes) else json.dumps(body).encode())


def split(*rows: tuple[Any, ...], names: tuple[str, ...] = MIXED.names) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(names), "data": [list(row) for row in rows]}}


def records(*rows: tuple[Any, ...]) -> dict[str, Any]:
    return {"dataframe_records": [dict(zip(MIXED.names, row, strict=True)) for row in rows]}


@pytest.mark.parametrize("body", [split(ROW, ROW), records(ROW, ROW)], ids=["split", "records"])
def test_rows_come_in_the_order_of_the_contract(body: dict[str, Any]) -> None:
    assert decode(MIXED, body) == [ROW, ROW]


def test_columns_may_come_in_another_order() -> None:
    names = MIXED.names[::-1]
    body = split(ROW[::-1], ROW[::-1], names=names)
    assert decode(MIXED, body) == [ROW, ROW]
    same_types = a_contract(("x", "double"), ("y", "double"))
    assert decode(same_types, split((1, 2), names=("y", "x"))) == [(2.0, 1.0)]
    shuffled = {"dataframe_records": [dict(reversed([*zip(MIXED.names, ROW, strict=True)]))]}
    assert decode(MIXED, shuffled) == [ROW]


def test_whole_numbers_are_numbers_and_missing_is_none() -> None:
    contract = a_contract(("x", "double"), ("s", "string"))
    (row,) = decode(contract, split((3, None), names=contract.names)) or [()]
    assert row == (3.0, None)
    assert type(row[0]) is float


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split": {"columns": ["x"], "data": [[1]], "data": [[2]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[1]], "index": [0]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[9007199254740993]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[NaN]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[1e400]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[true]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [["1"]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": []}}',
        b'{"dataframe_split": {"columns": ["x", "y"], "data": [[1, 2]]}}',
        b'{"dataframe_split": {"columns": ["y"], "data": [[1]]}}',
        b'{"dataframe_split": {"columns": ["x"], "data": [[1]]}, "params": {}}',
        b'{"dataframe_records": [{"x": 1, "x": 2}]}',
        b'{"dataframe_records": [{"x": 1, "\\u0078": 2}]}',
        b'{"dataframe_records": [{}]}',
        b'{"dataframe_records": [{"x": 1}]} ',
        b'{"dataframe_records": [{"x": 1}]}x',
        b'{"inputs": [[1]]}',
        b"\xef\xbb\xbf{}",
        b"[" * 10_000,
        b"",
    ],
)
def test_what_is_unusual_is_left_to_the_careful_reader(body: bytes) -> None:
    if body.endswith(b"} "):
        assert decode(a_contract(("x", "double")), body) == [(1.0,)]
    else:
        assert decode(a_contract(("x", "double")), body) is None


def test_colons_in_texts_and_names_are_no_keys() -> None:
    contract = a_contract(("a:b", "string"), ("x", "double"))
    row = ("http://x:1", 1.0)
    assert decode(contract, split(row, names=contract.names)) == [row]
    assert decode(contract, {"dataframe_records": [{"a:b": row[0], "x": 1}]}) == [row]
    twice = b'{"dataframe_records": [{"a:b": "c", "x": 1, "x": 2}]}'
    assert decode(contract, twice) is None


@pytest.mark.parametrize(
    "contract",
    [a_contract((None, "double")), a_contract(("x", "binary")), a_contract(("x", {"type": "array", "items": "double"})),
     a_contract(inputs=[a_tensor("float64", -1, 2)])],
    ids=["unnamed", "binary", "array", "tensor"],
)  # fmt: skip
def test_only_tables_of_single_values_have_rows(contract: Contract) -> None:
    assert Decoder.of(contract) is None


def test_a_checked_request_has_the_same_rows() -> None:
    body = json.dumps({"dataframe_split": {"columns": [*MIXED.names, "more"], "data": [[*ROW, 1]]}}).encode()
    assert rows_of(MIXED, read_request(MIXED, body, JSON_TYPE)) == [ROW]
    whole = a_contract(("n", "long"), ("x", "double"))
    body = b'{"dataframe_records": [{"n": 2.0, "x": 1}]}'
    (row,) = rows_of(whole, read_request(whole, body, JSON_TYPE)) or [()]
    assert [(value, type(value)) for value in row] == [(2, int), (1.0, float)]


def test_a_table_without_an_optional_column_has_no_rows() -> None:
    contract = a_contract(("x", "double"), ("y", "double"), optional=("y",))
    body = b'{"dataframe_records": [{"x": 1}]}'
    assert rows_of(contract, read_request(contract, body, JSON_TYPE)) is None


# ------------------------------------------------------------------ whatever comes

KINDS = ("boolean", "integer", "long", "float", "double", "string", "datetime")
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-5, 5), st.floats(width=32, allow_nan=False),
    st.floats(), st.text(max_size=5), st.sampled_from(["2024-01-01", "1600-01-01", "a:b", '"', "\\", "\ud800", ""]),
    st.lists(st.integers(), max_size=2), st.just({}),
)  # fmt: skip
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "integer": st.integers(-(2**31), 2**31 - 1), "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none() | st.integers(-9, 9),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.integers(-9, 9),
    "string": st.text(max_size=5) | st.none(),
    "datetime": st.sampled_from(["2024-01-01", "1999-12-31T23:59:59.5", None]),
}  # fmt: skip
PIECES = [b"", b" ", b",", b":", b'"', b"1", b"0", b".5", b"e3", b"null", b"-", b"{", b'"a":1,']
NAMES = st.sampled_from(["a", "b", "a:b", 'q"', "é", "back\\slash", "x y", "", "data", "columns"])


@st.composite
def questions(draw: st.DrawFn) -> tuple[Contract, bytes]:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    kinds = [draw(st.sampled_from(KINDS)) for _ in names]
    contract = a_contract(*zip(names, kinds, strict=True), optional=(names[0],) if draw(st.booleans()) else ())
    rows: list[list[Any]] = [[draw(GOOD[kind]) for kind in kinds] for _ in range(draw(st.integers(0, 3)))]
    is_spoiled = draw(st.booleans())
    if rows and is_spoiled:
        rows[draw(st.integers(0, len(rows) - 1))][draw(st.integers(0, len(names) - 1))] = draw(VALUES)
    places = range(len(names))
    order: Any = draw(st.permutations(places)) if draw(st.booleans()) else places
    given_names = [names[at] for at in order]
    table = [[row[at] for at in order] for row in rows]
    if draw(st.booleans()):
        body: dict[str, Any] = {"dataframe_split": {"columns": given_names, "data": table}}
    else:
        body = {"dataframe_records": [dict(zip(given_names, row, strict=True)) for row in table]}
    text = json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        piece = draw(
            st.sampled_from([b"", b" ", b",", b":", b'"', b"1", b"0", b".5", b"e3", b"null", b"-", b"{", b'"a":1,'])
        )
        text = text[:at] + piece + text[at + draw(st.integers(0, 2)) :]
    return contract, text


@given(questions())
def test_it_never_differs_from_the_careful_reader(question: tuple[Contract, bytes]) -> None:
    contract, body = question
    rows = decode(contract, body)
    if rows is None:
        return
    try:
        careful = rows_of(contract, read_request(contract, body, JSON_TYPE))
    except Refused as refusal:
        raise AssertionError(f"the careful reader refuses it: {refusal.message}") from None
    assert careful is not None
    assert [[(type(value), repr(value)) for value in row] for row in rows] == [
        [(type(value), repr(value)) for value in row] for row in careful
    ]
