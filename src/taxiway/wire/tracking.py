"""What the control API returns about experiments, runs and artifacts."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from taxiway.wire import In, Out


class ExperimentOut(Out):
    """A named folder of runs."""

    id: str
    name: str
    created_at: datetime | None
    updated_at: datetime | None
    tags: dict[str, str]


class ExperimentPage(Out):
    """Some experiments."""

    items: list[ExperimentOut]
    next_cursor: str | None


class RunOut(Out):
    """A run with the latest value of each metric; NaN and infinities are null."""

    id: str
    experiment_id: str
    name: str
    status: str
    user: str
    started_at: datetime | None
    ended_at: datetime | None
    parameters: dict[str, str]
    metrics: dict[str, float | None]
    tags: dict[str, str]
    has_logged_model: bool
    is_deleted: bool = False


class RunChangeIn(In):
    """Change a run's tags; those that are not named stay. The notes are the tag `mlflow.note.content`."""

    tags: dict[str, str | None] = Field(max_length=50, description="null takes a tag away.")


class RunPage(Out):
    """Some runs."""

    items: list[RunOut]
    next_cursor: str | None


class LoggedModelOut(Out):
    """A model that a run logged."""

    name: str
    model_id: str | None
    path: str | None
    flavors: list[str]
    created_at: datetime | None


class LoggedModelList(Out):
    """The models that a run logged, and the model versions that were made of the run."""

    items: list[LoggedModelOut]
    versions: list[str]


class MetricPointOut(Out):
    """One logged value; NaN and infinities are null."""

    value: float | None
    step: int
    at: datetime


class MetricPage(Out):
    """Values of a metric."""

    items: list[MetricPointOut]
    next_cursor: str | None


class ArtifactOut(Out):
    """A file or folder below a run."""

    path: str
    is_folder: bool
    size_bytes: int | None


class ArtifactList(Out):
    """One folder of a run's artifacts."""

    items: list[ArtifactOut]
