"""A model's last step on a matrix: by the native interface of its library where that is quicker, else as itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taxiway_scoring.plans import Estimator, NotCompilable
from taxiway_scoring.plans.boosters import lightgbm_estimator, xgboost_estimator
from taxiway_scoring.plans.matrices import without_names

_FOREST_LEAST_SKLEARN = (1, 3)
"""Since then the trees of a forest hold fractions, not counts."""


def compile_estimator(estimator: Any, method: str) -> Estimator:
    """Return what predicts on a matrix as the estimator's own method does. Raises NotCompilable."""
    kind = type(estimator)
    package = kind.__module__.partition(".")[0]
    if package == "lightgbm":
        return lightgbm_estimator(estimator, method)
    if package == "xgboost":
        return xgboost_estimator(estimator, method)
    if package not in ("sklearn", "catboost"):
        raise NotCompilable(f"an estimator of {package}")
    call = getattr(estimator if package == "catboost" else without_names(estimator), method, None)
    if call is None:
        raise NotCompilable(f"{kind.__name__} has no {method}")
    special = _FORESTS.get(kind.__name__) if package == "sklearn" else None
    quick = special(estimator, method, call) if special is not None else None
    if quick is not None:
        return Estimator(kind.__name__, quick, takes_dense=True, adds_exactly=True)
    return Estimator(kind.__name__, call)


# ------------------------------------------------------------------ forests of scikit-learn


def _forest(estimator: Any, method: str, call: Callable[[Any], Any]) -> Callable[[Any], Any] | None:
    """Add the trees' answers up in their order, as scikit-learn does, without its thread pool for each request.

    ``sklearn.ensemble._forest``: sums over the trees in float64, divided by their number.
    """
    import numpy as np
    import sklearn

    if tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < _FOREST_LEAST_SKLEARN:
        return None
    if estimator.n_outputs_ != 1:
        return None
    trees = [tree.tree_.predict for tree in estimator.estimators_]
    is_classifier = hasattr(estimator, "classes_")
    classes: Any = getattr(estimator, "classes_", None)
    count, isfinite, float32 = len(trees), np.isfinite, np.float32
    width: int = len(classes) if is_classifier else 1

    def total(matrix: Any) -> Any:
        if hasattr(matrix, "toarray"):
            return None
        with np.errstate(over="ignore"):
            x = matrix.astype(float32)
        if not isfinite(x).all():  # missing values, and numbers too large: scikit-learn knows what it says
            return None
        result = np.zeros((len(x), width), dtype=np.float64)
        for tree in trees:
            result += tree(x)[:, :width]
        result /= count
        return result

    def proba(matrix: Any) -> Any:
        result = total(matrix)
        return call(matrix) if result is None else result

    def label(matrix: Any) -> Any:
        result = total(matrix)
        return call(matrix) if result is None else classes.take(np.argmax(result, axis=1), axis=0)

    def value(matrix: Any) -> Any:
        result = total(matrix)
        return call(matrix) if result is None else result[:, 0]

    if is_classifier:
        return {"predict_proba": proba, "predict": label}.get(method)
    return value if method == "predict" else None


_FORESTS = dict.fromkeys(
    ("RandomForestClassifier", "ExtraTreesClassifier", "RandomForestRegressor", "ExtraTreesRegressor"), _forest
)
