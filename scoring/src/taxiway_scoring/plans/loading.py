"""A model in its own library's form, loaded as MLflow's flavors load it, without importing MLflow.

What the loaders here do follows ``_load_pyfunc`` of ``mlflow.sklearn``, ``mlflow.lightgbm``, ``mlflow.xgboost`` and
``mlflow.catboost`` (versions 2 and 3). Runs in pods only: these formats run the model's code when they are loaded.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway_scoring.methods import PREDICT
from taxiway_scoring.plans import NotCompilable

LOGGED = (PREDICT, "predict_proba", "predict_log_proba", "decision_function")
"""Methods that a model may be logged with to be loaded here."""


@dataclass(frozen=True)
class Native:
    """A loaded model and the method that predicts."""

    flavor: str
    model: Any
    method: str = PREDICT


def load_native(files: Path, metadata: Mapping[str, Any], method: str = PREDICT) -> Native:
    """Load a snapshot's model, to predict with a method; ``predict`` stands for the one that it was logged with.

    Raises NotCompilable for a flavor that is not known, and whatever loading raises.
    """
    flavors = metadata.get("flavors")
    pyfunc = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(flavors, dict) or not isinstance(pyfunc, dict):
        raise NotCompilable("it has no python_function flavor")
    package, _, flavor = str(pyfunc.get("loader_module")).partition(".")
    load = _LOADERS.get(flavor) if package == "mlflow" else None
    own = flavors.get(flavor)
    if load is None or not isinstance(own, dict):
        kind = "a custom pyfunc model" if str(pyfunc.get("loader_module")).startswith("mlflow.pyfunc") else flavor
        raise NotCompilable(f"its flavor is not known ({kind})")
    if method == PREDICT:
        method = str(pyfunc.get("predict_fn") or PREDICT)
        _check_logged(flavor, method)
    _add_code(files, pyfunc.get("code"))
    return Native(flavor, load(files, own, pyfunc), method)


def _check_logged(flavor: str, method: str) -> None:
    if method not in LOGGED or (flavor != "sklearn" and method != PREDICT):
        raise NotCompilable(f"it predicts with {method}")


def _add_code(files: Path, code: object) -> None:
    """Let the model's own modules be found, as ``mlflow.pyfunc`` does it."""
    if code:
        sys.path.insert(0, str(_inside(files, code)))


def _inside(files: Path, name: object) -> Path:
    path = files / str(name)
    if not path.resolve().is_relative_to(files.resolve()):
        raise NotCompilable("a path of its MLmodel leads elsewhere")
    return path


def _unpickle(path: Path, conf: Mapping[str, Any]) -> Any:
    form = conf.get("serialization_format", "pickle")
    if form == "skops":
        skops = importlib.import_module("skops.io")
        return skops.load(path, trusted=conf.get("skops_trusted_types"))
    if form == "cloudpickle":
        # Importing it registers what its pickles need.
        importlib.import_module("cloudpickle")
    elif form != "pickle":
        raise NotCompilable(f"its serialization format is {form}")
    import pickle

    with path.open("rb") as stream:
        return pickle.load(stream)  # noqa: S301 - the model's own code, in its own pod


def _sklearn(files: Path, conf: Mapping[str, Any], pyfunc: Mapping[str, Any]) -> Any:
    return _unpickle(_inside(files, pyfunc.get("model_path", "model.pkl")), conf)


def _lightgbm(files: Path, conf: Mapping[str, Any], _pyfunc: Mapping[str, Any]) -> Any:
    path = _inside(files, conf.get("data"))
    if conf.get("model_class", "lightgbm.basic.Booster") != "lightgbm.basic.Booster":
        return _unpickle(path, {"serialization_format": "cloudpickle", **conf})
    lightgbm = importlib.import_module("lightgbm")
    return lightgbm.Booster(model_file=str(path))


def _xgboost(files: Path, conf: Mapping[str, Any], _pyfunc: Mapping[str, Any]) -> Any:
    xgboost = importlib.import_module("xgboost")
    package, _, name = str(conf.get("model_class", "xgboost.core.Booster")).rpartition(".")
    if package not in ("xgboost.core", "xgboost.sklearn"):
        raise NotCompilable(f"its class is {name}")
    model = getattr(xgboost, name)()
    model.load_model(str(_inside(files, conf.get("data"))))
    return model


def _catboost(files: Path, conf: Mapping[str, Any], _pyfunc: Mapping[str, Any]) -> Any:
    name = str(conf.get("model_type"))
    if name not in ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker"):
        raise NotCompilable(f"its class is {name}")
    model = getattr(importlib.import_module("catboost"), name)()
    model.load_model(str(_inside(files, conf.get("data")).resolve()), conf.get("save_format"))
    return model


_LOADERS = {"sklearn": _sklearn, "lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}
