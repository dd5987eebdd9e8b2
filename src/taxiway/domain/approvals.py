"""Approvals: promotions that one administrator asked for and another one has to allow.

| decision  | by whom                                | then                                     |
| --------- | -------------------------------------- | ---------------------------------------- |
| waiting   | nobody yet                             | any of those below, once                 |
| approved  | an administrator who did not ask       | the promotion is done, all gates anew    |
| rejected  | an administrator who did not ask       | nothing                                  |
| withdrawn | who asked                              | nothing                                  |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taxiway.domain.errors import Conflict, NotAllowed
from taxiway.domain.ids import UserId


class Decision(StrEnum):
    """How a promotion that was asked for stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision: what, by whom, when, why."""

    decision: Decision = Decision.WAITING
    by: str = ""
    at: datetime | None = None
    reason: str = ""


def check_decision(before: Decided, wanted: Decision, *, asked_by: UserId, deciding: UserId) -> None:
    """Raise Conflict for what was decided before, NotAllowed where the wrong one decides; see the table above."""
    if before.decision is not Decision.WAITING:
        raise Conflict(f"That promotion was {before.decision} by {before.by}.", hint="Ask for the promotion again.")
    if wanted is Decision.WITHDRAWN and asked_by != deciding:
        raise NotAllowed("Only who asked for a promotion withdraws it.", hint="Reject it instead.")
    if wanted is not Decision.WITHDRAWN and asked_by == deciding:
        raise NotAllowed(
            "Another administrator has to decide: you asked for it yourself.", hint="Ask one, or withdraw it."
        )
