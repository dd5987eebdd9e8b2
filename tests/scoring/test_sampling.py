"""Are the rows that proofs use rows of the contract, and are the edges among them?"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Rows
from taxiway_scoring.payload import JSON_TYPE, read_request
from taxiway_scoring.sampling import SWEPT, Sampler
from tests.scoring.apps import a_contract

KINDS = ("boolean", "integer", "long", "float", "double", "string", "datetime")
CONTRACT = a_contract(*((f"a {kind}", kind) for kind in KINDS), *((f"another {kind}", kind) for kind in KINDS))
KNOWN: Rows = [
    (True, 3, 7, 0.5, 0.1, "red", "2024-05-06", False, -3, 2**40, 1.5, None, "", "2020-02-29T10:00:00"),
    (False, 4, 8, 0.25, 1e9, "green", None, True, 0, 0, 0.0, 3.5, "blue", "1999-12-31"),
]


def sampled(known: Rows, seed: int = 1, contract: Contract = CONTRACT) -> list[Rows]:
    sampler = Sampler(contract, known, seed)
    return [*sampler.sweeps(), sampler.usual(200), sampler.mixed(200)]


@pytest.mark.parametrize("known", [KNOWN, []], ids=["example", "none"])
def test_every_row_is_accepted_by_the_careful_reader(known: Rows) -> None:
    for rows in sampled(known):
        document = {"dataframe_split": {"columns": list(CONTRACT.names), "data": rows}}
        request = read_request(CONTRACT, json.dumps(document).encode(), JSON_TYPE)
        assert request.rows == len(rows)


def test_the_same_seed_gives_the_same_rows_and_another_others() -> None:
    assert repr(sampled(KNOWN, 5)) == repr(sampled(KNOWN, 5))
    assert sampled(KNOWN, 5) != sampled(KNOWN, 6)


def test_sweeps_have_every_edge_in_every_column() -> None:
    groups = list(Sampler(CONTRACT, KNOWN, 1).sweeps())
    rows = [row for group in groups for row in group]

    def cells(kind: str) -> list[set[str]]:
        return [{repr(row[at]) for row in rows} for at, c in enumerate(CONTRACT.columns) if c.type.kind == kind]

    expected: dict[str, list[Any]] = {
        "boolean": [True, False],
        "integer": [0, -1, 2**31 - 1, -(2**31)],
        "long": [2**53, 2**63 - 1, -(2**63)],
        "double": [None, -0.0, 5e-324, 1.7976931348623157e308],
        "string": [None, "", "NaN", "\U0001f600"],
        "datetime": [None, "1678-01-01", "2261-12-31"],
    }
    for kind, edges in expected.items():
        for column in cells(kind):
            assert {repr(edge) for edge in edges} <= column
    assert all(len(group) <= 2 * SWEPT for group in groups)
    # The last one lacks all that can be missing.
    nullable = {"float", "double", "string", "datetime"}
    assert all(
        (cell is None) == (c.type.kind in nullable) for row in groups[-1] for c, cell in zip(CONTRACT.columns, row)
    )


def test_usual_rows_lack_only_what_the_example_lacks_too() -> None:
    rows = Sampler(CONTRACT, KNOWN, 1).usual(500)
    missing = {at for row in rows for at, cell in enumerate(row) if cell is None}
    assert missing == {6, 11}
    assert {row[5] for row in rows} == {"red", "green"}


def test_usual_numbers_are_finite_and_differ() -> None:
    rows = Sampler(CONTRACT, KNOWN, 1).usual(500)
    assert len({row[4] for row in rows}) > 300
    assert all(math.isfinite(row[4]) for row in rows)
