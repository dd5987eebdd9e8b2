"""``python -m tests.zoo --seed N --out DIR [--only a,b]``: fit the zoo and save each model in MLflow's format."""

from __future__ import annotations

import argparse
import importlib
import os
import warnings
from pathlib import Path

REQUIREMENTS = {
    "sklearn": ["scikit-learn", "lightgbm", "xgboost"],
    "lightgbm": ["lightgbm"],
    "xgboost": ["xgboost"],
    "catboost": ["catboost"],
}


def save(name: str, seed: int, home: Path) -> Path:
    """Fit one model and save it below ``home``; return its directory."""
    import mlflow
    import numpy as np

    from tests.zoo.pipelines import ZOO

    np.random.seed(seed % 2**32)
    model = ZOO[name](seed)
    example = model.frame.sample(20, random_state=seed).reset_index(drop=True)
    answer = getattr(model.fitted, model.method)(
        importlib.import_module("xgboost").DMatrix(example)
        if type(model.fitted).__module__ == "xgboost.core"
        else example
    )
    options = (
        {"pyfunc_predict_fn": model.method, "serialization_format": "cloudpickle"} if model.flavor == "sklearn" else {}
    )
    key = {"sklearn": "sk_model", "lightgbm": "lgb_model", "xgboost": "xgb_model", "catboost": "cb_model"}[model.flavor]
    flavor = importlib.import_module(f"mlflow.{model.flavor}")
    flavor.save_model(
        **{key: model.fitted},
        path=str(home / name),
        signature=mlflow.models.infer_signature(example, answer),
        input_example=example,
        pip_requirements=[f"mlflow=={mlflow.__version__}", *REQUIREMENTS[model.flavor]],
        **options,
    )
    return home / name


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
