"""The proof: which path from rows to predictions equals ``mlflow.pyfunc``, bit for bit, on rows of the contract.

Runs once for a snapshot, an environment, a version of this package and a CPU, in a process of its own: it needs MLflow,
which a pod that serves a proven plan does not. Equal means: after JSON, each number is the same number (also the
sign of a zero), and where pyfunc raises, the path raises.
"""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from taxiway_scoring.answers import plain
from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Decoder, Rows, rows_of
from taxiway_scoring.methods import PREDICT
from taxiway_scoring.payload import JSON_TYPE, Request, read_request
from taxiway_scoring.plans import NotCompilable, Plan
from taxiway_scoring.refusals import Refused
from taxiway_scoring.sampling import Sampler
from taxiway_scoring.tables import Columns, columns_of_rows

VERSION = 1
SINGLES = 20
"""How many rows pyfunc scores one by one; at some 20 ms each."""
REQUESTS = ((1, SINGLES), (2, 5), (7, 5), (100, 1))
"""Sizes of requests with rows of all kinds, and how many of each."""
LARGE = (100, 1_000)
"""Sizes of requests of usual rows: one edge that a model refuses would spoil the whole request."""
BUDGET_SECONDS = 30.0
"""Pyfunc is asked nothing more after this time, and no path after twice as much. What is slower is not proven."""
PIECES = 120
"""How many more requests come of those that are taken to pieces."""
SINGLE_SECONDS = 1.0
"""How long a path is asked for rows one by one: thousands by a plan, a hundred by data frames, those of edges first."""
log = logging.getLogger("taxiway")


@dataclass(frozen=True)
class Proof:
    """Which path serves, and why no faster one. ``rows`` were compared, in requests of the sizes ``batches``."""

    path: str
    """plan, frame or pyfunc."""
    needs_mlflow: bool
    name: str
    reason: str
    rows_are_independent: bool
    rows: int
    batches: tuple[int, ...]
    seed: int
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return {**asdict(self), "batches": list(self.batches)}


class Different(Exception):
    """A path does not give what pyfunc gives; the message says where, without values."""


Predict = Callable[[Rows], Any]
Candidates = Sequence[tuple[str, Callable[[], Plan]]]


def prove(
    files: Path,
    metadata: Mapping[str, Any],
    contract: Contract,
    predictor: Any,
    example: bytes | None,
    *,
    seed: int,
    method: str = PREDICT,
    candidates: Candidates | None = None,
) -> Proof:
    """Find the fastest path that equals ``predictor``, a PyfuncPredictor of the same files and method.

    Raises nothing.
    """
    began = time.monotonic()
    generic = Generic(predictor, contract)
    known = known_rows(contract, example)
    tried: list[str] = []
    if Decoder.of(contract) is None:
        return _pyfunc("its input is not a table of named single values", seed)
    if predictor.is_typed:
        return _pyfunc("the model checks its input itself, by type hints", seed)
    try:
        reference = _Reference(generic, known, Sampler(contract, known, seed), began + BUDGET_SECONDS)
    except Different as error:
        return _pyfunc(str(error), seed)
    for kind, make in candidates or candidates_of(files, metadata, contract, predictor, method):
        try:
            plan = make()
            joins = reference.compare(plan.predict)
            reference.compare_columns(plan.predict_columns, contract)
        except (NotCompilable, Different) as error:  # noqa: PERF203
            tried.append(f"no {kind}: {error}")
        except Exception as error:
            log.info("the %s failed", kind, exc_info=True)
            tried.append(f"no {kind}: making it raised {type(error).__name__}")
        else:
            is_known = not getattr(plan, "needs_mlflow", False)
            return Proof(
                path=kind,
                needs_mlflow=bool(getattr(plan, "needs_mlflow", False)),
                name=plan.name,
                reason="; ".join(tried),
                rows_are_independent=is_known and joins,
                rows=reference.count,
                batches=reference.batches,
                seed=seed,
            )
    return _pyfunc("; ".join(tried), seed, rows=reference.count)


def _pyfunc(reason: str, seed: int, rows: int = 0) -> Proof:
    return Proof("pyfunc", True, "mlflow.pyfunc", reason, rows_are_independent=False, rows=rows, batches=(), seed=seed)


def candidates_of(
    files: Path, metadata: Mapping[str, Any], contract: Contract, predictor: Any, method: str = PREDICT
) -> Candidates:
    """Return the paths that may serve a model, the fastest first: its kind, and what makes it."""
    from taxiway_scoring.plans import compile_plan
    from taxiway_scoring.plans.frames import FramePlan
    from taxiway_scoring.plans.loading import load_native

    def native_frame() -> Plan:
        return FramePlan.of_native(load_native(files, metadata, method), contract)

    return [
        ("plan", lambda: compile_plan(load_native(files, metadata, method), contract)),
        ("frame", native_frame),
        ("frame", lambda: FramePlan.of_pyfunc(predictor.model, contract)),
    ]


def known_rows(contract: Contract, example: bytes | None) -> Rows:
    """Return the rows of a model's input example; none where it has none that is a plain table."""
    if example is None:
        return []
    try:
        return rows_of(contract, read_request(contract, example, JSON_TYPE)) or []
    except Refused:
        return []


class Generic:
    """Rows as a request, through MLflow's own conversion and enforcement."""

    def __init__(self, predictor: Any, contract: Contract) -> None:
        self._predictor = predictor
        self._names = list(contract.names)

    def __call__(self, rows: Rows) -> Any:
        """Return what the model says to a request of these rows."""
        value = {"columns": self._names, "data": [list(row) for row in rows]}
        return self._predictor.predict(Request("dataframe_split", value, rows=len(rows)))


def outcome(predict: Predict, rows: Rows) -> Any:
    """Return predictions as JSON has them; None for a failure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return plain(predict(rows))
    except Exception as error:
        log.debug("no prediction: %s", type(error).__name__)
        return None


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same in JSON, to the last bit of each number."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return bool(one == other) and math.copysign(1.0, one) == math.copysign(1.0, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


class _Reference:
    """What pyfunc says to requests of several sizes."""

    def __init__(self, generic: Predict, known: Rows, sampler: Sampler, until: float) -> None:
        self._generic = generic
        self._until = until
        self._pieces = PIECES
        self.answers: list[tuple[Rows, Any]] = []
        if known:
            self._ask(known)
        for group in sampler.sweeps():
            self._ask(group)
        if time.monotonic() > until:
            raise Different("pyfunc is too slow to be compared with anything")
        for size, times in REQUESTS:
            for _ in range(times):
                self._ask(sampler.mixed(size))
        for size in LARGE:
            self._ask(sampler.usual(size))
        if all(answer is None for _, answer in self.answers):
            raise Different("pyfunc predicts none of the rows that the contract allows")
        self.count = sum(len(rows) for rows, _ in self.answers)
        self.batches = tuple(sorted({len(rows) for rows, _ in self.answers}))

    def _ask(self, rows: Rows) -> None:
        if not rows or (self.answers and time.monotonic() > self._until):
            return
        answer = outcome(self._generic, rows)
        self.answers.append((rows, answer))
        if answer is None and len(rows) > 1 and self._pieces > 0:
            # One row that cannot be predicted hides what the others give.
            self._pieces -= 2
            self._ask(rows[: len(rows) // 2])
            self._ask(rows[len(rows) // 2 :])

    def compare(self, predict: Predict) -> bool:
        """Raise Different where a path gives something else; tell whether rows together get what each gets alone.

        Rows are asked for alone too. Pyfunc is asked the same only where a row got something else among others: mostly
        that is all the same to it, and takes a hundred times as long.
        """
        for rows, expected in self.answers:
            if time.monotonic() > self._until + BUDGET_SECONDS:
                raise Different("it is too slow to be compared with pyfunc")
            found = outcome(predict, rows)
            if not same(found, expected):
                raise Different(_where(rows, found, expected))
        parts = [
            (row, answer[at]) for rows, answer in self.answers if _is_table(rows, answer) for at, row in enumerate(rows)
        ]
        is_joined, until = True, time.monotonic() + SINGLE_SECONDS
        for row, among_others in parts:
            if time.monotonic() > until:
                break
            alone = outcome(predict, [row])
            if _is_table([row], alone) and same(alone[0], among_others):
                continue
            is_joined = False
            expected = outcome(self._generic, [row])
            if not same(alone, expected):
                raise Different(_where([row], alone, expected))
        return is_joined and self._joins(predict)

    def compare_columns(self, predict: Callable[[Columns], Any], contract: Contract) -> None:
        """Raise Different where a path gives something else for the same rows as columns."""
        for rows, expected in self.answers:
            found = outcome(lambda rows: predict(columns_of_rows(contract, rows)), rows)
            if not same(found, expected):
                raise Different(f"as columns, {_where(rows, found, expected)}")

    def _joins(self, predict: Predict) -> bool:
        """Tell whether what pyfunc said to small requests is what the path says to all of their rows together."""
        small = [(rows, answer) for rows, answer in self.answers if len(rows) < 10 and _is_table(rows, answer)]
        rows = [row for part, _ in small for row in part]
        together = outcome(predict, rows) if rows else None
        return _is_table(rows, together) and same(together, [one for _, answer in small for one in answer])


def _is_table(rows: Rows, answer: Any) -> bool:
    """Tell whether an answer has one part for each row."""
    return isinstance(answer, list) and len(answer) == len(rows)


def _where(part: Sequence[Any], found: Any, expected: Any) -> str:
    of = f"a request of {len(part)} row{'s' if len(part) > 1 else ''}"
    if (found is None) is not (expected is None):
        return f"in {of} only {'it' if found is None else 'pyfunc'} fails"
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        row = next((at for at, (a, b) in enumerate(zip(found, expected)) if not same(a, b)), 0)
        return f"in {of}, row {row} differs from pyfunc"
    return f"in {of} the answer has another shape than pyfunc's"


def read_proof(document: Any) -> Proof | None:
    """Return the proof that a configuration holds; None where it holds none that this version understands."""
    if not isinstance(document, dict):
        return None
    failed = document.get("failed")
    if isinstance(failed, dict):
        return _pyfunc(str(failed.get("message") or "the proof failed")[:300], 0)
    if document.get("version") != VERSION:
        return None
    try:
        return Proof(**{**document, "batches": tuple(document["batches"])})
    except (TypeError, KeyError):
        return None


def dump(proof: Proof) -> str:
    """Return the proof as one line of JSON."""
    return json.dumps(proof.to_dict(), sort_keys=True)
