"""Conditions: named facts about an object, as Kubernetes has them; and the phases that people watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Truth(StrEnum):
    """What is known of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One named fact: its truth, a CamelCase reason, a sentence, and since when it holds."""

    name: str
    truth: Truth
    reason: str
    message: str
    since: datetime


class PhaseName(StrEnum):
    """The steps from an asked-for deployment to a live route, in order."""

    QUEUED = "queued"
    SNAPSHOT = "snapshot"
    ENVIRONMENT = "environment"
    PROOF = "proof"
    POD = "pod"
    LOADED = "loaded"
    EXAMPLE = "example"
    ROUTE = "route"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of getting a revision ready: when it began and ended, and a sentence of detail or progress."""

    name: PhaseName
    began_at: datetime
    ended_at: datetime | None = None
    detail: str = ""
    progress: float | None = None
    """0 to 1, where it is known how much there is to do."""

    @property
    def seconds(self) -> float | None:
        """How long the step took; None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something ended badly, in the words that people see."""

    reason: str
    message: str
    hint: str = ""
    retryable: bool = True
    lines: tuple[str, ...] = field(default=())
    """The last lines of log that mattered."""
