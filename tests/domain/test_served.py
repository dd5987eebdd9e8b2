"""Is what is said to have served what did?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from taxiway.domain.ids import RevisionId
from taxiway.domain.revisions import Revision
from taxiway.domain.rollouts import RolloutState
from taxiway.domain.served import served_at
from tests.builders import NOW, a_ready_revision, a_revision, some_phases
from tests.domain.test_rollouts import a_rollout

HOUR = timedelta(hours=1)


def revision(number: int, live_at: int) -> Revision:
    phases = tuple(replace(phase, ended_at=NOW + live_at * HOUR) for phase in some_phases(began_at=NOW))
    return a_ready_revision(id=RevisionId(f"r{number}"), number=number, phases=phases)


def numbers(*asked: float, rollouts: tuple = (), revisions: tuple = ()) -> list[list[int]]:  # type: ignore[type-arg]
    return [[each.number for each in served_at(revisions, rollouts, NOW + hour * HOUR)] for hour in asked]


def test_the_next_takes_the_place_of_the_one_before() -> None:
    known = (revision(1, 1), revision(2, 5))
    assert numbers(0.5, 1, 4, 5, 9, revisions=known) == [[], [1], [1], [2], [2]]


def test_one_that_never_had_a_route_never_served() -> None:
    known = (revision(1, 1), a_revision(id=RevisionId("r2"), number=2))
    assert numbers(9, revisions=known) == [[1]]


def test_during_a_rollout_both_serve_and_then_who_won() -> None:
    known = (revision(1, 1), revision(2, 5))
    for state, after in ((RolloutState.DONE, [2]), (RolloutState.ABORTED, [1])):
        moved = a_rollout(new=RevisionId("r2"), state=state, changed_at=NOW + 7 * HOUR)
        assert numbers(4, 6, 8, revisions=known, rollouts=(moved,)) == [[1], [1, 2], after]
