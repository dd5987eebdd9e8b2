"""Rows that a contract allows: ordinary ones, and those at its edges. Deterministic for a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
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
MISSING = 0.1
"""How often a cell is missing where it may be."""
STRAY = 0.02
"""How often a usual number is any. Models are blind for all else in a row with one far from what they know."""
SWEPT = 3
"""How many rows have an edge in the same column."""
NUMBERS = ("boolean", *INTEGER_RANGE, "float", "double")


class Sampler:
    """Draws rows for a tabular contract. ``known`` are rows of an input example; there may be none."""

    def __init__(self, contract: Contract, known: Rows, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - for tests, not secrets
        self._columns = [
            _Column(column.type.kind, [row[at] for row in known]) for at, column in enumerate(contract.columns)
        ]

    def usual(self, count: int) -> Rows:
        """Return rows of the example with their cells mixed and moved; missing is only what is missing there too."""
        chance, columns = self._chance, self._columns
        return [tuple([column.usual(chance) for column in columns]) for _ in range(count)]

    def mixed(self, count: int) -> Rows:
        """Return rows of which each has usual, random and edge cells in shares of its own, up to edges only."""
        chance, rows = self._chance, []
        for _ in range(count):
            edges, randoms = chance.choice((0.0, 0.0, 0.1, 0.5, 1.0)), chance.choice((0.0, 0.5, 1.0))
            rows.append(
                tuple(
                    [
                        column.edge(chance)
                        if chance.random() < edges
                        else column.anything(chance)
                        if chance.random() < randoms
                        else column.usual(chance)
                        for column in self._columns
                    ]
                )
            )
        return rows

    def sweeps(self) -> Iterator[Rows]:
        """Yield every edge of every column: one group for each value, with rows of which one column has it.

        What a model does not predict (an infinity for it, an unknown category) spoils its own group only. The last
        group is empty as far as that is allowed: each row lacks all that can be missing.
        """
        chance, columns = self._chance, self._columns
        groups: dict[tuple[str, int], list[int]] = {}
        for at, column in enumerate(columns):
            for edge in range(len(column.edges)):
                groups.setdefault((column.kind, edge), []).extend([at] * SWEPT)
        for (_, edge), places in groups.items():
            rows = self.usual(len(places))
            yield [(*row[:at], columns[at].edges[edge], *row[at + 1 :]) for at, row in zip(places, rows)]
        yield [
            tuple([None if column.kind in NULLABLE else column.usual(chance) for column in columns]) for _ in range(2)
        ]


class _Column:
    def __init__(self, kind: str, known: Sequence[Any]) -> None:
        self.kind = kind
        self.known = list(dict.fromkeys(value for value in known if value is not None))
        self.may_miss = any(value is None for value in known)
        self.edges = _edges(kind)

    def edge(self, chance: random.Random) -> Any:
        return chance.choice(self.edges)

    def usual(self, chance: random.Random) -> Any:
        """Return a value of the example, one near it, or another number."""
        if self.may_miss and chance.random() < MISSING:
            return None
        if not self.known or (self.kind in NUMBERS and chance.random() < STRAY):
            return self._some(chance)
        value = chance.choice(self.known)
        if isinstance(value, float) and chance.random() < 0.7:
            return _of_kind(self.kind, value * chance.uniform(0.5, 1.5) + chance.gauss(0, 1))
        if type(value) is int and chance.random() < 0.5:
            low, high = INTEGER_RANGE[self.kind]
            return min(high, max(low, value + chance.randrange(-5, 6)))
        return value

    def anything(self, chance: random.Random) -> Any:
        """Return any value that is no edge."""
        if self.kind in NULLABLE and chance.random() < MISSING:
            return None
        return self._some(chance)

    def _some(self, chance: random.Random) -> Any:
        kind = self.kind
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
