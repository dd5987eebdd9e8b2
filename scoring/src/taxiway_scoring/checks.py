"""Does a parsed JSON input fit the contract without loss? One function a form; pure.

MLflow's own conversion cuts, wraps, parses and guesses silently (1.7 → 1, 3e9 → -1294967296, "false" → true); it
comes after these checks and finds nothing left to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from taxiway_scoring.contract import EXPECTED, Column, Contract, Mismatch, Tensor, check_value, fits_scalar, may_be_null
from taxiway_scoring.refusals import listed, malformed, violation

EXACT = 2**53
"""Whole numbers up to here survive a 64-bit float."""


def check_input(contract: Contract, form: str, value: Any) -> int | None:
    """Return how many rows there are, where that can be told. Raises Refused with 400 or 422."""
    return _CHECKS[form](contract, value)


# ------------------------------------------------------------------ tables


def _check_split(contract: Contract, value: Any) -> int | None:
    columns, rows, width = _shape_of_split(value)
    if contract.tensors:
        _check_tensor_table(contract, columns, rows)
    elif contract.names:
        if columns is None:
            raise violation(f"'columns' is missing; needed are {_needed(contract)}.")
        position = {str(name): at for at, name in enumerate(columns)}
        _check_names(contract, position)
        for column in contract.columns:
            at = position.get(str(column.name))
            if at is not None:
                check_cells(column, _column_of(rows, at))
    elif contract.columns:
        _check_width(contract, width or 0, rows)
        for at, column in enumerate(contract.columns):
            check_cells(column, _column_of(rows, at))
    return len(rows)


def _shape_of_split(value: Any) -> tuple[list[Any] | None, list[Any], int | None]:
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise malformed("'dataframe_split' must be an object with a list 'data'.")
    if not {"columns", "data", "index"}.issuperset(value):
        raise malformed("'dataframe_split' has only 'columns', 'data' and 'index'.")
    columns, rows, index = value.get("columns"), value["data"], value.get("index")
    if columns is not None and not (
        isinstance(columns, list) and all(isinstance(c, (str, int)) and not isinstance(c, bool) for c in columns)
    ):
        raise malformed("'columns' must be a list of names.")
    if columns is not None and len(set(map(str, columns))) != len(columns):
        raise violation("'columns' has a name twice.")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):
        raise malformed("'index' must be a list with an item for each row.")
    width = len(columns) if columns is not None else None
    if width in (None, 1) and rows and not any(isinstance(row, (list, dict)) for row in rows):
        return columns, [[row] for row in rows], 1
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise violation(f"Row {number} must be a list of values.", row=number)
        width = len(row) if width is None else width
        if len(row) != width:
            raise violation(f"Row {number} has {len(row)} values for {width} columns.", row=number)
    return columns, rows, width


def _column_of(rows: list[Any], at: int) -> Iterable[tuple[int, Any]]:
    return ((number, row[at]) for number, row in enumerate(rows))


def _check_records(contract: Contract, value: Any) -> int | None:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise malformed("'dataframe_records' must be a list of objects.")
    if contract.tensors:
        names = list(dict.fromkeys(key for row in value for key in row))
        _check_tensor_table(contract, names, [[row.get(name) for name in names] for row in value])
    elif contract.names:
        _check_rows(contract, value)
    elif contract.columns:
        names = list(dict.fromkeys(key for row in value for key in row))
        _check_width(contract, len(names), value)
        for name, column in zip(names, contract.columns):
            check_cells(column, ((number, row.get(name)) for number, row in enumerate(value)))
    return len(value)


def _check_rows(contract: Contract, rows: list[dict[str, Any]], *, is_array: bool = False) -> None:
    """Check rows that are objects with named columns."""
    if not rows:
        _check_names(contract, ())
    for number, row in enumerate(rows):
        missing = [c.name for c in contract.columns if c.required and c.name not in row]
        if missing:
            raise violation(f"Row {number} lacks {listed(missing)}.", row=number, column=missing[0])
    for column in contract.columns:
        cells = ((number, row[column.name]) for number, row in enumerate(rows) if column.name in row)
        check_cells(column, cells, is_array=is_array)


# ------------------------------------------------------------------ instances and inputs


def _check_instances(contract: Contract, value: Any) -> int | None:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        # MLflow joins the values of each key; a row with other keys than the rest would shift those below it.
        for number, row in enumerate(value):
            if not isinstance(row, dict) or row.keys() != value[0].keys():
                raise violation(f"Row {number} must have the same columns as row 0.", row=number)
    return _check_inputs(contract, value)


def _check_inputs(contract: Contract, value: Any) -> int | None:
    """Check a list of objects, an object of lists, a list of values or of lists, or one value."""
    if contract.tensors:
        _check_tensors(contract, value)
    elif contract.names:
        _check_named(contract, value)
    elif contract.columns:
        _check_unnamed(contract, value)
    if isinstance(value, dict) and contract.names:
        return min((len(column) if isinstance(column, list) else 1 for column in value.values()), default=0)
    return len(value) if isinstance(value, list) else None


def _check_named(contract: Contract, value: Any) -> None:
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        _check_rows(contract, value, is_array=True)
    elif isinstance(value, dict):
        _check_names(contract, value)
        for column in contract.columns:
            if column.name in value:
                _check_column(column, value[column.name])
    elif isinstance(value, list) and len(contract.columns) == 1:
        _check_column(contract.columns[0], value)
    else:
        raise violation(f"The input must be objects with {_needed(contract)}.")


def _check_column(column: Column, value: Any) -> None:
    """Check a column's values, or for one row the value itself. MLflow is strict where those are no scalars."""
    if column.type.is_scalar:
        check_cells(column, enumerate(value if isinstance(value, list) else [value]), is_array=True)


def _check_unnamed(contract: Contract, value: Any) -> None:
    columns, first = contract.columns, contract.columns[0]
    if not first.type.is_scalar or isinstance(value, dict):
        return
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, list) for row in rows):
        check_cells(first, enumerate(rows), is_array=True)
        return
    for number, row in enumerate(rows):
        if len(row) < len(columns):
            raise violation(f"Row {number} has {len(row)} values; {len(columns)} are needed.", row=number)
    for at, column in enumerate(columns):
        # MLflow makes one array of all, of the first column's type.
        for needed in (column, Column(column.name, first.type, column.required)):
            check_cells(needed, _column_of(rows, at), is_array=True)


# ------------------------------------------------------------------ tensors


def _check_tensors(contract: Contract, value: Any) -> None:
    named = {tensor.name: tensor for tensor in contract.tensors if tensor.name is not None}
    if not named:
        check_leaves(contract.tensors[0], value)
    elif isinstance(value, dict):
        missing: list[str | None] = [name for name in named if name not in value]
        if missing:
            raise violation(f"The input lacks {listed(missing)}.", column=missing[0])
        for name, tensor in named.items():
            check_leaves(tensor, value[name])
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        for name, tensor in named.items():
            check_leaves(tensor, [row.get(name) for row in value])
    elif len(named) == 1:
        check_leaves(contract.tensors[0], value)


def _check_tensor_table(contract: Contract, columns: list[Any] | None, rows: list[Any]) -> None:
    tensors = {tensor.name: tensor for tensor in contract.tensors}
    for at, name in enumerate(columns if columns is not None else range(len(rows[0]) if rows else 0)):
        tensor = tensors.get(str(name)) or tensors.get(None)
        if tensor is not None:
            check_leaves(Tensor(str(name), tensor.dtype, tensor.shape), [row[at] for row in rows])


def check_leaves(tensor: Tensor, value: Any) -> None:
    """Check every element of nested lists against a tensor's element type. Shapes are MLflow's to check."""
    expected, fits = _element(tensor.dtype)
    if fits is None:
        return
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        where, item = stack.pop()
        if isinstance(item, list):
            stack.extend((f"{where}[{at}]", inner) for at, inner in enumerate(item))
        elif not fits(item):
            name = f"tensor '{tensor.name}'" if tensor.name is not None else "the tensor"
            raise violation(f"{name[0].upper()}{name[1:]}{where} must be {expected}.", column=tensor.name or "")


def _element(dtype: str) -> tuple[str, Callable[[Any], bool] | None]:
    """Return what an element must be, in words and as a test; None where anything is taken."""
    if dtype.startswith(("int", "uint")):
        bits = int("".join(filter(str.isdigit, dtype)) or 64)
        low, high = (0, 2**bits - 1) if dtype.startswith("uint") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return f"a whole number from {low} to {high}", lambda item: _is_whole(item) and low <= item <= high
    if dtype.startswith("float"):
        kind = "double" if dtype in ("float64", "float128", "float") else "float"
        return EXPECTED[kind], lambda item: item is None or fits_scalar(kind, item)
    scalars = {"bool": "boolean", "str": "string", "datetime64": "datetime", "datetime64[ns]": "datetime"}
    kind = scalars.get(dtype, "")
    return (EXPECTED[kind], lambda item: fits_scalar(kind, item)) if kind else ("", None)


def _is_whole(item: Any) -> bool:
    if isinstance(item, float):
        return item.is_integer() and abs(item) <= EXACT
    return isinstance(item, int) and not isinstance(item, bool)


# ------------------------------------------------------------------ cells


def check_cells(column: Column, cells: Iterable[tuple[int, Any]], *, is_array: bool = False) -> None:
    """Check a column's values, each with its row. ``is_array``: they become a NumPy array, not a table's column."""
    kind, may_be_null = column.type.kind, _may_be_null(column, is_array=is_array)
    large_row, has_point = None, False
    for row, value in cells:
        if value is None and may_be_null:
            continue
        expected, where = EXPECTED.get(kind, f"of the type {kind}"), ""
        try:
            if value is not None:
                check_value(column.type, value)
                if kind == "long":
                    has_point |= isinstance(value, float)
                    large_row = row if abs(value) > EXACT else large_row
                continue
        except Mismatch as mismatch:
            expected, where = mismatch.expected, mismatch.where
        null = " (null is not allowed)" if value is None else ""
        raise violation(
            f"Row {row}, {column.label}{where} must be {expected}{null}.", row=row, column=column.name or ""
        )
    if has_point and large_row is not None:
        # One number with a point makes all of them 64-bit floats.
        raise violation(
            f"Row {large_row}, {column.label}: whole numbers this large cannot stand beside numbers with a point.",
            row=large_row,
            column=column.name or "",
        )


def _may_be_null(column: Column, *, is_array: bool) -> bool:
    """Tell whether null has a place: MLflow turns it into false, 'None' or an error everywhere else."""
    return may_be_null(column) and not (is_array and column.type.kind == "string")


def _check_names(contract: Contract, given: Iterable[str]) -> None:
    known = set(given)
    missing = [c.name for c in contract.columns if c.required and c.name not in known]
    if missing:
        raise violation(f"The input lacks {listed(missing)}.", column=missing[0])


def _check_width(contract: Contract, width: int, rows: list[Any]) -> None:
    if rows and width < len(contract.columns):
        raise violation(f"A row has {width} values; {len(contract.columns)} are needed.")


def _needed(contract: Contract) -> str:
    return listed([column.name for column in contract.columns if column.required])


_CHECKS: dict[str, Callable[[Contract, Any], int | None]] = {
    "dataframe_split": _check_split,
    "dataframe_records": _check_records,
    "instances": _check_instances,
    "inputs": _check_inputs,
}
