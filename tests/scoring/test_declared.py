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
from taxiway_scoring.declared import DELTA_BYTE_ARRAY, Malformed, TooLarge, of_arrow_stream, of_parquet, read_footer

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


SMALL = a_parquet(TABLE.slice(0, 20))


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
    "options",
    [{}, {"compression": "zstd", "data_page_version": "2.0"}, {"use_dictionary": False}, {"row_group_size": 999}],
)
def test_parquet_says_what_it_unpacks_to(options: dict[str, Any]) -> None:
    body = a_parquet(**options)
    footer = read_footer(body)
    assert (footer.rows, [(leaf.root, leaf.is_text, leaf.is_flat) for leaf in footer.leaves]) == (
        ROWS, [("n", False, True), ("s", True, True), ("d", True, True), ("l", False, False)],
    )  # fmt: skip
    facts = pyarrow.parquet.read_metadata(io.BytesIO(body))
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    for at, leaf in enumerate(footer.leaves):
        found = of_parquet(body, footer, frozenset([leaf.root]))
        chunks = [group.column(at) for group in groups]
        said = sum(chunk.total_uncompressed_size for chunk in chunks)
        assert found.cells == sum(chunk.num_values for chunk in chunks)
        assert 0.9 * said - 200 * len(chunks) < found.size <= said
    assert of_parquet(body, footer).cells == 5 * ROWS


def test_texts_in_lists_may_each_be_the_longest() -> None:
    body = a_parquet(pa.table({"l": [["x" * 1_000] * 10] * 100}))
    assert of_parquet(body, read_footer(body)).size > 1_000_000


def test_the_encoding_of_pages_is_told() -> None:
    body = a_parquet(TABLE.select(["s"]), use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    assert of_parquet(body, read_footer(body)).encodings == {DELTA_BYTE_ARRAY}


@given(at=st.integers(4, 3_000), byte=st.integers(0, 255), is_in_footer=st.booleans())
def test_any_bytes_are_parquet_or_malformed(at: int, byte: int, is_in_footer: bool) -> None:
    body = bytearray(SMALL)
    body[-at % len(body) if is_in_footer else at % len(body)] = byte
    with contextlib.suppress(Malformed):
        of_parquet(bytes(body), read_footer(bytes(body)))


@given(footer=st.binary(max_size=200))
def test_any_bytes_are_a_footer_or_malformed(footer: bytes) -> None:
    with contextlib.suppress(Malformed):
        read_footer(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def test_too_much_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "MAX_PARTS", 20)
    with pytest.raises(Malformed):
        of_arrow_stream(a_stream())
    with pytest.raises(Malformed):
        of_parquet(SMALL, read_footer(SMALL))
    monkeypatch.setattr(declared, "MAX_FOOTER_BYTES", 20)
    with pytest.raises(TooLarge):
        read_footer(SMALL)
