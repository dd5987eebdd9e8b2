"""The predictor: the model behind one function, from a checked request to predictions.

The only place that imports MLflow, of the model's own environment, versions 2 and 3. Conversion of what was
checked is MLflow's own, so that predictions are bit for bit those of ``mlflow models serve``.
"""

from __future__ import annotations

import inspect
import io
import json
import logging
from pathlib import Path
from typing import Any, Protocol

from taxiway_scoring.contract import Contract
from taxiway_scoring.payload import Refused, Request

log = logging.getLogger("taxiway")


class LoadFailed(Exception):
    """The model could not be loaded: CamelCase reason, a sentence, what to do, whether trying again may help."""

    def __init__(self, reason: str, message: str, hint: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.retryable = retryable


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
        self._model = model
        self._contract = contract
        self._schema = model.metadata.get_input_schema()
        from_hints = getattr(model.metadata, "_is_signature_from_type_hint", None)
        self.is_typed = bool(from_hints and from_hints())
        self._takes_params = "params" in inspect.signature(model.predict).parameters

    def predict(self, request: Request) -> Any:
        """Convert as MLflow does, predict, and tell the schema's refusal from the model's failure."""
        data = self._convert(request)
        from mlflow.exceptions import MlflowException

        try:
            if self._takes_params:
                return self._model.predict(data, params=request.params)
            return self._model.predict(data)
        except MlflowException as error:
            if "enforce" in error.message[:200] or "params" in error.message[:80].lower():
                log.info("refused by the model's schema: %s", type(error).__name__)
                raise Refused(
                    422, "ContractViolation", "The input does not fit the model's schema: check types and shapes."
                ) from None
            raise

    def _convert(self, request: Request) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            if self.is_typed:
                if request.form != "inputs":
                    raise Refused(400, "MalformedBody", "This model takes its input as 'inputs' (it has type hints).")
                return request.value
            return self._parse(request)
        except Refused:
            raise
        except (MlflowException, ValueError, TypeError, KeyError, OverflowError) as error:
            log.info("input could not be converted: %s", type(error).__name__)
            raise Refused(
                422, "ContractViolation", "The input does not fit the model's schema: check types and shapes."
            ) from None

    def _parse(self, request: Request) -> Any:
        from mlflow.utils import proto_json_utils

        form, value = request.form, request.value
        if form in ("instances", "inputs"):
            return proto_json_utils.parse_tf_serving_input({form: value}, schema=self._schema)
        if form in ("dataframe_split", "dataframe_records"):
            return proto_json_utils.dataframe_from_parsed_json(
                value, pandas_orient=form.partition("_")[2], schema=self._schema
            )
        import pandas as pd

        if form == "csv":
            if self._schema is None or not self._schema.has_input_names():
                return pd.read_csv(io.StringIO(value))
            kinds = dict(zip(self._schema.input_names(), self._schema.pandas_types()))
            return pd.read_csv(io.StringIO(value), dtype=kinds)
        return self._read_parquet(value)

    def _read_parquet(self, body: bytes) -> Any:
        try:
            import pyarrow.parquet
        except ImportError:
            raise Refused(
                415,
                "UnsupportedMediaType",
                "The model's environment cannot read Parquet; add pyarrow to its requirements.",
            ) from None
        import pandas as pd
        import pyarrow

        try:
            frame = pd.read_parquet(io.BytesIO(body))
        except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError):
            raise Refused(400, "MalformedBody", "The body is not a Parquet table.") from None
        missing = [c.name for c in self._contract.columns if c.required and c.name not in frame.columns]
        if missing and self._contract.names:
            raise Refused(422, "ContractViolation", f"The table lacks column '{missing[0]}'.", column=missing[0])
        return frame


def load_predictor(files: Path, contract: Contract) -> PyfuncPredictor:
    """Load the model from a snapshot's files. Raises LoadFailed; the traceback goes to the log."""
    try:
        import mlflow.pyfunc

        return PyfuncPredictor(mlflow.pyfunc.load_model(str(files)), contract)
    except ModuleNotFoundError as error:
        log.exception("the model cannot be loaded")
        raise LoadFailed(
            "MissingPackage",
            f"The model needs the module {error.name}, which its environment does not have.",
            f"Add the package of {error.name} to the model's requirements and log it again, or log the code "
            "with code_paths.",
            retryable=False,
        ) from error
    except MemoryError as error:
        raise LoadFailed(
            "OutOfMemory", "The memory was not enough to load the model.", "Give it more memory."
        ) from error
    except Exception as error:
        log.exception("the model cannot be loaded")
        raise LoadFailed(
            "ModelLoadFailed",
            f"Loading the model raised {type(error).__name__}: {_first_line(error)}",
            "See the container log for where; load it in a clean environment to try.",
            retryable=False,
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "(no message)"


def find_example(files: Path, metadata: dict[str, Any]) -> bytes | None:
    """Return the model's own input example as the JSON body of a request; None where it was logged without one.

    MLflow 3 keeps the very body in ``serving_input_example.json``; earlier versions keep the data, described by
    ``saved_input_example_info``.
    """
    info = metadata.get("saved_input_example_info")
    if not isinstance(info, dict):
        return None
    serving = _read(files, str(info.get("serving_input_path") or "serving_input_example.json"))
    if serving is not None:
        return serving
    text = _read(files, str(info.get("artifact_path") or ""))
    if text is None:
        return None
    example = json.loads(text)
    params = None
    if info.get("example_params_path"):
        params = json.loads(_read(files, str(info["example_params_path"])) or b"null")
    elif isinstance(example, dict) and info.get("params"):
        params, example = example.get("params"), example.get("inputs", example)
    orient = info.get("pandas_orient")
    kind = info.get("type")
    if kind == "dataframe":
        body = {f"dataframe_{orient}" if orient in ("split", "records") else "dataframe_split": example}
    elif isinstance(example, dict) and "inputs" in example:
        body = {"inputs": example["inputs"]}
    else:
        body = {"inputs": example}
    return json.dumps(body | ({"params": params} if params else {})).encode()


def _read(files: Path, name: str) -> bytes | None:
    path = files / name
    if not name or not path.resolve().is_relative_to(files.resolve()) or not path.is_file():
        return None
    return path.read_bytes()
