"""The XGBoost fraud model as MLflow loads it: preprocessing, booster, decision; logged by train_xgboost.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import xgboost as xgb
from fraud_features.encoding import encode


def score(
    booster: xgb.Booster,
    categories: Mapping[str, Sequence[str]],
    threshold: float,
    payments: pd.DataFrame,
) -> pd.DataFrame:
    """Return one row a payment: the probability of fraud, and whether it is over the threshold."""
    chance = booster.predict(xgb.DMatrix(encode(payments, categories))).astype("float64")
    return pd.DataFrame({"fraud_probability": chance, "is_fraud": chance >= threshold})


class FraudModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc,unused-ignore]  # MLflow is untyped here
    """Scores card payments."""

    def load_context(self, context: Any) -> None:
        """Read the booster and what preprocessing learned."""
        self.booster = xgb.Booster(model_file=context.artifacts["booster"])
        learned = json.loads(Path(context.artifacts["preprocessing"]).read_text())
        self.categories = learned["categories"]
        self.threshold = learned["threshold"]

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score payments."""
        del context, params
        return score(self.booster, self.categories, self.threshold, model_input)


mlflow.models.set_model(FraudModel())
