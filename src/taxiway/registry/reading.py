"""MLflow's JSON → domain values. Pure; what has the wrong shape is refused, and nothing of it is repeated."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from taxiway.domain.ids import ExperimentId, RunId
from taxiway.domain.models import LoggedModel, LoggedModelRef
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Run

HISTORY_TAG = "mlflow.log-model.history"
"""Where MLflow 2 wrote which models a run logged: JSON, a list of objects with ``artifact_path`` and ``flavors``."""


class Unreadable(Exception):
    """An answer of MLflow has not the shape that it should have."""


def mapping(value: object) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise Unreadable("not an object")
    return value


def items(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return a list of objects; MLflow leaves empty ones out."""
    value = data.get(key) or []
    if not isinstance(value, list):
        raise Unreadable(key)
    return [mapping(item) for item in value]


def text(data: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    """Return a text, '' where it is missing and not needed."""
    value = data.get(key)
    if isinstance(value, str) and (value or not needed):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None and not needed:
        return ""
    raise Unreadable(key)


def number(value: object) -> float:
    """Return a metric's value; JSON has no NaN and no infinities, so MLflow writes those as texts."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Unreadable("a number")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise Unreadable("a number") from error


def whole(value: object) -> int:
    """Return a whole number, of which protocol buffers make texts when they have 64 bits."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Unreadable("a whole number")
    try:
        return int(value)
    except ValueError as error:
        raise Unreadable("a whole number") from error


def moment(value: object) -> datetime | None:
    """Return the time of milliseconds since 1970; None for none, and for what no calendar holds."""
    if value is None or value == 0:
        return None
    try:
        return datetime.fromtimestamp(whole(value) / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def tags(data: Mapping[str, Any], key: str = "tags") -> dict[str, str]:
    """Return a list of keys and values as a mapping."""
    return {text(item, "key"): text(item, "value") for item in items(data, key)}


def read_experiment(data: Mapping[str, Any]) -> Experiment:
    """Read an experiment."""
    return Experiment(
        id=ExperimentId(text(data, "experiment_id", needed=True)),
        name=text(data, "name"),
        is_deleted=text(data, "lifecycle_stage") == "deleted",
        created_at=moment(data.get("creation_time")),
        updated_at=moment(data.get("last_update_time")),
        tags=tags(data),
    )


def read_run(data: Mapping[str, Any]) -> Run:
    """Read a run."""
    info, values = mapping(data.get("info")), mapping(data.get("data") or {})
    tagged = tags(values)
    outputs = items(mapping(data.get("outputs") or {}), "model_outputs")
    return Run(
        id=RunId(text(info, "run_id", needed=True)),
        experiment_id=ExperimentId(text(info, "experiment_id", needed=True)),
        name=text(info, "run_name") or tagged.get("mlflow.runName", ""),
        status=text(info, "status"),
        is_deleted=text(info, "lifecycle_stage") == "deleted",
        user=text(info, "user_id") or tagged.get("mlflow.user", ""),
        started_at=moment(info.get("start_time")),
        ended_at=moment(info.get("end_time")),
        parameters=tags(values, "params"),
        metrics={text(metric, "key"): number(metric.get("value", 0.0)) for metric in items(values, "metrics")},
        tags=tagged,
        has_logged_model=bool(outputs) or HISTORY_TAG in tagged,
    )


def read_metric(data: Mapping[str, Any]) -> MetricPoint:
    """Read one logged value."""
    return MetricPoint(
        value=number(data.get("value", 0.0)),
        step=whole(data.get("step", 0)),
        at=moment(data.get("timestamp")) or datetime.fromtimestamp(0, UTC),
    )


def read_artifact(data: Mapping[str, Any]) -> Artifact:
    """Read a file or folder of a list."""
    is_folder = data.get("is_dir") is True
    size = data.get("file_size")
    return Artifact(
        path=text(data, "path", needed=True),
        is_folder=is_folder,
        size_bytes=None if is_folder else max(0, whole(0 if size is None else size)),
    )


def read_logged_model(data: Mapping[str, Any]) -> LoggedModel | None:
    """Read an MLflow 3 logged model; None for one that was not logged to its end."""
    info = mapping(data.get("info"))
    if text(info, "status") != "LOGGED_MODEL_READY":
        return None
    return LoggedModel(
        ref=LoggedModelRef(
            run_id=RunId(text(info, "source_run_id", needed=True)),
            name=text(info, "name"),
            model_id=text(info, "model_id", needed=True),
        ),
        experiment_id=ExperimentId(text(info, "experiment_id", needed=True)),
        created_at=moment(info.get("creation_timestamp_ms")),
    )


def read_history(tag: str) -> dict[str, tuple[tuple[str, ...], datetime | None]]:
    """Read MLflow 2's history: folder → flavors and time. Any client can write it, so anything may be there."""
    try:
        entries = json.loads(tag)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, tuple[tuple[str, ...], datetime | None]] = {}
    for entry in entries if isinstance(entries, list) else []:
        path = entry.get("artifact_path") if isinstance(entry, dict) else None
        if isinstance(path, str):
            flavors = entry.get("flavors")
            names = tuple(sorted(str(name) for name in flavors)) if isinstance(flavors, dict) else ()
            found[path.strip("/")] = (names, _utc(entry.get("utc_time_created")))
    return found


def _utc(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if at is None else at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def in_order_of_step(points: Iterable[MetricPoint]) -> tuple[MetricPoint, ...]:
    """Sort the points of a page; MLflow's order is that of time."""
    return tuple(sorted(points, key=lambda point: (point.step, point.at, not math.isnan(point.value))))
