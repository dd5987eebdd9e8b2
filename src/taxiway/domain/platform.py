"""The platform as a whole, as people see it: its engines and what the host has."""

from __future__ import annotations

from dataclasses import dataclass, field

from taxiway.domain.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """How one of the platform's own processes is: the control plane, MLflow or Envoy."""

    name: str
    is_alive: bool
    phase: str
    restarts: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """What everybody who is signed in may know, and, from ``capacity`` on, what only administrators see."""

    version: str
    public_url: str
    default_resources: Resources
    capacity: Resources
    engines: tuple[EngineFacts, ...] = ()
    isolation: str = ""
    notes: tuple[str, ...] = field(default=())
    """Sentences about what is amiss, such as a routing table that was rejected."""
