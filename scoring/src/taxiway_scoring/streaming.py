"""Large answers in pieces that are made while they are sent, and predictions as Arrow streams or Parquet.

What is made late cannot fail any more: the head of the answer has gone. So pieces are only made of arrays, frames of
numbers, and lists of rows of single values; all else is written as a whole first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from taxiway_scoring.answers import plain
from taxiway_scoring.contract import Column
from taxiway_scoring.refusals import Refused
from taxiway_scoring.tables import PARQUET

LARGE_CELLS = 50_000
"""More are about a MiB of JSON."""
PIECE_CELLS = 4_096
TABLE_CELLS = 65_536
"""Of one of Arrow's record batches."""
ROW_BYTES = 64
"""About what a row of Python's own values takes at least."""
_write = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Pieces:
    """A body that is made while it is sent, and how many bytes are held for it until then."""

    parts: Iterator[bytes]
    held: int

    def __iter__(self) -> Iterator[bytes]:
        return self.parts


def array_pieces(values: Any) -> Pieces | None:
    """Return what ``answers.write_array`` writes of a NumPy array, in pieces; None where that returns None.

    The array is copied: plans use their buffers again.
    """
    kind = values.dtype.kind
    if kind not in "fiubOU" or (kind == "f" and values.dtype.itemsize > 8):
        return None
    if kind == "O" and not all(type(row) is str for row in values):
        return None
    kept = values.copy()
    step = max(1, PIECE_CELLS * len(kept) // max(1, kept.size))
    return Pieces(_joined(_rows(kept[at : at + step].tolist()) for at in range(0, len(kept), step)), kept.nbytes)


def frame_pieces(frame: Any) -> Pieces:
    """Return a data frame of numbers as ``answers.write_predictions`` writes it, in pieces."""
    names = [*plain(dict.fromkeys(frame.columns))]
    columns = [frame.iloc[:, at].to_numpy(copy=True) for at in range(len(names))]
    step = max(1, PIECE_CELLS // max(1, len(names)))
    parts = (
        _rows([dict(zip(names, row)) for row in zip(*(column[at : at + step].tolist() for column in columns))])
        for at in range(0, len(frame), step)
    )
    return Pieces(_joined(parts), sum(column.nbytes for column in columns))


def list_pieces(values: list[Any]) -> Pieces | None:
    """Return what ``answers.write_predictions`` writes of a list, in pieces; None where a row may be hard to write."""
    if not all(_is_sure(row) or (type(row) in (list, dict) and all(map(_is_sure, _cells(row)))) for row in values):
        return None
    width = max((len(row) for row in values if type(row) in (list, dict)), default=1)
    step = max(1, PIECE_CELLS // max(1, width))
    parts = (_rows(values[at : at + step]) for at in range(0, len(values), step))
    return Pieces(_joined(parts), ROW_BYTES * len(values) * max(1, width))


def _cells(row: Any) -> Any:
    return row.values() if type(row) is dict else row


def _is_sure(cell: Any) -> bool:
    kind = type(cell)
    return kind in (float, bool, str) or cell is None or (kind is int and -(2**63) <= cell < 2**63)


def _rows(rows: list[Any]) -> bytes:
    """Return rows as JSON, without the brackets around them."""
    try:
        return _write(rows)[1:-1]
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has not but an escape has
        return json.dumps(rows, allow_nan=False).encode("ascii")[1:-1]


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    yield b'{"predictions": ['
    comma = b""
    for part in parts:
        yield comma + part
        comma = b","
    yield b"]}"


# ------------------------------------------------------------------ tables


def table_of(predictions: Any, outputs: Sequence[Column]) -> Any:
    """Return predictions as a pyarrow Table: named as the output schema says, else prediction or prediction_0 and on.

    Raises Refused (406) for what is no table.
    """
    import pyarrow as pa

    try:
        columns = _columns_of(pa, predictions, [column.name for column in outputs])
        return pa.table([array for _, array in columns], names=[name for name, _ in columns])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise Refused(
            406, "NotAcceptable", "The model's answer is no table; its content type can only be application/json."
        ) from None


def _columns_of(pa: Any, predictions: Any, names: list[str | None]) -> list[tuple[str, Any]]:
    package, kind = type(predictions).__module__.partition(".")[0], type(predictions).__name__
    if package == "pandas" and kind == "Series":
        return [(str(predictions.name or _named(names, 1)[0]), _array(pa, predictions))]
    if package == "pandas" and kind == "DataFrame":
        return [(str(name), _array(pa, predictions.iloc[:, at])) for at, name in enumerate(predictions.columns)]
    if (
        type(predictions).__module__ == "numpy"
        and getattr(predictions, "ndim", 0) in (1, 2)
        and predictions.dtype.kind in "fiubUO"
    ):
        if predictions.ndim == 1:
            return [(_named(names, 1)[0], _array(pa, predictions))]
        width = predictions.shape[1]
        return [(name, _array(pa, predictions[:, at])) for at, name in enumerate(_named(names, width))]
    values = plain(predictions)
    if isinstance(values, dict) and all(isinstance(column, list) for column in values.values()):
        return [(name, pa.array(column)) for name, column in values.items()]
    rows = values if isinstance(values, list) else [values]
    if rows and all(isinstance(row, dict) for row in rows):
        keys = dict.fromkeys(key for row in rows for key in row)
        return [(key, pa.array([row.get(key) for row in rows])) for key in keys]
    if rows and all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        return [(name, pa.array(column)) for name, column in zip(_named(names, len(rows[0])), map(list, zip(*rows)))]
    return [(_named(names, 1)[0], pa.array(rows))]


def _array(pa: Any, values: Any) -> Any:
    """Return a column; NaN is what is missing, as null is in JSON."""
    if getattr(values.dtype, "kind", "") == "f" and values.dtype.itemsize > 8:
        values = values.astype("float64")
    array = pa.array(values.copy(), from_pandas=True)
    return array.combine_chunks() if hasattr(array, "num_chunks") else array


def _named(names: list[str | None], count: int) -> list[str]:
    if len(names) == count and all(name is not None for name in names):
        return [str(name) for name in names]
    return ["prediction"] if count == 1 else [f"prediction_{at}" for at in range(count)]


def table_pieces(table: Any, media: str) -> bytes | Pieces:
    """Return a table as an Arrow stream, in pieces where it is large, or as a Parquet file."""
    step = max(1, TABLE_CELLS // max(1, table.num_columns))
    if media == PARQUET:
        return _parquet(table)
    pieces = _stream(table, step)
    return Pieces(pieces, table.nbytes) if table.num_rows > step else b"".join(pieces)


class _Sink:
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._written.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)


def _stream(table: Any, step: int) -> Iterator[bytes]:
    import pyarrow as pa

    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        for batch in table.to_batches(max_chunksize=step):
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def _parquet(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    halves = [field for field in table.schema if pa.types.is_float16(field.type)]
    if halves:  # which older versions of Parquet have not
        table = table.cast(
            pa.schema([field.with_type(pa.float32()) if field in halves else field for field in table.schema])
        )
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    written: bytes = sink.getvalue().to_pybytes()
    return written
