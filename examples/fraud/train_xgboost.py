"""Train a fraud scorer with XGBoost's own API, and log it as a pyfunc model with its preprocessing.

The model is ``fraud_model.py``, logged as code with the booster as an artifact beside it: nothing is pickled.
MLFLOW_TRACKING_URI says where to log.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import xgboost as xgb
from fraud_features.columns import CATEGORICAL
from fraud_features.encoding import encode
from fraud_model import score
from mlflow.models import infer_signature
from payments import TARGET, generate_payments, split_by_time
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

HERE = Path(__file__).parent
ROUNDS = 150
PARAMETERS = {
    "objective": "binary:logistic",
    "eval_metric": "aucpr",
    "eta": 0.1,
    "max_depth": 5,
    "min_child_weight": 4,
    "subsample": 0.9,
    "seed": 7,
    "nthread": 1,
}


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the score from which a payment is called fraud: where precision and recall balance best (F1)."""
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    balance = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[balance[:-1].argmax()])


def main() -> None:
    """Train, evaluate on the latest payments, and log."""
    train, test = split_by_time(generate_payments())
    categories = {column: sorted(train[column].unique().tolist()) for column in CATEGORICAL}
    booster = xgb.train(
        PARAMETERS,
        xgb.DMatrix(encode(train, categories), label=train[TARGET]),
        num_boost_round=ROUNDS,
    )
    features = test.drop(columns=TARGET)
    scores = booster.predict(xgb.DMatrix(encode(features, categories)))
    threshold = best_threshold(test[TARGET].to_numpy(), scores)

    mlflow.set_experiment("card-fraud")
    with mlflow.start_run(run_name="xgboost") as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({**PARAMETERS, "rounds": ROUNDS})
        mlflow.log_metrics(
            {
                "roc_auc": roc_auc_score(test[TARGET], scores),
                "average_precision": average_precision_score(test[TARGET], scores),
                "threshold": threshold,
            }
        )
        booster_file = Path(folder) / "booster.json"
        booster.save_model(booster_file)
        preprocessing_file = Path(folder) / "preprocessing.json"
        preprocessing_file.write_text(json.dumps({"categories": categories, "threshold": threshold}))
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(HERE / "fraud_model.py"),
            artifacts={"booster": str(booster_file), "preprocessing": str(preprocessing_file)},
            signature=infer_signature(features, score(booster, categories, threshold, features)),
            input_example=features.head(5),
            code_paths=[str(HERE / "fraud_features")],
        )
        print(run.info.run_id)


if __name__ == "__main__":
    main()
