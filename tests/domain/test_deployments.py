"""The one word that people see: the table row by row, and what holds for every verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.conditions import Phase, PhaseName
from taxiway.domain.deployments import ROUTE_DEADLINE, STEADY_AFTER, DeploymentWanted, Status, Verdict, is_steady, judge
from taxiway.domain.errors import GatewayRejected
from taxiway.domain.ids import RevisionId
from taxiway.domain.pods import PodObservation, PodPhase
from taxiway.domain.revisions import Revision, RevisionState
from tests.builders import NOW, a_deployment, a_failure, a_pod, a_ready_revision, a_revision, some_phases

REJECTION = GatewayRejected("The gateway refused the routing table.", hint="See its log.")


def first(state: RevisionState, **changes: Any) -> Revision:
    made = a_ready_revision(state=state) if state is RevisionState.READY else a_revision(state=state)
    return replace(made, **changes)


def second(state: RevisionState, **changes: Any) -> Revision:
    return first(state, id=RevisionId("r-v1-2"), number=2, **changes)


def verdict(
    *revisions: Revision,
    wanted: DeploymentWanted = DeploymentWanted.ON,
    pods: tuple[PodObservation, ...] = (),
    routed: tuple[Revision, ...] = (),
    seconds: float = 60,
    rejection: GatewayRejected | None = None,
) -> Verdict:
    of: dict[RevisionId, list[PodObservation]] = {}
    for pod in pods:
        of.setdefault(pod.revision, []).append(pod)
    return judge(
        a_deployment(wanted=wanted),
        revisions=revisions,
        pods=of,
        routed=frozenset(revision.id for revision in routed),
        now=NOW + timedelta(seconds=seconds),
        rejection=rejection,
    )


READY = first(RevisionState.READY)
COMING = replace(READY, phases=(*READY.phases[:-1], Phase(name=PhaseName.ROUTE, began_at=NOW)))
"""Ready for the first time; its route is on its way."""
FAILED = first(RevisionState.FAILED, failure=a_failure())
CRASHED = a_pod(PodPhase.UNREADY, restarts=1, failure=a_failure())


@pytest.mark.parametrize("state", RevisionState)
def test_deleted_is_stopping(state: RevisionState) -> None:
    assert verdict(first(state), wanted=DeploymentWanted.DELETED).status is Status.STOPPING


@pytest.mark.parametrize("state", RevisionState)
def test_off_is_off_when_nothing_runs(state: RevisionState) -> None:
    is_gone = state in (RevisionState.RETIRED, RevisionState.FAILED)
    assert verdict(first(state), wanted=DeploymentWanted.OFF).status is (Status.OFF if is_gone else Status.STOPPING)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RevisionState.QUEUED, Status.QUEUED),
        (RevisionState.PREPARING, Status.PREPARING),
        (RevisionState.STARTING, Status.STARTING),
    ],
)
def test_what_comes_up_alone_has_its_own_word_and_beside_another_it_is_an_update(
    state: RevisionState, status: Status
) -> None:
    assert verdict(first(state)).status is status
    beside = verdict(READY, second(state), pods=(a_pod(),), routed=(READY,))
    assert beside.status is Status.UPDATING
    assert "Revision 2 is coming up while revision 1 serves." in beside.message


def test_failed_with_and_without_another_that_answers() -> None:
    alone = verdict(FAILED)
    assert (alone.status, alone.reason, alone.hint) == (Status.FAILED, "Exited", "See its container log.")
    beside = verdict(READY, second(RevisionState.FAILED, failure=a_failure()), pods=(a_pod(),), routed=(READY,))
    assert beside.status is Status.DEGRADED
    assert beside.message == "Revision 2 failed; 1 goes on serving: It exited with code 1."


def test_on_needs_an_accepted_route_and_ready_pods() -> None:
    assert verdict(READY, pods=(a_pod(),), routed=(READY,)).status is Status.ON
    assert verdict(COMING, pods=(a_pod(),), routed=()).status is Status.STARTING
    assert verdict(READY, pods=(), routed=(READY,)).status is Status.DEGRADED
    for phase in PodPhase:
        if phase is not PodPhase.READY:
            assert verdict(READY, pods=(a_pod(phase),), routed=(READY,)).status is Status.DEGRADED


def test_a_refused_route_is_trouble_at_once_and_a_slow_one_after_a_minute() -> None:
    refused = verdict(COMING, pods=(a_pod(),), rejection=REJECTION, seconds=1)
    assert (refused.status, refused.reason, refused.message) == (
        Status.DEGRADED,
        "GatewayRejected",
        REJECTION.message,
    )
    slow = verdict(COMING, pods=(a_pod(),), seconds=ROUTE_DEADLINE.total_seconds() + 1)
    assert (slow.status, slow.reason) == (Status.DEGRADED, "RouteNotAccepted")
    assert verdict(READY, pods=(a_pod(),), rejection=REJECTION, routed=(READY,)).status is Status.ON


def test_what_was_live_once_and_is_not_is_degraded_and_not_starting() -> None:
    assert verdict(READY, pods=(a_pod(),)).reason == "RouteNotAccepted"
    gone = verdict(READY, pods=())
    assert (gone.status, gone.reason) == (Status.DEGRADED, "PodsNotReady")
    cannot = verdict(replace(READY, failure=a_failure(reason="OutOfDisk")), pods=())
    assert (cannot.status, cannot.reason) == (Status.DEGRADED, "OutOfDisk")


def test_a_pod_that_was_restarted_counts_again_when_it_was_up_for_a_while() -> None:
    young = a_pod(restarts=1, started_at=NOW)
    assert verdict(READY, pods=(young,), routed=(READY,), seconds=29).status is Status.DEGRADED
    assert verdict(READY, pods=(young,), routed=(READY,), seconds=30).status is Status.ON


def test_why_it_is_started_again_is_said() -> None:
    said = verdict(first(RevisionState.STARTING), pods=(CRASHED,))
    assert (said.status, said.reason) == (Status.STARTING, "Exited")
    assert said.message == "It will be started again. It exited with code 1."
    cannot = verdict(first(RevisionState.STARTING, failure=a_failure(reason="OutOfDisk", message="The disk is full.")))
    assert (cannot.reason, cannot.message) == ("OutOfDisk", "It will be started again. The disk is full.")


def test_what_it_is_at_is_said_with_its_detail() -> None:
    phases = some_phases(PhaseName.ENVIRONMENT)
    phases = (*phases[:-1], replace(phases[-1], detail="12 of 40 packages"))
    said = verdict(first(RevisionState.PREPARING, phases=phases))
    assert said.message == "Building the model environment: 12 of 40 packages."


@pytest.mark.parametrize("jump", [timedelta(), STEADY_AFTER, -STEADY_AFTER, -timedelta(days=365)])
def test_a_pod_that_never_died_is_steady_whatever_the_clock_says(jump: timedelta) -> None:
    assert is_steady(a_pod(), NOW + jump)
    assert is_steady(a_pod(restarts=3), NOW + jump) == (jump != timedelta())


phases = st.sampled_from(PhaseName).map(some_phases) | st.just(READY.phases) | st.just(())


@st.composite
def revision_lists(draw: st.DrawFn) -> list[Revision]:
    made = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        state = draw(st.sampled_from(RevisionState))
        failure = a_failure() if state is RevisionState.FAILED else draw(st.none() | st.just(a_failure()))
        made.append(a_revision(id=f"r{number}", number=number, state=state, failure=failure, phases=draw(phases)))
    return made


@given(
    revision_lists(),
    st.lists(
        st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(PodPhase), st.integers(0, 3), st.booleans()),
        max_size=4,
    ),
    st.frozensets(st.sampled_from([RevisionId("r1"), RevisionId("r2"), RevisionId("r3")])),
    st.sampled_from(DeploymentWanted),
    st.integers(-100, 10_000),
    st.booleans(),
)
def test_every_verdict_is_a_sentence_and_on_is_never_said_too_early(
    revisions: list[Revision],
    pod_facts: list[tuple[str, PodPhase, int, bool]],
    routed: frozenset[RevisionId],
    wanted: DeploymentWanted,
    seconds: int,
    is_rejected: bool,
) -> None:
    pods: dict[RevisionId, list[PodObservation]] = {}
    for revision, phase, restarts, has_failed in pod_facts:
        failure = a_failure() if has_failed else None
        pods.setdefault(RevisionId(revision), []).append(a_pod(phase, restarts=restarts, failure=failure))
    now = NOW + timedelta(seconds=seconds)
    said = judge(
        a_deployment(wanted=wanted),
        revisions=revisions,
        pods=pods,
        routed=routed,
        now=now,
        rejection=REJECTION if is_rejected else None,
    )
    assert said.message.endswith(".")
    assert said.reason
    assert said.reason.isalnum()
    if said.status in (Status.FAILED, Status.DEGRADED):
        assert said.hint or said.reason == "PodsNotReady"
    if said.status is Status.ON:
        newest = revisions[-1]
        assert wanted is DeploymentWanted.ON
        assert newest.state is RevisionState.READY
        assert newest.id in routed
        assert pods[newest.id]
        assert all(is_steady(pod, now) for pod in pods[newest.id])
        assert not any(
            pod.restarts and pod.started_at is not None and abs(now - pod.started_at) < STEADY_AFTER
            for pod in pods[newest.id]
        ), "what crashed lately may be a crash loop"
    if wanted is not DeploymentWanted.ON:
        assert said.status in (Status.STOPPING, Status.OFF)
