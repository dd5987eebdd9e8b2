"""What Arrow streams and Parquet files say about their size."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway_scoring import declared
from taxiway_scoring.declared import DELTA_BYTE_ARRAY, Malformed, of_arrow_stream, of_parquet_column

ROWS = 3_000
TABLE = pa.table(
    {
        "n": list(range(ROWS)),
        "s": ["x", "yy", None] * 1_000,
        "d": pa.array(["q", "w", "q"] * 1_000).dictionary_encode(),
        "l": [[1, 2]] * ROWS,
    }
)


def a_stream(table: Any = TABLE, compression: str | None = None, make: Any = pa.ipc.new_stream) -> bytes:
    sink = io.BytesIO()
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=1_000)
    return sink.getvalue()


def a_parquet(table: Any = TABLE, **options: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_a_stream_says_what_it_unpacks_to(compression: str | None) -> None:
    body = a_stream(compression=compression)
    found = of_arrow_stream(body)
    assert found.cells == 6 * ROWS + 2  # lists have a length too; the dictionary has two
    assert TABLE.nbytes <= found.size <= 1.05 * TABLE.nbytes
    file = a_stream(compression=compression, make=pa.ipc.new_file)
    assert of_arrow_stream(file, 8).size == found.size


def test_a_stream_of_much_in_few_bytes_says_so() -> None:
    body = a_stream(pa.table({"x": [0] * 1_000_000}), "zstd")
    assert len(body) < 300_000
    assert of_arrow_stream(body).size == 8_000_000


@given(at=st.integers(0, 2_000), byte=st.integers(0, 255), cut=st.integers(0, 3_000))
def test_any_bytes_are_a_stream_or_malformed(at: int, byte: int, cut: int) -> None:
    body = bytearray(a_stream(TABLE.slice(0, 20), "lz4"))
    body[at % len(body)] = byte
    with contextlib.suppress(Malformed):
        of_arrow_stream(bytes(body[: cut or None]))


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zstd", "data_page_version": "2.0"}, {"use_dictionary": False}]
)
def test_a_column_of_parquet_says_what_it_unpacks_to(options: dict[str, Any]) -> None:
    body = a_parquet(**options)
    facts = pyarrow.parquet.read_metadata(io.BytesIO(body)).row_group(0)
    for at in range(facts.num_columns):
        chunk = facts.column(at)
        start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
        found = of_parquet_column(body, start, chunk.total_compressed_size)
        assert found.cells == chunk.num_values
        assert 0.9 * chunk.total_uncompressed_size - 200 < found.size <= chunk.total_uncompressed_size
        assert bool(found.dictionary) == chunk.has_dictionary_page
        with pytest.raises(Malformed):
            of_parquet_column(body, start, len(body))
        with pytest.raises(Malformed):
            of_parquet_column(body, start + 1, chunk.total_compressed_size - 1)


def test_the_encoding_of_pages_is_told() -> None:
    body = a_parquet(TABLE.select(["s"]), use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    chunk = pyarrow.parquet.read_metadata(io.BytesIO(body)).row_group(0).column(0)
    found = of_parquet_column(body, chunk.data_page_offset, chunk.total_compressed_size)
    assert found.encodings == {DELTA_BYTE_ARRAY}


@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_column_or_malformed(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        of_parquet_column(body, 0, len(body))


def test_too_many_parts_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "MAX_PARTS", 20)
    with pytest.raises(Malformed):
        of_arrow_stream(a_stream())
    with pytest.raises(Malformed):
        of_parquet_column(a_parquet(), 4, 100, parts=20)
