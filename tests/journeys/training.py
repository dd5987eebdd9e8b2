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

AUTOLOG = """
import mlflow, numpy as np, pandas as pd
from sklearn.ensemble import RandomForestClassifier
mlflow.sklearn.autolog(log_input_examples=True, log_model_signatures=True)
rng = np.random.default_rng(1)
X = pd.DataFrame(rng.normal(size=(300, 4)), columns=["a", "b", "c", "d"])
y = (X["a"] + X["b"] > 0).astype(int)
mlflow.set_experiment("autolog")
with mlflow.start_run() as run:
    RandomForestClassifier(n_estimators=10, random_state=0).fit(X, y)
print(run.info.run_id)
"""

LIGHTGBM = """
import lightgbm as lgb, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
rng = np.random.default_rng(2)
X = pd.DataFrame(rng.normal(size=(400, 5)), columns=list("abcde"))
y = (X["a"] * X["b"] > 0).astype(int)
mlflow.set_experiment("lightgbm")
with mlflow.start_run() as run:
    booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lgb.Dataset(X, y), 20)
    mlflow.lightgbm.log_model(
        booster, name="model", signature=infer_signature(X, booster.predict(X)), input_example=X.head(2)
    )
print(run.info.run_id)
"""

XGBOOST = """
import mlflow, numpy as np, pandas as pd, xgboost as xgb
from mlflow.models import infer_signature
rng = np.random.default_rng(3)
X = pd.DataFrame(rng.normal(size=(400, 5)), columns=list("abcde"))
y = (X["a"] > 0.3).astype(int)
mlflow.set_experiment("xgboost")
with mlflow.start_run() as run:
    model = xgb.XGBClassifier(n_estimators=15, n_jobs=1).fit(X, y)
    mlflow.xgboost.log_model(
        model, name="model", signature=infer_signature(X, model.predict(X)), input_example=X.head(2)
    )
print(run.info.run_id)
"""

PYFUNC_WITH_CODE = """
import pathlib, sys, tempfile, mlflow, pandas as pd
from mlflow.models import infer_signature
home = pathlib.Path(tempfile.mkdtemp())
(home / "fraud_rules").mkdir()
(home / "fraud_rules" / "__init__.py").write_text(
    "def score(amount, floor):\\n    return [float(a > floor) for a in amount]\\n"
)
sys.path.insert(0, str(home))
import fraud_rules

class Rules(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return fraud_rules.score(model_input["amount"], (params or {}).get("floor", 100.0))

X = pd.DataFrame({"amount": [10.0, 500.0]})
mlflow.set_experiment("rules")
with mlflow.start_run() as run:
    mlflow.pyfunc.log_model(
        name="model", python_model=Rules(), code_paths=[str(home / "fraud_rules")], input_example=X,
        signature=infer_signature(X, [0.0, 1.0], params={"floor": 100.0}),
        pip_requirements=[
            "mlflow==" + mlflow.__version__, "pandas", "cloudpickle==" + __import__("cloudpickle").__version__,
        ],
    )
print(run.info.run_id)
"""

TYPE_HINTS = """
import mlflow, pydantic

class Payment(pydantic.BaseModel):
    amount: float
    country: str

class Hinted(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[Payment]) -> list[str]:
        return [f"{p.country}:{p.amount:.1f}" for p in model_input]

mlflow.set_experiment("hinted")
with mlflow.start_run() as run:
    mlflow.pyfunc.log_model(
        name="model", python_model=Hinted(), input_example=[{"amount": 1.5, "country": "DE"}],
        pip_requirements=[
            "mlflow==" + mlflow.__version__, "pandas", "pydantic==" + pydantic.__version__,
            "cloudpickle==" + __import__("cloudpickle").__version__,
        ],
    )
print(run.info.run_id)
"""

CANARY = '''
import sys, mlflow, pandas as pd
from mlflow.models import infer_signature

SONG = f"""
print('the canary sings', flush=True)
try:
    open({sys.argv[1]!r}, 'a').write('x')
except OSError:
    pass
"""

class Bomb:
    def __reduce__(self):
        return (exec, (SONG,))

class Model(mlflow.pyfunc.PythonModel):
    def __init__(self):
        self.bomb = Bomb()
    def predict(self, context, model_input, params=None):
        return [1] * len(model_input)

X = pd.DataFrame({"amount": [1.0]})
mlflow.set_experiment("canary")
with mlflow.start_run() as run:
    mlflow.log_param("note", "<script>alert(1)</script>")
    mlflow.pyfunc.log_model(
        name="model", python_model=Model(), signature=infer_signature(X, [1]),
        pip_requirements=[
            "mlflow==" + mlflow.__version__, "pandas", "cloudpickle==" + __import__("cloudpickle").__version__,
        ],
    )
print(run.info.run_id)
'''

PLANTED = """
import sys, time, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature

kind = sys.argv[1]

class Scores(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import time
        time.sleep(0.06 if self.kind == "slow" else 0.005)
        if self.kind == "faulty" and (model_input["hour"] % 4 == 0).any():
            raise RuntimeError("planted")
        return model_input["amount"] * 2

model = Scores()
model.kind = kind
X = pd.DataFrame({"amount": [1.5, 2.5], "hour": [1, 2]})
mlflow.set_experiment("planted")
with mlflow.start_run() as run:
    mlflow.pyfunc.log_model(
        python_model=model, name="model", signature=infer_signature(X, X["amount"] * 2), input_example=X,
        pip_requirements=["mlflow", "pandas", "cloudpickle"],
    )
print(run.info.run_id)
"""
