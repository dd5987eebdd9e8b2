"""The zoo's models: each makes a fitted model of a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from catboost import CatBoostClassifier, CatBoostRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tests.zoo.tables import Table, make_table


@dataclass(frozen=True)
class Model:
    """A fitted model, the frame (or array) whose rows it takes, the method that MLflow is to call, and its flavor."""

    fitted: Any
    frame: Any
    method: str = "predict"
    flavor: str = "sklearn"


Make = Callable[[int], Model]
_LGB = {"n_estimators": 40, "verbose": -1, "n_jobs": 1}
_XGB = {"n_estimators": 40, "n_jobs": 1, "max_depth": 4}


def _table(seed: int, **options: Any) -> Table:
    return make_table(seed, **options)


def _onehot(table: Table, rest: Any = "passthrough", **options: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [("texts", OneHotEncoder(**{"handle_unknown": "ignore", **options}), table.texts)], remainder=rest
    )


def _fit(
    table: Table, *steps: Any, target: str = "binary", columns: list[str] | None = None, method: str = "predict"
) -> Model:
    frame = table.frame if columns is None else table.frame[columns]
    model = Pipeline([(f"s{at}", step) for at, step in enumerate(steps)])
    return Model(model.fit(frame, getattr(table, target)), frame, method)


def _a(seed: int) -> Model:
    """The benchmark's model a: OneHotEncoder on two text columns, 28 numbers passed through, 200 trees of LightGBM."""
    table = _table(seed, rows=5_000, doubles=24, longs=4)
    trees = lightgbm.LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=1)
    return _fit(table, _onehot(table), trees, method="predict_proba")


def _b(seed: int) -> Model:
    """The benchmark's model b: a LightGBM booster of 200 trees on 30 doubles."""
    table = _table(seed, rows=5_000, doubles=30, missing=True)
    frame = table.frame[table.doubles]
    data = lightgbm.Dataset(frame, table.binary)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 200)
    return Model(booster, frame, flavor="lightgbm")


def _lightgbm_class(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    return Model(lightgbm.LGBMClassifier(**_LGB).fit(frame, table.several), frame, flavor="lightgbm")


def _lightgbm_regressor(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    return Model(lightgbm.LGBMRegressor(**_LGB).fit(frame, table.amount), frame, flavor="lightgbm")


def _xgboost_booster(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    data = xgboost.DMatrix(frame, table.binary)
    return Model(xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 40), frame, flavor="xgboost")


def _xgboost_class(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    return Model(xgboost.XGBClassifier(**_XGB).fit(frame, table.several), frame, flavor="xgboost")


def _xgboost_regressor(seed: int) -> Model:
    table = _table(seed)
    frame = table.frame[table.doubles]
    return Model(xgboost.XGBRegressor(**_XGB).fit(frame, table.amount), frame, flavor="xgboost")


def _catboost_numbers(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    model = CatBoostRegressor(iterations=40, verbose=0, thread_count=1, allow_writing_files=False)
    return Model(model.fit(frame, table.amount), frame, flavor="catboost")


def _catboost_texts(seed: int) -> Model:
    table = _table(seed)
    model = CatBoostClassifier(iterations=40, verbose=0, thread_count=1, allow_writing_files=False)
    return Model(model.fit(table.frame, table.binary, cat_features=table.texts), table.frame, flavor="catboost")


def _imputed(table: Table, scaler: Any) -> ColumnTransformer:
    texts = Pipeline(
        [("fill", SimpleImputer(strategy="most_frequent")), ("code", OneHotEncoder(handle_unknown="ignore"))]
    )
    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", scaler)])
    return ColumnTransformer([("texts", texts, table.texts), ("numbers", numbers, table.numbers)])


def _logistic(seed: int) -> Model:
    table = _table(seed, missing=True)
    return _fit(table, _imputed(table, StandardScaler()), LogisticRegression(max_iter=300), method="predict_proba")


def _logistic_several(seed: int) -> Model:
    table = _table(seed, missing=True)
    return _fit(table, _imputed(table, RobustScaler()), LogisticRegression(max_iter=300), target="several")


def _calibrated(method: str) -> Make:
    def make(seed: int) -> Model:
        table = _table(seed)
        inner = lightgbm.LGBMClassifier(**_LGB)
        model = CalibratedClassifierCV(inner, method=method, cv=3)
        return _fit(table, _onehot(table), model, method="predict_proba")

    return make


def _target_encoded(seed: int) -> Model:
    table = _table(seed)
    encode = ColumnTransformer([("texts", TargetEncoder(random_state=0), table.texts)], remainder="passthrough")
    return _fit(table, encode, xgboost.XGBClassifier(**_XGB), method="predict_proba")


def _ordinal_hist(seed: int) -> Model:
    table = _table(seed, missing=True)
    code = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    encode = ColumnTransformer([("texts", code, table.texts)], remainder="passthrough")
    return _fit(table, encode, HistGradientBoostingClassifier(max_iter=30), method="predict_proba")


def _bins(seed: int) -> Model:
    table = _table(seed)
    bins = KBinsDiscretizer(n_bins=5, encode="onehot-dense", quantile_method="averaged_inverted_cdf")
    encode = ColumnTransformer([("bins", bins, table.doubles), ("rest", MinMaxScaler(), table.longs)])
    return _fit(table, encode, LogisticRegression(max_iter=300), columns=table.numbers)


def _logged(seed: int) -> Model:
    table = _table(seed)
    encode = ColumnTransformer([("log", FunctionTransformer(np.arctan), table.doubles)], remainder="passthrough")
    return _fit(table, encode, Ridge(), columns=table.numbers, target="amount")


def _own_function(seed: int) -> Model:
    table = _table(seed)

    def ratios(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(ratio=frame["x0"] / (1 + frame["n0"].abs()))

    return _fit(table, FunctionTransformer(ratios), RandomForestRegressor(10), columns=table.numbers, target="amount")


def _forest(table: Table, model: Any, **options: Any) -> Model:
    return _fit(table, _onehot(table, sparse_output=False), model, **options)


def _voting(seed: int) -> Model:
    table = _table(seed)
    parts = [("l", LogisticRegression(max_iter=300)), ("t", DecisionTreeClassifier(max_depth=5)), ("n", GaussianNB())]
    model = VotingClassifier(parts, voting="soft")
    return _fit(table, StandardScaler(), model, columns=table.numbers, method="predict_proba")


def _selected(seed: int) -> Model:
    table = _table(seed)
    encode = ColumnTransformer(
        [
            (
                "texts",
                OneHotEncoder(drop="first", handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_include=object),
            ),
            ("numbers", StandardScaler(), ["x0", "x2", "n1"]),
        ]
    )
    table.frame["country"] = table.frame["country"].astype(object)
    return _fit(table, encode, SGDClassifier(loss="log_loss"), method="predict_proba")


def _rare(seed: int) -> Model:
    table = _table(seed)
    texts = OneHotEncoder(min_frequency=0.08, handle_unknown="infrequent_if_exist")
    encode = ColumnTransformer([("texts", texts, table.texts), ("rest", "passthrough", table.numbers)])
    return _fit(table, encode, lightgbm.LGBMClassifier(**_LGB), method="predict_proba")


def _strict(seed: int) -> Model:
    table = _table(seed)
    return _fit(table, _onehot(table, handle_unknown="error"), lightgbm.LGBMClassifier(**_LGB))


def _union(seed: int) -> Model:
    table = _table(seed)
    union = FeatureUnion([("pca", PCA(n_components=3)), ("scaled", StandardScaler())])
    return _fit(table, union, ElasticNet(), columns=table.doubles, target="amount")


def _of_all_kinds(seed: int) -> Table:
    """Return a table that also has truths, 32-bit whole numbers and 32-bit floats."""
    table = _table(seed)
    frame, count = table.frame, len(table.frame)
    rng = np.random.default_rng(seed + 1)
    frame["flag"] = frame["x0"] > rng.normal(1, 1, count)
    frame["grade"] = rng.integers(0, 6, count).astype(np.int32)
    for name in _FLOATS:
        frame[name] = rng.normal(size=count).astype(np.float32)
    return table


_FLOATS = ["f0", "f1", "f2"]
_KINDS = ["flag", "grade", *_FLOATS]


def _kinds_lightgbm(seed: int) -> Model:
    table = _of_all_kinds(seed)
    frame = table.frame[[*_KINDS, *table.numbers]]
    return Model(lightgbm.LGBMClassifier(**_LGB).fit(frame, table.binary), frame, flavor="lightgbm")


def _kinds_xgboost(seed: int) -> Model:
    table = _of_all_kinds(seed)
    frame = table.frame[[*table.numbers, *_KINDS]]
    return Model(xgboost.XGBRegressor(**_XGB).fit(frame, table.amount), frame, flavor="xgboost")


def _kinds_catboost(seed: int) -> Model:
    table = _of_all_kinds(seed)
    frame = table.frame[["grade", *_FLOATS, *table.numbers]]
    model = CatBoostClassifier(iterations=40, verbose=0, thread_count=1, allow_writing_files=False)
    return Model(model.fit(frame, table.several), frame, flavor="catboost")


def _kinds_encoded(seed: int) -> Model:
    table = _of_all_kinds(seed)
    encode = ColumnTransformer(
        [
            ("codes", OneHotEncoder(handle_unknown="ignore"), ["merchant", "flag", "grade"]),
            ("scaled", StandardScaler(), [*_FLOATS, *table.doubles]),
        ]
    )
    columns = [*table.texts, *_KINDS, *table.doubles]
    return _fit(table, encode, LogisticRegression(max_iter=300), columns=columns, method="predict_proba")


def _kinds_forest(seed: int) -> Model:
    table = _of_all_kinds(seed)
    return _fit(table, RandomForestRegressor(20), columns=[*_KINDS, *table.longs], target="amount")


def _floats(*steps: Any, **options: Any) -> Make:
    def make(seed: int) -> Model:
        return _fit(_of_all_kinds(seed), *steps, columns=_FLOATS, **options)

    return make


def _whole_categories(seed: int) -> Model:
    table = _of_all_kinds(seed)
    encode = ColumnTransformer(
        [
            ("codes", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["grade", "n0"]),
            (
                "orders",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                ["merchant", "n1", "flag"],
            ),
        ],
        remainder="passthrough",
    )
    columns = ["merchant", *_KINDS, *table.numbers]
    return _fit(table, encode, lightgbm.LGBMRegressor(**_LGB), columns=columns, target="amount")


def _dates(seed: int) -> Model:
    table = _table(seed)
    days = np.random.default_rng(seed).integers(0, 5_000, len(table.frame))
    table.frame["day"] = pd.Timestamp("2012-01-01") + pd.to_timedelta(days, unit="D")

    def weekday(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(day=frame["day"].dt.dayofweek)

    trees = HistGradientBoostingRegressor(max_iter=30)
    return _fit(table, FunctionTransformer(weekday), trees, columns=["day", *table.numbers], target="amount")


def _tensor(seed: int) -> Model:
    table = _table(seed)
    values = table.frame[table.doubles].to_numpy()
    return Model(LogisticRegression().fit(values, table.binary), values)


def _custom(seed: int) -> Model:
    import mlflow.pyfunc

    class Sums(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints
            return model_input.sum(axis=1)

    table = _table(seed)
    return Model(Sums(), table.frame[table.numbers], flavor="pyfunc")


def _early_stopped_lightgbm(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    held = lightgbm.early_stopping(5, verbose=False)
    model = lightgbm.LGBMClassifier(**{**_LGB, "n_estimators": 300})
    model.fit(frame[:1_000], table.several[:1_000], eval_set=[(frame[1_000:], table.several[1_000:])], callbacks=[held])
    return Model(model, frame, flavor="lightgbm")


def _early_stopped_xgboost(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    model = xgboost.XGBClassifier(**{**_XGB, "n_estimators": 300}, early_stopping_rounds=5)
    model.fit(frame[:1_000], table.binary[:1_000], eval_set=[(frame[1_000:], table.binary[1_000:])], verbose=False)
    return Model(model, frame, flavor="xgboost")


def _lightgbm_booster(**params: Any) -> Make:
    def make(seed: int) -> Model:
        table = _table(seed, missing=True)
        frame = table.frame[table.numbers]
        target = table.several if "num_class" in params else np.exp(table.amount / 4)
        data = lightgbm.Dataset(frame, target)
        return Model(
            lightgbm.train({"verbose": -1, "num_threads": 1, "seed": 1, **params}, data, 40), frame, flavor="lightgbm"
        )

    return make


def _xgboost_dart(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    params = {"booster": "dart", "rate_drop": 0.2, "objective": "multi:softprob", "num_class": 3, "nthread": 1}
    return Model(xgboost.train(params, xgboost.DMatrix(frame, table.several), 20), frame, flavor="xgboost")


def _xgboost_zero_is_missing(seed: int) -> Model:
    table = _table(seed)
    frame = table.frame[table.numbers]
    model = xgboost.XGBRegressor(**_XGB, missing=0.0, objective="count:poisson")
    return Model(model.fit(frame, np.exp(table.amount / 4)), frame, flavor="xgboost")


def _catboost_several(seed: int) -> Model:
    table = _table(seed, missing=True)
    frame = table.frame[table.numbers]
    model = CatBoostClassifier(iterations=30, verbose=0, thread_count=1, allow_writing_files=False)
    return Model(model.fit(frame, np.array(["low", "middle", "high"])[table.several]), frame, flavor="catboost")


def _named_classes(model: Any, **options: Any) -> Make:
    """Predict texts or truths instead of numbers."""

    def make(seed: int) -> Model:
        table = _table(seed)
        object.__setattr__(table, "several", np.array(["low", "middle", "high"])[table.several])
        object.__setattr__(table, "binary", table.binary == 1)
        return _fit(table, _onehot(table), model, **options)

    return make


def _coded(encoder: Any, *, missing: bool = True, rest: Any = "passthrough") -> Make:
    """Encode the texts so, and let trees have the rest."""

    def make(seed: int) -> Model:
        table = _table(seed, missing=missing)
        encode = ColumnTransformer([("texts", encoder, table.texts)], remainder=rest)
        return _fit(table, encode, HistGradientBoostingClassifier(max_iter=20), method="predict_proba")

    return make


def _gaps(imputer: Any) -> Make:
    def make(seed: int) -> Model:
        table = _table(seed, missing=True)
        return _fit(table, imputer, StandardScaler(), Ridge(), columns=table.numbers, target="amount")

    return make


def _weighted(seed: int) -> Model:
    table = _table(seed)
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), table.texts), ("n", StandardScaler(), table.numbers)],
        transformer_weights={"n": 0.5},
    )
    return _fit(table, encode, LogisticRegression(max_iter=300), method="predict_proba")


def _frames_between(seed: int) -> Model:
    table = _table(seed)
    encode = _onehot(table, sparse_output=False).set_output(transform="pandas")
    return _fit(table, encode, HistGradientBoostingClassifier(max_iter=20), method="predict_proba")


def _strange_names(seed: int) -> Model:
    table = _table(seed)
    names = {"merchant": "the merchant: name", "x0": 'a "quoted" x', "x1": "größe 日本", "n0": "n\\0", "x2": "0"}
    frame = table.frame.rename(columns=names)
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), ["country", "the merchant: name"])],
        remainder="passthrough",
    )
    model = Pipeline([("encode", encode), ("trees", xgboost.XGBClassifier(**_XGB))]).fit(frame, table.binary)
    return Model(model, frame, "predict_proba")


def _stacked(seed: int) -> Model:
    table = _table(seed)
    parts = [("t", DecisionTreeClassifier(max_depth=4)), ("l", lightgbm.LGBMClassifier(**_LGB))]
    model = StackingClassifier(parts, LogisticRegression(), cv=3)
    return _fit(table, StandardScaler(), model, columns=table.numbers, method="predict_proba")


def _on_numbers(*steps: Any, **options: Any) -> Make:
    def make(seed: int) -> Model:
        table = _table(seed)
        return _fit(table, *steps, columns=table.numbers, **options)

    return make


ZOO: dict[str, Make] = {
    "a": _a,
    "b": _b,
    "lightgbm-class": _lightgbm_class,
    "lightgbm-regressor": _lightgbm_regressor,
    "xgboost-booster": _xgboost_booster,
    "xgboost-class": _xgboost_class,
    "xgboost-regressor": _xgboost_regressor,
    "catboost-numbers": _catboost_numbers,
    "catboost-texts": _catboost_texts,
    "logistic": _logistic,
    "logistic-several": _logistic_several,
    "isotonic": _calibrated("isotonic"),
    "sigmoid": _calibrated("sigmoid"),
    "target-encoded": _target_encoded,
    "ordinal-hist": _ordinal_hist,
    "hist-regressor": _on_numbers(HistGradientBoostingRegressor(max_iter=30), target="amount"),
    "bins": _bins,
    "logged": _logged,
    "own-function": _own_function,
    "forest": lambda seed: _forest(_table(seed), RandomForestClassifier(30), method="predict_proba"),
    "forest-several": lambda seed: _forest(_table(seed), RandomForestClassifier(30), target="several"),
    "forest-regressor": lambda seed: _forest(_table(seed), RandomForestRegressor(30), target="amount"),
    "extra-trees": _on_numbers(ExtraTreesClassifier(30), method="predict_proba"),
    "tree": _on_numbers(DecisionTreeClassifier(max_depth=6), method="predict_proba"),
    "gradient-boosting": _on_numbers(GradientBoostingClassifier(n_estimators=20), method="predict_proba"),
    "isolation": _on_numbers(StandardScaler(), IsolationForest(n_estimators=30)),
    "linear": _on_numbers(MinMaxScaler(), LinearRegression(), target="amount"),
    "polynomial": _on_numbers(StandardScaler(), PolynomialFeatures(2), Ridge(), target="amount"),
    "quantiles": _on_numbers(
        QuantileTransformer(n_quantiles=100), LogisticRegression(max_iter=300), method="predict_proba"
    ),
    "voting": _voting,
    "selected": _selected,
    "rare": _rare,
    "strict": _strict,
    "union": _union,
    "bayes": _on_numbers(GaussianNB(), method="predict_proba"),
    "neighbours": _on_numbers(StandardScaler(), KNeighborsClassifier(), method="predict_proba"),
    "network": _on_numbers(StandardScaler(), MLPClassifier((16,), max_iter=60), method="predict_proba"),
    "kinds-lightgbm": _kinds_lightgbm,
    "kinds-xgboost": _kinds_xgboost,
    "kinds-catboost": _kinds_catboost,
    "kinds-encoded": _kinds_encoded,
    "kinds-forest": _kinds_forest,
    "floats-linear": _floats(StandardScaler(), Ridge(), target="amount"),
    "floats-xgboost": _floats(xgboost.XGBClassifier(**_XGB), method="predict_proba"),
    "floats-lightgbm": _floats(RobustScaler(), lightgbm.LGBMClassifier(**_LGB), method="predict_proba"),
    "whole-categories": _whole_categories,
    "dates": _dates,
    "early-stopped-lightgbm": _early_stopped_lightgbm,
    "early-stopped-xgboost": _early_stopped_xgboost,
    "lightgbm-multiclass": _lightgbm_booster(objective="multiclass", num_class=3),
    "lightgbm-random-forest": _lightgbm_booster(boosting="rf", bagging_freq=1, bagging_fraction=0.7),
    "lightgbm-poisson": _lightgbm_booster(objective="poisson", zero_as_missing=True),
    "lightgbm-linear-trees": _lightgbm_booster(objective="regression", linear_tree=True),
    "xgboost-dart": _xgboost_dart,
    "xgboost-zero-is-missing": _xgboost_zero_is_missing,
    "catboost-several": _catboost_several,
    "named-lightgbm": _named_classes(lightgbm.LGBMClassifier(**_LGB), target="several"),
    "named-forest": _named_classes(RandomForestClassifier(10), target="several"),
    "named-logistic": _named_classes(LogisticRegression(max_iter=300), target="several"),
    "truths-lightgbm": _named_classes(lightgbm.LGBMClassifier(**_LGB)),
    "truths-tree": _named_classes(DecisionTreeClassifier(max_depth=4)),
    "coded-dropping": _coded(OneHotEncoder(drop="if_binary", handle_unknown="ignore", sparse_output=False)),
    "coded-filled": _coded(
        Pipeline([("f", SimpleImputer(strategy="constant", fill_value="gap")), ("c", OrdinalEncoder())]), missing=False
    ),
    "coded-few": _coded(OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist", sparse_output=False)),
    "coded-float32": _coded(OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)),
    "coded-strict-order": _coded(OrdinalEncoder(), missing=False, rest=StandardScaler()),
    "gaps-told": _gaps(SimpleImputer(add_indicator=True)),
    "gaps-constant": _gaps(SimpleImputer(strategy="constant", fill_value=-1.0)),
    "gaps-neighbours": _gaps(KNNImputer()),
    "weighted": _weighted,
    "frames-between": _frames_between,
    "strange-names": _strange_names,
    "stacked": _stacked,
    "linear-svc": _on_numbers(StandardScaler(), LinearSVC()),
    "log-probabilities": _on_numbers(StandardScaler(), LogisticRegression(), method="predict_log_proba"),
    "boosted-stumps": _on_numbers(AdaBoostClassifier(n_estimators=10), method="predict_proba"),
    "bagged": _on_numbers(BaggingRegressor(n_estimators=5), target="amount"),
    "powers": _on_numbers(PowerTransformer(), Normalizer(), SelectKBest(k=4), ElasticNet(0.01), target="amount"),
    "clusters": _on_numbers(StandardScaler(), KMeans(4, n_init=1)),
    "clipped": _on_numbers(MinMaxScaler(clip=True), LogisticRegression(), method="predict_proba"),
    "poisson": _on_numbers(StandardScaler(), PoissonRegressor(), target="binary"),
    "custom": _custom,
    "tensor": _tensor,
    "svc": _on_numbers(StandardScaler(), SVC()),
}
