"""Arrow streams and files, and Parquet → columns that fit the contract, by what the model's own pyarrow reads.

Nothing is unpacked before it is known to how much (``declared.py``). Columns are checked whole, by the rules of
``checks.py``, and become what rows become: lossless conversions are accepted, others are refused with row and column.
pyarrow is not needed to import this module.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway_scoring.checks import check_cells, check_input
from taxiway_scoring.contract import EXPECTED, INTEGER_RANGE, MAX_FLOAT32, NULLABLE, Column, Contract, is_tabular
from taxiway_scoring.declared import (
    ARROW_MAGIC,
    DELTA_BYTE_ARRAY,
    Malformed,
    TooLarge,
    of_arrow_stream,
    of_parquet,
    read_footer,
)
from taxiway_scoring.refusals import Refused, listed, malformed, violation

ARROW_STREAM, ARROW_FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
PARQUET_TYPES = (PARQUET, "application/x-parquet")
TABLE_TYPES = (ARROW_STREAM, ARROW_FILE, *PARQUET_TYPES)
MAX_TABLE_BYTES = 512 << 20
MAX_TABLE_CELLS = 10_000_000
"""More than a JSON body of the usual limit could have."""
MAX_COLUMNS = 10_000
LEAST_PYARROW = (14, 0, 1)
"""Earlier ones run code that a body brings along (CVE-2023-47248)."""
_BATCH_ROWS = 16_384
DTYPES = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
"""Of columns that are arrays."""
_EXACT = {"double": 2**53, "float": 2**24}
_YEARS = "1678-01-01", "2262-01-01"


@dataclass(frozen=True)
class Columns:
    """A checked table: the contract's columns that it has, each a NumPy array of the contract's type or a list.

    Floats have NaN for what is missing, texts and times (ISO 8601) None.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: tuple[Any, ...]
    count: int
    is_plain: bool
    """Rows can stand for it: it has all columns, at least one row, and no infinite number."""

    def __len__(self) -> int:
        return self.count

    def cells(self, at: int) -> list[Any]:
        """Return a column's values as they are in rows, with None for what is missing."""
        values = self.values[at]
        if isinstance(values, list):
            return values
        cells: list[Any] = values.tolist()
        if values.dtype.kind == "f" and (values != values).any():
            return [None if cell != cell else cell for cell in cells]
        return cells

    def frame(self) -> Any:
        """Return the data frame of the types that MLflow's conversion gives."""
        import pandas as pd

        columns = zip(self.names, self.kinds, self.values)
        return pd.DataFrame({name: series_of(kind, values) for name, kind, values in columns})


def series_of(kind: str, values: Any) -> Any:
    """Return what a data frame's column is made of."""
    import pandas as pd

    if kind not in ("string", "datetime"):
        return values
    series = pd.Series(values, dtype=None if values else object)
    return series if kind == "string" else pd.to_datetime(series).astype("datetime64[ns]")


def columns_of_rows(contract: Contract, rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return the same as columns; ``contract`` must be tabular, and there must be a row."""
    import numpy as np

    kinds = tuple(column.type.kind for column in contract.columns)
    values = tuple(
        np.array(cells, dtype=DTYPES[kind]) if kind in DTYPES else list(cells) for kind, cells in zip(kinds, zip(*rows))
    )
    return Columns(contract.names, kinds, values, len(rows), is_plain=True)


def are_understood() -> bool:
    """Tell whether the model's environment has pyarrow; does not import it."""
    return importlib.util.find_spec("pyarrow") is not None


def load_pyarrow() -> Any:
    """Import pyarrow. Raises Refused (415) where there is none, or one that cannot be trusted with foreign bytes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise Refused(
            415,
            "UnsupportedMediaType",
            "The model's environment reads no Arrow and no Parquet content type; add pyarrow to its requirements.",
        ) from None
    if tuple(int(part) for part in pa.__version__.split(".")[:3] if part.isdigit()) < LEAST_PYARROW:
        least = ".".join(map(str, LEAST_PYARROW))
        raise Refused(
            415,
            "UnsupportedMediaType",
            f"For this content type the model's environment needs pyarrow {least} or newer.",
        )
    return pa


def read_columns(contract: Contract, body: bytes, media: str) -> tuple[str, Any, int]:
    """Return form, value and number of rows of a body: ``table`` with Columns, ``frame``, or ``dataframe_split``.

    Raises Refused: 400 (not what the type says), 413 (too large when it is unpacked), 415, 422.
    """
    pa = load_pyarrow()
    is_parquet = media in PARQUET_TYPES
    try:
        table = _read_parquet(pa, contract, body) if is_parquet else _read_arrow(pa, body, media)
        table.validate(full=True)
        _bound(0, table.nbytes)
        return _converted(contract, table)
    except (MemoryError, TooLarge):
        raise _too_large() from None
    except (pa.ArrowException, Malformed, OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        # Some of it is found late: names that are no UTF-8, categories that are there twice.
        raise malformed(f"The body is not {'a Parquet' if is_parquet else 'an Arrow'} table.") from None


def _converted(contract: Contract, table: Any) -> tuple[str, Any, int]:
    names = _names_of(table)
    if not contract.columns and not contract.tensors:
        return "frame", _as_frame(table), table.num_rows
    missing = [column.name for column in contract.columns if column.required and column.name not in names]
    if contract.names and missing:
        raise violation(f"The table lacks {listed(missing)}.", column=missing[0])
    if is_tabular(contract):
        return "table", _columns(contract, table), table.num_rows
    wanted = [name for name in (contract.names or names) if name in names]
    _check_types(contract, table.select(wanted))
    lists = [_as_json(table.column(name)) for name in wanted]
    split = {"columns": wanted, "data": [list(row) for row in zip(*lists)]}
    check_input(contract, "dataframe_split", split)
    if not contract.names:
        return "dataframe_split", split, table.num_rows
    return "frame", _mixed_frame(contract, table), table.num_rows


# ------------------------------------------------------------------ bytes → a table of bounded size


def _too_large() -> Refused:
    return Refused(413, "BodyTooLarge", "The table is too large when it is unpacked.")


def _bound(cells: int, size: int) -> None:
    if cells > MAX_TABLE_CELLS or size > MAX_TABLE_BYTES:
        raise _too_large()


def _read_arrow(pa: Any, body: bytes, media: str) -> Any:
    start = 0
    if media == ARROW_FILE:
        # A file is a stream between a mark and a list of its parts.
        if not body.startswith(ARROW_MAGIC) or not body.endswith(ARROW_MAGIC[:6]):
            raise Malformed("no Arrow file")
        start = len(ARROW_MAGIC)
    declared = of_arrow_stream(body, start)
    _bound(declared.cells, declared.size)
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.ipc.open_stream(pa.py_buffer(body)[start:], options=options) as reader:
        _check_schema(reader.schema)
        batches, rows = [], 0
        for batch in reader:
            # Arrays of nothing have a length, and no bytes.
            rows += batch.num_rows
            _bound(rows * max(1, batch.num_columns), 0)
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _read_parquet(pa: Any, contract: Contract, body: bytes) -> Any:
    footer = read_footer(body)
    roots = dict.fromkeys(leaf.root for leaf in footer.leaves)
    known = {*contract.names}
    # pyarrow takes a name with a point in it for a path, so that x.y comes along with x.
    wanted = frozenset(root for root in roots if not known or not known.isdisjoint(_paths_to(root)))
    leaves = [leaf for leaf in footer.leaves if leaf.root in wanted]
    _bound(footer.rows * max(1, len(leaves)), 0)
    declared = of_parquet(body, footer, wanted)
    if DELTA_BYTE_ARRAY in declared.encodings:
        raise malformed("The Parquet table has a column in the encoding DELTA_BYTE_ARRAY, which is not read.")
    _bound(declared.cells, declared.size)
    # Texts stay numbers and a dictionary: a long one may be repeated without end.
    texts = [leaf.root for leaf in leaves if leaf.is_text and leaf.is_flat]
    with pa.parquet.ParquetFile(pa.BufferReader(body), read_dictionary=texts, pre_buffer=False) as file:
        schema = file.schema_arrow
        _check_schema(schema)
        names = [name for name in schema.names if not known or name in known]
        batches, size = [], 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names, use_threads=False):
            size += batch.nbytes
            _bound(0, size)
            batches.append(batch)
    table = (pa.Table.from_batches(batches) if batches else schema.empty_table()).select(names)
    return table if contract.names else _without_dictionaries(pa, table, pa.parquet.read_schema(pa.BufferReader(body)))


def _paths_to(name: str) -> list[str]:
    """Return a name, and what stands before each of its points."""
    return [name, *(name[:at] for at, letter in enumerate(name) if letter == ".")]


def _without_dictionaries(pa: Any, table: Any, schema: Any) -> Any:
    """Return a table in which texts are as the file has them, for a model to which that may matter."""
    for at, field in enumerate(table.schema):
        written = schema.field(field.name).type
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(written):
            table.validate(full=True)  # before it is counted by its indices
            _bound(0, sum(_count(pa, chunk) for chunk in table.column(at).chunks))
            table = table.set_column(at, field.name, table.column(at).cast(written))
    return table


def _check_schema(schema: Any) -> None:
    if len(schema) > MAX_COLUMNS:
        raise violation(f"The table has more than {MAX_COLUMNS} columns.")
    if len({*schema.names}) != len(schema):
        raise violation("The table has a column name twice.")


def _names_of(table: Any) -> list[str]:
    names: list[str] = table.schema.names
    return names


# ------------------------------------------------------------------ columns of single values


def _columns(contract: Contract, table: Any) -> Columns:
    present = [column for column in contract.columns if column.name in table.schema.names]
    read = [_read_column(column, table.column(column.name)) for column in present]
    return Columns(
        names=tuple(str(column.name) for column in present),
        kinds=tuple(column.type.kind for column in present),
        values=tuple(read),
        count=table.num_rows,
        is_plain=len(present) == len(contract.columns) and table.num_rows > 0 and not any(map(_has_infinite, read)),
    )


def _read_column(column: Column, chunks: Any) -> Any:
    import pyarrow as pa

    try:
        array = chunks.combine_chunks()
        if hasattr(array, "num_chunks"):  # none, or more than one can hold
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=array.type)
        return _typed(column, array)
    except pa.ArrowException:  # types that pyarrow knows and does little with
        raise _misfit(column, None) from None


def _has_infinite(values: Any) -> bool:
    if isinstance(values, list) or values.dtype.kind != "f":
        return False
    import numpy as np

    return bool(np.isinf(values).any())


def _typed(column: Column, array: Any) -> Any:
    """Return a column's values as the contract has them. Raises Refused (422)."""
    import pyarrow as pa

    kind, type_ = column.type.kind, array.type
    if pa.types.is_dictionary(type_) and kind not in ("string", "datetime"):
        array = array.dictionary_decode()
        type_ = array.type
    if array.null_count and kind not in NULLABLE:
        raise _misfit(column, _first(array.is_null().to_numpy(zero_copy_only=False)), is_null=True)
    if pa.types.is_null(type_):
        array = array.cast(
            {"string": pa.string(), "datetime": pa.string(), "boolean": pa.bool_()}.get(kind, pa.float64())
        )
        type_ = array.type
    if kind in ("string", "datetime") and _is_text(pa, type_):
        texts = _texts(pa, array)
        if kind == "datetime":
            check_cells(column, enumerate(texts))
        return texts
    if kind == "datetime" and (pa.types.is_date(type_) or (pa.types.is_timestamp(type_) and type_.tz is None)):
        return _times(column, array)
    if kind == "boolean" and pa.types.is_boolean(type_):
        return array.to_numpy(zero_copy_only=False)
    if kind in INTEGER_RANGE or kind in _EXACT:
        if pa.types.is_integer(type_):
            return _of_whole(column, array)
        if pa.types.is_floating(type_):
            return _of_floats(column, array.to_numpy(zero_copy_only=False))
    raise _misfit(column, None)


def _misfit(column: Column, row: int | None, *, is_null: bool = False) -> Refused:
    expected = EXPECTED.get(column.type.kind, f"of the type {column.type.kind}")
    if row is None:
        message = f"Every value of {column.label} must be {expected}; the table has it in another type."
        return violation(message, column=column.name or "")
    null = " (null is not allowed)" if is_null else ""
    return violation(f"Row {row}, {column.label} must be {expected}{null}.", row=row, column=column.name or "")


def _first(mask: Any) -> int:
    return int(mask.argmax())


def _is_text(pa: Any, type_: Any) -> bool:
    if pa.types.is_dictionary(type_):
        return bool(pa.types.is_string(type_.value_type) or pa.types.is_large_string(type_.value_type))
    is_view = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or is_view(type_))


def _texts(pa: Any, array: Any) -> list[Any]:
    """Return texts, equal ones as the same object where that is told."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        known = array.dictionary.to_numpy(zero_copy_only=False)
        indices = array.indices
        lengths = pc.take(pc.binary_length(array.dictionary.cast(pa.large_string())), indices)
        _bound(0, pc.sum(lengths).as_py() or 0)
        if array.null_count or array.dictionary.null_count:
            places = indices.to_pylist()
            return [None if at is None else known[at] for at in places]
        return known[indices.to_numpy(zero_copy_only=False)].tolist()  # type: ignore[no-any-return]
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        _bound(0, _bytes_of_views(array))
        array = array.cast(pa.large_string())
    return array.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]


def _bytes_of_views(array: Any) -> int:
    """Return how many bytes texts have of which each is a view (its length, then where it is): many may be the same."""
    import numpy as np

    views = np.frombuffer(array.buffers()[1], dtype=np.int32).reshape(-1, 4)
    lengths = views[array.offset : array.offset + len(array), 0].astype(np.int64)
    return int(lengths[array.is_valid().to_numpy(zero_copy_only=False)].sum())


def _times(column: Column, array: Any) -> list[Any]:
    """Return times as ISO 8601 texts of one form."""
    import numpy as np

    times = array.to_numpy(zero_copy_only=False).astype(_unit_of(array))
    is_null = np.isnat(times)
    early, late = (np.datetime64(year, "D") for year in _YEARS)
    days = times.astype("datetime64[D]")
    bad = ~is_null & ((days < early) | (days >= late))
    if bad.any():
        raise _misfit(column, _first(bad))
    texts = np.datetime_as_string(times.astype("datetime64[ns]")).tolist()
    return [None if gone else text for text, gone in zip(texts, is_null.tolist())] if is_null.any() else texts


def _unit_of(array: Any) -> str:
    return f"datetime64[{getattr(array.type, 'unit', 'D' if str(array.type).startswith('date32') else 'ms')}]"


def _of_whole(column: Column, array: Any) -> Any:
    """Return whole numbers as the contract's type where all of them fit without loss."""
    import numpy as np

    kind, missing = column.type.kind, None
    if array.null_count:
        missing = array.is_null().to_numpy(zero_copy_only=False)
        array = array.fill_null(0)
    values = array.to_numpy(zero_copy_only=False)
    if kind in INTEGER_RANGE:
        low, high = INTEGER_RANGE[kind]
        if len(values) and not (low <= int(values.min()) and int(values.max()) <= high):
            raise _misfit(column, _first((values < low) | (values > high)))
        return values.astype(np.int32 if kind == "integer" else np.int64)
    dtype = np.float64 if kind == "double" else np.float32
    numbers = values.astype(dtype)
    if len(values) and not (-_EXACT[kind] <= int(values.min()) and int(values.max()) <= _EXACT[kind]):
        for row in np.flatnonzero(np.abs(numbers.astype(np.float64)) >= _EXACT[kind]).tolist():
            if int(numbers[row]) != int(values[row]):
                raise _misfit(column, row)
    if missing is not None:
        numbers[missing] = np.nan
    return numbers


def _of_floats(column: Column, values: Any) -> Any:
    """Return floats (NaN for what is missing) as the contract's type where all of them fit without loss."""
    import numpy as np

    kind = column.type.kind
    with np.errstate(all="ignore"):
        if kind == "double":
            return values.astype(np.float64)
        if kind == "float":
            bad = np.isfinite(values) & (np.abs(values.astype(np.float64)) >= MAX_FLOAT32)
            if bad.any():
                raise _misfit(column, _first(bad))
            return values.astype(np.float32)
        wide = values.astype(np.float64)
        low, high = INTEGER_RANGE[kind]
        bad = ~((wide == np.floor(wide)) & (np.abs(wide) <= 2**53) & (wide >= low) & (wide <= high))
        if bad.any():
            row = _first(bad)
            raise _misfit(column, row, is_null=bool(wide[row] != wide[row]))
        return wide.astype(np.int32 if kind == "integer" else np.int64)


# ------------------------------------------------------------------ everything else


def _check_types(contract: Contract, table: Any) -> None:
    """Refuse nested values where the contract has none, and types of which values cannot be told for sure."""
    import pyarrow as pa

    nested = {column.name for column in contract.columns if not column.type.is_scalar}
    takes_any = bool(contract.tensors) or not contract.names
    total = 0
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_nested(field.type) and not takes_any and field.name not in nested:
            raise violation(
                f"Every value of column '{field.name}' must be a single one; the table has it nested.",
                column=field.name,
            )
        if not _is_known(pa, field.type):
            raise violation(f"The table has column '{field.name}' in a type that is not read.", column=field.name)
        total += sum(_count(pa, chunk) for chunk in column.chunks)
        _bound(total, 0)


def _is_known(pa: Any, type_: Any) -> bool:
    types = pa.types
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return _is_known(pa, type_.value_type)
    if types.is_struct(type_):
        names = [type_.field(at).name for at in range(type_.num_fields)]
        return len({*names}) == len(names) and all(
            _is_known(pa, type_.field(at).type) for at in range(type_.num_fields)
        )
    if types.is_map(type_):
        return types.is_string(type_.key_type) and _is_known(pa, type_.item_type)
    if types.is_dictionary(type_):
        type_ = type_.value_type
        return bool(_is_text(pa, type_) or types.is_binary(type_) or types.is_large_binary(type_))
    return bool(
        types.is_null(type_) or types.is_boolean(type_) or types.is_integer(type_) or types.is_floating(type_)
        or types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_)
        or types.is_large_binary(type_) or types.is_date(type_) or (types.is_timestamp(type_) and type_.tz is None)
    )  # fmt: skip


def _count(pa: Any, array: Any) -> int:
    """Return how many single values an array has; those of a dictionary count by their bytes."""
    import pyarrow.compute as pc

    types, type_ = pa.types, array.type
    if types.is_struct(type_):
        return len(array) + sum(_count(pa, array.field(at)) for at in range(type_.num_fields))
    if types.is_map(type_):
        return len(array) + _count(pa, array.keys) + _count(pa, array.items)
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return len(array) + _count(pa, array.flatten())
    if types.is_dictionary(type_):
        lengths = pc.binary_length(array.dictionary.cast(pa.large_binary()))
        return len(array) + (pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
    return len(array)


def _as_json(column: Any) -> list[Any]:
    """Return a column's values as JSON would have brought them."""
    import pyarrow as pa

    type_ = column.type
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        arrays = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return [text for chunk, array in zip(column.chunks, arrays) for text in _iso(array, chunk)]
    convert = _converter(pa, type_)
    return [None if value is None else convert(value) for value in column.to_pylist()]


def _iso(values: Any, array: Any) -> list[Any]:
    import numpy as np

    times = values.astype(_unit_of(array))
    return [None if text == "NaT" else text for text in np.datetime_as_string(times).tolist()]


def _converter(pa: Any, type_: Any) -> Callable[[Any], Any]:
    """Return what turns a value of a type, which is not null, to what JSON has."""
    types = pa.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_floating(type_):
        return lambda value: None if value != value else value
    if types.is_binary(type_) or types.is_large_binary(type_):
        return lambda value: base64.b64encode(value).decode("ascii")
    if types.is_date(type_) or types.is_timestamp(type_):
        return lambda value: value.isoformat()
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        inner = _converter(pa, type_.value_type)
        return lambda values: [None if value is None else inner(value) for value in values]
    if types.is_struct(type_):
        fields = {type_.field(at).name: _converter(pa, type_.field(at).type) for at in range(type_.num_fields)}
        return lambda row: {name: None if row[name] is None else turn(row[name]) for name, turn in fields.items()}
    if types.is_map(type_):
        item = _converter(pa, type_.item_type)
        return lambda pairs: _map_of(pairs, item)
    return lambda value: value


def _map_of(pairs: list[tuple[str, Any]], convert: Callable[[Any], Any]) -> dict[str, Any]:
    found = {key: None if value is None else convert(value) for key, value in pairs}
    if len(found) != len(pairs):
        raise violation("A map in the table has a key twice.")
    return found


def _mixed_frame(contract: Contract, table: Any) -> Any:
    """Return the frame of checked columns of which some are nested or binary: those as MLflow reads them."""
    import pandas as pd
    import pyarrow as pa

    frame = {}
    for column in contract.columns:
        if column.name not in table.schema.names:
            continue
        chunks = table.column(column.name)
        if column.type.is_scalar and column.type.kind != "binary":
            frame[column.name] = series_of(column.type.kind, _read_column(column, chunks))
        elif column.type.is_scalar and _is_text(pa, chunks.type):
            texts = chunks.to_pylist()
            frame[column.name] = pd.Series([None if text is None else base64.b64decode(text) for text in texts])
        else:
            frame[column.name] = pd.Series(
                chunks.to_pandas(use_threads=False, maps_as_pydicts="strict").tolist(), dtype=object
            )
    return pd.DataFrame(frame)


def _as_frame(table: Any) -> Any:
    """Return the frame of a table for a model without a signature."""
    import pyarrow as pa

    names = [name for name in table.schema.names if not name.startswith("__index_level_")]
    table = table.select(names)
    for field in table.schema:
        if not _is_known(pa, field.type):
            raise violation(f"The table has column '{field.name}' in a type that is not read.", column=field.name)
    _bound(sum(_count(pa, chunk) for column in table.columns for chunk in column.chunks), 0)
    return table.to_pandas(ignore_metadata=True, use_threads=False)
