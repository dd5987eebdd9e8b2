"""Is the endpoint's OpenAPI document valid, and does an example fit the schema that it is shown with?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from taxiway_scoring.contract import SCALARS, Contract, compile_signature, openapi
from taxiway_scoring.payload import JSON_TYPE, read_request
from taxiway_scoring.refusals import Refused
from tests.scoring.apps import a_contract, a_tensor, an_app, ask

VALUES: dict[str, Any] = {
    "boolean": True, "integer": -(2**31), "long": 2**53, "float": 1.5, "double": None, "string": "ü", "binary": "AAH/",
    "datetime": "2024-02-29 03:04:05.123456789",
}  # fmt: skip


def validate(document: dict[str, Any]) -> dict[str, Any]:
    """Check a document, read again from its own JSON, and its example; return the document."""
    document = json.loads(json.dumps(document, allow_nan=False))
    OpenAPIV31SpecValidator(document).validate()
    for path in document["paths"].values():
        for operation in path.values():
            for medium in operation.get("requestBody", {}).get("content", {}).values():
                check_schema(medium)
            for answer in operation["responses"].values():
                for medium in answer.get("content", {}).values():
                    check_schema(medium)
    return document


def check_schema(medium: dict[str, Any]) -> None:
    schema = medium.get("schema", {})
    if "$ref" not in schema:
        jsonschema.Draft202012Validator.check_schema(schema)
        if "example" in medium:
            jsonschema.Draft202012Validator(schema).validate(medium["example"])


def a_value(type_: Any) -> Any:
    """Return a value of a column's type."""
    kind = type_ if isinstance(type_, str) else type_["type"]
    if kind == "array":
        return [a_value(type_["items"])]
    if kind == "map":
        return {"key": a_value(type_["values"])}
    if kind == "object":
        return {name: a_value(inner) for name, inner in type_["properties"].items() if inner.get("required", True)}
    # In a list, a map or an object a number that is missing is not always allowed.
    return {"any": {"x": [1, None]}, "double": 0.5}.get(kind, VALUES.get(kind))


scalars = st.sampled_from(SCALARS).map(lambda kind: {"type": kind})
types = st.recursive(
    scalars | st.just({"type": "any"}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "map", "values": values})
        | st.dictionaries(
            st.text(min_size=1, max_size=4),
            st.tuples(inner, st.booleans()).map(lambda pair: {**pair[0], "required": pair[1]}),
            min_size=1,
            max_size=3,
        ).map(lambda properties: {"type": "object", "properties": properties})
    ),
    max_leaves=5,
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.dictionaries(names, st.tuples(types, st.booleans()), min_size=1, max_size=5),
    outputs=st.dictionaries(names, types, max_size=3),
    title=names,
)
def test_any_table(columns: dict[str, Any], outputs: dict[str, Any], title: str) -> None:
    contract = compile_signature(
        {
            "inputs": json.dumps(
                [{**kind, "name": name, "required": required} for name, (kind, required) in columns.items()]
            ),
            "outputs": json.dumps([{**kind, "name": name, "required": True} for name, kind in outputs.items()]),
        }
    )
    row = [a_value(kind) for kind, _ in columns.values()]
    split = {"dataframe_split": {"columns": list(columns), "data": [row]}}
    read_request(contract, json.dumps(split).encode(), JSON_TYPE)
    validate(openapi(contract, title=title, version="1", example=split))
    records = {"dataframe_records": [dict(zip(columns, row, strict=True))]}
    validate(openapi(contract, title=title, version="1", example=records))


@pytest.mark.parametrize("kind", SCALARS)
def test_each_type_alone_optional_and_in_a_list(kind: str) -> None:
    contract = a_contract(
        ("a", kind), ("o", kind), ("l", {"type": "array", "items": {"type": kind}}), optional=("o",)
    )  # fmt: skip
    value = VALUES[kind]
    for row in ({"a": value, "o": value, "l": [value]}, {"a": value, "l": []}):
        example = {"dataframe_records": [row]}
        read_request(contract, json.dumps(example).encode(), JSON_TYPE)
        validate(openapi(contract, title="m", version="1", example=example))


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize("is_required", [True, False])
def test_null_is_allowed_where_the_endpoint_takes_it(kind: str, *, is_required: bool) -> None:
    contract = a_contract(("a", kind), optional=() if is_required else ("a",))
    body = {"dataframe_records": [{"a": None}]}
    schema = openapi(contract, title="m", version="1")["paths"]["/invocations"]["post"]["requestBody"]["content"]
    try:
        read_request(contract, json.dumps(body).encode(), JSON_TYPE)
        is_taken = True
    except Refused:
        is_taken = False
    assert jsonschema.Draft202012Validator(schema["application/json"]["schema"]).is_valid(body) is is_taken


def of_tensors() -> Iterator[tuple[list[dict[str, Any]], Any]]:
    one = a_tensor("float64", -1, 2)
    yield [one], {"inputs": [[0.5, None], [1, 2]]}
    yield [one], {"instances": [[0.5, 1.5]]}
    yield [a_tensor("float32", -1, 2, name="x")], {"inputs": {"x": [[1, 2]]}}
    yield [a_tensor("float32", -1, 2, name="x")], {"inputs": [[1, 2]]}
    yield [a_tensor("float32", -1, 2, name="x")], {"instances": [{"x": [1, 2]}]}
    both = [a_tensor("uint8", -1, 2, 2, name="x"), a_tensor("bool", -1, name="y")]
    yield both, {"inputs": {"x": [[[1, 2], [3, 4]]], "y": [True]}}
    yield both, {"instances": [{"x": [[1, 2], [3, 4]], "y": True}]}
    yield [a_tensor("str", -1)], {"inputs": ["a"]}
    yield [a_tensor("object", -1)], {"inputs": ["a", 1]}
    yield [a_tensor("int64")], {"inputs": 3}


@pytest.mark.parametrize(("tensors", "example"), list(of_tensors()))
def test_tensors(tensors: list[dict[str, Any]], example: Any) -> None:
    contract = a_contract(inputs=tensors, outputs=tensors)
    validate(openapi(contract, title="m", version="1", example=example))


def test_a_tensors_lengths_and_kind_are_in_its_schema() -> None:
    document = openapi(a_contract(inputs=[a_tensor("int64", -1, 2)]), title="m", version="1")
    schema = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for wrong in ([[1]], [[1, 2, 3]], [[1, "a"]], [1]):
        assert not jsonschema.Draft202012Validator(schema).is_valid({"inputs": wrong})


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize("is_list", [False, True])
def test_params(kind: str, is_list: bool) -> None:
    value = {"double": 0.5}.get(kind, VALUES[kind])
    default = [value] if is_list else value
    params = [{"name": "p", "type": kind, "default": default, "shape": [-1] if is_list else None}]
    contract = a_contract(("x", "double"), params=params)
    example = {"dataframe_split": {"columns": ["x"], "data": [[1.5]]}, "params": {"p": default}}
    document = validate(openapi(contract, title="m", version="1", example=example))
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["oneOf"][0]["properties"]["params"]["properties"]["p"]["default"] == default


def test_what_has_no_json_is_no_default() -> None:
    contract = a_contract(
        ("x", "double"), params=[{"name": "p", "type": "double", "default": float("nan"), "shape": None}]
    )
    validate(openapi(contract, title="m", version="1"))


@pytest.mark.parametrize("contract", [Contract(), a_contract((None, "double"), outputs=[{"type": "string"}])])
async def test_what_an_endpoint_answers(contract: Contract) -> None:
    app = an_app(contract=contract, example=b'{"inputs": [1.5]}')
    document = validate(json.loads((await ask(app, path="/openapi.json")).body))
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert content["application/json"]["example"] == {"inputs": [1.5]}
