"""Requests and facts with every field defaulted."""

from __future__ import annotations

from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.models import FileFormat, ModelFacts


def a_request(*requirements: str, **changes: object) -> EnvironmentRequest:
    values: dict[str, object] = {
        "python": "3.11", "requirements": requirements, "scoring_requirements": (), "mlflow_version": "3.17.2",
        "platform": "linux-x86_64-glibc",
    }  # fmt: skip
    return EnvironmentRequest(**(values | changes))  # type: ignore[arg-type]


def some_facts(*requirements: str, **changes: object) -> ModelFacts:
    values: dict[str, object] = {
        "flavors": ("python_function",), "signature": None, "python_version": "3.11.9", "mlflow_version": "3.17.2",
        "requirements": requirements, "has_input_example": True, "size_bytes": 1, "file_count": 1,
        "file_format": FileFormat.SAFE,
    }  # fmt: skip
    return ModelFacts(**(values | changes))  # type: ignore[arg-type]
