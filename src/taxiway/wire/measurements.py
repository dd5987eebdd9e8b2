"""What was measured, as the API speaks of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from taxiway.wire import Out


class LoadOut(Out):
    """Requests and what pods used, over some time. Latencies in milliseconds; null without requests."""

    requests_per_second: float
    rows_per_second: float = Field(description="Predictions that pods returned.")
    error_rate: float = Field(description="Share of requests answered 5xx, a missing pod or answer among them.")
    client_error_rate: float = Field(description="Share of requests answered 4xx.")
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    concurrency: float = Field(description="Requests that were being answered, on average.")
    pods: float = Field(description="Ready pods, on average.")
    cpus: float | None = Field(description="Cores that pods used, on average.")
    memory_bytes: int | None = Field(description="Memory of all pods.")


class PointOut(LoadOut):
    """One step of a series."""

    at: datetime


class HostPointOut(Out):
    """This host in one step: cores and bytes in use, and bytes free on the disk of the data directory."""

    at: datetime
    cpus: float | None
    memory_bytes: int | None
    disk_free_bytes: int | None


class MarkerOut(Out):
    """Something that happened to the deployment."""

    at: datetime
    reason: str
    message: str


class SeriesOut(Out):
    """Points by time, oldest first; a step in which nothing was measured is left out."""

    since: datetime
    until: datetime
    step_seconds: int
    points: list[PointOut]
    total: LoadOut | None = Field(description="All points together; null without any.")
    markers: list[MarkerOut]
    host: list[HostPointOut]
