"""Is a path used only where it gives what pyfunc gives, bit for bit, failures included?"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Rows
from taxiway_scoring.payload import Request
from taxiway_scoring.plans import NotCompilable
from taxiway_scoring.proof import BUDGET_SECONDS, Proof, prove, read_proof, same
from taxiway_scoring.tables import Columns
from tests.scoring.apps import ByRows, FakePredictor, a_contract, a_tensor

CONTRACT = a_contract(("x", "double"), ("s", "string"))
EXAMPLE = b'{"dataframe_split": {"columns": ["x", "s"], "data": [[1.5, "a"], [2.5, "b"]]}}'


class FakePlan(ByRows):
    """A path around a function of one row."""

    needs_mlflow = False

    def __init__(self, score: Callable[[Any, Any], float], name: str = "fake") -> None:
        self._score = score
        self.name = name

    def predict(self, rows: Rows) -> Any:
        return [self._score(*row) for row in rows]


def score(x: float | None, s: str | None) -> float:
    return math.nan if x is None else x / 3 + len(s or "")


def pyfunc(function: Callable[[Any, Any], float]) -> FakePredictor:
    return FakePredictor(lambda request: [function(*row) for row in request.value["data"]])


def proven(
    plan: Callable[[Any, Any], float] | None,
    *,
    reference: Callable[[Any, Any], float] = score,
    frame: Callable[[Any, Any], float] | None = score,
    contract: Contract = CONTRACT,
) -> Proof:
    def make(function: Callable[[Any, Any], float] | None, name: str) -> Callable[[], FakePlan]:
        def made() -> FakePlan:
            if function is None:
                raise NotCompilable("a step that is not known")
            return FakePlan(function, name)

        return made

    candidates = [("plan", make(plan, "p")), ("frame", make(frame, "f"))]
    return prove(Path(), {}, contract, pyfunc(reference), EXAMPLE, seed=1, candidates=candidates)


def test_a_plan_that_is_equal_is_taken() -> None:
    proof = proven(score)
    assert (proof.path, proof.name, proof.reason, proof.needs_mlflow) == ("plan", "p", "", False)
    assert proof.rows_are_independent
    assert proof.rows > 1_000
    assert {1, 2, 7, 100, 1_000} <= {*proof.batches}


def ulp(x: float | None, s: str | None) -> float:
    return math.nextafter(score(x, s), math.inf) if s == "b" else score(x, s)


def no_missing(x: float | None, s: str | None) -> float:
    return score(0.0 if x is None else x, s)


def whole(x: float | None, s: str | None) -> float:
    return int(score(x, s)) if x == 0 else score(x, s)


def fails(x: float | None, s: str | None) -> float:
    if s == "":
        raise ValueError
    return score(x, s)


@pytest.mark.parametrize("wrong", [ulp, no_missing, whole, fails], ids=lambda wrong: wrong.__name__)
def test_a_plan_that_is_wrong_anywhere_is_not(wrong: Callable[[Any, Any], float]) -> None:
    proof = proven(wrong)
    assert proof.path == "frame"
    assert proof.reason.startswith("no plan: in a request of ")


def test_same_means_the_same_bits_and_types() -> None:
    assert same([0.1, {"a": None}], [0.1, {"a": None}])
    assert not same(0.0, -0.0)
    assert not same(1, 1.0)
    assert not same(True, 1)
    assert not same([1.0], [1.0, 1.0])
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})


def test_a_plan_must_fail_where_pyfunc_fails() -> None:
    assert proven(fails, reference=fails).path == "plan"
    assert proven(score, reference=fails, frame=fails).path == "frame"


def test_where_nothing_is_equal_pyfunc_serves_and_says_why() -> None:
    proof = proven(None, frame=ulp)
    assert (proof.path, proof.needs_mlflow, proof.rows_are_independent) == ("pyfunc", True, False)
    assert proof.reason.startswith("no plan: a step that is not known; no frame: in a request of ")


def test_rows_that_see_each_other_are_not_joined() -> None:
    class Ranked(FakePlan):
        def predict(self, rows: Rows) -> Any:
            return [float(len(rows))] * len(rows)

    predictor = FakePredictor(lambda request: [float(len(request.value["data"]))] * len(request.value["data"]))
    candidates = [("plan", lambda: Ranked(score))]
    proof = prove(Path(), {}, CONTRACT, predictor, None, seed=1, candidates=candidates)
    assert (proof.path, proof.rows_are_independent) == ("plan", False)


def test_what_is_no_table_or_typed_takes_pyfunc() -> None:
    tensor = a_contract(inputs=[a_tensor("float64", -1, 2)])
    assert proven(score, contract=tensor).reason == "its input is not a table of named single values"
    typed = prove(Path(), {}, CONTRACT, FakePredictor(lambda _: [], is_typed=True), None, seed=1, candidates=[])
    assert typed.reason == "the model checks its input itself, by type hints"


def test_a_model_that_predicts_nothing_takes_pyfunc() -> None:
    def never(_: Request) -> Any:
        raise ValueError

    proof = prove(Path(), {}, CONTRACT, FakePredictor(never), None, seed=1, candidates=[])
    assert proof.reason == "pyfunc predicts none of the rows that the contract allows"


def test_a_proof_survives_json_and_a_strange_one_is_none() -> None:
    proof = proven(score)
    assert read_proof(proof.to_dict()) == proof
    told = read_proof({"failed": {"reason": "OutOfMemory", "message": "It took too much."}})
    assert told is not None
    assert (told.path, told.reason) == ("pyfunc", "It took too much.")
    strange: Any
    for strange in (None, [], {}, {"version": 1}, proof.to_dict() | {"version": 2}):
        assert read_proof(strange) is None


class Clock:
    """Time that passes only where somebody works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("taxiway_scoring.proof.time.monotonic", lambda: self.now)

    def slowly(self, function: Callable[[Any], Any], seconds: float) -> Callable[[Any], Any]:
        def slow(argument: Any) -> Any:
            self.now += seconds
            return function(argument)

        return slow


def test_a_model_that_is_too_slow_for_all_edges_takes_pyfunc(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    predictor = FakePredictor(clock.slowly(lambda request: [score(*row) for row in request.value["data"]], 2.0))
    proof = prove(Path(), {}, CONTRACT, predictor, EXAMPLE, seed=1, candidates=[("plan", lambda: FakePlan(score))])
    assert (proof.path, proof.reason) == ("pyfunc", "pyfunc is too slow to be compared with anything")
    assert clock.now < 2 * BUDGET_SECONDS


def test_a_path_that_is_too_slow_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    plan = FakePlan(score)
    monkeypatch.setattr(plan, "predict", clock.slowly(plan.predict, 5.0))
    candidates = [("plan", lambda: plan)]
    proof = prove(Path(), {}, CONTRACT, pyfunc(score), EXAMPLE, seed=1, candidates=candidates)
    assert (proof.path, proof.reason) == ("pyfunc", "no plan: it is too slow to be compared with pyfunc")
    assert clock.now < 3 * BUDGET_SECONDS


def test_a_path_that_gives_something_else_for_columns_is_not_used() -> None:
    class Wrong(FakePlan):
        def predict_columns(self, columns: Columns) -> Any:
            found = super().predict_columns(columns)
            return found if len(columns) < 10 else [*found[1:], found[0]]

    candidates = [("plan", lambda: Wrong(score))]
    proof = prove(Path(), {}, CONTRACT, pyfunc(score), EXAMPLE, seed=1, candidates=candidates)
    assert proof.path == "pyfunc"
    assert proof.reason.startswith("no plan: as columns, in a request of ")
