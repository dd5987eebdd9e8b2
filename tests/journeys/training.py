"""What data scientists run: plain MLflow code, printed run id last."""

SKLEARN = """
import sys, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

rng = np.random.default_rng(7)
X = pd.DataFrame({
    "amount": rng.gamma(2.0, 40.0, 400),
    "hour": rng.integers(0, 24, 400),
    "country": rng.choice(["DE", "FR", "US"], 400),
})
y = ((X["amount"] > 120) | (X["hour"] < 5)).astype(int)
model = Pipeline([
    ("columns", ColumnTransformer([
        ("numbers", StandardScaler(), ["amount", "hour"]),
        ("countries", OneHotEncoder(handle_unknown="ignore"), ["country"]),
    ])),
    ("classifier", LogisticRegression()),
]).fit(X, y)
mlflow.set_experiment("cards")
with mlflow.start_run() as run:
    mlflow.log_param("kind", "logistic")
    mlflow.log_metric("accuracy", float(model.score(X, y)))
    mlflow.sklearn.log_model(
        model, name="model", signature=infer_signature(X, model.predict(X)), input_example=X.head(3)
    )
print(run.info.run_id)
"""
