"""The contract: compiled from MLflow's own texts; what fits a type; the OpenAPI document of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taxiway_scoring.contract import (
    ContractError,
    Param,
    Type,
    compile_signature,
    fits_scalar,
    is_datetime,
    json_schema,
    openapi,
)
from tests.scoring.apps import a_contract, a_tensor


def test_a_signature_is_compiled() -> None:
    contract = compile_signature(
        {
            "inputs": '[{"type": "long", "name": "n", "required": true}, {"type": "double", "name": "x", '
            '"required": false}, {"type": "array", "items": {"type": "string"}, "name": "w", "required": true}]',
            "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]',
            "params": '[{"name": "top", "type": "long", "default": 3, "shape": null}, {"name": "ws", "dtype": '
            '"double", "default": [1.0], "shape": [-1]}]',
        }
    )
    assert contract.names == ("n", "x", "w")
    assert [column.required for column in contract.columns] == [True, False, True]
    assert contract.columns[2].type == Type("array", items=Type("string"))
    assert contract.output_tensors[0].shape == (-1, 2)
    assert contract.params == (Param("top", "long", 3), Param("ws", "double", [1.0], is_list=True))
    assert compile_signature(contract.to_dict()) == contract


def test_nothing_known_is_a_contract_too() -> None:
    assert compile_signature({"inputs": None, "outputs": "", "params": None}).columns == ()


def test_older_signatures_say_optional() -> None:
    contract = compile_signature({"inputs": '[{"type": "long", "name": "n", "optional": true}]'})
    assert not contract.columns[0].required


@pytest.mark.parametrize(
    "inputs",
    [
        "{", "{}", "5", "[5]", '["long"]', '[{"name": "n"}]', '[{"type": "decimal", "name": "n"}]',
        '[{"type": "array", "name": "n"}]', '[{"type": "object", "name": "n"}]', '[{"type": "map", "name": "n"}]',
        '[{"type": "tensor"}]', '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": ["x"]}}]',
        '[{"type": "long", "name": "n"}, {"type": "long", "name": "n"}]', '[{"type": "long", "name": [1]}]',
        '[{"type": "long"}, {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]',
        "[" * 100_000, json.dumps([{"type": "long"}] * 10_001),
        '[{"type": "array", "name": "n", "items": ' * 1 + '{"type": "array", "items": ' * 40 + '{"type": "long"}'
        + "}" * 40 + "}]",
    ],
)  # fmt: skip
def test_a_signature_that_cannot_be_understood(inputs: str) -> None:
    with pytest.raises(ContractError):
        compile_signature({"inputs": inputs})


@pytest.mark.parametrize("params", ['[{"type": "long"}]', '[{"name": "n", "type": "array"}]', "[1]"])
def test_params_that_cannot_be_understood(params: str) -> None:
    with pytest.raises(ContractError):
        compile_signature({"params": params})


FITS: dict[str, tuple[list[Any], list[Any]]] = {
    "boolean": ([True, False], [1, 0, "true", None, 1.0]),
    "integer": ([0, -(2**31), 2**31 - 1, 5.0], [2**31, -(2**31) - 1, 1.5, True, "1", None, 3e9]),
    "long": ([2**63 - 1, -(2**63), 2.0**53], [2**63, 2.0**54, 1.5, False, "1", None]),
    "float": ([1, 1.5, 2**24, -(2**30), 1e-50, 3.4e38], [2**24 + 1, 1e39, True, "1", None]),
    "double": ([1, 1.5, 2**53, 2**70, -0.0, 5e-324], [2**53 + 1, 10**30, 10**400, True, "1", None]),
    "string": (["", "a", "\0"], [1, None, ["a"], b"a"]),
    "binary": (["", "YQ==", "YWJj\nYWJj"], ["YQ", "Y Q", "ä", "a-_=", 5, None]),
    "datetime": (
        ["2024-02-29", "2024-01-02T03:04", "2024-01-02 03:04:05", "2024-01-02T23:59:59.123456789"],
        ["2024-02-30", "2024-01-02T24:00", "2024-01-02T03:60", "2024-01-02T03:04:60", "2024", "1677-01-01",
         "2262-01-01", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00", "01/02/2024", "", 0, None,
         "٢٠٢٤-01-02"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FITS)
def test_what_fits_a_scalar_without_loss(kind: str) -> None:
    good, bad = FITS[kind]
    for value in good:
        assert fits_scalar(kind, value), value
    for value in bad:
        assert not fits_scalar(kind, value), value


def test_datetimes_end_where_they_end() -> None:
    assert not is_datetime("2024-01-02\n")
    assert not is_datetime("2024-01-02T03:04:05.1234567890")


def test_the_openapi_document() -> None:
    contract = a_contract(
        ("n", "long"), ("x", "double"), ("o", "string"),
        ("thing", {"type": "object", "properties": {"a": {"type": "long"}, "b": {"type": "any", "required": False}}}),
        optional=("o",),
        outputs=[{"type": "double", "required": True}],
        params=[{"name": "top", "type": "long", "default": 3, "shape": None}],
    )  # fmt: skip
    document = openapi(contract, title="m", version="3", example={"inputs": []})
    post = document["paths"]["/invocations"]["post"]
    forms = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert [form["title"] for form in forms] == ["dataframe_records", "dataframe_split", "instances", "inputs"]
    row = forms[0]["properties"]["dataframe_records"]["items"]
    assert row["required"] == ["n", "x", "thing"]
    assert row["properties"]["n"] == {"type": "integer", "format": "int64"}
    assert row["properties"]["x"]["type"] == ["number", "null"]
    assert row["properties"]["thing"]["required"] == ["a"]
    assert forms[0]["properties"]["params"]["properties"] == {
        "top": {"type": "integer", "format": "int64", "default": 3}
    }
    assert set(post["requestBody"]["content"]) == {
        "application/json", "text/csv",
    }  # fmt: skip
    assert list(post["responses"]["200"]["content"]) == ["application/json"]
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]
    assert answer["items"]["type"] == ["number", "null"]
    assert {"400", "413", "415", "422", "429", "503", "504"} <= set(post["responses"])


def test_a_tensors_document_has_the_free_forms_only() -> None:
    document = openapi(a_contract(inputs=[a_tensor("float64", -1, 3)]), title="m", version="1")
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert list(content) == ["application/json"]
    assert [form["title"] for form in content["application/json"]["schema"]["oneOf"]] == ["instances", "inputs"]


def test_types_as_json_schema() -> None:
    assert json_schema(Type("map", items=Type("array", items=Type("binary")))) == {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}},
    }


def test_tables_are_in_the_openapi_document_where_there_is_pyarrow() -> None:
    document = openapi(a_contract(("x", "double")), title="m", version="3", takes_tables=True)
    post = document["paths"]["/invocations"]["post"]
    stream, file, parquet = (f"application/vnd.apache.{name}" for name in ("arrow.stream", "arrow.file", "parquet"))
    assert list(post["requestBody"]["content"]) == ["application/json", "text/csv", stream, file, parquet]
    assert list(post["responses"]["200"]["content"]) == ["application/json", stream, parquet]
