"""A program: trains and saves small models of many kinds below a directory, one folder each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pydantic
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property

# Named, or MLflow finds them out by loading each model in a process of its own.
REQUIREMENTS = [f"mlflow=={mlflow.__version__}"]
RULES = "def score(amount, floor):\n    return [float(a > floor) for a in amount]\n"


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Tells what it was given, kinds and all."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, pd.DataFrame):
            seen: Any = {name: [repr(v) for v in column] for name, column in model_input.items()}
            seen["dtypes"] = [str(kind) for kind in model_input.dtypes]
        elif isinstance(model_input, dict):
            seen = {name: [str(array.dtype), repr(array)] for name, array in model_input.items()}
        else:
            seen = [str(getattr(model_input, "dtype", type(model_input))), repr(model_input)]
        return [repr(seen), repr(params)]


class Answers(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Returns whatever kind of answer it is asked for."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        class Inner(pydantic.BaseModel):
            name: str = "n"
            value: float = 0.1

        frame = pd.DataFrame({"p": [0.1, float("nan")], "label": ["a", None], 3: [1, 2]})
        return {
            "frame": frame,
            "series": frame["p"],
            "unnamed_series": pd.Series([1.5, 2.5]),
            "float32": np.array([0.1, 1e-7, 3e38], dtype=np.float32),
            "float64": np.array([0.1, 1 / 3, 5e-324, -0.0, 1e22]),
            "matrix": np.array([[0.1, 0.9], [0.5, 0.5]]),
            "int64": np.array([2**53 + 1, -(2**63)]),
            "bools": np.array([True, False]),
            "not_numbers": np.array([float("nan"), float("inf"), -float("inf")]),
            "objects": np.array([np.float32(0.1), None, "x", b"\x00\xff"], dtype=object),
            "texts": np.array(["a", "ü"]),
            "bytes": [b"\x00\xff" * 60],
            "times": pd.DataFrame({"t": pd.to_datetime(["2024-01-02 03:04:05.678", None])}),
            "times_ns": np.array(["2024-01-02T03:04:05"], dtype="datetime64[ns]"),
            "times_us": np.array(["2024-01-02T03:04:05.000001"], dtype="datetime64[us]"),
            "list": [1, 2.5, "x", None, True],
            "generics": [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("s")],
            "dict": {"a": [1, 2], "b": {"c": 0.1}, 7: None},
            "text": "just a text",
            "number": 0.1,
            "whole": 3,
            "none": None,
            "numpy_number": np.float64(0.1),
            "pydantic": [Inner(), Inner(value=2)],
            "tuple": (1, 2),
            "a_set": {1},
            "complex": [1j],
            "decimal_list": [__import__("decimal").Decimal("0.1")],
            "na": pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}),
            "surrogate": ["\ud800"],
        }[params["kind"]]


class Payment(pydantic.BaseModel):
    """What the hinted model takes."""

    amount: float
    country: str
    tags: list[str] | None = None


class Hinted(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Takes its input by type hints."""

    def predict(self, model_input: list[Payment]) -> list[str]:
        return [f"{p.country}:{p.amount!r}:{p.tags}" for p in model_input]


class HintedNumbers(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Takes plain numbers by type hints."""

    def predict(self, model_input: list[int], params: dict[str, Any] | None = None) -> list[int]:
        return [2 * number for number in model_input]


class Rules(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Uses a module of its own and parameters."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import fraud_rules_of_tests  # type: ignore[import-not-found]

        scores = fraud_rules_of_tests.score(model_input["amount"], params["floor"])
        return pd.DataFrame({"score": scores, "with": [repr(params)] * len(scores)})


def a_table(count: int = 200) -> pd.DataFrame:
    dice = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "amount": dice.gamma(2.0, 40.0, count),
            "hour": dice.integers(0, 24, count),
            "country": dice.choice(["DE", "FR", "US"], count),
        }
    )


def save_trained(home: Path) -> None:
    import catboost
    import lightgbm
    import xgboost
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = a_table()
    label = ((table["amount"] > 120) | (table["hour"] < 5)).astype(int)
    steps = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["amount", "hour"]),
            ("countries", OneHotEncoder(handle_unknown="ignore"), ["country"]),
        ]
    )
    pipeline = Pipeline([("columns", steps), ("classifier", LogisticRegression())]).fit(table, label)
    mlflow.sklearn.save_model(
        pipeline,
        home / "sklearn",
        signature=infer_signature(table, pipeline.predict(table)),
        input_example=table.head(3),
        pip_requirements=REQUIREMENTS,
    )
    mlflow.sklearn.save_model(
        pipeline,
        home / "proba",
        signature=infer_signature(table, pipeline.predict_proba(table)),
        pyfunc_predict_fn="predict_proba",
        pip_requirements=REQUIREMENTS,
    )
    dice = np.random.default_rng(3)
    numbers = pd.DataFrame(dice.normal(size=(200, 5)), columns=list("abcde"))
    target = (numbers["a"] * numbers["b"] > 0).astype(int)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(numbers, target), 20
    )
    mlflow.lightgbm.save_model(
        booster,
        home / "lightgbm",
        signature=infer_signature(numbers, booster.predict(numbers)),
        input_example=numbers.head(2),
        pip_requirements=REQUIREMENTS,
    )
    cats = catboost.CatBoostClassifier(iterations=10, verbose=False, allow_writing_files=False, thread_count=1)
    mlflow.catboost.save_model(
        cats.fit(numbers, target),
        home / "catboost",
        signature=infer_signature(numbers, cats.predict(numbers)),
        input_example=numbers.head(2),
        pip_requirements=REQUIREMENTS,
    )
    trees = xgboost.XGBClassifier(n_estimators=15, n_jobs=1).fit(numbers, target)
    mlflow.xgboost.save_model(
        trees,
        home / "xgboost",
        signature=infer_signature(numbers, trees.predict(numbers)),
        input_example=numbers.head(2),
        pip_requirements=REQUIREMENTS,
    )


def save_rules(home: Path) -> None:
    code = home / "code" / "fraud_rules_of_tests"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text(RULES)
    params = ParamSchema(
        [
            ParamSpec("floor", DataType.double, 100.0),
            ParamSpec("top", DataType.long, 3),
            ParamSpec("mode", DataType.string, "strict"),
            ParamSpec("dry", DataType.boolean, False),
            ParamSpec("weights", DataType.double, [1.0, 2.0], shape=(-1,)),
        ]
    )
    mlflow.pyfunc.save_model(
        home / "rules",
        python_model=Rules(),
        code_paths=[str(code)],
        signature=ModelSignature(Schema([ColSpec("double", "amount")]), None, params),
        input_example=(pd.DataFrame({"amount": [10.0, 500.0]}), {"floor": 50.0}),
        pip_requirements=REQUIREMENTS,
    )


KINDS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")


def save_echoes(home: Path) -> None:
    required = [ColSpec(kind, f"a_{kind}") for kind in KINDS]
    optional = [ColSpec(kind, f"o_{kind}", required=False) for kind in KINDS]
    nested = [
        ColSpec(Array(DataType.double), "numbers"),
        ColSpec(Array(Array(DataType.long)), "grid", required=False),
        ColSpec(Array(DataType.string), "words", required=False),
        ColSpec(Object([Property("id", DataType.long), Property("note", DataType.string, False)]), "thing"),
        ColSpec(Map(DataType.double), "by_name", required=False),
        ColSpec(AnyType(), "free", required=False),
    ]
    schemas = {
        "kinds": Schema([*required, *optional]),
        "one": Schema([ColSpec("double", "x")]),
        "one_long": Schema([ColSpec("long", "x")]),
        "word": Schema([ColSpec("string", "word")]),
        "nested": Schema(nested),
        "unnamed": Schema([ColSpec("long"), ColSpec("double")]),
        "unnamed_one": Schema([ColSpec("double")]),
        "tensor": Schema([TensorSpec(np.dtype("float64"), (-1, 3))]),
        "long_tensor": Schema([TensorSpec(np.dtype("int64"), (-1, 2))]),
        "tensors": Schema([TensorSpec(np.dtype("int64"), (-1,), "a"), TensorSpec(np.dtype("float32"), (-1, 2), "b")]),
    }
    for name, schema in schemas.items():
        mlflow.pyfunc.save_model(
            home / name, python_model=Echo(), signature=ModelSignature(schema), pip_requirements=REQUIREMENTS
        )
    mlflow.pyfunc.save_model(
        home / "answers",
        python_model=Answers(),
        signature=ModelSignature(
            Schema([ColSpec("long", "x")]), None, ParamSchema([ParamSpec("kind", DataType.string, "number")])
        ),
        pip_requirements=REQUIREMENTS,
    )


def save_hinted(home: Path) -> None:
    mlflow.pyfunc.save_model(
        home / "hinted",
        python_model=Hinted(),
        input_example=[{"amount": 1.5, "country": "DE", "tags": ["x"]}],
        pip_requirements=REQUIREMENTS,
    )
    mlflow.pyfunc.save_model(
        home / "hinted_numbers", python_model=HintedNumbers(), input_example=[1, 2], pip_requirements=REQUIREMENTS
    )


def main() -> None:
    home = Path(sys.argv[1])
    sys.path.insert(0, str(home / "code"))
    (home / "code").mkdir(parents=True, exist_ok=True)
    save_rules(home)
    save_trained(home)
    save_echoes(home)
    save_hinted(home)


if __name__ == "__main__":
    main()
