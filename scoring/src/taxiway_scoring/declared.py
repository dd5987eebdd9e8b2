"""What an Arrow stream or a Parquet file says about its own size, read before anything of it is unpacked.

Libraries allocate what a body declares: a few kilobytes may say that they are gigabytes. Only headers are looked at:
the flatbuffers of Arrow's IPC messages, and the Thrift structures before Parquet's pages. Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ARROW_MAGIC = b"ARROW1\0\0"
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_DICTIONARY_PAGE = 2
DELTA_BYTE_ARRAY = 7
"""Each text begins as the one before: a few bytes may stand for any number of long texts."""
MAX_PARTS = 1_000_000
"""Messages, arrays, buffers or pages that a body may have; looking at more would take too long."""
_MAX_DEPTH = 16
_PAGE_HEADERS = {0: 5, 1: 6, 2: 7, 3: 8}
"""Parquet: in which field a page's own header is, by the page's type."""
_ENCODING_FIELDS = {0: 2, 3: 4}
"""In which field of it the encoding is: of data pages, of those of version 2."""


class Malformed(ValueError):
    """The bytes are not what they should be."""


@dataclass
class Declared:
    """Of all batches or pages: how many cells there are, and how many bytes they have when they are unpacked."""

    cells: int = 0
    size: int = 0
    dictionary: int = 0
    """Bytes of dictionary pages (Parquet)."""
    encodings: frozenset[int] = frozenset()
    """Parquet's numbers of them."""
    parts: int = 0

    def add_parts(self, count: int) -> None:
        """Count parts. Raises Malformed for too many."""
        self.parts += count
        if self.parts > MAX_PARTS:
            raise Malformed("too many parts")


# ------------------------------------------------------------------ Arrow's IPC


def of_arrow_stream(body: bytes, at: int = 0) -> Declared:
    """Return what the record and dictionary batches of an IPC stream declare. Raises Malformed."""
    found = Declared()
    try:
        while at + 4 <= len(body):
            mark, length = struct.unpack_from("<Ii", body, at)
            if mark != _CONTINUES or length < 0:
                raise Malformed("no IPC message")
            if not length:
                break
            found.add_parts(8)
            message = at + 8
            at = _look_at_message(body, message, message + length, found)
    except struct.error:
        raise Malformed("an IPC message that ends too early") from None
    return found


def _look_at_message(body: bytes, at: int, end: int, found: Declared) -> int:
    """Count one message; return where the next begins."""
    if end > len(body):
        raise Malformed("an IPC message that ends too early")
    table = _follow(body, at)
    kind_at, header_at, length_at = (_field(body, table, number) for number in (1, 2, 3))
    kind = body[kind_at] if kind_at else 0
    length = struct.unpack_from("<q", body, length_at)[0] if length_at else 0
    if not 0 <= length <= len(body) - end:
        raise Malformed("an IPC message that ends too early")
    if header_at and kind in (_DICTIONARY_BATCH, _RECORD_BATCH):
        batch = _follow(body, header_at)
        if kind == _DICTIONARY_BATCH:
            data_at = _field(body, batch, 1)
            batch = _follow(body, data_at) if data_at else 0
        if batch:
            _look_at_batch(body, batch, end, length, found)
    return end + length


def _look_at_batch(body: bytes, batch: int, data: int, length: int, found: Declared) -> None:
    nodes_at, buffers_at, packed_at = (_field(body, batch, number) for number in (1, 2, 3))
    for place in _structs(body, nodes_at, found):
        rows = struct.unpack_from("<q", body, place)[0]
        if rows < 0:
            raise Malformed("an array of less than no rows")
        found.cells += rows
    found.size += 0 if packed_at else length
    if not packed_at:
        return
    for place in _structs(body, buffers_at, found):
        offset, size = struct.unpack_from("<qq", body, place)
        if not (offset >= 0 and size >= 0 and offset + size <= length):
            raise Malformed("a buffer outside of its message")
        if size >= 8:
            unpacked = struct.unpack_from("<q", body, data + offset)[0]
            if unpacked < -1:
                raise Malformed("a buffer of less than no bytes")
            found.size += size if unpacked == -1 else unpacked


def _structs(body: bytes, at: int, found: Declared) -> range:
    """Return the places of a vector's structs, which have 16 bytes each."""
    if not at:
        return range(0)
    start = _follow(body, at)
    (count,) = struct.unpack_from("<I", body, start)
    found.add_parts(count)
    return range(start + 4, start + 4 + 16 * count, 16)


def _follow(body: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", body, at)[0])


def _field(body: bytes, table: int, number: int) -> int:
    """Return where a flatbuffer table's field is; 0 where it has none."""
    layout = table - struct.unpack_from("<i", body, table)[0]
    if layout < 0:
        raise Malformed("a table without a layout")
    (size,) = struct.unpack_from("<H", body, layout)
    if 4 + 2 * number + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", body, layout + 4 + 2 * number)
    return table + offset if offset else 0


# ------------------------------------------------------------------ Parquet


def of_parquet_column(body: bytes, start: int, length: int, parts: int = 0) -> Declared:
    """Return what the pages of one column of a row group declare, after so many ``parts``. Raises Malformed."""
    found, at, end = Declared(parts=parts), start, start + length
    if not 0 <= start <= end <= len(body):
        raise Malformed("a column outside of the file")
    while at < end:
        found.add_parts(8)
        reader = _Thrift(body, at)
        page = reader.struct()
        kind, unpacked, packed = (_number(page, field) for field in (1, 2, 3))
        header = page.get(_PAGE_HEADERS.get(kind, 0))
        if not isinstance(header, Mapping) or unpacked < 0 or packed < 0:
            raise Malformed("a page without a header")
        found.size += unpacked
        if kind == _DICTIONARY_PAGE:
            found.dictionary += unpacked
        elif kind in _ENCODING_FIELDS:
            found.cells += max(0, _number(header, 1))
            found.encodings |= {_number(header, _ENCODING_FIELDS[kind])}
        at = reader.at + packed
    return found


def _number(fields: Mapping[int, Any], field: int) -> int:
    value = fields.get(field, 0)
    if type(value) is not int:
        raise Malformed("a page with a header of another kind")
    return value


class _Thrift:
    """Reads structures of Thrift's compact protocol: numbers, and what must be passed over."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body = body
        self.at = at

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return fields by their numbers; texts and lists are passed over."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Malformed("a structure that is nested too deep")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._pass_over(8)
        if kind == 8:
            return self._pass_over(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            for _ in range(count):
                self._value(head & 15, depth + 1)
            return None
        if kind == 12:
            return self.struct(depth + 1)
        raise Malformed("a structure with something unknown")

    def _pass_over(self, count: int) -> None:
        self.at += count
        if self.at > len(self._body):
            raise Malformed("a structure that ends too early")

    def _byte(self) -> int:
        if self.at >= len(self._body):
            raise Malformed("a structure that ends too early")
        self.at += 1
        return self._body[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise Malformed("a number that does not end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
