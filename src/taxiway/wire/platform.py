"""What the control API returns about the platform itself."""

from __future__ import annotations

from typing import Literal

from taxiway.wire import Out
from taxiway.wire.models import ResourcesOut


class HealthOut(Out):
    """The control API answers."""

    status: Literal["ok"] = "ok"
    version: str


class EngineOut(Out):
    """How one of the platform's own processes is. ``restarts`` and ``message`` need platform:read."""

    name: str
    is_alive: bool
    phase: str
    restarts: int | None
    message: str | None


class CapacityOut(Out):
    """What the host has for pods."""

    memory: str
    memory_bytes: int
    cpus: str


class PlatformOut(Out):
    """The platform. ``capacity``, ``isolation`` and ``notes`` are null without platform:read."""

    version: str
    public_url: str
    api_url: str
    tracking_uri: str
    default_resources: ResourcesOut
    engines: list[EngineOut]
    capacity: CapacityOut | None
    isolation: str | None
    notes: list[str] | None
