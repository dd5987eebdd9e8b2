"""Models, their versions, and what is known of a logged model before anything is deployed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from taxiway.domain.ids import (
    DeploymentId,
    ExperimentId,
    ModelName,
    ModelVersionId,
    ProjectName,
    RunId,
    UserId,
)


class Environment(StrEnum):
    """Where a deployment, and the model version that it serves, live."""

    STAGING = "staging"
    PRODUCTION = "production"


class FileFormat(StrEnum):
    """Whether loading a model's files can run code that lies in them."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModelRef:
    """Where a run's logged model is: exactly one of ``path`` and ``model_id`` is set.

    ``path`` is a folder in the run's artifacts (MLflow 2), ``model_id`` names MLflow 3's LoggedModel.
    """

    run_id: RunId
    name: str
    model_id: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the files beside a model say of it, read without loading it.

    ``signature`` holds MLflow's own JSON texts under ``inputs``, ``outputs``, ``params`` (each may be missing).
    ``requirements`` are PEP 508 lines in the model's order, without options, URLs or local paths.
    ``python_version`` is ``major.minor`` or longer, as logged.
    """

    flavors: tuple[str, ...]
    signature: Mapping[str, str] | None
    python_version: str
    mlflow_version: str | None
    requirements: tuple[str, ...]
    has_input_example: bool
    size_bytes: int
    file_count: int
    file_format: FileFormat
    unsafe_files: tuple[str, ...] = ()
    has_invariants: bool = False
    """Whether its code has a ``taxiway_invariants.py``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedModel:
    """A model that a run logged, as lists show it. ``facts`` only where its files were read."""

    ref: LoggedModelRef
    experiment_id: ExperimentId
    created_at: datetime | None
    flavors: tuple[str, ...] = ()
    facts: ModelFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model: what was converted, from which run, by whom. Never changes but in its tags.

    In production it is a promoted one: a record of its own with files of its own, whatever becomes of that in staging.
    """

    id: ModelVersionId
    project: ProjectName
    model: ModelName
    version: int
    source: LoggedModelRef
    facts: ModelFacts
    owner: UserId
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the run, as they were when it was converted; those that are numbers."""
    environment: Environment = Environment.STAGING
    deployment: DeploymentId | None = None

    @property
    def uri(self) -> str:
        """MLflow's own name for it."""
        return f"models:/{self.model}/{self.version}"
