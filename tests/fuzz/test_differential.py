"""A few thousand rows over some of the zoo in every run; ``make fuzz-long`` takes all of it and a million."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.differential import try_model

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]
PATHS = {
    "a": "plan",
    "logistic": "plan",
    "xgboost-class": "plan",
    "kinds-catboost": "plan",
    "kinds-encoded": "plan",
    "whole-categories": "plan",
    "ordinal-hist": "plan",
    "strict": "plan",
    "strange-names": "plan",
    "early-stopped-lightgbm": "plan",
    "dates": "frame",
    "catboost-texts": "frame",
    "custom": "frame",
    "tensor": "pyfunc",
}


@pytest.mark.parametrize("name", PATHS)
def test_the_path_of_a_model_is_known_and_equal_to_pyfunc(tmp_path: Path, name: str) -> None:
    findings = try_model(name, tmp_path, seed=11, rows=3_000)
    assert (findings.path, findings.differences) == (PATHS[name], [])
    assert findings.predicted > findings.rows / 2
