"""Request body → checked input. Knows the contract, not the model or the server.

What passes here is handed to MLflow's own conversion (``predictor.py``), so that predictions are those of
``mlflow models serve``; what is refused here and accepted there is the table in docs/reference/refused-inputs.md.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from taxiway_scoring.checks import check_input
from taxiway_scoring.contract import EXPECTED, INTEGER_RANGE, Column, Contract, Param, fits_scalar, is_datetime
from taxiway_scoring.refusals import Refused, listed, malformed, violation
from taxiway_scoring.tables import TABLE_TYPES, read_columns

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON_TYPE, CSV_TYPE = "application/json", "text/csv"
OLDER_FORMATS = {"pandas-split": "dataframe_split", "pandas-records": "dataframe_records"}
csv.field_size_limit(sys.maxsize)  # bodies are bounded, their fields need not be


@dataclass(frozen=True)
class Request:
    """A checked input. ``form`` is one of FORMS, or csv (``value`` is the text), table (Columns) or frame (a frame)."""

    form: str
    value: Any
    params: dict[str, Any] | None = None
    rows: int | None = None
    """How many rows it has, where that is known."""


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
    if media not in (JSON_TYPE, CSV_TYPE, *TABLE_TYPES):
        raise Refused(
            415,
            "UnsupportedMediaType",
            f"The content type must be {', '.join((JSON_TYPE, CSV_TYPE, *TABLE_TYPES[:2]))} or {TABLE_TYPES[2]}.",
        )
    if layout and (layout not in OLDER_FORMATS or media != JSON_TYPE):
        raise Refused(415, "UnsupportedMediaType", "The 'format' of the content type is not known.")
    return media, layout


def read_request(contract: Contract, body: bytes, header: str, *, is_typed: bool = False) -> Request:
    """Read and check a body by its content type. ``is_typed``: the model checks its input by type hints itself.

    Raises Refused with 400 (not what the type says), 415 or 422 (does not fit the contract).
    """
    media, layout = read_content_type(header)
    if media == CSV_TYPE:
        return _read_csv(contract, body)
    if media in TABLE_TYPES:
        form, value, rows = ("table", None, None) if is_typed else read_columns(contract, body, media)
        return Request(form, value, rows=rows)
    document = read_json(body)
    if layout:
        document = {OLDER_FORMATS[layout]: document}
    if not isinstance(document, dict):
        raise malformed(f"The body must be an object with one of {', '.join(FORMS)}.")
    forms = [form for form in FORMS if form in document]
    if len(forms) != 1:
        raise malformed(f"The body must have exactly one of {', '.join(FORMS)}; it has {len(forms)}.")
    form = forms[0]
    params = check_params(contract.params, document.get("params"))
    rows = None if is_typed else check_input(contract, form, document[form])
    return Request(form, document[form], params, rows)


def lacking(contract: Contract, request: Request) -> list[str]:
    """Return the optional columns that a checked request has not; what no table is lacks none."""
    value: Any = request.value
    given: Any
    if request.form == "csv":
        given = next(csv.reader(io.StringIO(value.lstrip("\ufeff"), newline="")), [])
    elif request.form == "table":
        given = value.names
    elif request.form == "dataframe_split":
        given = map(str, value.get("columns") or contract.names)
    elif isinstance(value, dict):
        given = value
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        given = set.intersection(*(set(row) for row in value))
    else:
        return []
    known = set(given)
    return [name for name in contract.names if name not in known]


def find_gap(contract: Contract, request: Request) -> tuple[int, str, str] | None:
    """Return the first place of a checked table with no value or an infinite one: row, column, and what it is.

    Contracts allow both where MLflow does, and many models cannot do with them.
    """
    for name, cells in _columns_of(contract, request):
        for row, cell in enumerate(cells):
            if cell is None or cell != cell:
                return row, name, "has no value"
            if isinstance(cell, float) and math.isinf(cell):
                return row, name, "is infinite"
    return None


def _columns_of(contract: Contract, request: Request) -> Iterator[tuple[str, Iterable[Any]]]:
    """Yield the contract's scalar columns that a request has, as far as it is a table."""
    value: Any = request.value
    scalars = {column.name: column.type.kind for column in contract.columns if column.type.is_scalar}
    if request.form == "table":
        yield from ((name, value.cells(at)) for at, name in enumerate(value.names))
    elif request.form == "csv":
        header, *lines = csv.reader(io.StringIO(value.lstrip("\ufeff"), newline=""))
        for at, name in enumerate(header):
            if scalars.get(name, "binary") not in ("string", "binary"):
                yield name, (_number_of(line[at]) for line in lines if len(line) > at)
    elif request.form == "dataframe_split":
        names = [str(name) for name in value.get("columns") or contract.names]
        rows = [row if isinstance(row, (list, tuple)) else [row] for row in value["data"]]
        yield from ((name, [row[at] for row in rows]) for at, name in enumerate(names) if name in scalars)
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        yield from ((name, [row[name] for row in value if name in row]) for name in contract.names if name in scalars)
    elif isinstance(value, dict):
        for name in contract.names:
            if name in scalars and name in value:
                yield name, value[name] if isinstance(value[name], list) else [value[name]]
    elif isinstance(value, list) and len(contract.columns) == 1:
        yield contract.columns[0].name or "", value


def _number_of(text: str) -> Any:
    """Return what matters of a text in CSV: that it is missing, or infinite."""
    text = text.strip()
    if text in MISSING_TEXTS:
        return None
    return math.inf if text.lower().lstrip("+-") in ("inf", "infinity") else text


# ------------------------------------------------------------------ JSON


def read_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate keys, no NaN or Infinity, no number beyond 64-bit floats."""
    try:
        text = body.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
        if "\\u" in text:
            # Halves of surrogate pairs can be escaped, but no text has them.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise malformed("The body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise malformed(f"The body is not valid JSON: line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise malformed("The body is nested too deep.") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise malformed("The body has a number with too many digits.") from None
    return document


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise malformed("An object in the body has a key twice.")
    return document


def _constant(_text: str) -> Any:
    raise malformed("The body has NaN or Infinity, which are not JSON; use null for a missing number.")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise malformed("The body has a number that no 64-bit float holds.")
    return number


def check_params(params: tuple[Param, ...], given: Any) -> dict[str, Any] | None:
    """Return the inference parameters when each that is known fits its type; others are left to MLflow to ignore."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise malformed("'params' must be an object.")
    for param in params:
        value = given.get(param.name)
        if value is None or param.kind == "object":
            continue
        values = value if param.is_list and isinstance(value, list) else [value]
        if (param.is_list and not isinstance(value, list)) or not all(_fits_param(param.kind, v) for v in values):
            expected = f"a list of which each is {EXPECTED[param.kind]}" if param.is_list else EXPECTED[param.kind]
            raise violation(f"Parameter '{param.name}' must be {expected}.", param=param.name)
    return given


def _fits_param(kind: str, value: Any) -> bool:
    """Tell whether a value fits; unlike a column's, a whole number may not be written with a point."""
    return fits_scalar(kind, value) and not (kind in INTEGER_RANGE and isinstance(value, float))


# ------------------------------------------------------------------ CSV


def _read_csv(contract: Contract, body: bytes) -> Request:
    try:
        text = body.decode("utf-8-sig")  # spreadsheets put a mark before the first name
    except UnicodeDecodeError:
        raise malformed("The body is not valid UTF-8.") from None
    if "\0" in text:
        raise malformed("The body has a NUL character.")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error:
        raise malformed("The body is not valid CSV.") from None
    if not rows:
        raise malformed("The body has no line with column names.")
    header, data = rows[0], rows[1:]
    if len(header) > 1:  # pandas passes over lines of spaces
        data = [row for row in data if len(row) > 1 or row[0].strip()]
    if len(set(header)) != len(header):
        raise violation("The first line has a column name twice.")
    missing = [column.name for column in contract.columns if column.required and column.name not in header]
    if contract.names and missing:
        raise violation(f"The input lacks {listed(missing)}.", column=missing[0])
    for number, row in enumerate(data):
        if len(row) != len(header):
            raise violation(f"Row {number} has {len(row)} values for {len(header)} columns.", row=number)
    for position, column in enumerate(contract.columns):
        if column.name is None and position < len(header):
            _check_texts(column, position, data)
        elif column.name in header:
            _check_texts(column, header.index(column.name), data)
    return Request("csv", text, rows=len(data))


MISSING_TEXTS = frozenset(
    ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan",
     "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"]
)  # fmt: skip
"""What pandas reads as a missing value."""


def _check_texts(column: Column, at: int, data: list[list[str]]) -> None:
    kind = column.type.kind
    if not column.type.is_scalar or kind in ("string", "binary"):
        return
    for number, row in enumerate(data):
        text = row[at].strip()
        fits = kind in ("float", "double") if text in MISSING_TEXTS else _text_fits(kind, text)
        if not fits:
            raise violation(
                f"Row {number}, {column.label} must be {EXPECTED[kind]}.", row=number, column=column.name or ""
            )


def _text_fits(kind: str, text: str) -> bool:
    if kind == "boolean":
        return text in ("true", "false", "True", "False", "TRUE", "FALSE")
    if kind == "datetime":
        return is_datetime(text)
    if not text.isascii() or "_" in text:
        return False
    try:
        if kind in INTEGER_RANGE:
            # Tables that once had missing values write their whole numbers as 2.0.
            return fits_scalar(kind, float(text) if any(mark in text for mark in ".eE") else int(text))
        number = float(text)
        return fits_scalar(kind, number) and (math.isfinite(number) or "inf" in text.lower())
    except ValueError:
        return False
