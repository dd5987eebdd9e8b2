"""The Open Inference Protocol, version 2, REST: requests of tensors → what the contract checks, predictions → tensors.

Sources: the protocol's specification (kserve/open-inference-protocol, ``inference_rest.yaml``) and its binary tensor
data extension. For a table one tensor is one column, of shape ``[n]`` or ``[n, 1]``; a tensor contract takes its
tensors whole.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway_scoring.answers import plain
from taxiway_scoring.checks import check_input
from taxiway_scoring.contract import Contract
from taxiway_scoring.payload import Request, check_params, read_json
from taxiway_scoring.refusals import listed, malformed, violation

EXTENSIONS = ("binary_tensor_data",)
HEADER_LENGTH = "inference-header-content-length"
_OF_KIND = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES",
    "binary": "BYTES", "datetime": "BYTES",
}  # fmt: skip
_OF_NUMPY = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8",
    "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "str": "BYTES", "object": "BYTES",
}  # fmt: skip
_FORMATS = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""How ``struct`` calls them; little-endian."""
DATATYPES = (*_FORMATS, "BYTES")
MAX_DIMENSIONS = 16


@dataclass(frozen=True)
class Asked:
    """A read request: what to predict, and how the answer is wanted. ``outputs`` empty: all of them."""

    request: Request
    id: str | None
    outputs: tuple[str, ...]
    binary: Mapping[str, bool]
    binary_by_default: bool

    def is_binary(self, name: str) -> bool:
        """Tell whether an output is wanted as raw bytes."""
        return self.binary.get(name, self.binary_by_default)


# ------------------------------------------------------------------ metadata


def model_metadata(contract: Contract, name: str, version: str) -> dict[str, Any]:
    """Return what ``GET /v2/models/{name}`` says."""
    return {
        "name": name,
        "versions": [version],
        "platform": "mlflow",
        "inputs": [
            *(
                {"name": _name(t.name, "input"), "datatype": _numpy(t.dtype), "shape": [*t.shape]}
                for t in contract.tensors
            ),
            *(
                {"name": _name(c.name, "input"), "datatype": _OF_KIND.get(c.type.kind, "BYTES"), "shape": [-1]}
                for c in contract.columns
            ),
        ],
        "outputs": [
            *(
                {"name": _name(t.name, "predictions"), "datatype": _numpy(t.dtype), "shape": [*t.shape]}
                | ({"parameters": {"labels": [*t.labels]}} if t.labels else {})
                for t in contract.output_tensors
            ),
            *(
                {"name": _name(c.name, "predictions"), "datatype": _OF_KIND.get(c.type.kind, "BYTES"), "shape": [-1]}
                for c in contract.outputs
            ),
        ],
    }


def _name(name: str | None, otherwise: str) -> str:
    return otherwise if name is None else name


def _numpy(dtype: str) -> str:
    return _OF_NUMPY.get(dtype, "BYTES")


# ------------------------------------------------------------------ requests


def read(contract: Contract, body: bytes, header_length: str | None) -> Asked:
    """Read and check a request. Raises Refused: 400 (not the protocol), 422 (does not fit the contract)."""
    raw = b""
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit() and int(header_length) <= len(body)):
            raise malformed("Inference-Header-Content-Length must be the length of the JSON within the body.")
        body, raw = body[: int(header_length)], body[int(header_length) :]
    document = read_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list) or not document["inputs"]:
        raise malformed("The body must be an object with a list 'inputs' of tensors.")
    parameters = _parameters(document, "the request")
    tensors: dict[str, tuple[list[int], Any]] = {}
    for number, item in enumerate(document["inputs"]):
        name, shape, values, raw = _tensor(number, item, raw)
        if name in tensors:
            raise malformed(f"inputs[{number}] has the name of one before it.")
        tensors[name] = shape, values
    if raw:
        raise malformed("The body has more binary data than its tensors say.")
    known = {param.name for param in contract.params}
    params = check_params(contract.params, {key: value for key, value in parameters.items() if key in known} or None)
    names, binary = _wanted(document)
    given = document.get("id")
    if given is not None and not isinstance(given, str):
        raise malformed("'id' must be a text.")
    request = _of_tensors(contract, tensors, params) if contract.tensors else _of_columns(contract, tensors, params)
    return Asked(request, given, names, binary, parameters.get("binary_data_output") is True)


def _parameters(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise malformed(f"'parameters' of {where} must be an object.")
    return parameters


def _wanted(document: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, bool]]:
    outputs = document.get("outputs")
    if outputs is None:
        return (), {}
    if not isinstance(outputs, list):
        raise malformed("'outputs' must be a list.")
    names, binary = [], {}
    for number, item in enumerate(outputs):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise malformed(f"outputs[{number}] must be an object with a name.")
        names.append(item["name"])
        parameters = _parameters(item, f"outputs[{number}]")
        if "binary_data" in parameters:
            binary[item["name"]] = parameters["binary_data"] is True
    return tuple(names), binary


def _tensor(number: int, item: Any, raw: bytes) -> tuple[str, list[int], Any, bytes]:
    """Return name, shape, flat values, and the binary data that is left."""
    where = f"inputs[{number}]"
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise malformed(f"{where} must be an object with a name.")
    shape = item.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MAX_DIMENSIONS
        or not all(type(size) is int and 0 <= size < 2**40 for size in shape)
    ):
        raise malformed(f"'shape' of {where} must be a list of whole numbers.")
    datatype = item.get("datatype")
    if datatype not in DATATYPES:
        raise malformed(f"'datatype' of {where} must be one of {', '.join(DATATYPES)}.")
    count = 1
    for size in shape:
        count *= size
    length = _parameters(item, where).get("binary_data_size")
    if length is not None:
        if type(length) is not int or not 0 <= length <= len(raw) or "data" in item:
            raise malformed(f"'binary_data_size' of {where} is not what the body holds.")
        values = _unpack(datatype, raw[:length], count, where)
        return item["name"], shape, values, raw[length:]
    data = item.get("data")
    if not isinstance(data, list):
        raise malformed(f"'data' of {where} must be a list.")
    values = _flat(data, shape, where) if any(isinstance(value, list) for value in data) else data
    if len(values) != count:
        raise malformed(f"'data' of {where} has {len(values)} values; its shape wants another number.")
    return item["name"], shape, values, raw


def _flat(data: list[Any], shape: Sequence[int], where: str) -> list[Any]:
    """Return the values of nested lists, which must be nested as the shape says."""
    level = [data]
    for size in shape:
        if any(not isinstance(part, list) or len(part) != size for part in level):
            raise malformed(f"'data' of {where} is not nested as its shape says.")
        level = [value for part in level for value in part]
    return level


def _unpack(datatype: str, raw: bytes, count: int, where: str) -> list[Any]:
    if datatype != "BYTES":
        size = struct.calcsize(f"<{_FORMATS[datatype]}")
        if len(raw) != size * count:
            raise malformed(f"'binary_data_size' of {where} is not that of {count} values.")
        values = struct.unpack(f"<{count}{_FORMATS[datatype]}", raw)
        # What is no number is a missing one, as null is in JSON.
        return [None if value != value else value for value in values]
    texts: list[Any] = []
    at = 0
    while at + 4 <= len(raw) and len(texts) <= count:
        (length,) = struct.unpack_from("<I", raw, at)
        piece = raw[at + 4 : at + 4 + length]
        if len(piece) != length:
            break
        try:
            texts.append(piece.decode("utf-8"))
        except UnicodeDecodeError:
            raise malformed(f"A text of {where} is not valid UTF-8.") from None
        at += 4 + length
    if at != len(raw) or len(texts) != count:
        raise malformed(f"The binary data of {where} does not hold {count} texts.")
    return texts


def _of_columns(
    contract: Contract, tensors: Mapping[str, tuple[list[int], list[Any]]], params: dict[str, Any] | None
) -> Request:
    for name, (shape, _) in tensors.items():
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise violation(f"The shape of '{name}' must be [n] or [n, 1]: one tensor is one column.", column=name)
    lengths = {len(values) for _, values in tensors.values()}
    if len(lengths) > 1:
        raise violation("All tensors must have the same number of rows.")
    missing = [column.name for column in contract.columns if column.required and column.name not in tensors]
    if contract.names and missing:
        raise violation(f"The input lacks {listed(missing)}.", column=missing[0])
    # Columns that nobody asked for are left out, as MLflow does it.
    names = [name for name in (contract.names or tensors) if name in tensors]
    table = {"columns": names, "data": [list(row) for row in zip(*(tensors[name][1] for name in names))]}
    return Request("dataframe_split", table, params, check_input(contract, "dataframe_split", table))


def _of_tensors(
    contract: Contract, tensors: Mapping[str, tuple[list[int], list[Any]]], params: dict[str, Any] | None
) -> Request:
    nested = {name: _nested(values, shape) for name, (shape, values) in tensors.items()}
    if contract.tensors[0].name is None:
        if len(nested) != 1:
            raise violation("The model takes one tensor.")
        value: Any = next(iter(nested.values()))
    else:
        value = nested
    return Request("inputs", value, params, check_input(contract, "inputs", value))


def _nested(values: list[Any], shape: Sequence[int]) -> Any:
    for size in reversed(shape[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)] if size else []
    return values


# ------------------------------------------------------------------ answers


def write(asked: Asked, predictions: Any, name: str, version: str) -> tuple[bytes, int, int | None]:
    """Return the answer's body, how many rows it has, and the length of its JSON where binary data follows.

    Raises Refused for outputs that the model has not, TypeError for predictions that are no tensors.
    """
    found = _outputs(predictions)
    unknown = [output for output in asked.outputs if output not in found]
    if unknown:
        raise violation(f"The model has no output {listed(unknown).partition(' ')[2]}.", output=unknown[0])
    outputs, raw = [], []
    rows = 0
    for output in asked.outputs or found:
        datatype, shape, values = found[output]
        rows = max(rows, shape[0] if shape else 1)
        item: dict[str, Any] = {"name": output, "datatype": datatype, "shape": shape}
        if asked.is_binary(output):
            packed = _pack(datatype, values)
            item["parameters"] = {"binary_data_size": len(packed)}
            raw.append(packed)
        else:
            item["data"] = values
        outputs.append(item)
    document = {"model_name": name, "model_version": version, "outputs": outputs}
    if asked.id is not None:
        document["id"] = asked.id
    text = json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return text + b"".join(raw), rows, len(text) if raw else None


def _outputs(predictions: Any) -> dict[str, tuple[str, list[int], list[Any]]]:
    """Return name → datatype, shape, flat values."""
    if hasattr(predictions, "dtype") and hasattr(predictions, "tolist") and hasattr(predictions, "shape"):
        kind = _OF_NUMPY.get(str(predictions.dtype), "")
        values = plain(predictions)
        values = values if isinstance(values, list) else [values]
        shape = [*predictions.shape] or [1]
        if values and isinstance(values[0], dict):  # a Series, which MLflow writes as rows
            values = [next(iter(row.values())) for row in values]
        flat = _spread(values)
        return {"predictions": (kind if kind and kind != "BYTES" else _kind(flat), shape, _said(flat))}
    values = plain(predictions)
    if isinstance(values, dict):
        return {key: _tensor_of(value if isinstance(value, list) else [value]) for key, value in values.items()}
    if not isinstance(values, list):
        values = [values]
    if values and all(isinstance(row, dict) for row in values):
        return {key: _tensor_of([row.get(key) for row in values]) for key in values[0]}
    return {"predictions": _tensor_of(values)}


def _tensor_of(values: list[Any]) -> tuple[str, list[int], list[Any]]:
    shape, level = [len(values)], values
    while level and all(isinstance(part, list) for part in level) and len({len(part) for part in level}) == 1:
        shape.append(len(level[0]))
        level = [value for part in level for value in part]
    return _kind(level), shape, _said(level)


def _spread(values: list[Any]) -> list[Any]:
    while values and all(isinstance(part, list) for part in values):
        values = [value for part in values for value in part]
    return values


def _kind(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {float, int} else "BYTES"


def _said(values: Sequence[Any]) -> list[Any]:
    """Return values of which none is a list or an object: those are said in JSON."""
    return [json.dumps(value) if isinstance(value, (list, dict)) else value for value in values]


def _pack(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        pieces = []
        for value in values:
            piece = ("" if value is None else value if isinstance(value, str) else json.dumps(value)).encode()
            pieces.append(struct.pack("<I", len(piece)) + piece)
        return b"".join(pieces)
    missing = float("nan") if datatype.startswith("FP") else 0
    return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *(missing if v is None else v for v in values))


def error_of(problem: bytes) -> bytes:
    """Return a problem document with the member ``error`` that the protocol asks for."""
    document = json.loads(problem)
    return json.dumps({"error": document.get("detail", ""), **document}).encode()
