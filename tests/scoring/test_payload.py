"""Bodies: content types, strict JSON, CSV, params, and what does not fit the contract, with its row and column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway_scoring.contract import Contract
from taxiway_scoring.payload import read_content_type, read_json, read_request
from taxiway_scoring.refusals import Refused
from tests.scoring.apps import a_contract, a_tensor

TABLE = a_contract(("n", "long"), ("x", "double"), ("s", "string"), ("b", "boolean"), ("o", "long"), optional=("o",))
GOOD: dict[str, Any] = {"n": 1, "x": 1.5, "s": "a", "b": True}


def refusal(contract: Contract, body: object, kind: str = "application/json", *, is_typed: bool = False) -> Refused:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refused) as refused:
        read_request(contract, data, kind, is_typed=is_typed)
    return refused.value


def rows(contract: Contract, body: object, kind: str = "application/json") -> int | None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(contract, data, kind).rows


def in_all_forms(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    columns = list(table[0])
    return [
        {"dataframe_split": {"columns": columns, "data": [[row[c] for c in columns] for row in table]}},
        {"dataframe_records": table},
        {"instances": table},
        {"inputs": table},
        {"inputs": {c: [row[c] for row in table] for c in columns}},
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/json", ("application/json", "")),
        ("Application/JSON ; charset=UTF-8", ("application/json", "")),
        ('application/json; charset="utf-8"; format=pandas-split', ("application/json", "pandas-split")),
        ("text/csv;", ("text/csv", "")),
        ("application/x-parquet", ("application/x-parquet", "")),
        ("application/json; charset=latin-1", None),
        ("application/json; format=pandas-table", None),
        ("text/csv; format=pandas-split", None),
        ("application/json; q=1", None),
        ("application/xml", None),
        ("", None),
    ],
)
def test_content_types(header: str, expected: tuple[str, str] | None) -> None:
    if expected is not None:
        assert read_content_type(header) == expected
        return
    with pytest.raises(Refused) as refused:
        read_content_type(header)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nul", b"[" * 100_000, b'{"a":' * 100_000, b'{"inputs": NaN}', b'{"inputs": -Infinity}',
        b'{"inputs": 1e400}', b'{"inputs": -1e999}', b'{"a": 1, "a": 2}', b'{"x": {"a": 1, "a": 1}}', b"9" * 5000,
        b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'"\xff"', b'["\\ud800"]', b'{"\\udc00": 1}', b"{} {}", b"'a'",
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_json(body)
    assert (refused.value.status, refused.value.reason) == (400, "MalformedBody")


def test_strict_json_is_read_as_it_is() -> None:
    assert read_json(b'{"a": [1, -0.0, 1e308, "\\u00e4\\ud83d\\ude00", null, 18446744073709551616]}') == {
        "a": [1, -0.0, 1e308, "ä😀", None, 2**64]
    }


@pytest.mark.parametrize(
    "body", [[1], "x", None, {}, {"inputs": [], "instances": []}, {"predictions": []}, {"Inputs": []}]
)
def test_a_body_has_exactly_one_form(body: object) -> None:
    assert refusal(TABLE, body).status == 400


def test_good_rows_in_all_forms() -> None:
    for body in in_all_forms([GOOD, GOOD | {"x": None, "s": "b", "n": 2.0}]):
        assert rows(TABLE, body) in (2, None)
    assert rows(TABLE, GOOD | {"inputs": [GOOD], "params": None}) == 1, "other keys are passed over, as MLflow does"
    older = {"columns": list(GOOD), "data": [list(GOOD.values())]}
    assert rows(TABLE, older, "application/json; format=pandas-split") == 1
    assert rows(TABLE, [GOOD], "application/json; format=pandas-records") == 1


@pytest.mark.parametrize(
    ("change", "column", "says"),
    [
        ({"n": 1.7}, "n", "a whole number of 64 bits"),
        ({"n": 2**63}, "n", "a whole number of 64 bits"),
        ({"n": True}, "n", "a whole number of 64 bits"),
        ({"n": "secret-1"}, "n", "a whole number of 64 bits"),
        ({"n": None}, "n", "null is not allowed"),
        ({"x": "secret-1.5"}, "x", "a number"),
        ({"x": 2**53 + 1}, "x", "a number"),
        ({"x": [1.5]}, "x", "a number"),
        ({"s": 5}, "s", "a text"),
        ({"b": 1}, "b", "true or false"),
        ({"b": "secret-false"}, "b", "true or false"),
        ({"b": None}, "b", "null is not allowed"),
        ({"o": None}, "o", "null is not allowed"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_row_and_column(change: dict[str, Any], column: str, says: str) -> None:
    good = GOOD | {"o": 1}
    for body in in_all_forms([good, good, good | change]):
        refused = refusal(TABLE, body)
        assert (refused.status, refused.places) == (422, {"row": 2, "column": column}), body
        assert says in refused.message
        assert "secret" not in refused.message


def test_missing_and_extra_columns() -> None:
    without = {name: value for name, value in GOOD.items() if name != "x"}
    for body in in_all_forms([without]):
        refused = refusal(TABLE, body)
        assert refused.status == 422
        assert "lacks column 'x'" in refused.message
        assert refused.places["column"] == "x"
    for body in in_all_forms([GOOD | {"extra": object.__doc__}]):
        rows(TABLE, body)
    assert "row" in refusal(TABLE, {"dataframe_records": [GOOD, without]}).places
    assert "columns 'n', 'x', 's'" in refusal(TABLE, {"dataframe_split": {"data": [[1]]}}).message


def test_null_in_a_text_column_has_a_place_in_tables_only() -> None:
    texts = a_contract(("s", "string"))
    assert rows(texts, {"dataframe_records": [{"s": None}]}) == 1
    assert "null is not allowed" in refusal(texts, {"instances": [{"s": None}]}).message


@pytest.mark.parametrize(
    ("split", "status"),
    [
        ({"columns": ["n"], "data": [[1], [2, 3]]}, 422),
        ({"columns": ["n", "n"], "data": [[1, 2]]}, 422),
        ({"columns": ["n"], "data": [{"n": 1}]}, 422),
        ({"columns": "n", "data": [[1]]}, 400),
        ({"columns": [True], "data": [[1]]}, 400),
        ({"columns": ["n"], "data": {"n": [1]}}, 400),
        ({"columns": ["n"]}, 400),
        ({"columns": ["n"], "data": [[1]], "index": [1, 2]}, 400),
        ({"columns": ["n"], "data": [[1]], "dtypes": {}}, 400),
        ([], 400),
    ],
)
def test_tables_that_are_none(split: object, status: int) -> None:
    assert refusal(a_contract(("n", "long")), {"dataframe_split": split}).status == status


def test_a_single_column_may_come_without_brackets() -> None:
    one = a_contract(("n", "long"))
    assert rows(one, {"dataframe_split": {"columns": ["n"], "data": [1, 2]}}) == 2
    assert rows(one, {"inputs": [1, 2, 3]}) == 3
    assert refusal(one, {"inputs": [1, 2.5]}).places == {"row": 1, "column": "n"}
    assert refusal(one, {"inputs": 5}).status == 422


def test_instances_must_be_alike() -> None:
    optional = a_contract(("n", "long"), ("m", "long"), optional=("n", "m"))
    refused = refusal(optional, {"instances": [{"n": 1}, {"m": 2}]})
    assert refused.places == {"row": 1}
    rows(optional, {"inputs": [{"n": 1}, {"m": 2}]})


def test_large_numbers_beside_numbers_with_a_point() -> None:
    one = a_contract(("n", "long"))
    rows(one, {"inputs": [2**53 + 1, 2]})
    refused = refusal(one, {"inputs": [1.0, 2, 2**53 + 1]})
    assert refused.places == {"row": 2, "column": "n"}


def test_columns_without_names() -> None:
    pair = a_contract((None, "long"), (None, "long"))
    rows(pair, {"inputs": [[1, 2], [3, 4]]})
    rows(pair, {"dataframe_split": {"data": [[1, 2]]}})
    rows(pair, {"dataframe_records": [{"p": 1, "q": 2}, {"q": 4, "p": 3}]})
    assert refusal(pair, {"inputs": [[1, 2], [3, 4.5]]}).places == {"row": 1, "column": ""}
    assert refusal(pair, {"inputs": [[1, 2], [3]]}).places == {"row": 1}
    assert refusal(pair, {"dataframe_records": [{"p": 1, "q": 2.5}]}).status == 422
    assert refusal(pair, {"dataframe_records": [{"p": 1}]}).status == 422
    mixed = a_contract((None, "long"), (None, "double"))
    assert refusal(mixed, {"inputs": [[1, 2.5]]}).status == 422, "MLflow would make one array of whole numbers"
    rows(mixed, {"dataframe_split": {"data": [[1, 2.5]]}})


def test_lists_objects_and_maps() -> None:
    contract = a_contract(
        ("numbers", {"type": "array", "items": {"type": "double"}}),
        ("thing", {"type": "object", "properties": {"id": {"type": "long"}, "note": {"type": "string",
                                                                                     "required": False}}}),
        ("by_name", {"type": "map", "values": {"type": "array", "items": {"type": "long"}}}),
        ("free", {"type": "any"}),
    )  # fmt: skip
    good = {"numbers": [1.5, None], "thing": {"id": 1}, "by_name": {"secret-k": [1]}, "free": {"a": [None]}}
    rows(contract, {"dataframe_records": [good, good | {"free": None, "thing": {"id": 2, "note": None}}]})
    for change, where in {
        "numbers": ([1.5, "x"], "column 'numbers'[1] must be a number"),
        "thing": ({"id": 1.5}, "column 'thing'.id must be a whole number"),
        "by_name": ({"secret-k": [1, "x"]}, "column 'by_name'.*[1] must be a whole number"),
    }.items():
        refused = refusal(contract, {"dataframe_records": [good, good | {change: where[0]}]})
        assert where[1] in refused.message
        assert "secret" not in refused.message
    assert (
        "no other fields"
        in refusal(contract, {"dataframe_records": [good | {"thing": {"id": 1, "secret-z": 1}}]}).message
    )


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("int64", [1, -1, 2.0, 2**63 - 1], [1.5, True, "1", None, 2**63]),
        ("uint8", [0, 255], [256, -1, 0.5]),
        ("float64", [1, 1.5, None], ["1", True, 2**53 + 1]),
        ("float32", [1.5, 3e38], [1e39, "1"]),
        ("bool", [True], [1, "true", None]),
        ("str", ["a"], [1, None]),
        ("object", ["a", 1, None, True], []),
    ],
)
def test_elements_of_tensors(dtype: str, good: list[Any], bad: list[Any]) -> None:
    contract = a_contract(inputs=[a_tensor(dtype, -1, 2)])
    for value in good:
        rows(contract, {"inputs": [[good[0], value]]})
    for value in bad:
        for form in ("inputs", "instances"):
            refused = refusal(contract, {form: [[good[0], good[0]], [good[0], value]]})
            assert "The tensor[1][1] must be" in refused.message
        assert refusal(contract, {"dataframe_split": {"data": [[good[0], value]]}}).status == 422
        assert refusal(contract, {"dataframe_records": [{"p": good[0], "q": value}]}).status == 422


def test_named_tensors() -> None:
    contract = a_contract(inputs=[a_tensor("int64", -1, name="a"), a_tensor("float32", -1, 2, name="b")])
    rows(contract, {"inputs": {"a": [1], "b": [[1, 2]]}})
    assert refusal(contract, {"inputs": {"a": [1]}}).places == {"column": "b"}
    assert "Tensor 'a'[0]" in refusal(contract, {"inputs": {"a": [1.5], "b": [[1, 2]]}}).message
    assert "Tensor 'b'[0][0]" in refusal(contract, {"instances": [{"a": 1, "b": ["x", 2]}]}).message


PARAMS = a_contract(
    ("x", "double"),
    params=[
        {"name": "top", "type": "long", "default": 3, "shape": None},
        {"name": "weights", "type": "double", "default": [1.0], "shape": [-1]},
        {"name": "mode", "type": "string", "default": "a", "shape": None},
        {"name": "free", "type": "object", "default": {}, "shape": None},
    ],
)


@pytest.mark.parametrize(
    ("params", "is_good"),
    [
        (None, True), ({}, True), ({"top": 5, "weights": [1, 2.5], "mode": "b", "free": {"a": 1}}, True),
        ({"unknown": object.__name__}, True), ({"top": None}, True), ({"top": 1.0}, False), ({"top": "5"}, False),
        ({"top": True}, False), ({"weights": 1.0}, False), ({"weights": [1, "x"]}, False), ({"mode": 1}, False),
        ({"top": [1]}, False), ([], False), ("x", False),
    ],
)  # fmt: skip
def test_params(params: object, *, is_good: bool) -> None:
    body = {"inputs": [1.5], "params": params}
    if is_good:
        assert read_request(PARAMS, json.dumps(body).encode(), "application/json").params == params
    else:
        assert refusal(PARAMS, body).status in (400, 422)


def test_models_with_type_hints_check_for_themselves() -> None:
    request = read_request(TABLE, b'{"inputs": "anything"}', "application/json", is_typed=True)
    assert request.value == "anything"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("n,x,s,b\n1,1.5,a,True\n", 1),
        ("\ufeffn,x,s,b\r\n1,,NA,false\r\n\r\n2,inf,,TRUE\r\n", 2),
        ('s,n,x,b,more\n"a\nb, ""c""",1,NaN,true,\n', 1),
        ("n,x,s,b\n2.0,1e-3,a,True\n   \n", 1),
        ("n,x,s,b\n", 0),
    ],
)
def test_csv(text: str, count: int) -> None:
    assert rows(TABLE, text.encode(), "text/csv") == count


@pytest.mark.parametrize(
    ("text", "status", "places"),
    [
        (b"", 400, {}),
        (b"\xff", 400, {}),
        (b"n,x\0,s,b\n", 400, {}),
        (b"n,x,s\n1,2,3\n", 422, {"column": "b"}),
        (b"n,n,x,s,b\n", 422, {}),
        (b"n,x,s,b\n1,2,a\n", 422, {"row": 0}),
        (b"n,x,s,b\n1,2,a,true,5\n", 422, {"row": 0}),
        (b"n,x,s,b\n1,2,a,true\n1.5,2,a,true\n", 422, {"row": 1, "column": "n"}),
        (b"n,x,s,b\n1_0,2,a,true\n", 422, {"row": 0, "column": "n"}),
        ("n,x,s,b\n\u0661,2,a,true\n".encode(), 422, {"row": 0, "column": "n"}),
        (b"n,x,s,b\n,2,a,true\n", 422, {"row": 0, "column": "n"}),
        (b"n,x,s,b\n9223372036854775808,2,a,true\n", 422, {"row": 0, "column": "n"}),
        (b"n,x,s,b\n1,secret,a,true\n", 422, {"row": 0, "column": "x"}),
        (b"n,x,s,b\n1,1e400,a,true\n", 422, {"row": 0, "column": "x"}),
        (b"n,x,s,b\n1,2,a,yes\n", 422, {"row": 0, "column": "b"}),
    ],
)
def test_csv_that_does_not_fit(text: bytes, status: int, places: dict[str, Any]) -> None:
    refused = refusal(TABLE, text, "text/csv")
    assert (refused.status, refused.places) == (status, places)
    assert "secret" not in refused.message


MARK = "zq-secret-qz"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["n", "x", "s", "b", MARK]), inner),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from(["inputs", "instances", "dataframe_split", "dataframe_records", "params"]), values, min_size=1
) | st.fixed_dictionaries(
    {
        "dataframe_split": st.fixed_dictionaries(
            {"data": values}, optional={"columns": values | st.just(list("nxsb")), "index": values}
        )
    }
)
CONTRACTS = [
    TABLE, PARAMS, a_contract((None, "long"), (None, "string")), a_contract(inputs=[a_tensor("int64", -1, 2)]),
    a_contract(inputs=[a_tensor("float32", -1, name="n"), a_tensor("str", -1, name="s")]), a_contract(),
    a_contract(("n", {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "long"}}}})),
]  # fmt: skip


@given(document=documents | values, contract=st.sampled_from(CONTRACTS))
def test_any_document_is_read_or_refused_and_never_echoed(document: object, contract: Contract) -> None:
    _read_or_refuse(contract, json.dumps(document).encode(), "application/json")


@given(
    body=st.binary(max_size=60) | st.text(alphabet='nxsb,"\r\n \t1.e-\ufeff' + MARK[:2], max_size=60).map(str.encode),
    kind=st.sampled_from(["text/csv", "application/json", "application/json; format=pandas-split"]),
    contract=st.sampled_from(CONTRACTS),
)
def test_any_bytes_are_read_or_refused(body: bytes, kind: str, contract: Contract) -> None:
    _read_or_refuse(contract, body, kind)


def _read_or_refuse(contract: Contract, body: bytes, kind: str) -> None:
    refused = None
    try:
        read_request(contract, body, kind)
    except Refused as error:
        refused = error
    assert refused is None or refused.status in (400, 422)
    assert refused is None or MARK not in refused.message + str(refused.places)


@pytest.mark.parametrize(("value", "rows"), [({"x": []}, 0), ({"x": [1, 2]}, 2), ({"x": 1}, 1), ([{"x": 1}], 1)])
def test_rows_are_counted_also_where_columns_are_lists(value: Any, rows: int) -> None:
    body = json.dumps({"inputs": value}).encode()
    assert read_request(a_contract(("x", "double")), body, "application/json").rows == rows
