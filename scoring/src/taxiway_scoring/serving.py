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
from taxiway_scoring.decoding import Decoder, Rows, rows_of
from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.methods import PREDICT, find_method, with_method
from taxiway_scoring.payload import Request
from taxiway_scoring.plans import NotCompilable, Plan, compile_plan
from taxiway_scoring.plans.loading import Native, load_native
from taxiway_scoring.predictor import Predictor, PyfuncPredictor, load_predictor
from taxiway_scoring.proof import Proof
from taxiway_scoring.tables import Columns

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

    contract: Contract
    """What the endpoint accepts and returns, by the method that answers."""
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


@dataclass(frozen=True)
class Loaded:
    """A model loaded in the way that will most likely serve: natively where its flavor is known."""

    files: Path
    contract: Contract
    method: str
    native: Native | None
    plans: tuple[Plan, Plan] | None
    generic: PyfuncPredictor | None

    @classmethod
    def of(cls, files: Path, metadata: Mapping[str, Any], contract: Contract, method: str = PREDICT) -> Loaded:
        """Load a snapshot's model. Raises LoadFailed."""
        native: Native | None = None
        plans = None
        try:
            native = load_native(files, metadata, method)
            if method != PREDICT:
                find_method(native.model, method)
                contract = with_method(contract, native.model, method)
            plans = compile_plan(native, contract), compile_plan(native, contract)
        except LoadFailed:
            raise
        except NotCompilable as error:
            log.info("no plan: %s", error)
        except Exception as error:
            # MLflow's way to load it finds the words for what is wrong.
            log.info("it cannot be loaded natively: %s", type(error).__name__, exc_info=True)
        if native is not None:
            return cls(files, contract, method, native, plans, None)
        generic = load_predictor(files, contract, method)
        return cls(files, generic.contract, method, None, None, generic)


def choose(loaded: Loaded, proof: Proof | None, *, rows_are_independent: bool | None = None) -> Served:
    """Return the path that was proven, and ``mlflow.pyfunc`` where there is no proof. Raises LoadFailed.

    ``rows_are_independent`` is the owner's word, None where there is none: it lets requests be joined, or keeps them
    apart, whatever the proof found.
    """
    if proof is None:
        return _generic(loaded, "nothing faster was proven", may_join=bool(rows_are_independent))
    if proof.path == "pyfunc":
        return _generic(loaded, proof.reason, may_join=bool(rows_are_independent))
    may_join = proof.rows_are_independent if rows_are_independent is None else rows_are_independent
    try:
        return _fast(loaded, proof, may_join=may_join)
    except NotCompilable as error:
        log.warning("the proven %s cannot be made: %s", proof.path, error)
        return _generic(loaded, f"the proven path cannot be made: {error}", may_join=bool(rows_are_independent))


def serve_by_pyfunc(
    files: Path, contract: Contract, reason: str, *, rows_are_independent: bool | None, method: str = PREDICT
) -> Served:
    """Return the generic path, whatever is proven, for a reason to be told. Raises LoadFailed."""
    generic = load_predictor(files, contract, method)
    loaded = Loaded(files, generic.contract, method, None, None, generic)
    return _generic(loaded, reason, may_join=bool(rows_are_independent))


def _generic(loaded: Loaded, reason: str, *, may_join: bool) -> Served:
    contract = loaded.contract
    predictor = loaded.generic or load_predictor(loaded.files, contract, loaded.method)
    decoder = Decoder.of(contract)
    rows = None
    if decoder is not None and not contract.params and not predictor.is_typed:
        rows = RowPath(decoder, AsTable(predictor, contract), None, may_join)
    return Served(contract, predictor, rows, "pyfunc", "mlflow.pyfunc", reason)


def _fast(loaded: Loaded, proof: Proof, *, may_join: bool) -> Served:
    from taxiway_scoring.plans.frames import FramePlan

    files, contract = loaded.files, loaded.contract
    decoder = Decoder.of(contract)
    if decoder is None:
        raise NotCompilable("its input is not a table of named single values")
    plan: Plan
    if proof.needs_mlflow:
        generic = loaded.generic or load_predictor(files, contract, loaded.method)
        plan = FramePlan.of_pyfunc(generic.model, contract)
        rows = RowPath(decoder, plan, None, may_join)
        return Served(contract, generic, rows, proof.path, plan.name, proof.reason)
    inline: Plan | None = None
    if proof.path == "plan":
        if loaded.plans is None:
            raise NotCompilable("there is none for what was loaded")
        plan, inline = loaded.plans
    elif loaded.native is None:
        raise NotCompilable("it could not be loaded natively")
    else:
        plan = FramePlan.of_native(loaded.native, contract)
    predictor = PlannedPredictor(plan, contract, lambda: _late(files, contract, loaded.method))
    rows = RowPath(decoder, plan, inline, may_join)
    return Served(contract, predictor, rows, proof.path, plan.name, proof.reason)


def _late(files: Path, contract: Contract, method: str) -> PyfuncPredictor:
    try:
        return load_predictor(files, contract, method)
    except LoadFailed as error:
        raise RuntimeError(error.message) from error


class AsTable:
    """The generic path for rows: what the quick reader checked need not be read again, only be converted by MLflow."""

    name = "mlflow.pyfunc"

    def __init__(self, predictor: Predictor, contract: Contract) -> None:
        self._predictor = predictor
        self._names = list(contract.names)

    def predict(self, rows: Rows) -> Any:
        """See ``Plan``."""
        value = {"columns": self._names, "data": [list(row) for row in rows]}
        return self._predictor.predict(Request("dataframe_split", value, rows=len(rows)))

    def predict_columns(self, columns: Columns) -> Any:
        """See ``Plan``."""
        return self._predictor.predict(Request("table", columns, rows=len(columns)))
