"""``python -m tests.zoo --seed N --out DIR [--only a,b]``: fit the zoo and save each model in MLflow's format."""

from __future__ import annotations

import argparse
import importlib
import os
import warnings
from pathlib import Path
from typing import Any

REQUIREMENTS = {
    "sklearn": ["scikit-learn", "lightgbm", "xgboost"],
    "lightgbm": ["lightgbm"],
    "xgboost": ["xgboost"],
    "catboost": ["catboost"],
    "pyfunc": [],
}
KEYS = {
    "sklearn": "sk_model",
    "lightgbm": "lgb_model",
    "xgboost": "xgb_model",
    "catboost": "cb_model",
    "pyfunc": "python_model",
}
"""How MLflow's ``save_model`` of a flavor calls the model."""


def save(name: str, seed: int, home: Path) -> Path:
    """Fit one model and save it below ``home``; return its directory."""
    import mlflow
    import numpy as np

    from tests.zoo.pipelines import ZOO

    np.random.seed(seed % 2**32)
    model = ZOO[name](seed)
    example: Any = model.frame[:20]
    if hasattr(example, "sample"):
        example = model.frame.sample(20, random_state=seed).reset_index(drop=True)
    signature = mlflow.models.infer_signature(example, _answer(model, example))
    options = (
        {"pyfunc_predict_fn": model.method, "serialization_format": "cloudpickle"} if model.flavor == "sklearn" else {}
    )
    flavor = importlib.import_module(f"mlflow.{model.flavor}")
    flavor.save_model(
        **{KEYS[model.flavor]: model.fitted},
        path=str(home / name),
        signature=signature,
        input_example=example,
        pip_requirements=[f"mlflow=={mlflow.__version__}", *REQUIREMENTS[model.flavor]],
        **options,
    )
    return home / name


def _answer(model: Any, example: Any) -> Any:
    if model.flavor == "pyfunc":
        return model.fitted.predict(None, example)
    if type(model.fitted).__module__ == "xgboost.core":
        example = importlib.import_module("xgboost").DMatrix(example)
    return getattr(model.fitted, model.method)(example)


def main() -> None:
    """Save what was asked for."""
    parser = argparse.ArgumentParser(prog="tests.zoo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    warnings.simplefilter("ignore")
    from tests.zoo.pipelines import ZOO

    print(f"seed {given.seed}")
    for name in given.only.split(",") if given.only else ZOO:
        print(save(name, given.seed, given.out))


if __name__ == "__main__":
    main()
