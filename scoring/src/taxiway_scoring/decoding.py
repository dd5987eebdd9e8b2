"""Request body → rows, in one pass: JSON read by types that were made of the contract.

A short cut, not a second opinion: what passes here is a part of what the careful reader (``payload.py``) accepts, and
becomes the same values. Whatever is unusual (escapes, whole numbers beyond 53 bits, columns that are missing or more
than asked for) is left to the careful reader, which also finds the words for a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Optional

import msgspec

from taxiway_scoring.contract import INTEGER_RANGE, Column, Contract, is_datetime, is_tabular
from taxiway_scoring.payload import Request

Rows = list[tuple[Any, ...]]
"""One tuple a row, cells in the contract's order: boolean → bool, integer and long → int, float and double → float or
None, string and datetime → str or None."""
MAX_ORDERS = 16
"""For how many different orders of a table's columns a decoder is kept."""
_EXACT = {"double": 2.0**53, "float": 2.0**24}
"""Below these every whole number is exact, so that a number's way of writing does not matter."""


def _cell_type(kind: str) -> Any:
    if kind == "boolean":
        return bool
    if kind in INTEGER_RANGE:
        low, high = INTEGER_RANGE[kind]
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if kind in _EXACT:
        return Optional[Annotated[float, msgspec.Meta(gt=-_EXACT[kind], lt=_EXACT[kind])]]  # noqa: UP045
    return Optional[str]  # noqa: UP045


class Decoder:
    """Reads ``dataframe_split`` and ``dataframe_records`` of one contract."""

    def __init__(self, contract: Contract) -> None:
        """``contract`` must be tabular; see ``of``."""
        columns = contract.columns
        self._names = contract.names
        self._types = [_cell_type(column.type.kind) for column in columns]
        kinds = [column.type.kind for column in columns]
        self._texts = [at for at, kind in enumerate(kinds) if kind in ("string", "datetime")]
        self._times = [at for at, kind in enumerate(kinds) if kind == "datetime"]
        self._name_colons = sum(name.count(":") for name in self._names)
        self._split = self._split_decoder(self._names)
        self._orders: dict[tuple[str, ...], tuple[Any, list[int]]] = {}
        self._columns = msgspec.json.Decoder(_Split)
        self._records = self._records_decoder()

    @classmethod
    def of(cls, contract: Contract) -> Decoder | None:
        """Return the decoder of a contract; None where its input is no table of single values."""
        return cls(contract) if is_tabular(contract) else None

    def decode(self, body: bytes) -> Rows | None:
        """Return the rows of a JSON body with at least one; None where the careful reader must look. Never raises."""
        if b"\\u003a" in body or b"\\u003A" in body:  # then the colons do not tell how many keys there are
            return None
        start = body[:64]
        try:
            if b'"dataframe_split"' in start:
                return self._read_split(body)
            if b'"dataframe_records"' in start and self._records is not None:
                return self._read_records(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        return None

    def _read_split(self, body: bytes) -> Rows | None:
        order = None
        try:
            table = self._split.decode(body).dataframe_split
        except msgspec.ValidationError:
            found = self._of_order(self._columns.decode(body).dataframe_split.columns)
            if found is None:
                return None
            decoder, order = found
            table = decoder.decode(body).dataframe_split
        else:
            if table.columns != self._names:
                found = self._of_order(table.columns)
                if found is None:
                    return None
                decoder, order = found
                table = decoder.decode(body).dataframe_split
        rows: Rows = table.data
        if order is not None:
            rows = [tuple([row[at] for at in order]) for row in rows]
        # The keys are dataframe_split, columns and data; a fourth would be one of them again.
        return rows if self._is_good(rows, body, 3 + self._name_colons) else None

    def _read_records(self, body: bytes) -> Rows | None:
        records = self._records.decode(body).dataframe_records
        rows: Rows = list(map(msgspec.structs.astuple, records))
        keys = 1 + len(rows) * (len(self._names) + self._name_colons)
        return rows if self._is_good(rows, body, keys) else None

    def _is_good(self, rows: Rows, body: bytes, colons: int) -> bool:
        """Tell whether no key stands twice (each has one colon, others are in texts), and times are times."""
        if not rows:
            return False
        found = body.count(b":")
        if found != colons:
            for row in rows:
                for at in self._texts:
                    text = row[at]
                    if text is not None and ":" in text:
                        colons += text.count(":")
            if found != colons:
                return False
        for at in self._times:
            for row in rows:
                if row[at] is not None and not is_datetime(row[at]):
                    return False
        return True

    def _split_decoder(self, names: tuple[str, ...]) -> Any:
        types = [self._types[self._names.index(name)] for name in names]
        split = msgspec.defstruct(
            "Split",
            [("columns", tuple[str, ...]), ("data", list[tuple[tuple(types)]])],  # type: ignore[misc]
            forbid_unknown_fields=True,
            gc=False,
        )
        body = msgspec.defstruct("Body", [("dataframe_split", split)], forbid_unknown_fields=True, gc=False)
        return msgspec.json.Decoder(body)

    def _of_order(self, columns: tuple[str, ...]) -> tuple[Any, list[int]] | None:
        """Return decoder and places for the contract's columns in another order."""
        known = self._orders.get(columns)
        if known is None:
            if len(columns) != len(self._names) or set(columns) != set(self._names) or columns == self._names:
                return None
            if len(self._orders) >= MAX_ORDERS:
                self._orders.clear()
            known = self._split_decoder(columns), [columns.index(name) for name in self._names]
            self._orders[columns] = known
        return known

    def _records_decoder(self) -> Any:
        fields = [(f"f{at}", type_) for at, type_ in enumerate(self._types)]
        try:
            record = msgspec.defstruct(
                "Record",
                fields,
                rename={f"f{at}": name for at, name in enumerate(self._names)},
                forbid_unknown_fields=True,
                gc=False,
            )
        except (ValueError, TypeError):  # a name with characters that JSON escapes
            return None
        body = msgspec.defstruct("Body", [("dataframe_records", list[record])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
        return msgspec.json.Decoder(body)


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    columns: tuple[str, ...]
    data: msgspec.Raw


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Table


# ------------------------------------------------------------------ from a checked request


def rows_of(contract: Contract, request: Request) -> Rows | None:
    """Return the rows of a checked request; None where only MLflow's own conversion knows what they are.

    Tables that lack an optional column have no rows: a model sees the difference between a column of missing values
    and none.
    """
    if not is_tabular(contract) or request.params or not request.rows:
        return None
    table = request.value
    if request.form == "dataframe_split":
        names = table.get("columns")
        if names is None:
            return None
        places = {str(name): at for at, name in enumerate(names)}
        if any(name not in places for name in contract.names):
            return None
        columns = [[row[places[name]] for row in table["data"]] for name in contract.names]
    elif request.form == "dataframe_records":
        if any(name not in row for name in contract.names for row in table):
            return None
        columns = [[row[name] for row in table] for name in contract.names]
    else:
        return None
    return list(zip(*map(_cells, contract.columns, columns)))


def _cells(column: Column, values: list[Any]) -> list[Any]:
    convert = _CONVERSIONS.get(column.type.kind)
    return values if convert is None else [None if value is None else convert(value) for value in values]


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"integer": int, "long": int, "float": float, "double": float}
