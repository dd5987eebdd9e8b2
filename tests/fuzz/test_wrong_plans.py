"""Does the proof catch plans that are wrong in the ways in which plans are wrong? Real models, seeded mistakes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from taxiway_scoring.contract import Contract, compile_signature
from taxiway_scoring.decoding import Rows
from taxiway_scoring.payload import Request
from taxiway_scoring.plans import Plan, compile_plan
from taxiway_scoring.plans.loading import load_native
from taxiway_scoring.predictor import PyfuncPredictor, find_example, load_predictor
from taxiway_scoring.proof import Proof, prove
from taxiway_scoring.tables import Columns

if TYPE_CHECKING:
    Wrong = Callable[[Plan, Contract], Callable[[Rows], Any]]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),  # what the libraries warn of is not what is tried here
]
SEED = 20_261_126


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Make models of the zoo, each once."""
    from tests.zoo.__main__ import save

    home = tmp_path_factory.mktemp("zoo")
    return cache(lambda name: Model(save(name, SEED, home)))


class Model:
    """A model of the zoo, loaded by MLflow."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.metadata: dict[str, Any] = yaml.safe_load((files / "MLmodel").read_text())
        self.contract = compile_signature(self.metadata["signature"])
        self.predictor = Remembering(load_predictor(files, self.contract))

    def prove(self, wrong: Wrong) -> Proof:
        """Try a plan that does what ``wrong`` makes of the right one."""
        plan = compile_plan(load_native(self.files, self.metadata), self.contract)
        candidates = [("plan", lambda: Changed(plan.name, wrong(plan, self.contract)))]
        example = find_example(self.files, self.metadata)
        return prove(
            self.files, self.metadata, self.contract, self.predictor, example, seed=SEED, candidates=candidates
        )


class Remembering:
    """Pyfunc, asked the same things only once: every proof here draws the same rows."""

    is_typed = False

    def __init__(self, predictor: PyfuncPredictor) -> None:
        self.model = predictor.model
        self._pyfunc = predictor
        self._known: dict[str, Any] = {}

    def predict(self, request: Request) -> Any:
        key = repr(request.value)
        if key not in self._known:
            try:
                self._known[key] = self._pyfunc.predict(request)
            except Exception as error:
                self._known[key] = error
        answer = self._known[key]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Changed:
    """A plan around a function."""

    def __init__(self, name: str, predict: Callable[[Rows], Any]) -> None:
        self.name = name
        self.predict = predict

    def predict_columns(self, columns: Columns) -> Any:
        return self.predict(list(zip(*map(columns.cells, range(len(columns.values))), strict=True)))


def on_cells(kind: str, change: Callable[[Any], Any]) -> Wrong:
    """Change the cells of the first column of a kind."""

    def wrong(plan: Plan, contract: Contract) -> Callable[[Rows], Any]:
        at = next(at for at, column in enumerate(contract.columns) if column.type.kind == kind)
        return lambda rows: plan.predict([(*row[:at], change(row[at]), *row[at + 1 :]) for row in rows])

    return wrong


def on_answers(change: Callable[[Any], Any], *, of: Callable[[int], bool] = lambda _: True) -> Wrong:
    """Change the answers to requests ``of`` certain sizes."""
    return lambda plan, _: lambda rows: change(plan.predict(rows)) if of(len(rows)) else plan.predict(rows)


def one_ulp(answer: Any) -> Any:
    """Move a hundredth of the answers by one unit in the last place."""
    import numpy as np

    result = np.array(answer, dtype=np.float64)
    return np.where(result.view(np.int64) % 100 == 0, np.nextafter(result, np.inf), result)


def first_for_last(answer: Any) -> Any:
    answer = answer.copy()
    answer[-1] = answer[0]
    return answer


def single_precision(value: float | None) -> float | None:
    if value is None or abs(value) > 3e38:
        return value
    return float(struct.unpack("f", struct.pack("f", value))[0])


def instead(of: Any, value: Any) -> Callable[[Any], Any]:
    return lambda cell: value if cell == of and type(cell) is type(of) else cell


WRONG: dict[str, Wrong] = {
    "right": lambda plan, _: plan.predict,
    "categories swapped": on_cells("string", lambda cell: {"travel": "online", "online": "travel"}.get(cell, cell)),
    "one category taken for another": on_cells("string", instead("café", "fuel")),
    "unknown taken for known": on_cells("string", instead("A", "online")),
    "empty taken for missing": on_cells("string", instead("", None)),
    "missing text taken for empty": on_cells("string", instead(None, "")),
    "missing taken for zero": on_cells("double", instead(None, 0.0)),
    "missing goes to the other side": on_cells("double", instead(None, 1e300)),
    "32 bits instead of 64": on_cells("double", single_precision),
    "whole numbers wrap": on_cells("long", lambda cell: (cell + 2**31) % 2**32 - 2**31),
    "classes in another order": on_answers(lambda answer: answer[:, ::-1]),
    "one unit in the last place, rarely": on_answers(one_ulp),
    "answers of 32 bits": on_answers(lambda answer: answer.astype("float32")),
    "one class too few": on_answers(lambda answer: answer[:, 1]),
    "the first row's answer for the last": on_answers(first_for_last),
    "wrong for a single row": on_answers(lambda answer: answer * 0.5, of=lambda size: size == 1),
    "wrong for many rows": on_answers(lambda answer: answer * 0.5, of=lambda size: size >= 500),
    "labels as texts": on_answers(lambda answer: answer.astype(str)),
    "labels as fractions": on_answers(lambda answer: answer.astype(float)),
}
TEXTS = {"categories swapped", "one category taken for another", "unknown taken for known"}
PROBABILITIES = {
    "classes in another order", "one unit in the last place, rarely", "one class too few",
    "the first row's answer for the last", "wrong for a single row", "wrong for many rows",
}  # fmt: skip
CASES = {
    "a": TEXTS | PROBABILITIES | {"empty taken for missing"},
    "b": {"missing taken for zero", "one unit in the last place, rarely", "the first row's answer for the last"},
    "lightgbm-class": {"missing taken for zero", "missing goes to the other side", "labels as fractions"},
    "logistic": TEXTS | PROBABILITIES | {"missing text taken for empty", "answers of 32 bits", "32 bits instead of 64"},
    "target-encoded": TEXTS | PROBABILITIES - {"one unit in the last place, rarely"},
    "forest-several": {"categories swapped", "labels as texts", "wrong for many rows"},
    "linear": {"32 bits instead of 64", "whole numbers wrap", "one unit in the last place, rarely"},
    "kinds-encoded": TEXTS | PROBABILITIES,
}


@pytest.mark.parametrize("name", CASES)
def test_the_proof_catches(zoo: Callable[[str], Model], name: str) -> None:
    model = zoo(name)
    assert model.prove(WRONG["right"]).path == "plan"
    proofs = {wrong: model.prove(WRONG[wrong]) for wrong in sorted(CASES[name])}
    assert {wrong for wrong, proof in proofs.items() if proof.path == "plan"} == set()
    assert all(proof.reason.startswith("no plan: in a request of ") for proof in proofs.values())


def test_a_plan_that_fails_now_and_then_is_caught(zoo: Callable[[str], Model]) -> None:
    chance = random.Random(SEED)

    def wrong(plan: Plan, _: Contract) -> Callable[[Rows], Any]:
        def predict(rows: Rows) -> Any:
            if chance.random() < 0.05:
                raise RuntimeError("now and then")
            return plan.predict(rows)

        return predict

    proof = zoo("lightgbm-class").prove(wrong)
    assert (proof.path, proof.reason.rpartition(" only ")[2]) == ("pyfunc", "it fails")
