"""Which of a model's methods answers: the one it was logged with, or another of its own library's.

What is answered with another one is what the loaded model's method says to the data frame that MLflow would hand to the
model: MLflow's own conversion and enforcement come first all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taxiway_scoring.contract import Contract, Tensor
from taxiway_scoring.failures import LoadFailed

PREDICT = "predict"
"""As the model was logged: also where it was logged with another ``pyfunc_predict_fn``."""
METHODS = (PREDICT, "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform")
FLAVORS = ("sklearn", "lightgbm", "xgboost", "catboost")
"""Flavors that hand the data frame to the model as it is, so that its other methods can be handed it too."""
_OF_CLASSES = ("predict_proba", "predict_log_proba")


def find_method(model: Any, method: str) -> Callable[[Any], Any]:
    """Return a method of a model in its own library's form. Raises LoadFailed, which says which it has."""
    call = getattr(model, method, None) if method in METHODS else None
    if not callable(call):
        found = [name for name in METHODS if callable(getattr(model, name, None))]
        raise not_available(f"{type(_last(model)).__name__} has no {method}", found)
    return call  # type: ignore[no-any-return]


def not_available(why: str, found: list[str]) -> LoadFailed:
    """Return the failure of a model that has no such method; ``found`` are those that it has."""
    return LoadFailed(
        "MethodNotAvailable",
        f"The endpoint cannot answer with that method: {why}. There is {', '.join(found)}.",
        f"Configure one that there is, such as --method {found[0] if found else PREDICT}; or log a model that has it.",
        retryable=False,
    )


def by_method(pyfunc: Any, method: str) -> Any:
    """Make a loaded ``mlflow.pyfunc`` model answer with a method of the model inside; return that one.

    Raises LoadFailed.
    """
    loader = str(pyfunc.metadata.flavors["python_function"].get("loader_module"))
    package, _, flavor = loader.partition(".")
    if package != "mlflow" or flavor not in FLAVORS:
        kind = "a custom pyfunc model" if loader.startswith("mlflow.pyfunc") else f"the flavor {flavor or loader}"
        raise not_available(f"other methods than predict are not known of {kind}", [PREDICT])
    model = _inside(pyfunc._model_impl)  # noqa: SLF001
    call = find_method(model, method)
    # A function of its own: MLflow looks for a parameter ``params`` in its signature.
    pyfunc._predict_fn = lambda data: call(data)  # noqa: SLF001
    return model


def _inside(wrapper: Any) -> Any:
    """Return the model that MLflow's flavor has wrapped."""
    if hasattr(wrapper, "get_raw_model"):
        return wrapper.get_raw_model()
    for name in ("sklearn_model", "lgb_model", "xgb_model", "cb_model"):  # before MLflow 2.10
        if hasattr(wrapper, name):
            return getattr(wrapper, name)
    return wrapper


def with_method(contract: Contract, model: Any, method: str) -> Contract:
    """Return the contract of an endpoint that answers with a method.

    The outputs that were logged are those of ``predict``. Others are known for numbers a class, or one number a row; of
    ``transform`` nothing is promised. Inference parameters are those of ``predict`` too.
    """
    if method == PREDICT:
        return contract
    tensor = _output(model, method)
    return replace(contract, method=method, outputs=(), output_tensors=() if tensor is None else (tensor,), params=())


def _output(model: Any, method: str) -> Tensor | None:
    last = _last(model)
    dtype = "float32" if type(last).__module__.partition(".")[0] == "xgboost" else "float64"
    if method == "score_samples":
        return Tensor(None, dtype, (-1,))
    if method not in (*_OF_CLASSES, "decision_function"):
        return None
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list) and classes and hasattr(classes[0], "dtype"):
        return None  # several targets, each with classes of its own
    labels = tuple(str(label) for label in classes) if getattr(classes, "ndim", 1) == 1 and classes is not None else ()
    if method in _OF_CLASSES:
        return Tensor(None, dtype, (-1, len(labels) or -1), labels)
    if not labels or getattr(last, "multilabel_", False):  # outliers; several labels a row
        return Tensor(None, dtype, (-1,)) if not labels else Tensor(None, dtype, (-1, len(labels)), labels)
    if len(labels) == 2:
        return Tensor(None, dtype, (-1,))
    if getattr(last, "decision_function_shape", None) == "ovo":  # a number for each pair
        return Tensor(None, dtype, (-1, len(labels) * (len(labels) - 1) // 2))
    return Tensor(None, dtype, (-1, len(labels)), labels)


def _last(model: Any) -> Any:
    """Return what predicts: the last step of a pipeline, the best model of a search."""
    for _ in range(10):
        steps = getattr(model, "steps", None)
        best = getattr(model, "best_estimator_", None)
        if isinstance(steps, list) and steps and hasattr(model, "named_steps"):
            model = steps[-1][1]
        elif best is not None:
            model = best
        else:
            break
    return model
