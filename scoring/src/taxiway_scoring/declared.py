"""What an Arrow stream or a Parquet file says about its own size, read before anything of it is unpacked.

Libraries allocate what a body declares: a few kilobytes may say that they are gigabytes. Only headers are looked at:
the flatbuffers of Arrow's IPC messages, and the Thrift structures before Parquet's pages. Standard library only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

ARROW_MAGIC = b"ARROW1\0\0"
_CONTINUES = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
DELTA_BYTE_ARRAY = 7
"""Each text begins as the one before: a few bytes may stand for any number of long texts."""
MAX_PARTS = 1_000_000
"""Messages, arrays, buffers or pages that a body may have; looking at more would take too long."""
MAX_FOOTER_BYTES = 4 << 20
_MAX_DEPTH = 16
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
"""Kinds of Thrift's compact protocol."""
_BYTE_ARRAY, _FIXED_LEN_BYTE_ARRAY = 6, 7
"""Parquet's physical types."""
_DICTIONARY_PAGE = 2
_PAGE_HEADERS = {0: 5, 1: 6, 2: 7, 3: 8}
"""Parquet: in which field a page's own header is, by the page's type."""
_ENCODING_FIELDS = {0: 2, 3: 4}
"""In which field of it the encoding is: of data pages, of those of version 2."""
Fields = dict[int, tuple[int, Any]]
"""Of a Thrift structure: kind and value by number."""


class Malformed(ValueError):
    """The bytes are not what they should be."""


class TooLarge(ValueError):
    """It is more than anybody looks at."""


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


@dataclass(frozen=True)
class Leaf:
    """A column as Parquet stores it: single values, of a column of the table (``root``) that may be nested."""

    root: str
    type: int
    length: int
    is_flat: bool

    @property
    def is_text(self) -> bool:
        """Whether its values are bytes of any length."""
        return self.type == _BYTE_ARRAY


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says at its end: rows, columns, and of each row group where each column's pages are."""

    rows: int
    leaves: tuple[Leaf, ...]
    groups: tuple[tuple[Fields, ...], ...]


def read_footer(body: bytes) -> Footer:
    """Read a Parquet file's footer. Raises Malformed, TooLarge.

    pyarrow reads it too; but of some that are wrong its accessors end the whole process.
    """
    length = int.from_bytes(body[-8:-4], "little")
    if body[:4] != b"PAR1" or body[-4:] != b"PAR1" or length > len(body) - 12:
        raise Malformed("no Parquet file")
    if length > MAX_FOOTER_BYTES:
        raise TooLarge("a long footer")
    footer = _Thrift(body, len(body) - 8 - length).struct()
    leaves = tuple(_leaves_of([_fields(item) for item in _get(footer, 2, _LIST) or ()]))
    groups = tuple(
        tuple(_fields(_get(_fields(chunk), 3, _STRUCT)) for chunk in _get(_fields(group), 1, _LIST) or ())
        for group in _get(footer, 4, _LIST) or ()
    )
    if any(len(group) != len(leaves) for group in groups):
        raise Malformed("a row group without a column")
    return Footer(_number(footer, 3, _I64), leaves, groups)


def _leaves_of(elements: list[Fields]) -> list[Leaf]:
    """Return the leaves of a schema, which is a tree written from the root on, each node before its children."""
    leaves: list[Leaf] = []
    open_nodes: list[int] = []  # how many children each node on the way still has
    root = ""
    for at, element in enumerate(elements):
        children = _number(element, 5, _I32)
        if at and not open_nodes:
            raise Malformed("a schema of more than one tree")
        if len(open_nodes) == 1:
            root = (_get(element, 4, _BINARY) or b"").decode("utf-8", "replace")
        if at and children <= 0:
            is_flat = len(open_nodes) == 1 and _number(element, 3, _I32) != 2  # not repeated
            leaves.append(Leaf(root, _number(element, 1, _I32), _number(element, 2, _I32), is_flat))
        if open_nodes:
            open_nodes[-1] -= 1
        if children > 0:
            open_nodes.append(children)
        while open_nodes and not open_nodes[-1]:
            open_nodes.pop()
    if open_nodes:
        raise Malformed("a schema that ends too early")
    return leaves


def of_parquet(body: bytes, footer: Footer, wanted: frozenset[str] | None = None) -> Declared:
    """Return what the pages of all columns declare, or of those ``wanted``. Raises Malformed."""
    total = Declared()
    for group in footer.groups:
        for leaf, chunk in zip(footer.leaves, group):
            if (wanted is not None and leaf.root not in wanted) or _number(chunk, 5, _I64) <= 0:
                continue  # of what has no value no page is read
            found = _of_pages(body, chunk, total)
            total.cells += found.cells
            total.size += found.size
            total.encodings |= found.encodings
            if leaf.type == _FIXED_LEN_BYTE_ARRAY:
                total.size += found.cells * max(0, leaf.length)
            elif leaf.is_text and not leaf.is_flat:  # each may be the longest of the dictionary
                total.size += found.cells * found.dictionary
    return total


def _of_pages(body: bytes, chunk: Fields, total: Declared) -> Declared:
    start, length = _number(chunk, 9, _I64), _number(chunk, 7, _I64)
    if 0 < _number(chunk, 11, _I64) < start:
        start = _number(chunk, 11, _I64)
    found, at, end = Declared(), start, start + length
    if not 0 <= start <= end <= len(body):
        raise Malformed("a column outside of the file")
    while at < end:
        total.add_parts(8)
        reader = _Thrift(body, at)
        page = reader.struct()
        kind, unpacked, packed = (_number(page, field, _I32) for field in (1, 2, 3))
        header = _fields(_get(page, _PAGE_HEADERS.get(kind, 0), _STRUCT))
        if unpacked < 0 or packed < 0:
            raise Malformed("a page of less than no bytes")
        found.size += unpacked
        if kind == _DICTIONARY_PAGE:
            found.dictionary += unpacked
        elif kind in _ENCODING_FIELDS:
            found.cells += max(0, _number(header, 1, _I32))
            found.encodings |= {_number(header, _ENCODING_FIELDS[kind], _I32)}
        at = reader.at + packed
    return found


def _get(fields: Fields, number: int, kind: int) -> Any:
    """Return a field's value; None where there is none. One of another kind would be passed over by others."""
    found, value = fields.get(number, (kind, None))
    if found != kind:
        raise Malformed("a field of another kind")
    return value


def _number(fields: Fields, number: int, kind: int) -> int:
    return int(_get(fields, number, kind) or 0)


def _fields(value: Any) -> Fields:
    if not isinstance(value, dict):
        raise Malformed("something that is no structure")
    return value


class _Thrift:
    """Reads structures of Thrift's compact protocol."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body = body
        self.at = at

    def struct(self, depth: int = 0) -> Fields:
        """Return a structure. Raises Malformed, also for a field that stands twice."""
        fields: Fields = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            if number in fields:
                raise Malformed("a field that stands twice")
            fields[number] = kind, kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise Malformed("a structure that is nested too deep")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, _I32, _I64):
            return self._zigzag()
        if kind in (7, _BINARY):
            return self._bytes(8 if kind == 7 else self._varint())
        if kind in (_LIST, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(min(count, len(self._body)))]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise Malformed("a structure with something unknown")

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self._body):
            raise Malformed("a structure that ends too early")
        return self._body[self.at - count : self.at]

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
