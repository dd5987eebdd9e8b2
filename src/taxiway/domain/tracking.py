"""What Taxiway shows of MLflow's experiments and runs. Read, not owned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from taxiway.domain.ids import ExperimentId, RunId

T = TypeVar("T")


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
