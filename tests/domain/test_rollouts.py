"""Does a rollout go on only within its limits, and end when one is broken?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId
from taxiway.domain.measurements import BUCKETS, Traffic, Window, bucket_of
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import RevisionState, RevisionWanted, ScoringOptions
from taxiway.domain.rollouts import (
    Limits,
    Rollout,
    RolloutState,
    RolloutView,
    RolloutWanted,
    Served,
    Strategy,
    advance,
    surely_above,
)
from tests.builders import NOW, a_revision

STEP = timedelta(minutes=1)


def a_window(requests: int, *, errors: int = 0, ms: int = 10) -> Window:
    latencies = [0] * BUCKETS
    latencies[bucket_of(ms)] = requests
    traffic = Traffic(requests=requests, server_errors=errors, milliseconds=requests * ms, latencies=tuple(latencies))
    return Window(seconds=60, traffic=traffic, concurrency=1, pods=1, cpus=None, memory_bytes=None)


def a_rollout(**changes: Any) -> Rollout:
    before = Served(
        project=ProjectName("p"), model=ModelName("m"), version=1, model_version=ModelVersionId("v1"),
        resources=Resources(), options=ScoringOptions(),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "id": "1", "deployment": DeploymentId("d"), "old": RevisionId("r1"), "new": RevisionId("r2"), "before": before,
        "strategy": Strategy(steps=(10, 50), step=STEP), "by": "ada", "created_at": NOW,
    }  # fmt: skip
    return Rollout(**fields | changes)


def a_view(rollout: Rollout, **changes: Any) -> RolloutView:
    fields: dict[str, Any] = {
        "rollout": rollout, "revision": a_revision(state=RevisionState.READY), "share": rollout.percent,
        "waited": timedelta(), "old": a_window(900), "new": a_window(100),
    }  # fmt: skip
    return RolloutView(**fields | changes)


def at_step(step: int = 1, **changes: Any) -> Rollout:
    return a_rollout(step=step, percent=(10, 50)[step - 1], **changes)


def after(view: RolloutView) -> tuple[str, int, int]:
    found = advance(view, NOW)
    return str(found.state), found.step, found.percent


def test_it_waits_for_the_new_revision() -> None:
    coming = a_revision(state=RevisionState.STARTING)
    assert after(a_view(a_rollout(), revision=coming, share=None, new=None)) == ("Running", 0, 0)


def test_it_goes_step_by_step_to_the_end() -> None:
    assert after(a_view(a_rollout(), new=None)) == ("Running", 1, 10)
    assert after(a_view(at_step(1), waited=STEP)) == ("Running", 2, 50)
    assert after(a_view(at_step(2), waited=STEP)) == ("Done", 2, 100)


@pytest.mark.parametrize(
    "changes",
    [
        {"share": 0}, {"share": None}, {"waited": STEP / 2}, {"new": a_window(10)}, {"new": None},
    ],
)  # fmt: skip
def test_a_step_ends_only_when_its_split_was_in_force_long_enough_and_seen(changes: dict[str, Any]) -> None:
    assert after(a_view(at_step(), **({"waited": STEP} | changes))) == ("Running", 1, 10)


def test_errors_beyond_doubt_end_it_before_the_step_is_over() -> None:
    found = advance(a_view(at_step(), new=a_window(100, errors=20)), NOW)
    assert (found.state, found.percent, found.reason) == (RolloutState.ABORTED, 0, "ErrorRateTooHigh")
    assert "20 of 100 requests failed (20 %)" in found.message
    assert "before 0 of 900 requests failed" in found.message


def test_errors_that_may_be_chance_end_it_only_when_the_step_is_over() -> None:
    doubtful = a_window(100, errors=2)
    assert after(a_view(at_step(), new=doubtful)) == ("Running", 1, 10)
    assert after(a_view(at_step(), new=doubtful, waited=STEP)) == ("Aborted", 1, 0)


def test_errors_that_the_old_revision_has_too_are_not_the_new_ones_fault() -> None:
    view = a_view(at_step(), old=a_window(900, errors=180), new=a_window(100, errors=20), waited=STEP)
    assert after(view) == ("Running", 2, 50)


def test_latency_ends_it_early_once_enough_was_measured() -> None:
    slow = a_window(100, ms=40)
    assert after(a_view(at_step(), new=slow)) == ("Running", 1, 10)
    found = advance(a_view(at_step(), new=a_window(200, ms=40)), NOW)
    assert (found.state, found.reason) == (RolloutState.ABORTED, "LatencyTooHigh")
    assert "p95" in found.message
    assert after(a_view(at_step(), new=slow, waited=STEP)) == ("Aborted", 1, 0)


def test_small_differences_are_the_clocks() -> None:
    assert after(a_view(at_step(), old=a_window(900, ms=1), new=a_window(500, ms=4), waited=STEP)) == ("Running", 2, 50)


@pytest.mark.parametrize("state", [RevisionState.FAILED, RevisionState.RETIRED])
def test_a_revision_that_fails_ends_it(state: RevisionState) -> None:
    assert after(a_view(at_step(), revision=a_revision(state=state))) == ("Aborted", 1, 0)


def test_a_revision_that_is_to_be_retired_ends_it() -> None:
    leaving = a_revision(state=RevisionState.READY, wanted=RevisionWanted.RETIRE)
    assert after(a_view(at_step(), revision=leaving)) == ("Aborted", 1, 0)


def test_people_pause_move_resume_finish_and_abort() -> None:
    paused = advance(a_view(at_step(wanted=RolloutWanted.PAUSE, wanted_percent=30), waited=STEP), NOW)
    assert (paused.state, paused.percent) == (RolloutState.PAUSED, 30)
    again = advance(a_view(replace(paused, wanted=RolloutWanted.RUN), waited=STEP), NOW)
    assert (again.state, again.step, again.percent) == (RolloutState.RUNNING, 2, 50)
    assert after(a_view(at_step(wanted=RolloutWanted.FINISH))) == ("Done", 1, 100)
    assert after(a_view(at_step(wanted=RolloutWanted.ABORT))) == ("Aborted", 1, 0)


def test_a_paused_one_is_still_watched() -> None:
    paused = at_step(wanted=RolloutWanted.PAUSE, state=RolloutState.PAUSED)
    assert after(a_view(paused, new=a_window(100, errors=50))) == ("Aborted", 1, 0)


def test_without_steps_it_stays_at_nothing_until_somebody_moves_it() -> None:
    tagged = a_rollout(strategy=Strategy(steps=()))
    assert after(a_view(tagged, waited=STEP)) == ("Paused", 0, 0)
    assert after(a_view(replace(tagged, wanted=RolloutWanted.FINISH))) == ("Done", 0, 100)


@given(
    wanted=st.sampled_from(RolloutWanted), state=st.sampled_from([RolloutState.RUNNING, RolloutState.PAUSED]),
    step=st.integers(0, 2), share=st.sampled_from([None, 0, 10, 50]), seconds=st.integers(0, 120),
    errors=st.integers(0, 60), requests=st.integers(60, 500), revision=st.sampled_from(RevisionState),
)  # fmt: skip
def test_whatever_is_seen_shares_are_shares_and_what_ended_stays(**seen: Any) -> None:
    percent = (0, 10, 50)[seen["step"]]
    rollout = a_rollout(wanted=seen["wanted"], state=seen["state"], step=seen["step"], percent=percent)
    found = advance(
        a_view(
            rollout, share=seen["share"], waited=timedelta(seconds=seen["seconds"]),
            new=a_window(seen["requests"], errors=seen["errors"]), revision=a_revision(state=seen["revision"]),
        ),
        NOW,
    )  # fmt: skip
    assert 0 <= found.percent <= 100
    assert (found.percent == 100) == (found.state is RolloutState.DONE)
    assert found.state is not RolloutState.ABORTED or found.percent == 0
    if found.state is RolloutState.DONE:
        assert seen["revision"] is RevisionState.READY
    if not found.is_active:
        assert advance(a_view(found), NOW) == found


@pytest.mark.parametrize(
    "make",
    [
        lambda: Strategy(steps=(50, 10)), lambda: Strategy(steps=(0, 10)), lambda: Strategy(steps=(10, 100)),
        lambda: Strategy(steps=(10,), step=timedelta(seconds=1)),
        lambda: Strategy(steps=(10,), step=timedelta(hours=1)),
        lambda: Limits(error_rate_rise=1.0), lambda: Limits(latency_ratio=0.5), lambda: Limits(requests=0),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


def test_the_lower_end_of_the_interval_is_that_of_the_literature() -> None:
    # 10 of 100, one-sided 95 %: 0.0608 by Wilson's formula.
    assert surely_above(10, 100) == pytest.approx(0.0608, abs=5e-4)
    assert surely_above(0, 10) == 0
