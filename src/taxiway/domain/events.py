"""Events: what changed, told to people; append-only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taxiway.domain.ids import ProjectName


class SubjectKind(StrEnum):
    """What an event or an audit entry is about."""

    DEPLOYMENT = "deployment"
    REVISION = "revision"
    MODEL_VERSION = "model-version"
    ACCESS_TOKEN = "access-token"  # noqa: S105
    API_TOKEN = "api-token"  # noqa: S105
    USER = "user"
    PROJECT = "project"
    SESSION = "session"
    TRACKING = "tracking"
    PLATFORM = "platform"


CONTROL = "control plane"
"""The actor of what Taxiway does by itself."""


class Topic(StrEnum):
    """What an event speaks of. The words of ``was`` and ``became`` belong to it: the same ones mean other things."""

    REQUEST = "request"
    """Somebody asked for something."""
    STATUS = "status"
    """The one word per deployment that people see."""
    REVISION = "revision"
    """The state of one of a deployment's revisions."""
    ROLLOUT = "rollout"
    """How requests move from one revision to the next."""
    SCALE = "scale"
    """How many pods there are to be."""
    SNAPSHOT = "snapshot"
    """The files that a deployment's revisions have: what a scrub found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change: when, by whom, to what, from what to what, and why in one sentence.

    ``sequence`` is given by the store; 0 before.
    """

    at: datetime
    actor: str
    project: ProjectName
    subject_kind: SubjectKind
    subject: str
    reason: str
    message: str
    was: str = ""
    became: str = ""
    topic: Topic = Topic.REQUEST
    sequence: int = 0
