"""The contract: a model's signature compiled to what its endpoint accepts and returns. Standard library only.

The source is MLflow's own JSON (the texts under ``signature`` in an ``MLmodel`` file): a list of column or tensor
specifications for inputs and outputs, a list of parameters. Column types: boolean, integer (32 bit), long, float
(32 bit), double, string, binary (base64), datetime, and array, object, map, any, which may be nested.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
INTEGER_RANGE = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
MAX_FLOAT32 = 3.4028235677973366e38
"""The least number that rounds to infinity in 32 bits."""
EXPECTED = {
    "boolean": "true or false",
    "integer": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a number of 32 bits",
    "double": "a number",
    "string": "a text",
    "binary": "a base64 text",
    "datetime": "an ISO 8601 time without an offset",
}
NULLABLE = ("float", "double", "string", "datetime")
"""Scalars that have a missing value in a table."""
MAX_DEPTH = 32
MAX_COLUMNS = 10_000
MAX_LABELS = 100
"""How many classes are named in the description."""


class ContractError(Exception):
    """The signature cannot be understood."""


class Mismatch(Exception):
    """A value does not fit. ``where`` continues the column's name, ``expected`` says what would fit."""

    def __init__(self, expected: str, where: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.where = where

    def inside(self, step: str) -> Mismatch:
        """Return the same, seen from one level further out."""
        return Mismatch(self.expected, step + self.where)


@dataclass(frozen=True)
class Type:
    """A column's type. ``kind`` is a scalar's name, or array, object, map, any."""

    kind: str
    items: Type | None = None
    fields: tuple[tuple[str, Type, bool], ...] = ()
    """Of an object: name, type, whether it is required."""

    @property
    def is_scalar(self) -> bool:
        """Whether values are single numbers, texts, times or truths."""
        return self.kind in SCALARS


@dataclass(frozen=True)
class Column:
    """A column, or an unnamed single value. Optional columns may be missing or null."""

    name: str | None
    type: Type
    required: bool = True

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"column '{self.name}'" if self.name is not None else "the value"


@dataclass(frozen=True)
class Tensor:
    """A tensor: NumPy's name of the element type, and the shape with -1 for what may vary."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    """What the numbers of a row are of, for people: the classes."""


@dataclass(frozen=True)
class Param:
    """An inference parameter: ``kind`` is a scalar's name or object; ``is_list`` for a shape of (-1,)."""

    name: str
    kind: str
    default: Any
    is_list: bool = False


@dataclass(frozen=True)
class Contract:
    """What an endpoint accepts and returns. Either columns or tensors on each side; none where it is unknown."""

    columns: tuple[Column, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    outputs: tuple[Column, ...] = ()
    output_tensors: tuple[Tensor, ...] = ()
    params: tuple[Param, ...] = ()
    method: str = "predict"
    """The model's method that answers; the outputs are what it returns."""
    source: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The named columns, in order."""
        return tuple(column.name for column in self.columns if column.name is not None)

    def to_dict(self) -> dict[str, str]:
        """Return the signature's texts, from which ``compile_signature`` makes an equal contract."""
        return dict(self.source)


# ------------------------------------------------------------------ from MLflow's JSON


def compile_signature(signature: Mapping[str, str | None]) -> Contract:
    """Make a contract of the texts under ``inputs``, ``outputs``, ``params``. Raises ContractError."""
    texts = {key: text for key in ("inputs", "outputs", "params") if (text := signature.get(key))}
    columns, tensors = _side(_parse(texts, "inputs"), "inputs")
    outputs, output_tensors = _side(_parse(texts, "outputs"), "outputs")
    params = tuple(_param(item) for item in _parse(texts, "params"))
    return Contract(columns, tensors, outputs, output_tensors, params, source=texts)


def _parse(texts: Mapping[str, str], key: str) -> list[Any]:
    text = texts.get(key)
    if text is None:
        return []
    try:
        parsed = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ContractError(f"The signature's {key} are not valid JSON.") from error
    if not isinstance(parsed, list) or len(parsed) > MAX_COLUMNS:
        raise ContractError(f"The signature's {key} must be a list of at most {MAX_COLUMNS}.")
    return parsed


def _side(items: list[Any], key: str) -> tuple[tuple[Column, ...], tuple[Tensor, ...]]:
    if any(not isinstance(item, dict) for item in items):
        raise ContractError(f"The signature's {key} must be a list of objects.")
    is_tensor = [item.get("type") == "tensor" for item in items]
    if any(is_tensor):
        if not all(is_tensor):
            raise ContractError(f"The signature's {key} mix columns and tensors.")
        return (), tuple(_tensor(item) for item in items)
    columns = tuple(_column(item) for item in items)
    names = [column.name for column in columns if column.name is not None]
    if len(set(names)) != len(names):
        raise ContractError(f"The signature's {key} name a column twice.")
    return columns, ()


def _column(item: dict[str, Any]) -> Column:
    name = item.get("name")
    if name is not None and not isinstance(name, (str, int)):
        raise ContractError("A column's name in the signature is no text.")
    required = item.get("required", not item.get("optional", False))
    return Column(None if name is None else str(name), _type(item, 0), bool(required))


def _type(item: Any, depth: int) -> Type:
    if depth > MAX_DEPTH:
        raise ContractError(f"A type in the signature is nested more than {MAX_DEPTH} deep.")
    if isinstance(item, str):
        item = {"type": item}
    kind = item.get("type") if isinstance(item, dict) else None
    if kind in SCALARS or kind == "any":
        return Type(kind)
    if kind == "array":
        return Type("array", items=_type(item.get("items"), depth + 1))
    if kind == "map":
        return Type("map", items=_type(item.get("values"), depth + 1))
    if kind == "object":
        properties = item.get("properties")
        if not isinstance(properties, dict):
            raise ContractError("An object in the signature has no properties.")
        return Type(
            "object",
            fields=tuple(
                (
                    str(name),
                    _type(inner, depth + 1),
                    bool(not isinstance(inner, dict) or inner.get("required", True)),
                )
                for name, inner in properties.items()
            ),
        )
    raise ContractError(f"The signature has a type that is not known: {str(kind)[:40]!r}.")


def _tensor(item: dict[str, Any]) -> Tensor:
    spec = item.get("tensor-spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("shape"), list):
        raise ContractError("A tensor in the signature has no shape.")
    try:
        shape = tuple(int(size) for size in spec["shape"])
    except (TypeError, ValueError) as error:
        raise ContractError("A tensor's shape in the signature is not a list of numbers.") from error
    name = item.get("name")
    return Tensor(None if name is None else str(name), str(spec.get("dtype")), shape)


def _param(item: Any) -> Param:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ContractError("A parameter in the signature has no name.")
    kind = item.get("type") or item.get("dtype")
    if kind not in (*SCALARS, "object"):
        raise ContractError(f"The parameter {item['name']!r} has a type that is not known.")
    return Param(item["name"], kind, item.get("default"), item.get("shape") is not None)


def is_tabular(contract: Contract) -> bool:
    """Tell whether rows can stand for the input: named columns of single values, none of them binary."""
    return bool(contract.columns) and all(
        column.name is not None and column.type.is_scalar and column.type.kind != "binary"
        for column in contract.columns
    )


# ------------------------------------------------------------------ does a value fit?


def check_value(type_: Type, value: Any) -> None:
    """Raise Mismatch when a JSON value (as ``json.loads`` makes it) does not fit without loss."""
    kind = type_.kind
    if kind == "any":
        return
    if kind == "array":
        if not isinstance(value, list):
            raise Mismatch("a list")
        # In a list a missing number, text or time stands for itself, as in a column.
        may_be_null = type_.items is not None and type_.items.kind in NULLABLE
        _check_items(type_.items, ((i, v) for i, v in enumerate(value) if v is not None or not may_be_null), "[{}]")
    elif kind == "map":
        if not isinstance(value, dict):
            raise Mismatch("an object")
        _check_items(type_.items, value.items(), ".*")
    elif kind == "object":
        _check_object(type_, value)
    elif not fits_scalar(kind, value):
        raise Mismatch(EXPECTED[kind])


def _check_items(type_: Type | None, items: Any, step: str) -> None:
    if type_ is None:
        raise ContractError("an array or map without a type of its items")
    for key, item in items:
        try:
            check_value(type_, item)
        except Mismatch as mismatch:  # noqa: PERF203
            raise mismatch.inside(step.format(key)) from None


def _check_object(type_: Type, value: Any) -> None:
    if not isinstance(value, dict):
        raise Mismatch("an object")
    names = {name for name, _, _ in type_.fields}
    for name, inner, required in type_.fields:
        if value.get(name) is None:
            if required:
                raise Mismatch("a value" if inner.kind not in EXPECTED else EXPECTED[inner.kind], f".{name}")
            continue
        try:
            check_value(inner, value[name])
        except Mismatch as mismatch:
            raise mismatch.inside(f".{name}") from None
    if not names.issuperset(value):
        raise Mismatch(f"an object with no other fields than {', '.join(sorted(names))}")


def fits_scalar(kind: str, value: Any) -> bool:
    """Tell whether a JSON value fits a scalar type without loss. Null fits none."""
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in INTEGER_RANGE:
        low, high = INTEGER_RANGE[kind]
        if isinstance(value, float):
            return value.is_integer() and abs(value) <= 2**53 and low <= value <= high
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if kind in ("float", "double"):
        return _fits_float(kind, value)
    if kind == "string":
        return isinstance(value, str)
    if kind == "binary":
        return isinstance(value, str) and _is_base64(value)
    return isinstance(value, str) and is_datetime(value)


def _fits_float(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) <= (2**53 if kind == "double" else 2**24) or _is_exact(kind, value)
    return isinstance(value, float) and (kind == "double" or not math.isfinite(value) or abs(value) < MAX_FLOAT32)


def _is_exact(kind: str, value: int) -> bool:
    bits = 53 if kind == "double" else 24
    limit = 1024 if kind == "double" else 128
    magnitude = abs(value)
    if magnitude.bit_length() > limit:
        return False
    trailing = (magnitude & -magnitude).bit_length() - 1
    return magnitude.bit_length() - trailing <= bits


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_DATE_PATTERN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
_DATE = re.compile(_DATE_PATTERN + r"\Z", re.ASCII)


def is_datetime(text: str) -> bool:
    """Tell whether a text is an ISO 8601 date or time that 64 bits of nanoseconds hold (years 1678 to 2261).

    Times with an offset are none: MLflow refuses them in tables and shifts them elsewhere.
    """
    if _DATE.match(text) is None or not 1678 <= int(text[:4]) <= 2261:
        return False
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    clock = [float(part) for part in text[11:].split(":") if part]
    return all(part < limit for part, limit in zip(clock, (24, 60, 60)))


def fits_tensor(tensor: Tensor, values: Any) -> bool:
    """Tell whether a JSON value fits a tensor: lists in lists of its lengths, and numbers or truths of its kind."""
    return _fits_level(values, tensor.shape, _KINDS.get(tensor.dtype.rstrip("0123456789"), ()))


_KINDS: dict[str, tuple[type, ...]] = {
    "float": (float, int, type(None)), "int": (int,), "uint": (int,), "bool": (bool,),
}  # fmt: skip
"""What elements of a NumPy type are in JSON; those of others may be anything."""


def _fits_level(value: Any, shape: tuple[int, ...], kinds: tuple[type, ...]) -> bool:
    if not shape:
        return not kinds or type(value) in kinds
    if not isinstance(value, list) or shape[0] not in (-1, len(value)):
        return False
    return all(_fits_level(item, shape[1:], kinds) for item in value)


# ------------------------------------------------------------------ OpenAPI

_JSON_SCHEMA: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "pattern": f"^{_DATE_PATTERN}$"},
    "any": {},
}


def json_schema(type_: Type, *, nullable: bool = False) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a type."""
    if type_.kind == "array":
        items = type_.items or Type("any")
        schema: dict[str, Any] = {"type": "array", "items": json_schema(items, nullable=items.kind in NULLABLE)}
    elif type_.kind == "map":
        schema = {"type": "object", "additionalProperties": json_schema(type_.items or Type("any"))}
    elif type_.kind == "object":
        schema = {
            "type": "object",
            "properties": {name: json_schema(inner, nullable=not required) for name, inner, required in type_.fields},
            "required": [name for name, _, required in type_.fields if required],
            "additionalProperties": False,
        }
    else:
        schema = dict(_JSON_SCHEMA[type_.kind])
    if nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def may_be_null(column: Column) -> bool:
    """Tell whether null has a place in a column of a table; what is optional may always be left out."""
    if column.type.is_scalar:
        return column.type.kind in NULLABLE
    return column.type.kind == "any" or not column.required


def row_schema(columns: Sequence[Column], *, is_answer: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of one row as an object. In an answer null stands for whatever is missing."""
    return {
        "type": "object",
        "properties": {
            column.name: json_schema(column.type, nullable=may_be_null(column) or (is_answer and not column.required))
            for column in columns
            if column.name is not None
        },
        "required": [column.name for column in columns if column.required and column.name is not None],
    }


def openapi(
    contract: Contract, *, title: str, version: str, example: Any = None, takes_tables: bool = False
) -> dict[str, Any]:
    """Return the endpoint's OpenAPI 3.1 document; ``example`` is a whole request body.

    ``takes_tables``: the model's environment has pyarrow.
    """
    model = f"/v2/models/{quote(title, safe='')}"
    body: dict[str, Any] = {"application/json": {"schema": _request_schema(contract)}}
    if example is not None:
        body["application/json"]["example"] = example
    if contract.names:
        body["text/csv"] = {"schema": {"type": "string"}}
    answers: dict[str, Any] = {"application/json": {"schema": _answer_schema(contract)}}
    if takes_tables:
        binary: dict[str, Any] = {}  # bytes have no schema
        body |= dict.fromkeys([f"{_APACHE}.arrow.stream", f"{_APACHE}.arrow.file", f"{_APACHE}.parquet"], binary)
        answers |= dict.fromkeys([f"{_APACHE}.arrow.stream", f"{_APACHE}.parquet"], binary)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses: dict[str, Any] = {
        "200": {
            "description": "The predictions.",
            "content": answers,
        },
    }
    for code, text in _RESPONSES.items():
        responses[code] = {"description": text, "content": problem}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": "."}],
        "paths": {
            "/invocations": {
                "post": {
                    "summary": "Predict" if contract.method == "predict" else f"Predict by {contract.method}",
                    "operationId": "predict",
                    "requestBody": {"required": True, "content": body},
                    "responses": responses,
                }
            },
            f"{model}/infer": {
                "post": {
                    "summary": "Predict by the Open Inference Protocol: one tensor a column",
                    "operationId": "infer",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": _INFER}}},
                    "responses": responses
                    | {
                        "200": {
                            "description": "The predictions, as tensors.",
                            "content": {"application/json": {"schema": _INFERRED}},
                        }
                    },
                }
            },
            model: {"get": _plain("The model's tensors, by the Open Inference Protocol.")},
            f"{model}/ready": {"get": _plain("Whether the model can predict.")},
            "/v2": {"get": _plain("What the server is, by the Open Inference Protocol.")},
            "/v2/health/live": {"get": _plain("Whether the server lives.")},
            "/v2/health/ready": {"get": _plain("Whether the server can predict.")},
            "/ping": {"get": _plain("Whether the server lives.")},
            "/health": {"get": _plain("Whether the server lives.")},
            "/ready": {"get": _plain("Whether the server can predict.")},
            "/version": {"get": _plain("The version of MLflow that loaded the model.")},
        },
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {"accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"accessToken": []}],
    }


_APACHE = "application/vnd.apache"
_RESPONSES = {
    "400": "The body is not what its content type says.",
    "401": "No access token, or one that does not count.",
    "403": "The access token is for another endpoint, or was revoked.",
    "406": "The answer cannot be of a content type that Accept names.",
    "413": "The body is too large.",
    "415": "The content type is not known.",
    "422": "The values do not fit the contract.",
    "429": "Too many requests at once.",
    "503": "No pod is ready.",
    "504": "The prediction took too long.",
}
_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}
_INFER = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
    "required": ["inputs"],
}
_INFERRED = {
    "type": "object",
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": _TENSOR},
    },
    "required": ["model_name", "outputs"],
}
_PROBLEM = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("type", "title", "detail", "reason", "error_code", "message")}
    | {"status": {"type": "integer"}},
    "required": ["type", "title", "status", "error_code", "message"],
}


def _plain(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "Yes."}}}


def _request_schema(contract: Contract) -> dict[str, Any]:
    forms: list[dict[str, Any]] = []
    if contract.names:
        row = row_schema(contract.columns)
        cells = {"type": "array", "items": {"type": "array"}}
        forms += [
            _form("dataframe_records", {"type": "array", "items": row}),
            _form(
                "dataframe_split",
                {
                    "type": "object",
                    "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "data": cells},
                    "required": ["data"],
                },
            ),
        ]
    forms += [_form("instances", _instances(contract.tensors)), _form("inputs", _inputs(contract.tensors))]
    if contract.params:
        params = {"type": "object", "properties": {param.name: _param_schema(param) for param in contract.params}}
        for form in forms:
            form["properties"]["params"] = params
    return {"oneOf": forms}


def _form(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "title": name, "properties": {name: schema}, "required": [name]}


def _instances(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """Return the schema of a list with an item for each row."""
    if not tensors:
        return {}
    if tensors[0].name is None:
        return tensor_schema(tensors[0])
    properties = {str(t.name): tensor_schema(replace(t, shape=t.shape[1:])) for t in tensors}
    row = {"type": "object", "properties": properties, "required": list(properties)}
    # The rows of a single tensor need no name.
    return {"type": "array", "items": row} if len(tensors) > 1 else {"type": "array"}


def _inputs(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """Return the schema of the tensors as a whole."""
    if not tensors:
        return {}
    if tensors[0].name is None:
        return tensor_schema(tensors[0])
    properties = {str(t.name): tensor_schema(t) for t in tensors}
    by_name: dict[str, Any] = {"type": "object", "properties": properties, "required": list(properties)}
    return by_name if len(tensors) > 1 else {"anyOf": [by_name, tensor_schema(tensors[0])]}


def tensor_schema(tensor: Tensor) -> dict[str, Any]:
    """Return the JSON Schema of a tensor as lists in lists."""
    schema = dict(_ELEMENTS.get(tensor.dtype.rstrip("0123456789"), {}))
    for level, size in enumerate(reversed(tensor.shape)):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
        if level == 0 and tensor.labels:
            schema["description"] = "A number for each of: " + ", ".join(tensor.labels[:MAX_LABELS])
            schema["description"] += ", …" if len(tensor.labels) > MAX_LABELS else ""
    return schema


_ELEMENTS: dict[str, dict[str, Any]] = {
    "float": {"type": ["number", "null"]}, "int": {"type": "integer"}, "uint": {"type": "integer", "minimum": 0},
    "bool": {"type": "boolean"}, "str": {"type": "string"},
}  # fmt: skip


def _param_schema(param: Param) -> dict[str, Any]:
    kind = Type("any") if param.kind == "object" else Type(param.kind)
    schema = json_schema(Type("array", items=kind) if param.is_list else kind)
    if param.default is not None and _has_json(param.default):
        schema["default"] = param.default
    return schema


def _has_json(value: Any) -> bool:
    try:
        return bool(json.dumps(value, allow_nan=False))
    except ValueError:
        return False


def _answer_schema(contract: Contract) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"predictions": _predictions_schema(contract)},
        "required": ["predictions"],
    }


def _predictions_schema(contract: Contract) -> dict[str, Any]:
    """Return what is promised of the predictions; ``{}`` where nothing is."""
    tensors = contract.output_tensors
    if tensors:
        if tensors[0].name is None:
            return tensor_schema(tensors[0])
        properties = {str(t.name): tensor_schema(t) for t in tensors}
        by_name = {"type": "object", "properties": properties}
        return {"anyOf": [by_name, tensor_schema(tensors[0])]} if len(tensors) == 1 else by_name
    if any(column.name is not None for column in contract.outputs):
        return {"type": "array", "items": row_schema(contract.outputs, is_answer=True)}
    if len(contract.outputs) == 1:
        return {"type": "array", "items": json_schema(contract.outputs[0].type, nullable=True)}
    return {}
