"""What a production deployment served at a moment: decided from what is remembered of its revisions and rollouts.

| a revision answered from      | until                                                             |
| ----------------------------- | ----------------------------------------------------------------- |
| its route was live            | the next revision's route was live, without a rollout to it        |
| its route was live            | the rollout to the next one was done                               |
| its share was first above 0 % | its rollout was aborted                                            |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from taxiway.domain.conditions import PhaseName
from taxiway.domain.revisions import Revision
from taxiway.domain.rollouts import Rollout, RolloutState


def served_at(revisions: Sequence[Revision], rollouts: Sequence[Rollout], at: datetime) -> list[Revision]:
    """Return the revisions that answered at a moment, in order of their number: two in the middle of a rollout."""
    moved = {rollout.new: rollout for rollout in rollouts}
    answering: list[Revision] = []
    for revision in sorted(revisions, key=lambda each: each.number):
        live = _live_since(revision)
        if live is None or live > at:
            continue
        rollout = moved.get(revision.id)
        if rollout is None or _is_over(rollout, at, RolloutState.DONE):
            answering = [revision]
        elif not _is_over(rollout, at, RolloutState.ABORTED):
            answering.append(revision)
    return answering


def _live_since(revision: Revision) -> datetime | None:
    return next((phase.ended_at for phase in revision.phases if phase.name is PhaseName.ROUTE), None)


def _is_over(rollout: Rollout, at: datetime, state: RolloutState) -> bool:
    return rollout.state is state and rollout.changed_at is not None and rollout.changed_at <= at
