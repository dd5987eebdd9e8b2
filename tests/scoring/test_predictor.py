"""What can be told of a model without MLflow: its example in every age's form, and why it did not load."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.predictor import explain_load, find_example

SPLIT = {"columns": ["x"], "data": [[1.5]]}
OLDER: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "frame": ({"type": "dataframe", "pandas_orient": "split"}, SPLIT, {"dataframe_split": SPLIT}),
    "records": ({"type": "dataframe", "pandas_orient": "records"}, [{"x": 1}], {"dataframe_records": [{"x": 1}]}),
    "unnamed frame": (
        {"type": "dataframe", "pandas_orient": "values"}, {"data": [[1.5]]}, {"dataframe_split": {"data": [[1.5]]}},
    ),
    "bare values": (
        {"type": "dataframe", "pandas_orient": "values"}, [[1.5]], {"dataframe_split": {"data": [[1.5]]}},
    ),
    "array": ({"type": "ndarray", "format": "tf-serving"}, {"inputs": [[1.0]]}, {"inputs": [[1.0]]}),
    "plain array": ({"type": "ndarray"}, [[1.0]], {"inputs": [[1.0]]}),
    "json": ({"type": "json_object"}, [{"x": 1}], {"inputs": [{"x": 1}]}),
    "with params": (
        {"type": "dataframe", "pandas_orient": "split", "params": "true"}, {"inputs": SPLIT, "params": {"top": 1}},
        {"dataframe_split": SPLIT, "params": {"top": 1}},
    ),
    "nan": ({"type": "json_object"}, [1.0, float("nan")], {"inputs": [1.0, None]}),
}  # fmt: skip


@pytest.mark.parametrize("name", OLDER)
def test_examples_of_mlflow_2(tmp_path: Path, name: str) -> None:
    info, example, expected = OLDER[name]
    (tmp_path / "input_example.json").write_text(json.dumps(example))
    found = find_example(tmp_path, {"saved_input_example_info": {"artifact_path": "input_example.json", **info}})
    assert found is not None
    assert json.loads(found) == expected


def test_params_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps(SPLIT))
    (tmp_path / "p.json").write_text('{"top": 1}')
    info = {"artifact_path": "e.json", "example_params_path": "p.json", "type": "dataframe", "pandas_orient": "split"}
    found = find_example(tmp_path, {"saved_input_example_info": info})
    assert json.loads(found or b"") == {"dataframe_split": SPLIT, "params": {"top": 1}}


def test_the_example_of_mlflow_3_is_the_body_itself(tmp_path: Path) -> None:
    (tmp_path / "serving_input_example.json").write_text(
        '{"dataframe_split": {"data": [[NaN, 1]]}, "params": {"a": 1}}'
    )
    info = {"artifact_path": "x.json", "type": "dataframe", "serving_input_path": "serving_input_example.json"}
    found = find_example(tmp_path, {"saved_input_example_info": info})
    assert json.loads(found or b"") == {"dataframe_split": {"data": [[None, 1]]}, "params": {"a": 1}}


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"saved_input_example_info": None}, {"saved_input_example_info": {"artifact_path": "not-there.json"}},
        {"saved_input_example_info": {"type": "sparse_matrix_csr", "artifact_path": "e.json"}},
        {"saved_input_example_info": {"artifact_path": "../outside.json"}},
        {"saved_input_example_info": {"serving_input_path": "/etc/passwd"}},
    ],
)  # fmt: skip
def test_models_without_an_example_that_can_be_sent(tmp_path: Path, metadata: dict[str, Any]) -> None:
    home = tmp_path / "files"
    home.mkdir()
    (home / "e.json").write_text("[1]")
    (tmp_path / "outside.json").write_text("[1]")
    assert find_example(home, metadata) is None


def test_an_example_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("{")
    with pytest.raises(LoadFailed) as failed:
        find_example(tmp_path, {"saved_input_example_info": {"artifact_path": "e.json"}})
    assert failed.value.reason == "MalformedModel"


def _raised(*errors: BaseException) -> BaseException:
    """Chain errors, the first cause first."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


@pytest.mark.parametrize(
    ("error", "reason", "says", "is_retryable"),
    [
        (ModuleNotFoundError("No module named 'q'", name="q"), "MissingPackage", "module q", False),
        (
            _raised(ModuleNotFoundError("x", name="q.r"), RuntimeError("Failed to import code model")),
            "MissingPackage", "q.r", False,
        ),
        (MemoryError(), "OutOfMemory", "memory", True),
        (RuntimeError("weights are gone\nmore"), "ModelLoadFailed", "RuntimeError: weights are gone", False),
        (_raised(KeyError("k"), ValueError("outer")), "ModelLoadFailed", "KeyError", False),
        (ValueError(""), "ModelLoadFailed", "(no message)", False),
    ],
)  # fmt: skip
def test_why_a_model_did_not_load(error: BaseException, reason: str, says: str, *, is_retryable: bool) -> None:
    failed = explain_load(error)
    assert (failed.reason, failed.retryable) == (reason, is_retryable)
    assert says in failed.message
    assert failed.hint


def test_errors_that_cause_each_other_end() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert explain_load(one).reason == "ModelLoadFailed"
