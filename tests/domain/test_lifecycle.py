"""A revision's plan: the table row by row, and what holds for every plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.conditions import Failure, Phase, PhaseName
from taxiway.domain.environments import BuildState
from taxiway.domain.lifecycle import (
    BUILD_DEADLINE,
    COPY_DEADLINE,
    DRAIN_GRACE,
    IDLE_GRACE,
    LOOK_AGAIN,
    ROUTE_GRACE,
    Apply,
    BeginBuild,
    BeginCopy,
    BeginProof,
    CancelBuild,
    CancelCopy,
    CancelProof,
    Remove,
    RevisionPlan,
    RevisionView,
    plan_revision,
)
from taxiway.domain.pods import PodPhase
from taxiway.domain.proofs import ProofProgress, ProofState, ServingPath, ServingProof
from taxiway.domain.revisions import RevisionState, RevisionWanted
from taxiway.domain.snapshots import CopyState, SnapshotState
from tests.builders import (
    NOW,
    REPORTS,
    a_build,
    a_copy,
    a_failure,
    a_pod,
    a_ready_revision,
    a_revision,
    a_snapshot,
    a_stored_snapshot,
    some_phases,
)

LATER = NOW + timedelta(seconds=1)


def a_view(**changes: Any) -> RevisionView:
    """A revision that was just asked for; nothing began."""
    view = RevisionView(
        revision=a_revision(),
        snapshot=a_snapshot(),
        copy=None,
        build=None,
        pods=(),
        was_applied=False,
        is_routed=False,
        waited=timedelta(),
    )
    return replace(view, **changes)


def preparing(**changes: Any) -> RevisionView:
    """Copy and build run."""
    queued, copying = some_phases(PhaseName.SNAPSHOT)
    phases = (queued, copying, Phase(name=PhaseName.ENVIRONMENT, began_at=copying.began_at))
    revision = a_revision(state=RevisionState.PREPARING, phases=phases)
    defaults: dict[str, Any] = {
        "revision": revision,
        "snapshot": a_snapshot(state=SnapshotState.COPYING, began_at=NOW),
        "copy": a_copy(),
        "build": a_build(),
        "waited": timedelta(seconds=1),
    }
    return a_view(**(defaults | changes))


def starting(**changes: Any) -> RevisionView:
    """The runtime was told; a pod loads."""
    revision = a_revision(state=RevisionState.STARTING, phases=some_phases(PhaseName.POD))
    defaults: dict[str, Any] = {
        "revision": revision,
        "snapshot": a_stored_snapshot(),
        "pods": (a_pod(PodPhase.STARTING),),
        "was_applied": True,
        "waited": timedelta(seconds=1),
    }
    return a_view(**(defaults | changes))


def ready(**changes: Any) -> RevisionView:
    """Pods answer and are routed."""
    defaults: dict[str, Any] = {"revision": a_ready_revision(), "pods": (a_pod(),), "is_routed": True}
    return starting(**(defaults | {"may_get_requests": True} | changes))


def retiring(state: RevisionState = RevisionState.RETIRING, **changes: Any) -> RevisionView:
    revision = a_ready_revision(wanted=RevisionWanted.RETIRE, generation=2, state=state)
    return ready(**({"revision": revision, "is_routed": False, "may_get_requests": False} | changes))


def plan(view: RevisionView) -> RevisionPlan:
    return plan_revision(view, now=LATER)


# ------------------------------------------------------------------ the table


def test_queued_begins_both() -> None:
    made = plan(a_view())
    assert made.revision.state is RevisionState.PREPARING
    assert made.actions == (BeginCopy(), BeginBuild())
    assert made.snapshot.state is SnapshotState.COPYING


def test_what_is_ready_already_is_not_begun_again() -> None:
    made = plan(a_view(snapshot=a_stored_snapshot(), build=a_build(BuildState.READY)))
    assert made.revision.state is RevisionState.STARTING
    assert made.actions == (Apply(scale=1),)


def to_be_proven(proof: ProofProgress | None, **changes: Any) -> RevisionView:
    """Snapshot and environment are there."""
    return preparing(
        **({"snapshot": a_stored_snapshot(), "build": a_build(BuildState.READY), "proof": proof} | changes)
    )


RUNNING = ProofProgress(state=ProofState.RUNNING)


def test_pods_load_while_it_is_proven_which_path_they_may_take() -> None:
    made = plan(to_be_proven(None))
    assert (made.actions, made.revision.state) == ((BeginProof(), Apply(scale=1)), RevisionState.STARTING)
    assert [phase.name for phase in made.revision.phases][-2:] == [PhaseName.PROOF, PhaseName.POD]
    waits = plan(starting(proof=RUNNING, revision=made.revision))
    assert waits.wake_at == LATER + LOOK_AGAIN
    assert {phase.name: phase for phase in waits.revision.phases}[PhaseName.PROOF].ended_at is None
    proof = ServingProof(path=ServingPath.PLAN, name="columns → LightGBM", rows=1725)
    done = plan(starting(proof=ProofProgress(state=ProofState.DONE, proof=proof), revision=waits.revision))
    told = {phase.name: phase for phase in done.revision.phases}[PhaseName.PROOF]
    assert (told.detail, told.ended_at) == ("plan: columns → LightGBM, equal to pyfunc on 1725 rows", LATER)


def test_a_proof_that_failed_is_told_and_tried_again_with_the_next_revision() -> None:
    failed = ProofProgress(state=ProofState.FAILED, failure=a_failure(message="It ran out of memory."))
    begun = plan(to_be_proven(failed))
    assert begun.actions == (BeginProof(), Apply(scale=1))
    made = plan(starting(proof=failed, revision=begun.revision))
    assert made.actions == ()
    told = {phase.name: phase for phase in made.revision.phases}[PhaseName.PROOF]
    assert told.detail == "pyfunc; nothing faster was proven: It ran out of memory."


def test_what_runs_is_proven_again_after_an_update_and_runs_on() -> None:
    made = plan(ready(proof=None))
    assert (made.actions, made.revision.state) == ((BeginProof(),), RevisionState.READY)


def test_preparing_waits_and_shows_how_far_it_is() -> None:
    made = plan(preparing())
    assert made.actions == ()
    assert made.revision.state is RevisionState.PREPARING
    shown = {phase.name: (phase.detail, phase.progress) for phase in made.revision.phases}
    assert shown[PhaseName.SNAPSHOT] == ("1.0 MB of 2.0 MB", 0.5)
    assert shown[PhaseName.ENVIRONMENT] == ("installing", 0.25)
    assert made.wake_at is not None


@pytest.mark.parametrize(
    ("changes", "action"),
    [({"copy": None}, BeginCopy()), ({"build": None}, BeginBuild())],
    ids=["copy", "build"],
)
def test_what_this_process_did_not_begin_is_begun(changes: dict[str, Any], action: object) -> None:
    made = plan(preparing(**changes))
    assert made.actions == (action,)
    assert made.revision.state is RevisionState.PREPARING


def test_a_snapshot_whose_files_are_gone_is_copied_again() -> None:
    made = plan(a_view(snapshot=a_stored_snapshot(), has_files=False, build=a_build(BuildState.READY)))
    assert made.actions == (BeginCopy(),)
    assert (made.snapshot.state, made.snapshot.digest) == (SnapshotState.COPYING, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"copy": a_copy(CopyState.FAILED)}, "TrackingUnavailable"),
        ({"copy": a_copy(CopyState.FAILED, failure=None)}, "CopyFailed"),
        ({"build": a_build(BuildState.FAILED)}, "EnvironmentFailed"),
        ({"waited": COPY_DEADLINE * 1.01, "build": a_build(BuildState.READY)}, "CopyDeadlineExceeded"),
        ({"waited": COPY_DEADLINE * 1.01, "build": a_build(BuildState.READY), "copy": None}, "CopyDeadlineExceeded"),
        ({"waited": BUILD_DEADLINE * 1.01}, "BuildDeadlineExceeded"),
        ({"waited": BUILD_DEADLINE * 1.01, "build": None}, "BuildDeadlineExceeded"),
    ],
    ids=str,
)
def test_what_fails_or_takes_too_long_fails_the_revision(changes: dict[str, Any], reason: str) -> None:
    made = plan(preparing(**changes))
    assert made.revision.state is RevisionState.FAILED
    assert made.revision.failure is not None
    assert made.revision.failure.reason == reason
    assert made.actions == (CancelCopy(), CancelBuild())
    assert all(phase.ended_at is not None for phase in made.revision.phases)


def test_failures_of_an_earlier_attempt_do_not_count() -> None:
    view = a_view(
        snapshot=a_snapshot(state=SnapshotState.FAILED, began_at=NOW + timedelta(days=1), failure=a_failure()),
        copy=a_copy(CopyState.FAILED),
        build=a_build(BuildState.FAILED),
    )
    made = plan(view)
    assert made.actions == (BeginCopy(), BeginBuild())
    assert made.revision.state is RevisionState.PREPARING
    assert made.snapshot.failure is None


def test_starting_waits_for_its_pods_until_its_deadline() -> None:
    made = plan(starting())
    assert (made.revision.state, made.actions) == (RevisionState.STARTING, ())
    assert made.wake_at == LATER + timedelta(seconds=599)


@pytest.mark.parametrize(
    "view", [starting(was_applied=False), starting(pods=()), ready(was_applied=False), ready(pods=())]
)
def test_the_runtime_is_told_again_what_it_may_not_know(view: RevisionView) -> None:
    made = plan(view)
    assert made.actions == (Apply(scale=1),)
    assert made.revision.state is view.revision.state


def test_starting_is_ready_when_every_pod_is() -> None:
    assert plan(starting(pods=(a_pod(),))).revision.state is RevisionState.READY
    assert plan(starting(pods=(a_pod(),), scale=2)).revision.state is RevisionState.STARTING
    both = (a_pod(), a_pod(PodPhase.STARTING, id="p2"))
    assert plan(starting(pods=both, scale=2)).revision.state is RevisionState.STARTING


@pytest.mark.parametrize("view", [starting, ready])
def test_a_pod_that_failed_for_good_fails_the_revision(view: Any) -> None:
    failure = a_failure(reason="ArtifactDigestMismatch", retryable=False)
    made = plan(view(pods=(a_pod(PodPhase.FAILED, failure=failure),)))
    assert (made.revision.state, made.revision.failure) == (RevisionState.FAILED, failure)
    assert made.actions == (Remove(grace=timedelta()),)


@pytest.mark.parametrize(
    ("reason", "shown"), [("Exited", "CrashLoop"), ("Killed", "CrashLoop"), ("OutOfMemory", "OutOfMemory")]
)
@pytest.mark.parametrize("view", [starting, ready])
def test_a_crash_loop_fails_the_revision_and_names_the_cause(view: Any, reason: str, shown: str) -> None:
    made = plan(view(pods=(a_pod(PodPhase.UNREADY, restarts=2, failure=a_failure(reason=reason)),)))
    assert made.revision.state is RevisionState.FAILED
    assert made.revision.failure is not None
    assert made.revision.failure.reason == shown
    assert "ended 3 times. It exited with code 1." in made.revision.failure.message


def test_two_crashes_are_no_loop_yet() -> None:
    made = plan(starting(pods=(a_pod(PodPhase.UNREADY, restarts=1, failure=a_failure()),)))
    assert made.revision.state is RevisionState.STARTING


@pytest.mark.parametrize("days", [1, -1])
def test_crashes_of_a_revision_that_was_well_for_long_are_the_runtimes_to_mend(days: int) -> None:
    crashed = a_pod(PodPhase.UNREADY, restarts=40, failure=a_failure())
    made = plan_revision(ready(pods=(crashed,)), now=NOW + timedelta(days=days))
    assert made.revision.state is RevisionState.READY


def test_many_restarts_of_a_pod_that_is_steady_now_are_no_crash_loop() -> None:
    steady = a_pod(restarts=9, started_at=NOW - timedelta(minutes=1))
    assert plan(starting(pods=(steady,))).revision.state is RevisionState.READY
    assert plan(ready(pods=(steady,))).revision.state is RevisionState.READY


def test_starting_over_its_deadline_fails_with_what_is_known() -> None:
    pods = (a_pod(PodPhase.STARTING, failure=a_failure(lines=("ImportError: no module",))),)
    made = plan(starting(pods=pods, waited=timedelta(seconds=600)))
    assert made.revision.failure is not None
    assert made.revision.failure.reason == "StartDeadlineExceeded"
    assert made.revision.failure.message == "No pod was ready after 600 s. It exited with code 1."
    assert made.revision.failure.lines == ("ImportError: no module",)


def test_a_runtime_that_refuses_for_now_is_shown_and_asked_again() -> None:
    trouble = a_failure(reason="OutOfDisk")
    made = plan(starting(trouble=trouble, was_applied=False, pods=()))
    assert (made.revision.state, made.revision.failure) == (RevisionState.STARTING, trouble)
    assert made.actions == (Apply(scale=1),)
    assert made.wake_at == LATER + timedelta(seconds=1)
    assert plan(starting()).revision.failure is None


def test_a_runtime_that_refuses_for_good_fails_a_revision_that_starts_and_no_other() -> None:
    trouble = a_failure(reason="IsolationUnavailable", retryable=False)
    assert plan(starting(trouble=trouble, pods=())).revision.state is RevisionState.FAILED
    assert plan(ready(trouble=trouble, pods=())).revision.state is RevisionState.READY


@pytest.mark.parametrize("view", [a_view(), preparing()], ids=["queued", "preparing"])
def test_retiring_before_pods_cancels_and_is_done(view: RevisionView) -> None:
    made = plan(replace(view, revision=replace(view.revision, wanted=RevisionWanted.RETIRE, generation=2)))
    assert made.revision.state is RevisionState.RETIRED
    assert made.actions == (CancelCopy(), CancelBuild(), CancelProof())


def test_retiring_waits_for_the_gateway_to_let_go_but_not_for_ever() -> None:
    routed = retiring(may_get_requests=True, waited=ROUTE_GRACE - timedelta(seconds=1))
    assert plan(routed).actions == ()
    assert plan(replace(routed, waited=ROUTE_GRACE)).actions == (Remove(grace=DRAIN_GRACE),)
    just_asked = retiring(RevisionState.READY, may_get_requests=True, waited=timedelta(hours=1))
    assert plan(just_asked).actions == (), "it was Ready for an hour, and has waited for nothing yet"


def test_retiring_ends_when_pods_were_looked_for_and_not_found() -> None:
    assert plan(retiring()).actions == (Remove(grace=DRAIN_GRACE),)
    told = retiring(was_applied=False, pods=(a_pod(PodPhase.DRAINING),))
    assert (plan(told).revision.state, plan(told).actions) == (RevisionState.RETIRING, ())
    stale = retiring(was_applied=False, pods=(), is_fresh=False)
    assert plan(stale).revision.state is RevisionState.RETIRING
    assert plan(replace(stale, is_fresh=True)).revision.state is RevisionState.RETIRED


def test_pods_that_run_although_the_revision_failed_are_removed() -> None:
    failed = a_revision(state=RevisionState.FAILED, failure=a_failure())
    assert plan(starting(revision=failed)).actions == (Remove(grace=timedelta()),)
    assert plan(starting(revision=failed, pods=())).actions == ()


def test_phases_take_the_time_that_was_reported() -> None:
    made = plan_revision(starting(pods=(a_pod(),)), now=NOW + timedelta(seconds=10))
    spent = {phase.name: phase.seconds for phase in made.revision.phases}
    began = next(phase.began_at for phase in made.revision.phases if phase.name is PhaseName.POD)
    assert spent[PhaseName.LOADED] == pytest.approx(0.5)
    assert spent[PhaseName.EXAMPLE] == pytest.approx(0.5)
    assert spent[PhaseName.POD] == pytest.approx((NOW + timedelta(seconds=9) - began).total_seconds())
    assert spent[PhaseName.ROUTE] is None


# ------------------------------------------------------------------ what holds for every plan

failures = st.none() | st.builds(
    Failure,
    reason=st.sampled_from(["Exited", "OutOfMemory"]),
    message=st.just("It exited."),
    retryable=st.booleans(),
)
times = st.integers(-10_000, 10_000).map(lambda seconds: NOW + timedelta(seconds=seconds))


@st.composite
def pod_values(draw: st.DrawFn) -> Any:
    phase = draw(st.sampled_from(PodPhase))
    return a_pod(
        phase,
        id=draw(st.sampled_from(["p1", "p2", "p3"])),
        restarts=draw(st.integers(0, 5)),
        started_at=draw(st.none() | times),
        restart_at=draw(st.none() | times),
        failure=draw(failures),
        phases=REPORTS if phase is PodPhase.READY else REPORTS[: draw(st.integers(0, 3))],
    )


@st.composite
def views(draw: st.DrawFn) -> RevisionView:
    state = draw(st.sampled_from(RevisionState))
    last = draw(st.sampled_from(PhaseName))
    wanted = draw(st.sampled_from(RevisionWanted))
    if state is RevisionState.RETIRED:
        wanted = RevisionWanted.RETIRE
    has_pods = state not in (RevisionState.QUEUED, RevisionState.PREPARING, RevisionState.RETIRED)
    has_pods = has_pods or (state is RevisionState.PREPARING and draw(st.booleans()))
    revision = a_revision(
        state=state,
        wanted=wanted,
        generation=draw(st.integers(1, 3)),
        phases=() if state is RevisionState.QUEUED else some_phases(last, began_at=draw(times)),
        failure=a_failure()
        if state is RevisionState.FAILED or (state is RevisionState.PREPARING and has_pods)
        else None,
    )
    others = [a_snapshot(state=s) for s in SnapshotState if s is not SnapshotState.READY]
    snapshot = draw(st.sampled_from([a_stored_snapshot(), *others]))
    return RevisionView(
        revision=revision,
        snapshot=snapshot,
        has_files=draw(st.booleans()),
        has_environment=draw(st.booleans()),
        copy=draw(st.none() | st.sampled_from(CopyState).map(a_copy)),
        build=draw(st.none() | st.sampled_from(BuildState).map(a_build)),
        pods=tuple(draw(st.lists(pod_values(), max_size=2))) if has_pods else (),
        is_fresh=draw(st.booleans()),
        was_applied=draw(st.booleans()) if has_pods else False,
        trouble=draw(failures) if has_pods else None,
        is_routed=draw(st.booleans()),
        may_get_requests=draw(st.booleans()),
        waited=timedelta(seconds=draw(st.integers(0, 4000))),
        scale=draw(st.integers(1, 2)),
    )


ORDER = [
    RevisionState.QUEUED,
    RevisionState.PREPARING,
    RevisionState.STARTING,
    RevisionState.READY,
    RevisionState.IDLE,
    RevisionState.RETIRING,
    RevisionState.RETIRED,
]


def is_lost(view: RevisionView) -> bool:
    """Whether something is not on disk without which no pod starts, and no scoring server runs without it."""
    is_whole = view.has_files and view.has_environment and view.snapshot.state is SnapshotState.READY
    up = [pod for pod in view.pods if pod.phase in (PodPhase.STARTING, PodPhase.READY, PodPhase.UNREADY)]
    return not is_whole and not any(pod.restart_at is None and pod.started_at is not None for pod in up)


@given(views(), times)
def test_plans_are_safe(view: RevisionView, now: Any) -> None:
    made = plan_revision(view, now=now)
    before, after = view.revision, made.revision
    applied = [action for action in made.actions if isinstance(action, Apply)]
    assert all(action.scale <= view.scale for action in applied), "never more than the scale"
    if applied:
        assert after.state in (RevisionState.STARTING, RevisionState.READY)
        assert after.wanted is RevisionWanted.SERVE
        assert made.snapshot.state is SnapshotState.READY, "no pod without its files"
        assert made.snapshot.digest is not None
        assert before.state is not RevisionState.PREPARING or not view.pods, "the pods of before are gone"
    if before.state in (RevisionState.FAILED, RevisionState.RETIRED, RevisionState.RETIRING):
        assert not applied
        assert not any(isinstance(action, (BeginCopy, BeginBuild)) for action in made.actions)
    assert (after.failure is not None) >= (after.state is RevisionState.FAILED), "Failed has a reason"
    assert after.observed_generation == before.generation
    assert (after.id, after.wanted, after.generation) == (before.id, before.wanted, before.generation)


@given(views(), times)
def test_nothing_runs_backwards(view: RevisionView, now: Any) -> None:
    made = plan_revision(view, now=now)
    before, after = view.revision.state, made.revision.state
    if after is RevisionState.PREPARING and before in (
        RevisionState.STARTING, RevisionState.READY, RevisionState.IDLE
    ):  # fmt: skip
        assert is_lost(view), "only what is gone from disk, and runs nowhere, is made again"
        return
    if (before, after) == (RevisionState.IDLE, RevisionState.READY):
        assert view.scale > 0, "a pod is wanted again"
    elif RevisionState.FAILED not in (before, after):
        assert ORDER.index(after) >= ORDER.index(before)
    if before is RevisionState.FAILED:
        assert after in (RevisionState.FAILED, RevisionState.RETIRING, RevisionState.RETIRED)
    if before is RevisionState.RETIRED:
        assert after is RevisionState.RETIRED
    ended = {phase.name: phase for phase in view.revision.phases if phase.ended_at is not None}
    names = [phase.name for phase in made.revision.phases]
    assert len(names) == len(set(names))
    for phase in made.revision.phases:
        if before is not RevisionState.QUEUED and phase.name in ended and phase.name is not PhaseName.ENVIRONMENT:
            assert phase == ended[phase.name], "what ended stays as it was"
        assert phase.seconds is None or phase.seconds >= 0


@given(views(), times)
def test_nothing_is_forgotten(view: RevisionView, now: Any) -> None:
    """Whoever is under way has something to do, a time to wake, or something outside that will change."""
    made = plan_revision(view, now=now)
    state = made.revision.state
    if state in (RevisionState.QUEUED, RevisionState.PREPARING, RevisionState.STARTING, RevisionState.RETIRING):
        assert made.wake_at is not None
        assert made.wake_at > now
    if state is RevisionState.READY and not (
        view.is_routed and view.pods and all(p.phase is PodPhase.READY for p in view.pods)
    ):
        assert made.wake_at is not None


@given(views(), times)
def test_nothing_stays_under_way_past_its_deadline(view: RevisionView, now: Any) -> None:
    late = replace(view, waited=timedelta(hours=2))
    made = plan_revision(late, now=now)
    if view.revision.state is RevisionState.PREPARING:
        assert (
            made.revision.state is not RevisionState.PREPARING
            or BeginCopy() in made.actions
            or BeginBuild() in made.actions
            or (made.snapshot.state is SnapshotState.READY)
        )
    if view.revision.state is RevisionState.STARTING:
        assert made.revision.state is not RevisionState.STARTING


def outcome(view: RevisionView, made: RevisionPlan) -> RevisionView:
    """What is seen when a plan was carried out and the world has not moved since."""
    pods, was_applied, copy, build = view.pods, view.was_applied, view.copy, view.build
    is_fresh = view.is_fresh
    has_files, has_environment = view.has_files, view.has_environment
    for action in made.actions:
        match action:
            case Apply(scale=scale):
                was_applied, is_fresh = True, True
                pods = pods or tuple(a_pod(PodPhase.STARTING, id=f"n{n}") for n in range(scale))
            case Remove():
                pods, was_applied, is_fresh = (), False, True
            case BeginCopy():
                copy, has_files = a_copy(), True
            case BeginBuild():
                build, has_environment = a_build(), True
            case CancelCopy():
                copy = None
            case CancelBuild():
                build = None
    waited = view.waited if made.revision.state is view.revision.state else timedelta()
    return replace(
        view, revision=made.revision, snapshot=made.snapshot, pods=pods, was_applied=was_applied, copy=copy,
        build=build, is_fresh=is_fresh, has_files=has_files, has_environment=has_environment, waited=waited,
        trouble=None if was_applied else view.trouble,
    )  # fmt: skip


@given(views(), times)
def test_a_plan_on_its_own_outcome_comes_to_rest(view: RevisionView, now: Any) -> None:
    """At most a few steps, each caused by the one before; then nothing is done and nothing changes."""
    for _ in range(6):
        made = plan_revision(view, now=now)
        following = outcome(view, made)
        if not made.actions and following == view:
            return
        view = following
    made = plan_revision(view, now=now)
    assert made.actions == ()
    assert outcome(view, made).revision == view.revision


@given(views(), times, st.timedeltas(timedelta(), timedelta(seconds=20)))
def test_the_last_pod_goes_only_when_no_request_could_reach_it_for_a_while(
    view: RevisionView, now: Any, rested: timedelta
) -> None:
    view = replace(view, scale=0, rested=rested)
    made = plan_revision(view, now=now)
    if view.revision.wanted is RevisionWanted.RETIRE or view.revision.state is not RevisionState.READY:
        return
    assert made.revision.state is (RevisionState.READY if view.pods and rested < IDLE_GRACE else RevisionState.IDLE)
    assert not any(isinstance(action, Apply) for action in made.actions)
    if made.revision.state is RevisionState.READY:
        assert made.actions == ()
        assert made.wake_at is not None
