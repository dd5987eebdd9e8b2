"""Request body → checked input, and predictions → response body. Knows the contract, not the model or the server.

What passes here is handed to MLflow's own conversion (``predictor.py``), so that predictions are those of
``mlflow models serve``; what is refused here and accepted there is the table in ``scoring/README.md``.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from taxiway_scoring.contract import (
    EXPECTED,
    INTEGER_RANGE,
    Column,
    Contract,
    Mismatch,
    Param,
    check_value,
    fits_scalar,
    is_datetime,
)

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON_TYPE, CSV_TYPE = "application/json", "text/csv"
PARQUET_TYPES = ("application/vnd.apache.parquet", "application/x-parquet")
SPLIT_FORMATS = ("pandas-split", "pandas-records")


class Refused(Exception):
    """A request that is answered with a problem: status, CamelCase reason, a sentence that echoes no value."""

    def __init__(self, status: int, reason: str, message: str, **places: object) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.places = places
        """``row`` (from 0) and ``column``, where there is one place to name."""


@dataclass(frozen=True)
class Request:
    """A checked input. ``form`` is one of FORMS, or csv or parquet (then ``value`` is the body)."""

    form: str
    value: Any
    params: dict[str, Any] | None = None


def read_content_type(header: str) -> tuple[str, str]:
    """Return the media type and the older ``format`` parameter (or ''). Raises Refused (415)."""
    kind, *pairs = (part.strip() for part in header.split(";"))
    media, layout = kind.lower(), ""
    for pair in pairs:
        name, _, value = pair.partition("=")
        name, value = name.strip().lower(), value.strip().strip('"').lower()
        if name == "charset" and value not in ("utf-8", "utf8"):
            raise Refused(415, "UnsupportedMediaType", "Only UTF-8 is understood.")
        if name == "format":
            layout = value
        elif name != "charset" and name:
            raise Refused(415, "UnsupportedMediaType", "The content type has a parameter that is not known.")
    if media not in (JSON_TYPE, CSV_TYPE, *PARQUET_TYPES):
        raise Refused(
            415,
            "UnsupportedMediaType",
            f"The content type must be {JSON_TYPE}, {CSV_TYPE} or {PARQUET_TYPES[0]}.",
        )
    if layout and (layout not in SPLIT_FORMATS or media != JSON_TYPE):
        raise Refused(415, "UnsupportedMediaType", "The 'format' of the content type is not known.")
    return media, layout


def read_request(contract: Contract, body: bytes, header: str, *, is_typed: bool = False) -> Request:
    """Read and check a body by its content type. ``is_typed``: the model checks its input by type hints itself.

    Raises Refused with 400 (not what the type says), 415 or 422 (does not fit the contract).
    """
    media, layout = read_content_type(header)
    if media == CSV_TYPE:
        return _read_csv(contract, body)
    if media in PARQUET_TYPES:
        return Request("parquet", body)
    document = read_json(body)
    if layout:
        document = {"dataframe_split" if layout == "pandas-split" else "dataframe_records": document}
    if not isinstance(document, dict):
        raise Refused(400, "MalformedBody", f"The body must be an object with one of {', '.join(FORMS)}.")
    forms = [form for form in FORMS if form in document]
    if len(forms) != 1:
        raise Refused(
            400, "MalformedBody", f"The body must have exactly one of {', '.join(FORMS)}; it has {len(forms)}."
        )
    form = forms[0]
    params = check_params(contract.params, document.get("params"))
    if not is_typed:
        _CHECKS[form](contract, document[form])
    return Request(form, document[form], params)


# ------------------------------------------------------------------ JSON


def read_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate keys, no NaN or Infinity, no number beyond 64-bit floats."""
    try:
        text = body.decode("utf-8")
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
    except UnicodeDecodeError:
        raise Refused(400, "MalformedBody", "The body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Refused(
            400, "MalformedBody", f"The body is not valid JSON: line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise Refused(400, "MalformedBody", "The body is nested too deep.") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise Refused(400, "MalformedBody", "The body has a number with too many digits.") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Refused(400, "MalformedBody", "An object in the body has a key twice.")
    return document


def _constant(_text: str) -> Any:
    raise Refused(400, "MalformedBody", "NaN and Infinity are not JSON; use null for a missing number.")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Refused(400, "MalformedBody", "The body has a number that no 64-bit float holds.")
    return number


def check_params(params: tuple[Param, ...], given: Any) -> dict[str, Any] | None:
    """Return the inference parameters when each that is known fits its type; others are left to MLflow to ignore."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise Refused(400, "MalformedBody", "'params' must be an object.")
    for param in params:
        if param.name not in given or param.kind == "object":
            continue
        value = given[param.name]
        values = value if param.is_list and isinstance(value, list) else [value]
        if (param.is_list and not isinstance(value, list)) or not all(fits_scalar(param.kind, item) for item in values):
            expected = f"a list of which each is {EXPECTED[param.kind]}" if param.is_list else EXPECTED[param.kind]
            raise Refused(422, "ContractViolation", f"Parameter '{param.name}' must be {expected}.", param=param.name)
    return given


def _check_split(contract: Contract, value: Any) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise Refused(400, "MalformedBody", "'dataframe_split' must be an object with a list 'data'.")
    if not {"columns", "data", "index"}.issuperset(value):
        raise Refused(400, "MalformedBody", "'dataframe_split' has only 'columns', 'data' and 'index'.")
    columns, rows, index = value.get("columns"), value["data"], value.get("index")
    if columns is not None and not (
        isinstance(columns, list) and all(isinstance(c, (str, int)) and not isinstance(c, bool) for c in columns)
    ):
        raise Refused(400, "MalformedBody", "'columns' must be a list of names.")
    if columns is not None and len(set(map(str, columns))) != len(columns):
        raise Refused(422, "ContractViolation", "'columns' has a name twice.")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):
        raise Refused(400, "MalformedBody", "'index' must be a list with an item for each row.")
    width = len(columns) if columns is not None else None
    for number, row in enumerate(rows):
        if isinstance(row, list):
            width = len(row) if width is None else width
            if len(row) == width:
                continue
            raise Refused(
                422, "ContractViolation", f"Row {number} has {len(row)} values for {width} columns.", row=number
            )
        if width not in (None, 1) or isinstance(row, dict):
            raise Refused(422, "ContractViolation", f"Row {number} must be a list of values.", row=number)
    if contract.tensors or not contract.columns:
        return
    if contract.names:
        if columns is None:
            raise Refused(422, "ContractViolation", f"'columns' is missing; needed are {_names(contract)}.")
        position = {str(name): i for i, name in enumerate(columns)}
        _check_names(contract, set(position))
    else:
        position = {str(i): i for i in range(width or 0)}
        _check_width(contract, width or 0, rows)
    for number, column in enumerate(contract.columns):
        at = position.get(column.name if column.name is not None else str(number))
        if at is None:
            continue
        _check_cells(column, ((i, row[at] if isinstance(row, list) else row) for i, row in enumerate(rows)))


def _check_records(contract: Contract, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Refused(400, "MalformedBody", "'dataframe_records' must be a list of objects.")
    if contract.tensors or not contract.columns:
        return
    if not contract.names:
        if value:
            _check_width(contract, len(value[0]), value)
        return
    if not value:
        _check_names(contract, set())
    known = set(contract.names)
    for number, row in enumerate(value):
        missing = [c.name for c in contract.columns if c.required and c.name not in row]
        if missing:
            raise Refused(
                422,
                "ContractViolation",
                f"Row {number} lacks {_listed(missing)}.",
                row=number,
                column=missing[0],
            )
    for column in contract.columns:
        if column.name in known:
            _check_cells(column, ((i, row.get(column.name)) for i, row in enumerate(value)))


def _check_free(contract: Contract, value: Any) -> None:
    """Check ``instances`` and ``inputs``: a list of objects, an object of lists, or plain values."""
    if contract.tensors:
        _check_tensors(contract, value)
        return
    if not contract.names:
        if contract.columns and isinstance(value, list):
            column = contract.columns[0]
            if column.type.is_scalar and not any(isinstance(item, (list, dict)) for item in value):
                _check_cells(column, enumerate(value))
        return
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        _check_records(contract, value)
    elif isinstance(value, dict):
        _check_names(contract, set(value))
        for column in contract.columns:
            if column.name in value:
                _check_column_of(column, value[column.name])
    elif isinstance(value, list) and len(contract.columns) == 1:
        _check_column_of(contract.columns[0], value)
    else:
        raise Refused(422, "ContractViolation", f"The input must be objects with the columns {_names(contract)}.")


def _check_column_of(column: Column, value: Any) -> None:
    """Check a column's values where they may be a list or, for one row, the value itself."""
    if column.type.is_scalar:
        cells = value if isinstance(value, list) else [value]
        flat = ((i, cell[0] if isinstance(cell, list) and len(cell) == 1 else cell) for i, cell in enumerate(cells))
        _check_cells(column, flat)


def _check_tensors(contract: Contract, value: Any) -> None:
    named = [tensor.name for tensor in contract.tensors if tensor.name is not None]
    if named and isinstance(value, dict):
        missing = [name for name in named if name not in value]
        if missing:
            raise Refused(422, "ContractViolation", f"The input lacks {_listed(missing)}.", column=missing[0])


def _check_names(contract: Contract, given: set[str]) -> None:
    missing = [c.name for c in contract.columns if c.required and c.name not in given]
    if missing:
        raise Refused(422, "ContractViolation", f"The input lacks {_listed(missing)}.", column=missing[0])


def _check_width(contract: Contract, width: int, rows: list[Any]) -> None:
    if rows and width < len(contract.columns):
        raise Refused(422, "ContractViolation", f"A row has {width} values; {len(contract.columns)} are needed.")


def _check_cells(column: Column, cells: Any) -> None:
    kind, type_ = column.type.kind, column.type
    may_be_null = not column.required or kind in ("float", "double", "string", "datetime", "any")
    for row, value in cells:
        if value is None:
            if may_be_null:
                continue
            expected, where = EXPECTED.get(kind, f"an {kind}"), ""
        else:
            try:
                check_value(type_, value)
            except Mismatch as mismatch:
                expected, where = mismatch.expected, mismatch.where
            else:
                continue
        null = " (null is not allowed)" if value is None else ""
        raise Refused(
            422,
            "ContractViolation",
            f"Row {row}, {column.label}{where} must be {expected}{null}.",
            row=row,
            column=column.name or "",
        )


def _names(contract: Contract) -> str:
    return _listed([column.name for column in contract.columns if column.required])


def _listed(names: Sequence[str | None]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"


_CHECKS = {
    "dataframe_split": _check_split,
    "dataframe_records": _check_records,
    "instances": _check_free,
    "inputs": _check_free,
}


# ------------------------------------------------------------------ CSV


def _read_csv(contract: Contract, body: bytes) -> Request:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "MalformedBody", "The body is not valid UTF-8.") from None
    if "\0" in text:
        raise Refused(400, "MalformedBody", "The body has a NUL character.")
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error:
        raise Refused(400, "MalformedBody", "The body is not valid CSV.") from None
    rows = [row for row in rows if row]
    if not rows:
        raise Refused(400, "MalformedBody", "The body has no line with column names.")
    header, data = rows[0], rows[1:]
    if len(set(header)) != len(header):
        raise Refused(422, "ContractViolation", "The first line has a column name twice.")
    _check_names(contract, set(header)) if contract.names else None
    for number, row in enumerate(data):
        if len(row) != len(header):
            raise Refused(
                422,
                "ContractViolation",
                f"Row {number} has {len(row)} values for {len(header)} columns.",
                row=number,
            )
    for column in contract.columns:
        if column.name in header:
            _check_texts(column, header.index(column.name), data)
    return Request("csv", text)


MISSING_TEXTS = frozenset(
    ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "n/a", "<NA>", "#N/A", "-NaN", "-nan"]
)
"""What pandas reads as a missing value."""


def _check_texts(column: Column, at: int, data: list[list[str]]) -> None:
    kind = column.type.kind
    if not column.type.is_scalar or kind == "string":
        return
    for number, row in enumerate(data):
        text = row[at].strip()
        if text in MISSING_TEXTS:
            fits = kind in ("float", "double", "datetime") or not column.required
        else:
            fits = _text_fits(kind, text)
        if not fits:
            raise Refused(
                422,
                "ContractViolation",
                f"Row {number}, {column.label} must be {EXPECTED[kind]}.",
                row=number,
                column=column.name or "",
            )


def _text_fits(kind: str, text: str) -> bool:
    if kind == "boolean":
        return text.lower() in ("true", "false")
    if kind == "datetime":
        return is_datetime(text)
    if kind == "binary":
        return True
    try:
        if kind in INTEGER_RANGE:
            low, high = INTEGER_RANGE[kind]
            return low <= int(text) <= high and "_" not in text
        return "_" not in text and fits_scalar(kind, float(text))
    except ValueError:
        return False


# ------------------------------------------------------------------ predictions → JSON


def plain(value: Any) -> Any:
    """Turn what a model returned into what JSON has: NaN and infinities become null, times ISO 8601, bytes base64."""
    if value is None or isinstance(value, (str, bool, int)):
        return value if not isinstance(value, str) else _clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime, date, time)):
        return None if value != value else value.isoformat()
    return _plain_foreign(value)


def _plain_foreign(value: Any) -> Any:
    """Turn NumPy and pandas values and pydantic models, known by what they offer, not by import."""
    for method in ("tolist", "item"):
        if hasattr(value, method) and type(value).__module__.partition(".")[0] == "numpy":
            if str(getattr(value, "dtype", "")).startswith("datetime64"):
                return plain_datetimes(value)
            return plain(getattr(value, method)())
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if type(value).__name__ == "DataFrame":
        return [plain(row) for row in value.to_dict(orient="records")]
    if type(value).__name__ == "Series":
        return [plain(row) for row in value.to_frame().to_dict(orient="records")]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "dict") and hasattr(value, "__fields__"):
        return plain(value.dict())
    if hasattr(value, "toarray"):
        return plain(value.toarray())
    raise TypeError(f"The model returned a {type(value).__name__}, which JSON does not have.")


def plain_datetimes(value: Any) -> Any:
    """Turn a NumPy datetime or an array of them into ISO 8601 texts."""
    texts = value.astype("datetime64[us]").tolist()
    return plain(texts)


def _clean(text: str) -> str:
    """Replace lone surrogates, which UTF-8 does not have."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def write_predictions(predictions: Any) -> bytes:
    """Return ``{"predictions": …}`` as JSON bytes. Raises TypeError for what JSON does not have."""
    return json.dumps({"predictions": plain(predictions)}, allow_nan=False, ensure_ascii=False).encode("utf-8")
