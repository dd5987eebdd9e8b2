"""Which of a model's methods answers, and what is promised of it?"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from taxiway.domain.revisions import Method
from taxiway_scoring.app import Limits
from taxiway_scoring.contract import Tensor, openapi
from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.methods import METHODS, by_method, find_method, with_method
from taxiway_scoring.v2 import model_metadata
from tests.scoring.apps import a_contract, an_app, predict

CONTRACT = a_contract(
    ("x", "double"), outputs=[{"type": "long"}], params=[{"name": "k", "type": "long", "default": 1, "shape": None}]
)


class Classifier:
    def __init__(self, classes: Any = None, **more: Any) -> None:
        self.classes_ = classes
        self.__dict__.update(more)

    def predict(self, frame: Any) -> Any:
        return frame

    def predict_proba(self, frame: Any) -> Any:
        return [[0.25, 0.75] for _ in frame]


class Pipeline:
    def __init__(self, last: Any) -> None:
        self.steps = [("last", last)]
        self.named_steps = {"last": last}
        self.classes_ = last.classes_
        self.predict_proba = last.predict_proba


def test_both_sides_know_the_same_methods() -> None:
    assert tuple(Method) == METHODS


def test_a_method_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(LoadFailed) as failed:
        find_method(Classifier(), "transform")
    assert (failed.value.reason, failed.value.retryable) == ("MethodNotAvailable", False)
    assert "Classifier has no transform. There is predict, predict_proba." in failed.value.message
    assert "--method predict" in failed.value.hint


@pytest.mark.parametrize("name", ["__class__", "fit", "os", ""])
def test_nothing_but_the_known_methods_is_ever_called(name: str) -> None:
    with pytest.raises(LoadFailed):
        find_method(Classifier(), name)


def a_pyfunc(model: Any, loader: str = "mlflow.sklearn", **names: Any) -> Any:
    flavors = {"python_function": {"loader_module": loader}}
    impl = SimpleNamespace(**(names or {"get_raw_model": lambda: model}))
    return SimpleNamespace(metadata=SimpleNamespace(flavors=flavors), _model_impl=impl, _predict_fn=None)


def test_the_model_inside_a_pyfunc_model_answers() -> None:
    model = Classifier()
    for pyfunc in (a_pyfunc(model), a_pyfunc(model, "mlflow.lightgbm", lgb_model=model)):
        assert by_method(pyfunc, "predict_proba") is model
        assert pyfunc._predict_fn([1]) == [[0.25, 0.75]]


@pytest.mark.parametrize(
    ("loader", "says"),
    [("mlflow.pyfunc.model", "a custom pyfunc model"), ("mlflow.pytorch", "pytorch"), ("own", "own")],
)
def test_flavors_whose_methods_nobody_knows(loader: str, says: str) -> None:
    with pytest.raises(LoadFailed, match=says) as failed:
        by_method(a_pyfunc(Classifier(), loader), "predict_proba")
    assert failed.value.reason == "MethodNotAvailable"


@pytest.mark.parametrize(
    ("model", "method", "shape", "labels"),
    [
        (Classifier(np.array(["no", "yes"])), "predict_proba", (-1, 2), ("no", "yes")),
        (Pipeline(Classifier(np.array([0, 1, 2]))), "predict_log_proba", (-1, 3), ("0", "1", "2")),
        (Classifier(), "predict_proba", (-1, -1), ()),
        (Classifier(np.array([0, 1])), "decision_function", (-1,), ()),
        (Classifier(np.array([0, 1, 2])), "decision_function", (-1, 3), ("0", "1", "2")),
        (Classifier(np.arange(4), decision_function_shape="ovo"), "decision_function", (-1, 6), ()),
        (Classifier(np.arange(2), multilabel_=True), "decision_function", (-1, 2), ("0", "1")),
        (Classifier(), "decision_function", (-1,), ()),
        (Classifier(), "score_samples", (-1,), ()),
    ],
)
def test_what_is_promised_of_a_method(model: Any, method: str, shape: tuple[int, ...], labels: tuple[str, ...]) -> None:
    contract = with_method(CONTRACT, model, method)
    assert contract.output_tensors == (Tensor(None, "float64", shape, labels),)
    assert (contract.outputs, contract.params, contract.method) == ((), (), method)
    assert contract.columns == CONTRACT.columns


@pytest.mark.parametrize(
    ("classes", "method"), [([np.array([0, 1]), np.array([0, 1])], "predict_proba"), (None, "transform")]
)
def test_of_some_nothing_is_promised(classes: Any, method: str) -> None:
    contract = with_method(CONTRACT, Classifier(classes), method)
    assert (contract.outputs, contract.output_tensors) == ((), ())


def test_predict_is_the_contract_that_was_logged() -> None:
    assert with_method(CONTRACT, Classifier(), "predict") is CONTRACT


def test_the_promise_is_in_both_protocols_documents() -> None:
    contract = with_method(CONTRACT, Classifier(np.array(["no", "yes"])), "predict_proba")
    post = openapi(contract, title="m", version="1")["paths"]["/invocations"]["post"]
    assert post["summary"] == "Predict by predict_proba"
    predictions = post["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]
    assert predictions == {
        "type": "array",
        "items": {
            "type": "array",
            "items": {"type": ["number", "null"]},
            "minItems": 2,
            "maxItems": 2,
            "description": "A number for each of: no, yes",
        },
    }
    assert model_metadata(contract, "m", "1")["outputs"] == [
        {"name": "predictions", "datatype": "FP64", "shape": [-1, 2], "parameters": {"labels": ["no", "yes"]}}
    ]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (np.array([[0.25, 0.75]]), 200),
        (np.array([[0.25, 0.75]], dtype="float32"), 200),
        ([[0.25, None]], 200),
        ([[0.25, 1]], 200),
        (np.array([[0.25, 0.5, 0.25]]), 500),
        (np.array([0.25]), 500),
        (np.array([["a", "b"]]), 500),
        ([[0.25, "a"]], 500),
        ([0.25], 500),
        ([[True, False]], 500),
    ],
)
async def test_an_answer_is_checked_against_the_promise(answer: Any, status: int) -> None:
    contract = with_method(CONTRACT, Classifier(np.array([0, 1])), "predict_proba")
    app = an_app(lambda _: answer, contract=contract, limits=Limits(refuse_mismatch=True))
    found, body = await predict(app, {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}})
    assert found == status
    if status == 500:
        assert json.loads(json.dumps(body))["reason"] == "OutputMismatch"
