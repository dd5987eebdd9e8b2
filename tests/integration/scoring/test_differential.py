"""The same predictions as ``mlflow models serve``, bit for bit; every other difference is in the reviewed table.

docs/reference/refused-inputs.md is that table; it is read here, and a row that nothing needs any more fails too.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from taxiway_scoring.tables import ARROW_STREAM
from tests.integration.scoring.calls import Connection
from tests.integration.scoring.cases import NUMBERS, PARQUET, PAYMENT, Case, all_cases, parquet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TABLE = Path(__file__).parents[3] / "docs" / "reference" / "refused-inputs.md"
CASES = all_cases()


def rows_of_the_table() -> dict[str, re.Pattern[str]]:
    refused = TABLE.read_text("utf-8").partition("\n# Inputs that are accepted")[0]
    found = re.findall(r"^\| `(.+?)` \|", refused, re.MULTILINE)
    return {row: re.compile(".*".join(map(re.escape, row.split("…"))) + r"\Z", re.DOTALL) for row in found}


ROWS = rows_of_the_table()


def as_ours(predictions: bytes) -> Any:
    """Read MLflow's answer with what is missing as null, which is the one way in which answers differ."""
    return json.loads(predictions.replace(b'"NaT"', b"null"), parse_constant=lambda _: None)


@dataclass
class Outcome:
    """What came of a group of cases: the differences, and the rows of the table that explain others."""

    wrong: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def outcomes(servers: dict[str, Path]) -> dict[str, Outcome]:
    """Every case, sent to both servers."""
    return {group: compare_all(servers, cases) for group, cases in CASES.items()}


def compare_all(servers: dict[str, Path], cases: Iterable[Case]) -> Outcome:
    outcome = Outcome()
    with ExitStack() as stack:

        @cache
        def connection(which: str, model: str) -> Connection:
            return stack.enter_context(Connection(servers[which] / model, timeout=120))

        for case in cases:
            theirs, ours = (
                connection(which, case.model).predict(case.body, case.content_type) for which in ("mlflow", "ours")
            )
            if theirs[0] >= 500:  # MLflow's server closes the connection after it, and does not say so
                connection("mlflow", case.model).close()
            trouble = compare(case, theirs, ours, outcome.used)
            if trouble:
                said = f"MLflow {theirs[0]}, ours {ours[0]}"
                outcome.wrong.append(f"{case.model} {case.content_type} {case.body[:160]!r}: {said}: {trouble}")
    return outcome


@pytest.mark.parametrize("group", CASES)
def test_both_servers_agree(outcomes: dict[str, Outcome], group: str) -> None:
    assert not outcomes[group].wrong, "\n".join(outcomes[group].wrong)


def test_the_table_has_no_row_that_nothing_needs(outcomes: dict[str, Outcome]) -> None:
    assert set(ROWS) == set().union(*(outcome.used for outcome in outcomes.values()))


def compare(case: Case, theirs: tuple[int, bytes], ours: tuple[int, bytes], used: set[str]) -> str:
    """Say what is wrong with the two answers; '' when nothing is."""
    if ours[0] == 200:
        if theirs[0] != 200:
            return "" if case.may_be_beyond else "accepted beyond MLflow"
        # By their texts, which differ when any bit of a number, or a type, does.
        same = repr(as_ours(theirs[1])["predictions"]) == repr(json.loads(ours[1])["predictions"])
        return "" if same else f"{theirs[1][:200]!r} {ours[1][:200]!r}"
    problem = json.loads(ours[1])
    message: str = problem["message"]
    if case.must_pass:
        return message
    if theirs[0] == 200:
        row = next((row for row, pattern in ROWS.items() if pattern.match(message)), None)
        if row is None:
            return f"in no row of the table: {message}"
        used.add(row)
    elif ours[0] >= 500 and problem["reason"] != "PredictionFailed":
        return message
    return ""


def test_accepted_beyond_mlflow(servers: dict[str, Path]) -> None:
    """The second table: what is understood although MLflow's server does not."""
    body, older = b'{"inputs": [150.5]}', b'{"columns": ["amount"], "data": [[150.5]]}'
    with Connection(servers["ours"] / "rules") as rules:
        for sent, content_type in (
            (body, ""), (body, "APPLICATION/JSON"), (body, "Application/Json; Charset=UTF-8"),
            (older, "application/json; format=pandas-split"),
        ):  # fmt: skip
            status, answer = rules.predict(sent, content_type)
            assert status == 200, answer
            assert json.loads(answer)["predictions"][0]["score"] == 1.0
    with Connection(servers["ours"] / "answers") as answers:
        for kind, expected in {"a_set": [1], "na": [{"x": 1}, {"x": None}]}.items():
            status, answer = answers.predict({"inputs": {"x": [1]}, "params": {"kind": kind}})
            assert (status, json.loads(answer)["predictions"]) == (200, expected)


def test_a_parquet_table_that_unpacks_to_too_much_is_refused(servers: dict[str, Path]) -> None:
    bomb = parquet(pd.DataFrame({"x": np.zeros(11_000_000)}))
    assert len(bomb) < 1_000_000
    with Connection(servers["ours"] / "one") as connection:
        status, answer = connection.predict(bomb, PARQUET)
    assert (status, json.loads(answer)["reason"]) == (413, "BodyTooLarge")


@pytest.mark.parametrize("model", ["sklearn", "proba", "lightgbm", "xgboost", "one"])
def test_tables_of_every_kind_give_what_json_gives(servers: dict[str, Path], model: str) -> None:
    rows: list[dict[str, Any]] = (
        [{"x": 0.5}, {"x": 2.5}] if model == "one" else [PAYMENT, PAYMENT | {"amount": 400.25, "country": "XX"}]
    )
    if model in ("lightgbm", "xgboost"):
        rows = [NUMBERS, NUMBERS | {"a": None, "c": -0.25}]
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    with Connection(servers["ours"] / model) as connection:
        status, expected = connection.predict(json.dumps({"dataframe_records": rows}).encode(), "application/json")
        assert status == 200, expected
        for body, content_type in ((stream.getvalue(), ARROW_STREAM), (parquet(table.to_pandas()), PARQUET)):
            status, answer = connection.predict(body, content_type)
            assert status == 200, answer
            assert json.loads(answer) == json.loads(expected)
