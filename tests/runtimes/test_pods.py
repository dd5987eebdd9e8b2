"""What a pod is, what is planned for a revision's pods, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.ids import DeploymentId, EnvironmentId, ModelName, PodId, ProjectName, RevisionId, SnapshotId
from taxiway.domain.pods import Isolation, PodPhase
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import Method, OnOutputMismatch, RevisionSpec, RowsAreIndependent, ScoringOptions, Serving
from taxiway.runtimes.process.pods import (
    Confinement,
    PodPlaces,
    PodSeen,
    check_config,
    observe_pod,
    plan_pods,
    pod_child,
    pod_config,
    pod_labels,
    proof_config,
    whole_cpus,
)
from taxiway.stub.children import ChildPhase, ChildStatus, Level, Report, Trouble

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = RevisionSpec(
    id=RevisionId("r1"), deployment=DeploymentId("d1"), project=ProjectName("p"), model=ModelName("fraud"),
    version=3, snapshot=SnapshotId("ab" * 32), environment=EnvironmentId("cd" * 32),
    resources=Resources(memory_bytes=512 << 20, cpus=2.5),
    options=ScoringOptions(timeout_seconds=5, body_bytes=1000, start_deadline_seconds=77,
                           on_output_mismatch=OnOutputMismatch.REFUSE, serving=Serving.PYFUNC,
                           rows_are_independent=RowsAreIndependent.YES, method=Method.PREDICT_PROBA),
)  # fmt: skip
PLACES = PodPlaces(
    directory=Path("/d/pods/x"), home=Path("/d/pods/x/home"), config=Path("/d/pods/x/config.json"),
    socket=Path("/run/p/x/s"), environment=Path("/d/environments/e"), snapshot=Path("/d/snapshots/s"),
    scoring=Path("/d/scoring/c"), proof=Path("/d/proofs/x/proof.json"), interpreter=(Path("/opt/python"),),
)  # fmt: skip


def a_status(phase: ChildPhase = ChildPhase.READY, **changes: object) -> ChildStatus:
    values: dict[str, object] = {
        "is_alive": phase not in (ChildPhase.STOPPED, ChildPhase.FAILED), "phase": phase, "nonce": "n",
        "labels": {}, "stub_pid": 1, "stub_started_at": NOW,
    }  # fmt: skip
    return ChildStatus(**(values | changes))  # type: ignore[arg-type]


def a_pod(name: str, status: ChildStatus | None = None, *, age: int = 0) -> PodSeen:
    return PodSeen(
        id=PodId(name), revision=RevisionId("r1"), created_at=NOW - timedelta(seconds=age), socket="/run/p/x/s",
        status=status,
    )  # fmt: skip


def test_the_scoring_server_is_told_all_it_must_know() -> None:
    assert pod_config(PodId("x"), SPEC, PLACES) == {
        "pod": "x", "revision": "r1", "project": "p", "model": "fraud", "version": 3, "snapshot": "/d/snapshots/s",
        "manifest_digest": "ab" * 32, "socket": "/run/p/x/s", "threads": 2, "workers": 2,
        "on_output_mismatch": "refuse",
            "proof_file": "/d/proofs/x/proof.json", "serving": "pyfunc", "spool": None, "rows_are_independent": True,
        "method": "predict_proba",
        "limits": {"body_bytes": 1000, "timeout_seconds": 5, "concurrency": 1, "queue": 128, "drain_seconds": 30.0,
                   "header_seconds": 10, "idle_seconds": 300},
    }  # fmt: skip


def test_proofs_and_checks_are_of_the_method_that_answers() -> None:
    assert proof_config(SPEC, PLACES)["method"] == "predict_proba"
    assert check_config(SPEC, PLACES)["method"] == "predict_proba"


def test_a_pod_is_shut_in_with_its_own_things_only() -> None:
    labels = pod_labels(PodId("x"), SPEC, PLACES, created_at=NOW)
    child = pod_child(SPEC, PLACES, Confinement(level=Level.SANDBOX, bwrap=Path("/usr/bin/bwrap")), labels=labels)
    assert child.argv == (
        "/d/environments/e/bin/python", "-I", "-u", "/d/scoring/c", "--config", "/d/pods/x/config.json",
    )  # fmt: skip
    assert child.sandboxing is not None
    assert set(child.sandboxing.writable) == {Path("/d/pods/x/home"), Path("/run/p/x")}
    assert set(child.sandboxing.read_only) == {
        Path("/opt/python"), Path("/d/environments/e"), Path("/d/scoring/c"), Path("/d/snapshots/s"),
        Path("/d/pods/x/config.json"), Path("/d/proofs/x"),
    }  # fmt: skip
    assert not child.sandboxing.allow_network
    assert (child.limits.memory_bytes, child.limits.cpus, child.limits.oom_score) == (512 << 20, 2.5, 500)
    assert child.start_deadline == timedelta(seconds=77)
    assert child.env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not [name for name in child.env if "TRACKING" in name or "TAXIWAY" in name]


@pytest.mark.parametrize(("cpus", "expected"), [(0.1, 1), (1.0, 1), (1.9, 1), (2.0, 2), (8.5, 8)])
def test_workers_are_whole_cpus(cpus: float, expected: int) -> None:
    assert whole_cpus(cpus) == expected


READY, STARTING, BACKOFF = (a_status(phase) for phase in (ChildPhase.READY, ChildPhase.STARTING, ChildPhase.BACKOFF))
FAILED, STOPPED, DRAINING = (a_status(phase) for phase in (ChildPhase.FAILED, ChildPhase.STOPPED, ChildPhase.DRAINING))
LOST = a_status(ChildPhase.READY, is_alive=False)


def test_missing_pods_are_made() -> None:
    assert plan_pods([], scale=2).new_pods == 2
    assert plan_pods([a_pod("a", READY)], scale=1) == plan_pods([], scale=0)


def test_a_pod_whose_stub_was_killed_is_started_in_its_directory() -> None:
    plan = plan_pods([a_pod("a", LOST), a_pod("b", None)], scale=2)
    assert set(plan.spawn_again) == {"a", "b"}
    assert plan.new_pods == 0


def test_a_pod_that_failed_for_good_counts_and_is_not_tried_again() -> None:
    plan = plan_pods([a_pod("a", FAILED)], scale=1)
    assert (plan.new_pods, plan.spawn_again, plan.clear_away) == (0, (), ())


def test_what_leaves_does_not_count_and_what_is_gone_is_cleared_away() -> None:
    plan = plan_pods([a_pod("a", DRAINING), a_pod("b", STOPPED)], scale=1)
    assert plan.new_pods == 1
    assert plan.clear_away == ("b",)
    assert plan.stop == ()


def test_of_too_many_the_unready_and_then_the_youngest_go() -> None:
    pods = [a_pod("old", READY, age=9), a_pod("starting", STARTING, age=20), a_pod("young", READY, age=1),
            a_pod("failed", FAILED, age=30)]  # fmt: skip
    plan = plan_pods(pods, scale=1)
    assert set(plan.stop) == {"starting", "young"}
    assert plan.clear_away == ("failed",)


def test_what_nobody_spoke_of_yet_is_left_alone() -> None:
    plan = plan_pods([a_pod("a", READY), a_pod("b", LOST), a_pod("c", FAILED), a_pod("d", STOPPED)], scale=None)
    assert (plan.stop, plan.spawn_again, plan.new_pods) == ((), (), 0)
    assert plan.clear_away == ("d",)


STATUSES = st.sampled_from([None, READY, STARTING, BACKOFF, FAILED, STOPPED, DRAINING, LOST])


@given(st.lists(st.tuples(STATUSES, st.integers(0, 99)), max_size=8), st.integers(0, 5))
def test_a_plan_never_exceeds_the_scale_and_carried_out_is_empty(
    found: list[tuple[ChildStatus | None, int]], scale: int
) -> None:
    pods = [a_pod(f"p{at}", status, age=age) for at, (status, age) in enumerate(found)]
    plan = plan_pods(pods, scale=scale)
    after = [
        replace(pod, status=STARTING if pod.id in plan.spawn_again else DRAINING if pod.id in plan.stop else pod.status)
        for pod in pods
        if pod.id not in plan.clear_away
    ] + [a_pod(f"n{n}", STARTING) for n in range(plan.new_pods)]
    counted = [pod for pod in after if not pod.is_leaving]
    assert len(counted) == scale
    assert not set(plan.stop) & set(plan.clear_away)
    again = plan_pods(after, scale=scale)
    assert (again.new_pods, again.spawn_again, again.stop, again.clear_away) == (0, (), (), ())


def test_a_pod_is_observed_with_all_its_stub_knows() -> None:
    status = a_status(
        reports=(Report(phase="loaded", seconds=1.5, detail={"bytes": 7}),), restarts=2, memory_bytes=5,
        memory_peak_bytes=6, cpu_seconds=0.5, rows=7, level=Level.LANDLOCK, child_started_at=NOW,
        enforcement={"memory": "cgroup1", "cpus": "affinity"},
    )  # fmt: skip
    pod = observe_pod(a_pod("a", status))
    assert (pod.phase, pod.address, pod.restarts, pod.isolation) == (
        PodPhase.READY, "unix:/run/p/x/s", 2, Isolation.LANDLOCK,
    )  # fmt: skip
    assert (pod.memory_is_enforced, pod.cpus_are_enforced) == (True, False)
    assert (pod.phases[0].name, pod.phases[0].seconds, pod.rows) == ("loaded", 1.5, 7)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (None, PodPhase.PENDING), (STARTING, PodPhase.STARTING), (BACKOFF, PodPhase.UNREADY),
        (DRAINING, PodPhase.DRAINING), (STOPPED, PodPhase.STOPPED), (FAILED, PodPhase.FAILED),
        (LOST, PodPhase.UNREADY), (a_status(ChildPhase.DRAINING, is_alive=False), PodPhase.STOPPED),
    ],
)  # fmt: skip
def test_phases_in_the_domains_words(status: ChildStatus | None, phase: PodPhase) -> None:
    assert observe_pod(a_pod("a", status)).phase is phase


def test_trouble_becomes_a_failure_with_its_lines() -> None:
    trouble = Trouble(reason="OutOfMemory", message="m", hint="h", retryable=True, lines=("l",))
    failure = observe_pod(a_pod("a", a_status(ChildPhase.BACKOFF, trouble=trouble))).failure
    assert failure is not None
    assert (failure.reason, failure.message, failure.hint, failure.lines) == ("OutOfMemory", "m", "h", ("l",))
    gone = observe_pod(a_pod("a", LOST)).failure
    assert gone is not None
    assert gone.reason == "StubGone"
