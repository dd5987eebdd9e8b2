"""Rows that a contract allows: ordinary ones, and those at its edges. Deterministic for a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from taxiway_scoring.contract import INTEGER_RANGE, NULLABLE, Contract
from taxiway_scoring.decoding import Rows

EDGE_TEXTS = (
    "",
    " ",
    "a",
    "A",
    "NaN",
    "None",
    "nan",
    "0",
    "1.5",
    "true",
    "ü",
    "日本",
    "\U0001f600",
    "x" * 300,
    "é",
    "\x7f",
)
EDGE_DOUBLES = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 5e-324, 1e300, -1e300, 1.7976931348623157e308, 2.0**53 - 1, 1 / 3)
EDGE_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, -1e30, 1 / 3)
EDGE_WHOLES = (0, 1, -1, 2, 100, 2**31 - 1, -(2**31), 2**53, -(2**53), 2**63 - 1, -(2**63))
EDGE_TIMES = ("1970-01-01", "1969-12-31T23:59:59.999999999", "2000-02-29T00:00:00", "2261-12-31", "1678-01-01")


def sample_rows(contract: Contract, known: Rows, seed: int, count: int) -> Rows:
    """Return ``count`` rows for a tabular contract.

    A third are rows of ``known`` (an input example) with their cells mixed, a third are random, a third have edges:
    missing, extreme, unknown or empty values in one cell, in some, or in all. The edges of each column alone come
    first, so that also a few rows meet most of them.
    """
    chance = random.Random(seed)  # noqa: S311 - for tests, not secrets
    columns = [_Column(column.type.kind, [row[at] for row in known]) for at, column in enumerate(contract.columns)]
    rows: Rows = [*known[:count]]
    for at, column in enumerate(columns):
        for edge in column.edges:
            cells = [other.usual(chance) for other in columns]
            cells[at] = edge
            rows.append(tuple(cells))
    chance.shuffle(rows)
    rows = rows[:count]
    while len(rows) < count:
        share = chance.choice((0.0, 0.0, 0.1, 0.5, 1.0))
        of_random = chance.choice((0.0, 0.5, 1.0))
        rows.append(
            tuple(
                column.edge(chance)
                if chance.random() < share
                else column.random(chance)
                if chance.random() < of_random
                else column.usual(chance)
                for column in columns
            )
        )
    return rows


class _Column:
    def __init__(self, kind: str, known: Sequence[Any]) -> None:
        self.kind = kind
        self.known = list(dict.fromkeys(value for value in known if value is not None))
        self.edges = _edges(kind)

    def edge(self, chance: random.Random) -> Any:
        return chance.choice(self.edges)

    def usual(self, chance: random.Random) -> Any:
        """Return a value of the example, or one near it."""
        if not self.known:
            return self.random(chance)
        value = chance.choice(self.known)
        if isinstance(value, float) and chance.random() < 0.7:
            return _of_kind(self.kind, value * chance.uniform(0.5, 1.5) + chance.gauss(0, 1))
        if type(value) is int and chance.random() < 0.5:
            low, high = INTEGER_RANGE[self.kind]
            return min(high, max(low, value + chance.randrange(-5, 6)))
        return value

    def random(self, chance: random.Random) -> Any:
        kind = self.kind
        if kind in NULLABLE and chance.random() < 0.1:
            return None
        if kind == "boolean":
            return chance.random() < 0.5
        if kind in INTEGER_RANGE:
            low, high = INTEGER_RANGE[kind]
            size = chance.choice((3, 100, 10_000, 2**31 - 1))
            return max(low, min(high, chance.randrange(-size, size)))
        if kind in ("float", "double"):
            return _of_kind(kind, chance.gauss(0, 1) * 10 ** chance.uniform(-3, 6))
        if kind == "datetime":
            moment = datetime(1970, 1, 1) + timedelta(seconds=chance.randrange(-(10**9), 4 * 10**9))  # noqa: DTZ001
            return moment.isoformat()
        if self.known and chance.random() < 0.7:
            return chance.choice(self.known)
        return "".join(chance.choice("abcXYZ 019_") for _ in range(chance.randrange(0, 12)))


def _edges(kind: str) -> list[Any]:
    edges: list[Any] = [None] if kind in NULLABLE else []
    if kind == "boolean":
        return [*edges, False, True]
    if kind in INTEGER_RANGE:
        low, high = INTEGER_RANGE[kind]
        return [*edges, *(value for value in EDGE_WHOLES if low <= value <= high)]
    if kind == "float":
        return [*edges, *(_of_kind(kind, value) for value in EDGE_FLOATS)]
    if kind == "double":
        return [*edges, *EDGE_DOUBLES]
    return [*edges, *(EDGE_TIMES if kind == "datetime" else EDGE_TEXTS)]


def _of_kind(kind: str, value: float) -> float:
    """Round to what a 32-bit float holds, where the column has those (JSON would carry more digits)."""
    if kind != "float":
        return value
    import struct

    return float(struct.unpack("f", struct.pack("f", max(-3e38, min(3e38, value))))[0])
