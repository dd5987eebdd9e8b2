"""Which path a pod serves by: what the proof says, loaded; without a proof, ``mlflow.pyfunc``."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway_scoring.contract import Contract
from taxiway_scoring.decoding import Decoder, rows_of
from taxiway_scoring.payload import Request
from taxiway_scoring.plans import NotCompilable, Plan, compile_plan
from taxiway_scoring.plans.loading import load_native
from taxiway_scoring.predictor import LoadFailed, Predictor, PyfuncPredictor, load_predictor
from taxiway_scoring.proof import Proof

log = logging.getLogger("taxiway")


@dataclass(frozen=True)
class RowPath:
    """How rows become predictions without MLflow's conversion."""

    decoder: Decoder
    plan: Plan
    """For the worker thread."""
    inline: Plan | None
    """Another of the same for the event loop, where one prediction takes microseconds."""
    may_join: bool
    """Rows of several requests may be predicted together."""


@dataclass(frozen=True)
class Served:
    """A loaded model: the predictor for any request, the path for plain rows if there is one, and what to tell."""

    predictor: Predictor
    rows: RowPath | None
    path: str
    name: str
    reason: str


class PlannedPredictor:
    """Any request for a model with a row path: as rows where it can be, else by ``mlflow.pyfunc``, loaded late."""

    is_typed = False

    def __init__(self, plan: Plan, contract: Contract, load: Callable[[], Predictor]) -> None:
        self._plan = plan
        self._contract = contract
        self._load = load
        self._generic: Predictor | None = None
        self._lock = threading.Lock()
        self.mlflow_version = _installed_mlflow()

    def predict(self, request: Request) -> Any:
        """See ``Predictor``."""
        rows = rows_of(self._contract, request)
        if rows is not None:
            return self._plan.predict(rows)
        with self._lock:
            if self._generic is None:
                log.info("loading mlflow.pyfunc for a request that is no plain table")
                self._generic = self._load()
        return self._generic.predict(request)


def _installed_mlflow() -> str:
    for package in ("mlflow", "mlflow-skinny"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # noqa: PERF203
            continue
    return ""


def choose(
    files: Path,
    metadata: Mapping[str, Any],
    contract: Contract,
    proof: Proof | None,
    *,
    rows_are_independent: bool | None = None,
) -> Served:
    """Load the model for the path that was proven. Raises LoadFailed.

    ``rows_are_independent`` is the owner's word, None where there is none: it lets requests be joined, or keeps them
    apart, whatever the proof found.
    """
    if proof is not None and proof.path in ("plan", "frame"):
        may_join = proof.rows_are_independent if rows_are_independent is None else rows_are_independent
        try:
            return _fast(files, metadata, contract, proof, may_join=may_join)
        except Exception as error:
            # The generic path finds its own words for what is wrong with the model.
            log.warning("the proven %s cannot be made (%s); mlflow.pyfunc serves", proof.path, error)
            proof = None
            reason = f"the proven path could not be made: {type(error).__name__}"
            return _generic(files, contract, reason, may_join=bool(rows_are_independent))
    reason = "there is no proof for this model yet" if proof is None else proof.reason
    return _generic(files, contract, reason, may_join=bool(rows_are_independent))


def _generic(files: Path, contract: Contract, reason: str, *, may_join: bool) -> Served:
    predictor = load_predictor(files, contract)
    decoder = Decoder.of(contract)
    rows = None
    if may_join and decoder is not None and not contract.params and not predictor.is_typed:
        rows = RowPath(decoder, _Joined(predictor, contract), None, may_join=True)
    return Served(predictor, rows, "pyfunc", "mlflow.pyfunc", reason)


def _fast(files: Path, metadata: Mapping[str, Any], contract: Contract, proof: Proof, *, may_join: bool) -> Served:
    from taxiway_scoring.plans.frames import FramePlan

    decoder = Decoder.of(contract)
    if decoder is None:
        raise NotCompilable("its input is not a table of named single values")
    predictor: Predictor
    inline: Plan | None = None
    plan: Plan
    if proof.needs_mlflow:
        predictor = generic = load_predictor(files, contract)
        plan = FramePlan.of_pyfunc(generic.model, contract)
    else:
        native = load_native(files, metadata)
        if proof.path == "plan":
            plan, inline = compile_plan(native, contract), compile_plan(native, contract)
        else:
            plan = FramePlan.of_native(native, contract)
        predictor = PlannedPredictor(plan, contract, lambda: _late(files, contract))
    return Served(predictor, RowPath(decoder, plan, inline, may_join), proof.path, plan.name, proof.reason)


def _late(files: Path, contract: Contract) -> PyfuncPredictor:
    try:
        return load_predictor(files, contract)
    except LoadFailed as error:
        raise RuntimeError(error.message) from error


class _Joined:
    """The generic path for rows of several requests: one request of all of them."""

    name = "mlflow.pyfunc"

    def __init__(self, predictor: Predictor, contract: Contract) -> None:
        self._predictor = predictor
        self._names = list(contract.names)

    def predict(self, rows: Any) -> Any:
        value = {"columns": self._names, "data": [list(row) for row in rows]}
        return self._predictor.predict(Request("dataframe_split", value, rows=len(rows)))
