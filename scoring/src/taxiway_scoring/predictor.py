"""The predictor: the model behind one function, from a checked request to predictions.

The only place that imports MLflow, of the model's own environment, versions 2 and 3. Conversion of what was
checked is MLflow's own, so that predictions are bit for bit those of ``mlflow models serve``.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import math
import os
from pathlib import Path
from typing import Any, Protocol

from taxiway_scoring.contract import Contract
from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.methods import PREDICT, by_method, with_method
from taxiway_scoring.payload import Request
from taxiway_scoring.refusals import Refused, malformed, violation

log = logging.getLogger("taxiway")


class Predictor(Protocol):
    """What the protocols call. One call at a time unless a predictor says otherwise."""

    mlflow_version: str
    is_typed: bool
    """The model checks its own input by type hints; the contract does not."""

    def predict(self, request: Request) -> Any:
        """Return the model's predictions. Raises Refused where the model's own schema refuses the input."""


class PyfuncPredictor:
    """Any MLflow model, through ``mlflow.pyfunc``."""

    def __init__(self, model: Any, contract: Contract) -> None:
        import mlflow

        self.mlflow_version: str = mlflow.__version__
        self._home = f"{Path(mlflow.__file__).parent}{os.sep}"
        self.model = model
        self.contract = contract
        self._schema = model.metadata.get_input_schema()
        from_hints = getattr(model.metadata, "_is_signature_from_type_hint", None)
        self.is_typed = bool(from_hints and from_hints())
        self._takes_params = "params" in inspect.signature(model.predict).parameters

    def predict(self, request: Request) -> Any:
        """Convert as MLflow does, predict, and tell the schema's refusal from the model's failure."""
        data = self.convert(request)
        from mlflow.exceptions import MlflowException

        try:
            if self._takes_params:
                return self.model.predict(data, params=request.params)
            return self.model.predict(data)
        except MlflowException as error:
            if self._is_of_mlflow(error):
                raise _does_not_fit(self.contract, error) from None
            raise

    def _is_of_mlflow(self, error: BaseException) -> bool:
        """Say whether MLflow itself raised this, before it called any code of the model."""
        frame, place = error.__traceback__, ""
        while frame is not None:
            place = frame.tb_frame.f_code.co_filename
            if place != __file__ and not place.startswith(self._home):
                return False
            frame = frame.tb_next
        return True

    def convert(self, request: Request) -> Any:
        """Return the data that the model is handed. Raises Refused where the schema refuses the input."""
        if self.is_typed:
            if request.form != "inputs":
                raise malformed("This model takes its input as 'inputs' (it has type hints).")
            return request.value
        if request.form in ("table", "frame"):
            return request.value.frame() if request.form == "table" else request.value
        from mlflow.exceptions import MlflowException

        try:
            return self._parse(request.form, request.value)
        except (MlflowException, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise _does_not_fit(self.contract, error) from None

    def _parse(self, form: str, value: Any) -> Any:
        from mlflow.utils import proto_json_utils

        if form in ("instances", "inputs"):
            return proto_json_utils.parse_tf_serving_input({form: value}, schema=self._schema)
        if form in ("dataframe_split", "dataframe_records"):
            return proto_json_utils.dataframe_from_parsed_json(
                value, pandas_orient=form.partition("_")[2], schema=self._schema
            )
        import pandas as pd

        if self._schema is None:
            return pd.read_csv(io.StringIO(value))
        kinds = dict(zip(self._schema.input_names(), self._schema.pandas_types()))
        return pd.read_csv(io.StringIO(value), dtype=kinds)


def _does_not_fit(contract: Contract, error: Exception) -> Refused:
    """Say that MLflow's schema refused the input; its own message holds the input, so only a column's name is taken."""
    log.info("refused by the model's schema: %s", type(error).__name__)
    message = str(error)
    for name in contract.names:
        if f"Failed to convert column {name} to type" in message or f"types for column {name}." in message:
            return violation(f"Column '{name}' cannot be converted: are all its values of one kind?", column=name)
    return violation("The input does not fit the model's schema: check types and shapes.")


def import_mlflow() -> None:
    """Import what loads models, so that what it does itself counts for no model. Fails later where it is missing."""
    with contextlib.suppress(Exception):
        import mlflow.pyfunc  # noqa: F401


def load_predictor(files: Path, contract: Contract, method: str = PREDICT) -> PyfuncPredictor:
    """Load the model from a snapshot's files, to answer with a method. Raises LoadFailed; the traceback is logged.

    The predictor's own contract promises what that method returns.
    """
    # MLflow's own server says this of itself; models with type hints parse their input differently then.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    try:
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(files))
    except Exception as error:
        log.exception("the model cannot be loaded")
        raise explain_load(error) from error
    if method != PREDICT:
        contract = with_method(contract, by_method(model, method), method)
    return PyfuncPredictor(model, contract)


def explain_load(error: BaseException) -> LoadFailed:
    """Say why a model could not be loaded, by the error that was there first."""
    cause, seen = error, {id(error)}
    while cause.__cause__ is not None and id(cause.__cause__) not in seen:
        cause = cause.__cause__
        seen.add(id(cause))
    if isinstance(cause, ModuleNotFoundError):
        return LoadFailed(
            "MissingPackage",
            f"The model needs the module {cause.name}, which its environment does not have.",
            f"Add the package of {cause.name} to the model's requirements and log it again, or log the code "
            "with code_paths.",
            retryable=False,
        )
    if isinstance(cause, MemoryError):
        return LoadFailed("OutOfMemory", "The memory was not enough to load the model.", "Give it more memory.")
    return LoadFailed(
        "ModelLoadFailed",
        f"Loading the model raised {type(cause).__name__}: {_first_line(cause)}",
        "See the container log for where; load it in a clean environment to try.",
        retryable=False,
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "(no message)"


def find_example(files: Path, metadata: dict[str, Any]) -> bytes | None:
    """Return the model's own input example as the JSON body of a request; None where it was logged without one.

    MLflow 3 keeps the very body in ``serving_input_example.json``; earlier versions keep the data, described by
    ``saved_input_example_info``. Raises LoadFailed for one that is not JSON.
    """
    info = metadata.get("saved_input_example_info")
    if not isinstance(info, dict) or str(info.get("type")).startswith("sparse"):
        return None
    try:
        body = _read(files, info.get("serving_input_path") or "serving_input_example.json")
        if body is None:
            body = _older_example(files, info)
        # MLflow writes a bare NaN where an example has one in an array or a list.
        return None if body is None else json.dumps(_without_nan(body), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise LoadFailed(
            "MalformedModel",
            "The model's input example is not valid JSON.",
            "Log the model again.",
            retryable=False,
        ) from error


def _older_example(files: Path, info: dict[str, Any]) -> Any:
    example = _read(files, info.get("artifact_path"))
    if example is None:
        return None
    params = None
    if info.get("example_params_path"):  # MLflow 2.9: in a file of their own
        params = _read(files, info["example_params_path"])
    elif info.get("params") and isinstance(example, dict):
        params, example = example.get("params"), example.get("inputs", example)
    if info.get("type") == "dataframe":
        orient = info.get("pandas_orient")
        form = "dataframe_records" if orient == "records" else "dataframe_split"
        body = {form: {"data": example} if orient == "values" and isinstance(example, list) else example}
    elif info.get("type") == "ndarray" and isinstance(example, dict) and example.keys() <= {"inputs", "instances"}:
        body = dict(example)
    else:
        body = {"inputs": example}
    return body | ({"params": params} if params else {})


def _read(files: Path, name: object) -> Any:
    """Return what a JSON file beside the model says; None for one that is not there or not below it."""
    path = files / str(name or "")
    if not name or not path.resolve().is_relative_to(files.resolve()) or not path.is_file():
        return None
    return json.loads(path.read_text("utf-8"))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
