"""Rows → the data frame that MLflow hands to a flavor after it enforced the schema, without enforcing it again."""

from __future__ import annotations

from typing import Any

from taxiway_scoring.contract import Contract, is_tabular
from taxiway_scoring.decoding import Rows
from taxiway_scoring.plans import NotCompilable
from taxiway_scoring.plans.loading import Native
from taxiway_scoring.tables import Columns

DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "datetime": "datetime64[ns]",
}
"""NumPy's names for what MLflow's column types become (``mlflow.types.DataType.to_numpy``, ``to_pandas``)."""


class FrameMaker:
    """Makes typed data frames of rows."""

    def __init__(self, contract: Contract) -> None:
        if not is_tabular(contract):
            raise NotCompilable("its input is not a table of named single values")
        import numpy as np
        import pandas as pd

        self._array = np.array
        self._frame = pd.DataFrame
        self._series = pd.Series
        self._to_datetime = pd.to_datetime
        self._columns = [(name, DTYPES[c.type.kind]) for name, c in zip(contract.names, contract.columns)]

    def make(self, rows: Rows) -> Any:
        """Return the frame of rows (at least one)."""
        columns = {}
        for (name, dtype), values in zip(self._columns, zip(*rows)):
            if dtype == "datetime64[ns]":
                # As MLflow reads them: texts of several forms in one request are refused.
                columns[name] = self._to_datetime(self._series(values)).astype(dtype)
            elif dtype == "object":
                columns[name] = self._series(values)  # as pandas infers it: since version 3 it has a type for texts
            else:
                columns[name] = self._array(values, dtype=dtype)
        return self._frame(columns)


class FramePlan:
    """A data frame of the rows, then the flavor's own method."""

    def __init__(self, contract: Contract, call: Any, name: str, *, needs_mlflow: bool) -> None:
        self._maker = FrameMaker(contract)
        self._call = call
        self.name = name
        self.needs_mlflow = needs_mlflow

    def predict(self, rows: Rows) -> Any:
        """Return what the model returns for these rows."""
        return self._call(self._maker.make(rows))

    def predict_columns(self, columns: Columns) -> Any:
        """See ``Plan``."""
        return self._call(columns.frame())

    @classmethod
    def of_native(cls, native: Native, contract: Contract) -> FramePlan:
        """Call the library itself. Raises NotCompilable."""
        if contract.params:
            raise NotCompilable("it has inference parameters")
        model, call = native.model, getattr(native.model, native.method, None)
        if not callable(call):
            raise NotCompilable(f"{type(model).__name__} has no {native.method}")
        if native.flavor == "xgboost" and type(model).__name__ == "Booster":
            import xgboost

            def call(frame: Any) -> Any:
                return model.predict(xgboost.DMatrix(frame))

        return cls(contract, call, f"frame → {type(model).__name__}", needs_mlflow=False)

    @classmethod
    def of_pyfunc(cls, model: Any, contract: Contract) -> FramePlan:
        """Call the flavor inside a loaded pyfunc model, past its schema enforcement. Raises NotCompilable."""
        call = getattr(model, "_predict_fn", None)
        if call is None or contract.params:
            raise NotCompilable("its pyfunc flavor has no method of its own, or takes parameters")
        flavor = type(getattr(model, "_model_impl", None)).__name__
        return cls(contract, call, f"frame → {flavor.lstrip('_')}", needs_mlflow=True)
