"""Train a fraud classifier with LightGBM in a scikit-learn pipeline, and log it with MLflow's own client.

The pipeline computes new columns, encodes the categorical ones and drops the identifiers, so that callers send
payments as they are. MLFLOW_TRACKING_URI says where to log.
"""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import mlflow
from fraud_features.columns import CATEGORICAL, COMPUTED, NUMERIC, add_columns
from mlflow.models import infer_signature
from payments import TARGET, generate_payments, split_by_time
from sklearn.compose import ColumnTransformer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

HERE = Path(__file__).parent
PARAMETERS = {
    "n_estimators": 150,
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_child_samples": 40,
    "random_state": 7,
    "n_jobs": 1,
    "verbose": -1,
}


def build_pipeline() -> Pipeline:
    """Return the untrained pipeline: new columns, then columns chosen and encoded, then LightGBM."""
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", NUMERIC + COMPUTED),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORICAL),
        ],
        remainder="drop",  # payment_id, card_id, card_country and hour go no further
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return Pipeline(
        [
            ("new_columns", FunctionTransformer(add_columns)),
            ("columns", columns),
            ("classifier", lgb.LGBMClassifier(**PARAMETERS)),
        ]
    )


def main() -> None:
    """Train, evaluate on the latest payments, and log."""
    train, test = split_by_time(generate_payments())
    pipeline = build_pipeline().fit(train.drop(columns=TARGET), train[TARGET])
    features = test.drop(columns=TARGET)
    scores = pipeline.predict_proba(features)

    mlflow.set_experiment("card-fraud")
    with mlflow.start_run(run_name="lightgbm") as run:
        mlflow.log_params(PARAMETERS)
        mlflow.log_metrics(
            {
                "roc_auc": roc_auc_score(test[TARGET], scores[:, 1]),
                "average_precision": average_precision_score(test[TARGET], scores[:, 1]),
                "fraud_share": test[TARGET].mean(),
            }
        )
        example = features.head(5)
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(features, scores),
            input_example=example,
            code_paths=[str(HERE / "fraud_features")],
            pyfunc_predict_fn="predict_proba",
            # skops, MLflow's default, opens nothing that is not named here.
            skops_trusted_types=[
                "collections.OrderedDict",
                "fraud_features.columns.add_columns",
                "lightgbm.basic.Booster",
                "lightgbm.sklearn.LGBMClassifier",
            ],
        )
        print(run.info.run_id)


if __name__ == "__main__":
    main()
