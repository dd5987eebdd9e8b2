"""Other methods than predict: what is answered is what the loaded model's own method says, on every path."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from taxiway_scoring import manifest
from taxiway_scoring.__main__ import load, read_model
from taxiway_scoring.decoding import Decoder
from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.jobs import ProofRun
from taxiway_scoring.proof import same
from taxiway_scoring.serving import Loaded, Served, choose
from tests.integration.scoring.test_jobs import run

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default"), pytest.mark.timeout(240)]
COLUMNS = ["a", "b", "c", "d"]


def a_frame(rows: int, seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(chance.normal(size=(rows, 4)), columns=COLUMNS)
    return frame.round(3)


def a_pipeline() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


def an_lgbm() -> Any:
    return importlib.import_module("lightgbm").LGBMClassifier(n_estimators=8, num_leaves=7, verbose=-1, n_jobs=1)


def an_xgb() -> Any:
    return importlib.import_module("xgboost").XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1)


def a_regressor() -> Any:
    return importlib.import_module("lightgbm").LGBMRegressor(n_estimators=4, verbose=-1, n_jobs=1)


def clusters() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(3, n_init=1, random_state=1)


def a_forest_of_outliers() -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=8, random_state=1)


KEYS = {"sklearn": "sk_model", "lightgbm": "lgb_model", "xgboost": "xgb_model"}
CASES: dict[str, tuple[str, Callable[[], Any], str, str, tuple[int, ...] | None]] = {
    "pipeline": ("sklearn", a_pipeline, "predict_proba", "plan", (-1, 3)),
    "pipeline-log": ("sklearn", a_pipeline, "predict_log_proba", "plan", (-1, 3)),
    "pipeline-decision": ("sklearn", a_pipeline, "decision_function", "plan", (-1, 3)),
    "lightgbm": ("lightgbm", an_lgbm, "predict_proba", "plan", (-1, 3)),
    "xgboost": ("xgboost", an_xgb, "predict_proba", "plan", (-1, 3)),
    "clusters": ("sklearn", clusters, "transform", "frame", None),
    "outliers": ("sklearn", a_forest_of_outliers, "score_samples", "plan", (-1,)),
}
"""Flavor, model, method, the path that is proven, and the shape that is promised."""


def save(home: Path, flavor: str, model: Any) -> Path:
    frame = a_frame(300, 1)
    labels = (frame["a"] + frame["b"] > 0).astype(int) + (frame["c"] > 0.5).astype(int)
    model.fit(frame, labels)
    module = importlib.import_module(f"mlflow.{flavor}")
    module.save_model(
        **{KEYS[flavor]: model},
        path=str(home / "files"),
        signature=mlflow.models.infer_signature(frame, model.predict(frame)),
        input_example=frame.head(3),
        pip_requirements=[f"mlflow=={mlflow.__version__}"],
        **({"serialization_format": "cloudpickle"} if flavor == "sklearn" else {}),
    )
    return home / "files"


def ask(served: Served, frame: pd.DataFrame) -> list[Any]:
    """Return what the row path says to the rows, in one request and one by one."""
    assert served.rows is not None
    rows = [tuple(map(float, row)) for row in frame.itertuples(index=False)]
    return [served.rows.plan.predict(rows), *(served.rows.plan.predict([row]) for row in rows[:5])]


@pytest.mark.parametrize("case", CASES)
def test_every_path_answers_as_the_models_own_method(tmp_path: Path, case: str) -> None:
    flavor, make, method, path, shape = CASES[case]
    files = save(tmp_path, flavor, make())
    metadata, contract = read_model(files)
    native = mlflow.pyfunc.load_model(str(files)).get_raw_model()
    call = getattr(native, method)
    frame = a_frame(40, 2)
    expected = [call(frame), *(call(frame.iloc[[at]]) for at in range(5))]

    proof = ProofRun(files, metadata, contract, {"method": method}).prove()
    assert (proof.path, proof.reason if path == "plan" else "") == (path, "")
    for served in (
        choose(Loaded.of(files, metadata, contract, method), proof),
        load(files, metadata, contract, {"method": method, "serving": "pyfunc"})[0],
        load(files, metadata, contract, {"method": method})[0],
    ):
        assert Decoder.of(served.contract) is not None
        assert [tensor.shape for tensor in served.contract.output_tensors] == ([] if shape is None else [shape])
        for found, wanted in zip(ask(served, frame), expected, strict=True):
            assert same(np.asarray(found).tolist(), np.asarray(wanted).tolist())


@pytest.mark.parametrize("serving", ["auto", "pyfunc"])
def test_a_method_that_the_model_lacks_ends_the_pod_with_its_reason(tmp_path: Path, serving: str) -> None:
    snapshot, home = tmp_path / "snapshot", tmp_path / "home"
    home.mkdir()
    listed = manifest.dump(manifest.build(save(snapshot, "lightgbm", a_regressor())))
    (snapshot / "manifest.json").write_bytes(listed)
    config = {
        "snapshot": str(snapshot), "manifest_digest": manifest.digest(listed), "pod": "p", "revision": "r",
        "model": "m", "version": 1, "serving": serving, "method": "predict_proba", "socket": str(tmp_path / "s"),
        "proof_file": str(tmp_path / "never.json"),
    }  # fmt: skip
    code, reports = run(home, config)
    assert code == 3
    assert reports[-1]["failed"]["reason"] == "MethodNotAvailable"
    assert not reports[-1]["failed"]["retryable"]
    assert "LGBMRegressor has no predict_proba. There is predict." in reports[-1]["failed"]["message"]


def test_a_custom_model_answers_with_predict_only(tmp_path: Path) -> None:
    def double(model_input: list[float]) -> list[float]:
        return [2 * value for value in model_input]

    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=double, pip_requirements=["mlflow"])
    metadata = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())
    _, contract = read_model(tmp_path / "m")
    with pytest.raises(LoadFailed, match="a custom pyfunc model"):
        Loaded.of(tmp_path / "m", metadata, contract, "predict_proba")


def test_the_proof_of_another_method_is_not_the_same(tmp_path: Path) -> None:
    """What was proven of predict says nothing of predict_proba: a wrong plan for it must be caught."""
    files = save(tmp_path, "lightgbm", an_lgbm())
    metadata, contract = read_model(files)
    from taxiway_scoring.plans import compile_plan
    from taxiway_scoring.plans.loading import load_native
    from taxiway_scoring.predictor import load_predictor
    from taxiway_scoring.proof import prove

    predictor = load_predictor(files, contract, "predict_proba")
    wrong = [("plan", lambda: compile_plan(load_native(files, metadata), contract))]
    proof = prove(
        files, metadata, predictor.contract, predictor, None, seed=1, method="predict_proba", candidates=wrong
    )
    assert proof.path == "pyfunc"
    assert "pyfunc" in proof.reason
    assert json.dumps(proof.to_dict())
