"""Plans: from rows to predictions without a data frame, for models whose every step is known.

A plan is compiled when a pod starts and is used only where ``proof.py`` has found it equal to ``mlflow.pyfunc``, bit
for bit; what cannot be compiled says why and takes a slower path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from taxiway_scoring.contract import Contract, is_tabular
from taxiway_scoring.decoding import Rows
from taxiway_scoring.tables import Columns

if TYPE_CHECKING:
    from taxiway_scoring.plans.loading import Native
    from taxiway_scoring.plans.matrices import Matrix


class NotCompilable(Exception):
    """A part of the model is not known; the message says which, for people."""


class Plan(Protocol):
    """Predicts for rows. One call at a time: buffers and handles are used again."""

    @property
    def name(self) -> str:
        """What it does, for people: ``columns → OneHotEncoder → LightGBM``."""

    def predict(self, rows: Rows) -> Any:
        """Return a NumPy array of 1 or 2 dimensions, one row for each. Raises what the model would raise."""

    def predict_columns(self, columns: Columns) -> Any:
        """Return the same for a plain table."""


@dataclass(frozen=True)
class Estimator:
    """The last step. ``predict`` takes a matrix (rows by features) and returns a NumPy array."""

    name: str
    predict: Callable[[Any], Any]
    takes_dense: bool = False
    """A dense matrix gives the same as a sparse one."""
    adds_exactly: bool = False
    """How the matrix lies in memory makes no difference."""


@dataclass(frozen=True)
class MatrixPlan:
    """A matrix made of the rows, then an estimator on it."""

    name: str
    matrix: Matrix
    estimator: Estimator

    def predict(self, rows: Rows) -> Any:
        """See ``Plan``."""
        return self.estimator.predict(self.matrix.transform(rows))

    def predict_columns(self, columns: Columns) -> Any:
        """See ``Plan``."""
        return self.estimator.predict(self.matrix.transform(columns))


def compile_plan(native: Native, contract: Contract) -> Plan:
    """Make the plan of a loaded model. Raises NotCompilable."""
    if not is_tabular(contract):
        raise NotCompilable("its input is not a table of named single values")
    if contract.params:
        raise NotCompilable("it has inference parameters")
    from taxiway_scoring.plans.estimators import compile_estimator
    from taxiway_scoring.plans.matrices import compile_matrix

    if native.method == "transform":
        raise NotCompilable("what transform returns is a table of any kind")
    steps = _steps(native.model)
    estimator = compile_estimator(steps[-1], native.method)
    matrix = compile_matrix(steps[:-1], contract.columns, in_order=not estimator.adds_exactly)
    if matrix.is_sparse and not estimator.takes_dense:
        matrix = matrix.as_sparse()
    return MatrixPlan(" → ".join([matrix.name, estimator.name]), matrix, estimator)


def _steps(model: Any) -> list[Any]:
    """Return a pipeline's steps, those of nested pipelines in place; a model alone is one step."""
    steps = getattr(model, "steps", None)
    if type(model).__name__ != "Pipeline" or steps is None:
        return [model]
    if getattr(model, "transform_input", None):
        raise NotCompilable("a Pipeline with transform_input")
    return [inner for _, step in steps if step is not None and step != "passthrough" for inner in _steps(step)]
