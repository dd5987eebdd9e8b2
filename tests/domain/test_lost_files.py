"""What a revision that served had on disk and has no more: made again when nothing runs of it, and never before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from taxiway.domain.conditions import PhaseName
from taxiway.domain.environments import BuildState
from taxiway.domain.lifecycle import (
    DRAIN_GRACE,
    TRACKING_PATIENCE,
    TRACKING_RETRY,
    Apply,
    BeginCopy,
    Remove,
    RevisionView,
    plan_revision,
)
from taxiway.domain.pods import PodPhase
from taxiway.domain.revisions import RevisionState, RevisionWanted
from taxiway.domain.snapshots import CopyState, SnapshotState
from tests.builders import a_build, a_copy, a_failure, a_pod, a_snapshot, a_stored_snapshot
from tests.domain.test_lifecycle import LATER, is_lost, plan, preparing, ready, starting, times, views

WAITING = {"restart_at": LATER, "failure": a_failure()}
GONE = (
    pytest.param((), id="none"),
    pytest.param((a_pod(PodPhase.UNREADY, **WAITING),), id="waits to be restarted"),
    pytest.param((a_pod(PodPhase.UNREADY, started_at=None),), id="lost its stub"),
    pytest.param((a_pod(PodPhase.FAILED, failure=a_failure(reason="CannotStart")),), id="failed"),
    pytest.param((a_pod(PodPhase.UNREADY, restarts=2, **WAITING),), id="crashed three times"),
)


@pytest.mark.parametrize("pods", GONE)
@pytest.mark.parametrize("view", [starting, ready])
@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"has_files": False}, "Its snapshot had gone"),
        ({"has_environment": False}, "Its model environment had gone"),
        ({"has_files": False, "has_environment": False}, "Its snapshot and its model environment had gone"),
        ({"snapshot": a_snapshot(state=SnapshotState.COPYING)}, "Its snapshot had gone"),
    ],
    ids=["snapshot", "environment", "both", "copied anew for another"],
)
def test_files_that_are_gone_are_made_again_when_nothing_runs(
    view: Any, pods: Any, lost: dict[str, Any], words: str
) -> None:
    made = plan(view(pods=pods, **lost))
    assert (made.revision.state, made.actions) == (RevisionState.PREPARING, (Remove(grace=DRAIN_GRACE),))
    assert made.revision.failure is not None
    assert made.revision.failure.reason == "FilesGone"
    assert made.revision.failure.message.startswith(words)
    assert [phase.name for phase in made.revision.phases] == [PhaseName.QUEUED]


@pytest.mark.parametrize("phase", [PodPhase.STARTING, PodPhase.READY, PodPhase.UNREADY])
def test_files_that_are_gone_matter_to_nobody_who_runs(phase: PodPhase) -> None:
    made = plan(ready(pods=(a_pod(phase),), has_files=False, has_environment=False))
    assert (made.revision.state, made.actions) == (RevisionState.READY, ())
    untold = ready(pods=(a_pod(phase),), was_applied=False, snapshot=a_snapshot(state=SnapshotState.COPYING))
    assert plan(untold).actions == (), "the runtime cannot be told of files that are just being copied"


def anew(**changes: Any) -> RevisionView:
    """It served, what it had on disk is gone, and it is prepared again."""
    view = preparing(**changes)
    return replace(view, revision=replace(view.revision, failure=a_failure(reason="FilesGone")))


def test_what_is_prepared_anew_starts_when_the_pods_of_before_are_gone() -> None:
    whole: dict[str, Any] = {"snapshot": a_stored_snapshot(), "build": a_build(BuildState.READY)}
    assert plan(anew(pods=(a_pod(PodPhase.UNREADY),), **whole)).actions == (Remove(grace=DRAIN_GRACE),)
    for waits in ({"pods": (a_pod(PodPhase.DRAINING),)}, {"is_fresh": False}):
        made = plan(anew(**whole, **waits))
        assert (made.revision.state, made.actions) == (RevisionState.PREPARING, ())
    made = plan(anew(**whole))
    assert (made.revision.state, made.actions) == (RevisionState.STARTING, (Apply(scale=1),))
    assert made.revision.failure is None


def test_what_is_prepared_anew_waits_for_mlflow_but_not_for_ever() -> None:
    away = {"copy": a_copy(CopyState.FAILED), "build": a_build(BuildState.READY)}
    made = plan(anew(**away))
    assert (made.actions, made.wake_at) == ((BeginCopy(),), LATER + TRACKING_RETRY)
    assert plan(preparing(**away)).revision.state is RevisionState.FAILED, "somebody waits for a first one"
    made = plan(anew(**away, waited=TRACKING_PATIENCE))
    assert made.revision.failure is not None
    assert made.revision.failure.reason == "FilesGone"
    assert "could not be made again: " in made.revision.failure.message
    assert "from a backup" in made.revision.failure.hint
    full = anew(copy=a_copy(CopyState.FAILED, failure=a_failure(reason="OutOfDisk")))
    assert plan(full).revision.state is RevisionState.FAILED


@given(views(), times)
def test_what_serves_is_left_alone_and_what_is_lost_is_made_again(view: RevisionView, now: Any) -> None:
    made = plan_revision(view, now=now)
    serves = view.revision.wanted is RevisionWanted.SERVE
    if view.revision.state in (RevisionState.STARTING, RevisionState.READY) and serves:
        assert (made.revision.state is RevisionState.PREPARING) == is_lost(view)
    if made.revision.state is RevisionState.PREPARING and view.revision.state is not RevisionState.QUEUED:
        assert made.revision.failure is not None or view.revision.failure is None
