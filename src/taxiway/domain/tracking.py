"""What Taxiway shows of MLflow's experiments and runs, and which tags people change. Read, not owned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ExperimentId, RunId

T = TypeVar("T")
NOTE = "mlflow.note.content"
OWN_PREFIX = "mlflow."
LONGEST_TAG_NAME = 250
LONGEST_TAG_VALUE = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A named folder of runs."""

    id: ExperimentId
    name: str
    is_deleted: bool
    created_at: datetime | None
    updated_at: datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of training code, with the latest value of each metric."""

    id: RunId
    experiment_id: ExperimentId
    name: str
    status: str
    is_deleted: bool
    user: str
    started_at: datetime | None
    ended_at: datetime | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    has_logged_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One logged value of a metric."""

    value: float
    step: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file or folder below a run; ``size_bytes`` is None for folders."""

    path: str
    is_folder: bool
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of a list, and the cursor for the rest; None when this is the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Raise InvalidInput where people may not change one of these tags: MLflow's own tell what a run is."""
    for name, value in tags.items():
        if not name.strip() or len(name) > LONGEST_TAG_NAME or not name.isprintable():
            raise InvalidInput(
                f"A tag's name has 1 to {LONGEST_TAG_NAME} letters, without line breaks.",
                hint="Give another name.",
                field="/tags",
            )
        if name.startswith(OWN_PREFIX) and name != NOTE:
            raise InvalidInput(
                "Tags that begin with mlflow. are MLflow's own.",
                hint=f"Choose another name; notes are the tag {NOTE}.",
                field="/tags",
            )
        if value is not None and len(value) > LONGEST_TAG_VALUE:
            raise InvalidInput(
                f"A tag's value has at most {LONGEST_TAG_VALUE:,} letters.",
                hint="Log it as an artifact.",
                field="/tags",
            )
