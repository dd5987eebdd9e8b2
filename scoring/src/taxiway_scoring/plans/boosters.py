"""LightGBM and XGBoost by their C interfaces, which cost a hundredth of their Python ones for a row.

LightGBM: ``LGBM_BoosterPredictForMat`` and its single-row form, for many rows ``leaves.py``. XGBoost:
``XGBoosterPredictFromDense``.
What is unusual about a model (custom objectives, categories of pandas, trees on other data) is not compiled.
"""

from __future__ import annotations

import ctypes
import json
import logging
import weakref
from collections.abc import Callable
from typing import Any

from taxiway_scoring.plans import Estimator, NotCompilable
from taxiway_scoring.plans.leaves import Unsuited, compile_trees

log = logging.getLogger("taxiway")
_FLOAT64 = 1
"""``C_API_DTYPE_FLOAT64``."""
_NORMAL = 0
"""``C_API_PREDICT_NORMAL``."""
_MANY_ROWS = 16
"""From how many rows on the look-up of leaves is faster than LightGBM's walk through the trees."""
_trees: weakref.WeakKeyDictionary[Any, Callable[[Any], Any] | None] = weakref.WeakKeyDictionary()
"""Of each booster, for its tables are large and the same for all plans."""


# ------------------------------------------------------------------ LightGBM


def lightgbm_estimator(model: Any, method: str) -> Estimator:
    """Compile a ``lightgbm.Booster``, ``LGBMClassifier``, ``LGBMRegressor`` or ``LGBMRanker``. Raises NotCompilable."""
    name = type(model).__name__
    if name == "Booster":
        if method != "predict":
            raise NotCompilable(f"a LightGBM Booster has no {method}")
        return Estimator("LightGBM", _lightgbm(model, {}), takes_dense=True, adds_exactly=True)
    if name not in ("LGBMClassifier", "LGBMRegressor", "LGBMRanker") or not hasattr(model, "_process_params"):
        raise NotCompilable(f"{name} of LightGBM")
    if callable(getattr(model, "_objective", None)):
        raise NotCompilable("LightGBM with an objective of its own")
    scores = _lightgbm(model.booster_, _prediction_params(model))
    if name != "LGBMClassifier":
        if method != "predict":
            raise NotCompilable(f"{name} has no {method}")
        return Estimator(name, scores, takes_dense=True, adds_exactly=True)
    return Estimator(name, _of_classes(scores, model, method), takes_dense=True, adds_exactly=True)


def _prediction_params(model: Any) -> dict[str, Any]:
    """Return what ``LGBMModel.predict`` hands to the booster."""
    params = dict(model._process_params(stage="predict"))
    for alias in ("data", "X", "raw_score", "start_iteration", "num_iteration", "pred_leaf", "pred_contrib"):
        params.pop(alias, None)
    return params


def _of_classes(scores: Callable[[Any], Any], model: Any, method: str) -> Callable[[Any], Any]:
    """Make of scores what ``LGBMClassifier`` makes of them."""
    import numpy as np

    is_binary, labels = model.n_classes_ <= 2, model.classes_

    def proba(matrix: Any) -> Any:
        result = scores(matrix)
        return np.vstack((1.0 - result, result)).transpose() if is_binary else result

    if method == "predict_proba":
        return proba
    if method == "predict":
        return lambda matrix: labels[np.argmax(proba(matrix), axis=1)]
    raise NotCompilable(f"LGBMClassifier with {method}")


def _lightgbm(booster: Any, params: dict[str, Any]) -> Callable[[Any], Any]:
    import numpy as np

    if getattr(booster, "pandas_categorical", None):
        raise NotCompilable("LightGBM on pandas categories")
    try:
        import lightgbm.basic as basic

        lib, handle = basic._LIB, booster._handle
        text = basic._param_dict_to_str(params)
        width, outputs = int(booster.num_feature()), int(booster.num_model_per_iteration())
        best = int(booster.best_iteration)
    except (ImportError, AttributeError) as error:
        raise NotCompilable("a version of LightGBM that is not known") from error
    parameter = ctypes.c_char_p(text.encode())
    iterations = ctypes.c_int(best if best > 0 else -1)
    zero, kind, columns = ctypes.c_int(0), ctypes.c_int(_FLOAT64), ctypes.c_int(width)
    fast = ctypes.c_void_p()
    basic._safe_call(
        lib.LGBM_BoosterPredictForMatSingleRowFastInit(
            handle, ctypes.c_int(_NORMAL), zero, iterations, kind, columns, parameter, ctypes.byref(fast)
        )
    )
    count, check = ctypes.c_int64(0), basic._safe_call
    count_at = ctypes.byref(count)
    one_row, many_rows = lib.LGBM_BoosterPredictForMatSingleRowFast, lib.LGBM_BoosterPredictForMat
    pointer, double = ctypes.c_void_p, ctypes.POINTER(ctypes.c_double)
    row_major, normal = ctypes.c_int(1), ctypes.c_int(_NORMAL)
    empty, float64, contiguous = np.empty, np.float64, np.ascontiguousarray
    trees = _trees_of(booster, best, params)
    line = np.empty(width)
    line_at = pointer(line.ctypes.data)
    answer = np.empty(outputs)
    answer_at = answer.ctypes.data_as(double)

    def scores(matrix: Any) -> Any:
        rows, features = matrix.shape
        if features != width:
            raise ValueError(f"The model has {width} features, the input {features}.")
        if rows == 1:
            line[:] = matrix[0]
            check(one_row(fast, line_at, count_at, answer_at))
            result = answer.copy()
        elif rows >= _MANY_ROWS and trees is not None:
            return trees(contiguous(matrix, dtype=float64))
        else:
            x = contiguous(matrix, dtype=float64)
            result = empty(rows * outputs)
            check(
                many_rows(
                    handle, pointer(x.ctypes.data), kind, ctypes.c_int32(rows), ctypes.c_int32(width), row_major,
                    normal, zero, iterations, parameter, count_at, result.ctypes.data_as(double),
                )
            )  # fmt: skip
        return result if outputs == 1 else result.reshape(rows, outputs)

    scores.keep = (booster, line, answer)  # type: ignore[attr-defined]
    return scores


def _trees_of(booster: Any, iterations: int, params: dict[str, Any]) -> Callable[[Any], Any] | None:
    """Return what looks leaves up; None where LightGBM must do it."""
    if params.get("pred_early_stop"):
        return None
    if booster not in _trees:
        try:
            _trees[booster] = compile_trees(booster.model_to_string(num_iteration=-1), iterations)
        except (Unsuited, KeyError, ValueError, IndexError) as error:
            log.info("LightGBM walks through its trees itself: %r", error)
            _trees[booster] = None
    return _trees[booster]


# ------------------------------------------------------------------ XGBoost


def xgboost_estimator(model: Any, method: str) -> Estimator:
    """Compile an ``xgboost.Booster``, ``XGBClassifier`` or ``XGBRegressor``. Raises NotCompilable."""
    name = type(model).__name__
    if name == "Booster":
        if method != "predict":
            raise NotCompilable(f"an XGBoost Booster has no {method}")
        import xgboost

        def of_matrix(matrix: Any) -> Any:
            return model.predict(xgboost.DMatrix(matrix), validate_features=False)

        return Estimator("XGBoost", _xgboost(model, float("nan"), (0, 0), of_matrix), adds_exactly=True)
    if name not in ("XGBClassifier", "XGBRegressor"):
        raise NotCompilable(f"{name} of XGBoost")
    if callable(model.objective):
        raise NotCompilable("XGBoost with an objective of its own")
    booster = model.get_booster()
    span = model._get_iteration_range(None)

    def in_place(matrix: Any) -> Any:
        return booster.inplace_predict(matrix, iteration_range=span, missing=model.missing, validate_features=False)

    scores = _xgboost(booster, model.missing, span, in_place)
    if name == "XGBRegressor":
        if method != "predict":
            raise NotCompilable(f"{name} has no {method}")
        return Estimator(name, scores, adds_exactly=True)
    import numpy as np

    def proba(matrix: Any) -> Any:
        result = scores(matrix)
        return result if result.ndim == 2 else np.vstack((1.0 - result, result)).transpose()

    def label(matrix: Any) -> Any:
        result = scores(matrix)
        if result.ndim == 2:
            return np.argmax(result, axis=1)
        return np.repeat(0, len(result)) if len(result) == 0 else (result > 0.5).astype(np.int64)

    methods = {"predict": label, "predict_proba": proba}
    if method not in methods or getattr(model, "n_classes_", 2) < 2:
        raise NotCompilable(f"XGBClassifier with {method}")
    return Estimator(name, methods[method], adds_exactly=True)


def _xgboost(
    booster: Any, missing: float, span: tuple[int, int], otherwise: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """Return what predicts with the trees of ``span``; sparse and strange matrices go to ``otherwise``."""
    import numpy as np

    try:
        import xgboost.core as core

        lib, handle, check = core._LIB, booster.handle, core._check_call
        from_dense = lib.XGBoosterPredictFromDense
        kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
        width = int(booster.num_features())
        types = booster.feature_types or []
    except (ImportError, AttributeError, KeyError) as error:
        raise NotCompilable("a version of XGBoost that is not known") from error
    if "c" in types or "categorical" in types:
        raise NotCompilable("XGBoost on categories")
    if kind != "gbtree":  # dart drops trees in another order, gblinear adds in one of its own
        raise NotCompilable(f"XGBoost with the booster {kind}")
    config = json.dumps(
        {
            "training": False,
            "type": 0,
            "iteration_begin": int(span[0]),
            "iteration_end": int(span[1]),
            "missing": float(missing),
            "strict_shape": False,
            "cache_id": 0,
        }
    ).encode()
    shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
    result = ctypes.POINTER(ctypes.c_float)()
    shape_at, dimensions_at, result_at = ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(result)
    contiguous, from_address = np.ascontiguousarray, np.ctypeslib.as_array
    template = '{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3,"strides":null}'
    isinf = np.isinf

    def scores(matrix: Any) -> Any:
        if hasattr(matrix, "toarray"):
            return otherwise(matrix)
        with np.errstate(over="ignore"):
            x = contiguous(matrix, dtype=np.float32)
        if isinf(x).any():  # XGBoost itself knows what it says to numbers that are too large
            return otherwise(matrix)
        rows, features = x.shape
        if features != width:
            raise ValueError(f"The model has {width} features, the input {features}.")
        interface = (template % (x.ctypes.data, rows, features)).encode()
        check(from_dense(handle, interface, config, None, shape_at, dimensions_at, result_at))
        sizes = [shape[at] for at in range(dimensions.value)]
        total = 1
        for size in sizes:
            total *= size
        # The library uses its buffer again at the next call.
        return from_address(result, (total,)).copy().reshape(sizes)

    scores.keep = booster  # type: ignore[attr-defined]
    return scores
