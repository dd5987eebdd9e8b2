"""Is every bit LightGBM's, whatever its trees were trained for?"""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from taxiway_scoring.plans.leaves import compile_trees

pytestmark = pytest.mark.integration

CASES = [
    {"objective": "binary"},
    {"objective": "binary", "sigmoid": 0.7, "num_leaves": 64},
    {"objective": "binary", "use_missing": False},
    {"objective": "binary", "zero_as_missing": True},
    {"objective": "multiclass", "num_class": 4, "num_leaves": 40},
    {"objective": "regression"},
    {"objective": "regression_l1"},
    {"objective": "huber"},
    {"objective": "quantile"},
    {"objective": "mape"},
    {"objective": "poisson"},
    {"objective": "gamma"},
    {"objective": "tweedie"},
    {"objective": "cross_entropy"},
    {"objective": "binary", "boosting": "dart"},
    {"objective": "binary", "data_sample_strategy": "goss", "extra_trees": True, "max_depth": 4},
]


@pytest.mark.parametrize("params", CASES, ids=lambda params: "-".join(str(value) for value in params.values()))
def test_every_bit_is_lightgbms(params: dict[str, object]) -> None:
    random = np.random.default_rng(11)
    x = random.normal(size=(2_000, 8))
    x[:, 3] = random.integers(0, 4, 2_000)
    x[random.random(x.shape) < 0.1] = np.nan
    x[random.random(x.shape) < 0.1] = 0.0
    signal = np.nan_to_num(x[:, 0] * x[:, 1] + x[:, 3])
    several = {"multiclass": signal.astype(int) % 4, "poisson": np.abs(signal), "gamma": np.abs(signal) + 0.1}
    y = several.get(str(params["objective"]), (signal > signal.mean()).astype(float))
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1, "seed": 5, **params}, lightgbm.Dataset(x, y), 30)

    rows = random.normal(size=(3_000, 8)) * random.choice([1e-36, 0.1, 1.0, 100.0], size=(3_000, 8))
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[random.random(rows.shape) < 0.1] = 0.0
    rows[random.random(rows.shape) < 0.02] = np.inf
    rows[random.random(rows.shape) < 0.02] = -np.inf
    for iterations in (-1, 7):
        found = compile_trees(booster.model_to_string(num_iteration=-1), iterations)(rows)
        assert found.tobytes() == booster.predict(rows, num_iteration=iterations).tobytes()
