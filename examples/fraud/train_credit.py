"""Train a credit-risk classifier with scikit-learn alone, on real loan applications, and log it with MLflow.

Missing numbers are imputed, missing texts become a category of their own. MLFLOW_TRACKING_URI says where to log.
"""

from __future__ import annotations

import mlflow
from applications import TARGET, split_applications
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PARAMETERS = {"C": 0.5, "class_weight": "balanced", "max_iter": 1000}


def main() -> None:
    """Train, evaluate on a held-out fifth, and log."""
    train, test = split_applications()
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"),
        OneHotEncoder(handle_unknown="ignore"),
    )
    number_columns = train.select_dtypes("number").columns.tolist()
    text_columns = [column for column in train.columns if column not in [*number_columns, TARGET]]
    pipeline = make_pipeline(
        ColumnTransformer([("numbers", numbers, number_columns), ("texts", texts, text_columns)]),
        LogisticRegression(**PARAMETERS),
    )
    pipeline.fit(train.drop(columns=TARGET), train[TARGET] == "bad")
    features = test.drop(columns=TARGET)
    scores = pipeline.predict_proba(features)

    mlflow.set_experiment("credit-risk")
    with mlflow.start_run(run_name="logistic-regression") as run:
        mlflow.log_params(PARAMETERS)
        mlflow.log_metrics(
            {
                "roc_auc": roc_auc_score(test[TARGET] == "bad", scores[:, 1]),
                "accuracy": accuracy_score(test[TARGET] == "bad", pipeline.predict(features)),
            }
        )
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=infer_signature(train.drop(columns=TARGET), scores),
            input_example=features.head(5),
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],  # the imputer keeps the type of its columns
        )
        print(run.info.run_id)


if __name__ == "__main__":
    main()
