"""Is a change of a contract called compatible only where every old request is still accepted?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from taxiway.domain.compatibility import Side, breaking, compare
from taxiway_scoring.checks import check_input
from taxiway_scoring.contract import Contract, compile_signature
from taxiway_scoring.refusals import Refused


def contract(
    inputs: list[Any] | None = None, outputs: list[Any] | None = None, params: list[Any] | None = None
) -> Contract:
    sides = {"inputs": inputs, "outputs": outputs, "params": params}
    return compile_signature({key: json.dumps(side) for key, side in sides.items() if side is not None})


def col(name: str | None, type_: Any, *, required: bool = True) -> dict[str, Any]:
    item = dict(type_) if isinstance(type_, dict) else {"type": type_}
    return item | {"required": required} | ({} if name is None else {"name": name})


def obj(**fields: tuple[Any, bool]) -> dict[str, Any]:
    properties = {
        name: (dict(type_) if isinstance(type_, dict) else {"type": type_}) | {"required": required}
        for name, (type_, required) in fields.items()
    }
    return {"type": "object", "properties": properties}


def arr(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items if isinstance(items, dict) else {"type": items}}


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return item if name is None else item | {"name": name}


def param(name: str, type_: str, default: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "type": type_, "default": default, "shape": shape}


A, B = col("a", "double"), col("b", "long")
LABEL = [col(None, "long")]

COMPATIBLE = {
    "the same": (contract([A, B], LABEL), contract([A, B], LABEL)),
    "other order": (contract([A, B]), contract([B, A])),
    "an optional column more": (contract([A, B]), contract([A, B, col("c", "string", required=False)])),
    "a column less": (contract([A, B]), contract([A])),
    "a column becomes optional": (contract([A, B]), contract([A, col("b", "long", required=False)])),
    "integer to long": (contract([col("a", "integer")]), contract([col("a", "long")])),
    "integer to double": (contract([col("a", "integer")]), contract([col("a", "double")])),
    "float to double": (contract([col("a", "float")]), contract([col("a", "double")])),
    "string to any": (contract([col("a", "string")]), contract([col("a", "any")])),
    "items wider": (contract([col("a", arr("integer"))]), contract([col("a", arr("long"))])),
    "an optional field more": (
        contract([col("a", obj(x=("long", True)))]), contract([col("a", obj(x=("long", True), y=("string", False)))]),
    ),
    "a field becomes optional": (
        contract([col("a", obj(x=("long", True)))]), contract([col("a", obj(x=("long", False)))]),
    ),
    "a tensor of any length": (contract([tensor("float64", 8, 3)]), contract([tensor("float64", -1, 3)])),
    "a parameter more": (contract([A], params=[]), contract([A], params=[param("t", "double", 0.5)])),
    "a wider parameter": (
        contract([A], params=[param("t", "float", 0.5)]), contract([A], params=[param("t", "double", 0.5)]),
    ),
    "an output more": (
        contract([A], [col("x", "double")]), contract([A], [col("x", "double"), col("y", "string")]),
    ),
    "an output of fewer values": (contract([A], [col("x", "double")]), contract([A], [col("x", "integer")])),
    "an output that is always there": (
        contract([A], [col("x", "double", required=False)]), contract([A], [col("x", "double")]),
    ),
    "outputs become known": (contract([A]), contract([A], LABEL)),
    "an output tensor of a known length": (
        contract([A], [tensor("float32", -1, -1)]), contract([A], [tensor("float32", -1, 2)]),
    ),
    "a map of wider values": (
        contract([col("a", {"type": "map", "values": {"type": "integer"}})]),
        contract([col("a", {"type": "map", "values": {"type": "double"}})]),
    ),
}  # fmt: skip

BREAKING = {
    "a required column more": (contract([A]), contract([A, B])),
    "an optional column more than one": (contract([A]), contract([A, col("b", "long", required=False)])),
    "a column becomes required": (contract([A, col("b", "long", required=False)]), contract([A, B])),
    "another name": (contract([A, B]), contract([A, col("bb", "long")])),
    "long to integer": (contract([col("a", "long")]), contract([col("a", "integer")])),
    "long to double": (contract([col("a", "long")]), contract([col("a", "double")])),
    "integer to float": (contract([col("a", "integer")]), contract([col("a", "float")])),
    "double to float": (contract([col("a", "double")]), contract([col("a", "float")])),
    "double to long": (contract([col("a", "double")]), contract([col("a", "long")])),
    "string to datetime": (contract([col("a", "string")]), contract([col("a", "datetime")])),
    "binary to string": (contract([col("a", "binary")]), contract([col("a", "string")])),
    "boolean to long": (contract([col("a", "boolean")]), contract([col("a", "long")])),
    "any to string": (contract([col("a", "any")]), contract([col("a", "string")])),
    "names to none": (contract([A]), contract([col(None, "double")])),
    "columns to tensors": (contract([A]), contract([tensor("float64", -1, 1)])),
    "a tensor of a fixed length": (contract([tensor("float64", -1, 3)]), contract([tensor("float64", 8, 3)])),
    "another element type": (contract([tensor("float64", -1)]), contract([tensor("float32", -1)])),
    "a field less": (
        contract([col("a", obj(x=("long", True), y=("long", False)))]), contract([col("a", obj(x=("long", True)))]),
    ),
    "a required field more": (
        contract([col("a", obj(x=("long", True)))]), contract([col("a", obj(x=("long", True), y=("long", True)))]),
    ),
    "items narrower": (contract([col("a", arr("double"))]), contract([col("a", arr("long"))])),
    "a parameter less": (contract([A], params=[param("t", "double", 0.5)]), contract([A], params=[])),
    "another default": (
        contract([A], params=[param("t", "double", 0.5)]), contract([A], params=[param("t", "double", 0.9)]),
    ),
    "a parameter becomes a list": (
        contract([A], params=[param("t", "double", 0.5)]), contract([A], params=[param("t", "double", [0.5], [-1])]),
    ),
    "an output less": (contract([A], [col("x", "double"), col("y", "long")]), contract([A], [col("x", "double")])),
    "an output of more values": (contract([A], [col("x", "integer")]), contract([A], [col("x", "double")])),
    "an output may be missing": (
        contract([A], [col("x", "double")]), contract([A], [col("x", "double", required=False)]),
    ),
    "outputs get names": (contract([A], LABEL), contract([A], [col("x", "long")])),
    "outputs become unknown": (contract([A], LABEL), contract([A])),
    "one more unnamed output": (contract([A], LABEL), contract([A], [*LABEL, col(None, "double")])),
    "fewer unnamed columns": (contract([col(None, "double")] * 3), contract([col(None, "double")] * 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPATIBLE)
def test_who_calls_feels_nothing(name: str) -> None:
    old, new = COMPATIBLE[name]
    assert not breaking(compare(old, new))
    assert (compare(old, new) == ()) == (name in ("the same", "other order"))


@pytest.mark.parametrize("name", BREAKING)
def test_who_calls_may_feel_it(name: str) -> None:
    found = breaking(compare(*BREAKING[name]))
    assert found
    assert all(change.why.endswith(".") for change in found)


def test_a_change_tells_where_it_is_and_what_it_was() -> None:
    lines = {"type": "array", "items": obj(price=("double", True))}
    less = {"type": "array", "items": obj(price=("long", True))}
    old = contract([A, col("order", obj(lines=(lines, True)))])
    new = contract([A, col("order", obj(lines=(less, True))), col("note", "string", required=False)])
    first, second = compare(old, new)
    assert (first.side, first.name, first.was, first.becomes) == (Side.INPUT, "order.lines[].price", "double", "long")
    assert first.is_breaking
    assert (second.name, second.was, second.becomes, second.is_breaking) == ("note", "", "string, optional", False)


# ------------------------------------------------------------------ compatible means accepted

SCALARS = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any"]
TYPES = st.recursive(
    st.sampled_from(SCALARS).map(lambda kind: {"type": kind}),
    lambda inner: st.one_of(
        inner.filter(lambda each: each["type"] != "any").map(arr),
        inner.map(lambda each: {"type": "map", "values": each}),
        st.dictionaries(st.sampled_from("xyz"), st.tuples(inner, st.booleans()), min_size=1).map(lambda it: obj(**it)),
    ),
    max_leaves=4,
)
COLUMNS = st.dictionaries(st.sampled_from("abc"), st.tuples(TYPES, st.booleans()), min_size=1).map(
    lambda found: [col(name, type_, required=required) for name, (type_, required) in found.items()]
)
VALUES = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1) | st.sampled_from([2.0, 2**31 - 1, 2**24 + 1]),
    "long": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, 3.0]),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none() | st.just(2**24),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.just(2**53),
    "string": st.sampled_from(["", "x", "2024-01-01", "AAAA"]) | st.none(),
    "binary": st.sampled_from(["", "AAAA"]),
    "datetime": st.sampled_from(["2024-01-01", "2024-01-01T10:00:00"]) | st.none(),
}


def value_of(draw: st.DrawFn, type_: dict[str, Any]) -> Any:
    kind = type_["type"]
    if kind == "any":
        return draw(st.none() | st.booleans() | st.text(max_size=2) | st.lists(st.integers(), max_size=2))
    if kind == "array":
        return [value_of(draw, type_["items"]) for _ in range(draw(st.integers(0, 2)))]
    if kind == "map":
        return {key: value_of(draw, type_["values"]) for key in draw(st.sets(st.sampled_from("pq"), max_size=2))}
    if kind == "object":
        fields = type_["properties"].items()
        return {name: value_of(draw, inner) for name, inner in fields if inner["required"] or draw(st.booleans())}
    return draw(VALUES[kind])


@st.composite
def changed(draw: st.DrawFn, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the columns after some changes, many of them compatible."""
    result = []
    for column in columns:
        what = draw(st.sampled_from(["same", "same", "wider", "any", "optional", "required", "other", "gone"]))
        wider = {"integer": ["long", "double"], "float": ["double"]}.get(column["type"], [column["type"]])
        if what == "wider" and column["type"] in VALUES:
            result.append(column | {"type": draw(st.sampled_from(wider))})
        elif what == "any":
            result.append({"name": column["name"], "type": "any", "required": column["required"]})
        elif what in ("optional", "required"):
            result.append(column | {"required": what == "required"})
        elif what == "other":
            result.append(col(column["name"], draw(TYPES), required=column["required"]))
        elif what != "gone":
            result.append(column)
    if draw(st.booleans()):
        result.append(col("d", draw(TYPES), required=draw(st.integers(0, 3)) == 0))
    return result


def is_accepted(given: Contract, form: str, value: Any) -> bool:
    try:
        check_input(given, form, value)
    except Refused:
        return False
    return True


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_what_the_old_contract_accepts_a_compatible_one_accepts(data: st.DataObject) -> None:
    columns = data.draw(COLUMNS)
    old, new = contract(columns), contract(data.draw(changed(columns)))
    assume(new.columns)
    assume(not breaking(compare(old, new)))
    form = data.draw(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "bare"]))

    @st.composite
    def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
        sent = [column for column in columns if column["required"] or draw(st.booleans())]
        return [{c["name"]: value_of(draw, c) for c in sent} for _ in range(draw(st.integers(1, 3)))]

    table = data.draw(rows())
    assume(table[0])
    value: Any = table
    if form == "dataframe_split":
        value = {"columns": list(table[0]), "data": [list(row.values()) for row in table]}
    elif form == "inputs":
        value = {name: [row[name] for row in table] for name in table[0]}
    elif form == "bare":
        form, value = "inputs", [next(iter(row.values())) for row in table]
    assume(is_accepted(old, form, value))
    assert is_accepted(new, form, value)
