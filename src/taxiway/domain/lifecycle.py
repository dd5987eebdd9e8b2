"""What happens to a revision, decided: a pure function from what is seen to a plan.

| state             | seen                                            | next      | actions                 |
| ----------------- | ----------------------------------------------- | --------- | ----------------------- |
| Queued            | wanted: serve                                   | Preparing | begin copy, begin build |
| Preparing         | copy or build not begun by this process         | Preparing | begin it                |
| Preparing         | the snapshot's files are gone                   | Preparing | begin copy              |
| Preparing         | copy or build failed, or over its deadline      | Failed    | cancel both             |
| Preparing         | anew, and MLflow is away, for less than 5 min   | Preparing | begin copy              |
| Preparing         | pods seen                                       | Preparing | remove                  |
| Preparing         | snapshot and environment ready, no pods seen    | Starting  | begin proof, apply      |
| Starting, Ready   | nothing runs, and its files are gone from disk  | Preparing | remove                  |
| Starting, Ready   | not yet told to the runtime, or no pod seen     | same      | apply                   |
| Starting, Ready   | nothing is known of a proof                     | same      | begin proof             |
| Starting          | every pod ready                                 | Ready     |                         |
| Starting          | the runtime refuses for good                    | Failed    | remove                  |
| Starting, Ready   | a pod failed for good                           | Failed    | remove                  |
| Starting          | crashed too often, or over the deadline         | Failed    | remove                  |
| Ready             | crashed too often before it was ever steady     | Failed    | remove                  |
| Ready             | no pods wanted, a request may reach one, or could lately | Ready |                      |
| Ready             | no pods wanted, no request can reach one since 5 s | Idle   | remove                  |
| Idle              | no pods wanted, pods seen                       | Idle      | remove                  |
| Idle              | pods wanted                                     | Ready     | apply                   |
| Queued, Preparing | wanted: retire                                  | Retiring  | cancel what runs        |
| Starting, Ready, Idle, Failed | wanted: retire                      | Retiring  |                         |
| Retiring          | may still get requests, for less than 10 s      | Retiring  | wait                    |
| Retiring          | told to the runtime, or pods seen               | Retiring  | remove                  |
| Retiring          | no pods seen since                              | Retired   |                         |
| Failed            | pods seen                                       | Failed    | remove                  |

Deadlines are measured by a clock that nobody sets, from when this process first saw the state: neither a clock that
jumps nor a control plane that was down for an hour makes a revision fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from taxiway.domain.conditions import Condition, Failure, Phase, PhaseName, Truth
from taxiway.domain.deployments import is_steady
from taxiway.domain.environments import BuildProgress, BuildState
from taxiway.domain.errors import StoreUnavailable, TrackingUnavailable
from taxiway.domain.ids import PodId
from taxiway.domain.lost_files import not_made_again, runs_nowhere, what_is_lost
from taxiway.domain.pods import PodObservation, PodPhase, ReportedPhase
from taxiway.domain.proofs import ProofProgress, ProofState, say
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted
from taxiway.domain.snapshots import CopyProgress, CopyState, SnapshotCopy, SnapshotState

COPY_DEADLINE = timedelta(minutes=30)
BUILD_DEADLINE = timedelta(minutes=16)
"""The builder gives up after 15 minutes by itself and says why; this is for a builder that hangs."""
TRACKING_PATIENCE = timedelta(minutes=5)
"""How long a revision that served waits for an MLflow that is away: after a reboot it is up later than the rest."""
TRACKING_RETRY = timedelta(seconds=2)
ROUTE_GRACE = timedelta(seconds=10)
"""How long a retiring revision waits for the gateway to let go of it."""
DRAIN_GRACE = timedelta(seconds=30)
IDLE_GRACE = timedelta(seconds=5)
"""How long the last pod stays after no request can reach it any more: one that comes meanwhile finds it warm."""
CRASHES_BEFORE_FAILED = 3
STEADY_FOR_GOOD_AFTER = timedelta(minutes=5)
LOOK_AGAIN = timedelta(milliseconds=200)
"""How soon to look at something that is under way."""
NOTHING_MORE = ProofProgress(state=ProofState.DONE)
"""Nothing is to be proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView:
    """All that is seen of one revision at one moment.

    ``snapshot`` is the remembered copy, ``has_files`` whether its files are on disk, ``has_environment`` whether a
    model environment is whose Python still runs; both matter only where nothing runs of it. ``copy`` and ``build``
    are None where this process began none. ``pods`` may be older than what was last done where ``is_fresh`` is no.
    ``was_applied``: this process told the runtime to keep pods; ``trouble`` is why that could not be done.
    ``forgiven``: restarts of a pod that count no more, because it was well for a while after them.
    ``is_routed``: the accepted routing table sends requests to it. ``may_get_requests``: that table or one that
    was published since, or nobody knows. ``waited`` is how long this process has seen it in its state.
    ``rested`` is how long this process has seen that no pods are wanted and no request can reach one.
    """

    revision: Revision
    snapshot: SnapshotCopy
    copy: CopyProgress | None
    build: BuildProgress | None
    pods: Sequence[PodObservation]
    was_applied: bool
    is_routed: bool
    waited: timedelta
    has_files: bool = True
    has_environment: bool = True
    is_fresh: bool = True
    may_get_requests: bool = False
    trouble: Failure | None = None
    forgiven: Mapping[PodId, int] = field(default_factory=dict)
    scale: int = 1
    rested: timedelta = timedelta()
    proof: ProofProgress | None = NOTHING_MORE
    """Of the snapshot in the environment; None where this process knows of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginCopy:
    """Copy the model version's files into a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCopy:
    """Stop the copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginBuild:
    """Build the model environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelBuild:
    """Stop the build, unless another revision waits for it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginProof:
    """Prove which path the pods may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelProof:
    """Stop the proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Tell the runtime to keep so many pods."""

    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Tell the runtime to drain and stop the pods."""

    grace: timedelta


Action = BeginCopy | CancelCopy | BeginBuild | CancelBuild | BeginProof | CancelProof | Apply | Remove


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionPlan:
    """What to do now, what the revision and its snapshot then are, and when to look again (None: when told)."""

    actions: tuple[Action, ...]
    revision: Revision
    snapshot: SnapshotCopy
    wake_at: datetime | None = None


def plan_revision(view: RevisionView, *, now: datetime) -> RevisionPlan:
    """Decide by the table at the top of this file."""
    revision = replace(view.revision, observed_generation=view.revision.generation)
    view = replace(view, revision=revision)
    if revision.state is RevisionState.RETIRED:
        return RevisionPlan(actions=(), revision=revision, snapshot=view.snapshot)
    if revision.wanted is RevisionWanted.RETIRE or revision.state is RevisionState.RETIRING:
        return _plan_retiring(view, now)
    if revision.state is RevisionState.FAILED:
        living = any(pod.phase is not PodPhase.DRAINING for pod in view.pods)
        actions = (Remove(grace=timedelta()),) if living else ()
        return RevisionPlan(actions=actions, revision=revision, snapshot=view.snapshot)
    if revision.state is RevisionState.QUEUED:
        queued = Phase(name=PhaseName.QUEUED, began_at=revision.created_at)
        phases = (_end(queued, now),)
        view = replace(view, revision=replace(revision, state=RevisionState.PREPARING, phases=phases))
    if view.revision.state is RevisionState.PREPARING:
        return _plan_preparing(view, now)
    if view.scale == 0 and view.revision.state in (RevisionState.READY, RevisionState.IDLE):
        return _plan_resting(view, now)
    if view.revision.state is RevisionState.IDLE:
        view = replace(view, revision=replace(view.revision, state=RevisionState.READY))
    return _plan_serving(view, now)


# ------------------------------------------------------------------ preparing


def _plan_preparing(view: RevisionView, now: datetime) -> RevisionPlan:
    revision, actions = view.revision, list[Action]()
    snapshot, copy_action, failure = _advance_copy(view, now)
    if copy_action is not None:
        actions.append(copy_action)
    revision = replace(revision, phases=_copy_phase(revision.phases, snapshot, now))

    build = view.build
    if build is None or (build.state is BuildState.FAILED and _phase(revision.phases, PhaseName.ENVIRONMENT) is None):
        # Unknown, or the failure of an earlier attempt: it begins now, and so does its phase.
        actions.append(BeginBuild())
        build = None
        revision = replace(revision, phases=_with(revision.phases, Phase(name=PhaseName.ENVIRONMENT, began_at=now)))
    elif _phase(revision.phases, PhaseName.ENVIRONMENT) is None:
        revision = replace(revision, phases=(*revision.phases, Phase(name=PhaseName.ENVIRONMENT, began_at=now)))
    elif build.state is BuildState.FAILED:
        failure = failure or build.failure or Failure(reason="EnvironmentFailed", message="The build failed.")
    is_built = build is not None and build.state is BuildState.READY
    if not is_built and view.waited > BUILD_DEADLINE:
        last = f" Last: {build.detail.rstrip('.')}." if build is not None and build.detail else ""
        failure = failure or Failure(
            reason="BuildDeadlineExceeded",
            message=f"The model environment was not ready after {_minutes(BUILD_DEADLINE)}.{last}",
            hint="See the build log; switch it ON to try again.",
        )
    revision = replace(revision, phases=_build_phase(revision.phases, build, now))

    if failure is not None:
        cancels: tuple[Action, ...] = (CancelCopy(), CancelBuild())
        failure = failure if revision.failure is None else not_made_again(failure)
        return RevisionPlan(actions=cancels, revision=_failed(revision, failure, now), snapshot=snapshot)
    if any(pod.phase is not PodPhase.DRAINING for pod in view.pods):
        actions.append(Remove(grace=DRAIN_GRACE))
    elif snapshot.state is SnapshotState.READY and is_built and not view.pods and view.is_fresh:
        # Pods load while it is proven how they may serve, and wait for the proof with what they loaded.
        if view.proof is None or view.proof.state is ProofState.FAILED:
            actions.append(BeginProof())
            view = replace(view, proof=None)
        phases = _proof_phase(revision.phases, view.proof, now)
        phases = (*phases, Phase(name=PhaseName.POD, began_at=now))
        revision = replace(revision, state=RevisionState.STARTING, phases=phases, failure=None)
        actions.append(Apply(scale=view.scale))
    pause = TRACKING_RETRY if copy_action is not None and _waits_for_tracking(view) else LOOK_AGAIN
    return _plan(view, actions, revision, snapshot, now, wake_at=now + pause)


def _proof_phase(phases: tuple[Phase, ...], proof: ProofProgress | None, now: datetime) -> tuple[Phase, ...]:
    phase = _phase(phases, PhaseName.PROOF) or Phase(name=PhaseName.PROOF, began_at=now)
    if phase.ended_at is not None:
        return phases
    if proof is None or proof.state is ProofState.RUNNING:
        return _with(phases, phase)
    return _with(phases, _end(replace(phase, detail=say(proof)), now))


def _advance_copy(view: RevisionView, now: datetime) -> tuple[SnapshotCopy, BeginCopy | None, Failure | None]:
    snapshot, copy = view.snapshot, view.copy
    is_lost = snapshot.state is SnapshotState.READY and not view.has_files
    if snapshot.state is SnapshotState.READY and not is_lost:
        return snapshot, None, None
    if view.waited > COPY_DEADLINE and (copy is None or copy.state is CopyState.RUNNING):
        failure = Failure(
            reason="CopyDeadlineExceeded",
            message=f"The model's files were not copied within {_minutes(COPY_DEADLINE)}.",
            hint="Look at the disk and at MLflow, then switch it ON to try again.",
        )
        return replace(snapshot, state=SnapshotState.FAILED, failure=failure), None, failure
    failed_before = _phase(view.revision.phases, PhaseName.SNAPSHOT) is None
    may_try_again = failed_before or _waits_for_tracking(view)
    if copy is None or is_lost or (copy.state is CopyState.FAILED and may_try_again):
        began = replace(snapshot, state=SnapshotState.COPYING, digest=None, began_at=now, failure=None, bytes_done=0)
        return began, BeginCopy(), None
    snapshot = replace(snapshot, bytes_done=copy.bytes_done, bytes_total=copy.bytes_total)
    match copy.state:
        case CopyState.DONE:
            return replace(snapshot, state=SnapshotState.READY, digest=copy.digest), None, None
        case CopyState.FAILED:
            failure = copy.failure or Failure(reason="CopyFailed", message="The copy failed.")
            return replace(snapshot, state=SnapshotState.FAILED, failure=failure), None, failure
        case CopyState.RUNNING:
            return replace(snapshot, state=SnapshotState.COPYING), None, None


def _waits_for_tracking(view: RevisionView) -> bool:
    """Tell whether a revision that served could not be copied anew because MLflow or the store is away, for now."""
    failure = view.copy.failure if view.copy is not None else None
    is_away = failure is not None and failure.reason in (TrackingUnavailable.reason, StoreUnavailable.reason)
    return is_away and view.revision.failure is not None and view.waited < TRACKING_PATIENCE


def _copy_phase(phases: tuple[Phase, ...], snapshot: SnapshotCopy, now: datetime) -> tuple[Phase, ...]:
    done, total = snapshot.bytes_done, snapshot.bytes_total
    detail = _megabytes(done) if not total or done >= total else f"{_megabytes(done)} of {_megabytes(total)}"
    phase = _phase(phases, PhaseName.SNAPSHOT) or Phase(name=PhaseName.SNAPSHOT, began_at=now)
    if phase.ended_at is not None:
        return phases
    is_ready = snapshot.state is SnapshotState.READY
    progress = 1.0 if is_ready else (done / total if total else None)
    phase = replace(phase, detail=detail, progress=progress)
    return _with(phases, _end(phase, now) if is_ready else phase)


def _build_phase(phases: tuple[Phase, ...], build: BuildProgress | None, now: datetime) -> tuple[Phase, ...]:
    phase = _phase(phases, PhaseName.ENVIRONMENT)
    if phase is None or build is None or phase.ended_at is not None:
        return phases
    is_ready = build.state is BuildState.READY
    progress = build.packages_done / build.packages_total if build.packages_total else None
    phase = replace(phase, detail=build.detail, progress=1.0 if is_ready else progress)
    return _with(phases, _end(phase, now) if is_ready else phase)


# ------------------------------------------------------------------ starting and ready


def _plan_serving(view: RevisionView, now: datetime) -> RevisionPlan:
    revision, pods = view.revision, list(view.pods)
    actions: list[Action] = []
    has_snapshot = view.has_files and view.snapshot.digest is not None
    lost = what_is_lost(has_snapshot=has_snapshot, has_environment=view.has_environment)
    if lost is not None and runs_nowhere(pods):
        queued = tuple(phase for phase in revision.phases if phase.name is PhaseName.QUEUED)
        revision = replace(revision, state=RevisionState.PREPARING, failure=lost, phases=queued)
        return _plan(view, [Remove(grace=DRAIN_GRACE)], revision, view.snapshot, now, wake_at=now + LOOK_AGAIN)
    # Another revision of the same model version may just be having the files copied anew; whoever runs, runs on.
    if (not view.was_applied or not pods) and view.snapshot.digest is not None:
        actions.append(Apply(scale=view.scale))
    if view.proof is None and lost is None and view.snapshot.digest is not None:
        # It was killed, or the scoring server was updated: pods that start from now on need a proof of the new one.
        actions.append(BeginProof())
    phases = (
        _proof_phase(revision.phases, view.proof, now) if _phase(revision.phases, PhaseName.PROOF) else revision.phases
    )
    revision = replace(revision, phases=_pod_phases(phases, pods, view.is_routed, now))
    failure = _fatal(view, now)
    if failure is not None:
        return RevisionPlan(
            actions=(Remove(grace=timedelta()),),
            revision=_failed(revision, failure, now),
            snapshot=view.snapshot,
        )
    is_ready = len(pods) >= view.scale and all(pod.phase is PodPhase.READY for pod in pods)
    if revision.state is RevisionState.STARTING and is_ready:
        revision = replace(revision, state=RevisionState.READY)
    wake_at = None
    if view.trouble is not None or not pods:
        wake_at = now + timedelta(seconds=1)
    elif revision.state is RevisionState.STARTING:
        wake_at = now + max(_start_deadline(revision) - view.waited, LOOK_AGAIN)
    elif not view.is_routed or not all(is_steady(pod, now) for pod in pods):
        wake_at = now + timedelta(seconds=1)
    if view.proof is None or view.proof.state is ProofState.RUNNING:
        soon = now + (LOOK_AGAIN if revision.state is RevisionState.STARTING else timedelta(seconds=1))
        wake_at = soon if wake_at is None else min(soon, wake_at)
    return _plan(view, actions, replace(revision, failure=view.trouble), view.snapshot, now, wake_at=wake_at)


def _fatal(view: RevisionView, now: datetime) -> Failure | None:
    """Say why the revision cannot become, or stay, good; None while there is hope."""
    is_starting = view.revision.state is RevisionState.STARTING
    for pod in view.pods:
        if pod.phase is PodPhase.FAILED:
            return pod.failure or Failure(reason="PodFailed", message="The pod failed.", hint="See its container log.")
        crashes = (
            pod.restarts
            - view.forgiven.get(pod.id, 0)
            + (1 if pod.phase is PodPhase.UNREADY and pod.failure is not None else 0)
        )
        is_well = is_steady(pod, now) or _was_ever_steady(view.revision, now)
        if crashes >= CRASHES_BEFORE_FAILED and not is_well:
            cause = pod.failure or Failure(reason="Exited", message="", hint="See its container log.")
            reason = cause.reason if cause.reason not in ("Exited", "Killed") else "CrashLoop"
            message = f"The scoring server was started again and again and ended {crashes} times. {cause.message}"
            return replace(cause, reason=reason, message=message.strip())
    if not is_starting:
        return None
    if view.trouble is not None and not view.trouble.retryable:
        return view.trouble
    deadline = _start_deadline(view.revision)
    if view.waited < deadline:
        return None
    cause_or_none = next((pod.failure for pod in view.pods if pod.failure is not None), view.trouble)
    return Failure(
        reason="StartDeadlineExceeded",
        message=f"No pod was ready after {deadline.total_seconds():g} s. "
        f"{cause_or_none.message if cause_or_none else ''}".strip(),
        hint="See the container log; a slow model needs a longer start deadline.",
        lines=cause_or_none.lines if cause_or_none else (),
    )


def _was_ever_steady(revision: Revision, now: datetime) -> bool:
    """Tell whether the route has been live for some time: crashes after that are the runtime's to mend.

    A route that went live in the future did so before somebody set the clock back.
    """
    route = _phase(revision.phases, PhaseName.ROUTE)
    return route is not None and route.ended_at is not None and abs(now - route.ended_at) > STEADY_FOR_GOOD_AFTER


def _pod_phases(
    phases: tuple[Phase, ...], pods: Sequence[PodObservation], is_routed: bool, now: datetime
) -> tuple[Phase, ...]:
    """Fold what the first pod reported into the phases; once ended they stay as they were."""
    began = _phase(phases, PhaseName.POD)
    if began is None or not pods:
        return phases
    at = began.began_at
    reported = {phase.name: phase for phase in pods[0].phases}
    for name, own in (("verified", PhaseName.POD), ("loaded", PhaseName.LOADED), ("example", PhaseName.EXAMPLE)):
        known = _phase(phases, own)
        if known is not None and known.ended_at is not None:
            at = known.ended_at
            continue
        report = reported.get(name)
        phase = known or Phase(name=own, began_at=at)
        if report is None:
            return _with(phases, phase)
        # The pod's own start is not reported: it is what is left of the time before the phases that are.
        spent = report.seconds if own is not PhaseName.POD else (now - at).total_seconds() - _later_seconds(reported)
        at = max(phase.began_at, min(at + timedelta(seconds=max(spent, 0.0)), now))
        phases = _with(phases, replace(_end(phase, at), detail=str(report.detail.get("text", ""))))
    if pods[0].phase is not PodPhase.READY:
        return phases
    route = _phase(phases, PhaseName.ROUTE) or Phase(name=PhaseName.ROUTE, began_at=now)
    if route.ended_at is None:
        phases = _with(phases, _end(route, now) if is_routed else route)
    return phases


def _later_seconds(reported: Mapping[str, ReportedPhase]) -> float:
    return sum(report.seconds for name, report in reported.items() if name in ("loaded", "example"))


# ------------------------------------------------------------------ idle


def _plan_resting(view: RevisionView, now: datetime) -> RevisionPlan:
    revision, is_living = view.revision, any(pod.phase is not PodPhase.DRAINING for pod in view.pods)
    if revision.state is RevisionState.READY and view.pods and view.rested < IDLE_GRACE:
        wake_at = now + max(IDLE_GRACE - view.rested, LOOK_AGAIN)
        return _plan(view, [], revision, view.snapshot, now, wake_at=wake_at)
    actions: list[Action] = [Remove(grace=DRAIN_GRACE)] if view.was_applied or is_living else []
    revision = replace(revision, state=RevisionState.IDLE, failure=None)
    return _plan(view, actions, revision, view.snapshot, now, wake_at=now + LOOK_AGAIN if view.pods else None)


# ------------------------------------------------------------------ retiring


def _plan_retiring(view: RevisionView, now: datetime) -> RevisionPlan:
    revision, actions, waited = view.revision, list[Action](), view.waited
    if revision.state is not RevisionState.RETIRING:
        if revision.state in (RevisionState.QUEUED, RevisionState.PREPARING):
            actions += [CancelCopy(), CancelBuild(), CancelProof()]
        revision = replace(revision, state=RevisionState.RETIRING, phases=_ended(revision, now))
        waited = timedelta()
    if not view.pods and not view.was_applied and view.is_fresh:
        revision = replace(revision, state=RevisionState.RETIRED)
        return RevisionPlan(actions=tuple(actions), revision=revision, snapshot=view.snapshot)
    is_living = view.was_applied or any(pod.phase is not PodPhase.DRAINING for pod in view.pods)
    if is_living and (not view.may_get_requests or waited >= ROUTE_GRACE):
        actions.append(Remove(grace=DRAIN_GRACE))
    return _plan(view, actions, revision, view.snapshot, now, wake_at=now + LOOK_AGAIN)


# ------------------------------------------------------------------ small parts


def _plan(
    view: RevisionView,
    actions: list[Action],
    revision: Revision,
    snapshot: SnapshotCopy,
    now: datetime,
    *,
    wake_at: datetime | None,
) -> RevisionPlan:
    conditions = _conditions(revision, snapshot, view.pods, now)
    return RevisionPlan(
        actions=tuple(actions),
        revision=replace(revision, conditions=conditions),
        snapshot=snapshot,
        wake_at=wake_at,
    )


def _conditions(
    revision: Revision, snapshot: SnapshotCopy, pods: Sequence[PodObservation], now: datetime
) -> tuple[Condition, ...]:
    build = _phase(revision.phases, PhaseName.ENVIRONMENT)
    ready = sum(pod.phase is PodPhase.READY for pod in pods)
    facts = (
        ("SnapshotReady", snapshot.state is SnapshotState.READY, str(snapshot.state), ""),
        (
            "EnvironmentBuilt",
            build is not None and build.ended_at is not None,
            "Built" if build and build.ended_at else "Building",
            build.detail if build else "",
        ),
        (
            "PodsReady",
            bool(pods) and ready == len(pods),
            "Ready" if pods and ready == len(pods) else "NotReady",
            f"{ready} of {len(pods)} pods are ready.",
        ),
    )
    was = {condition.name: condition for condition in revision.conditions}
    return tuple(
        _condition(name, Truth.TRUE if holds else Truth.FALSE, reason, message, was.get(name), now)
        for name, holds, reason, message in facts
    )


def _condition(name: str, truth: Truth, reason: str, message: str, was: Condition | None, now: datetime) -> Condition:
    since = was.since if was is not None and was.truth is truth else now
    return Condition(name=name, truth=truth, reason=reason, message=message, since=since)


def _failed(revision: Revision, failure: Failure, now: datetime) -> Revision:
    return replace(
        revision,
        state=RevisionState.FAILED,
        failure=failure,
        phases=_ended(revision, now),
    )


def _ended(revision: Revision, now: datetime) -> tuple[Phase, ...]:
    return tuple(phase if phase.ended_at is not None else _end(phase, now) for phase in revision.phases)


def _end(phase: Phase, at: datetime) -> Phase:
    """End a phase; never before it began, also when the clock was set back meanwhile."""
    return replace(phase, ended_at=max(phase.began_at, at))


def _phase(phases: Sequence[Phase], name: PhaseName) -> Phase | None:
    return next((phase for phase in phases if phase.name is name), None)


def _with(phases: tuple[Phase, ...], phase: Phase) -> tuple[Phase, ...]:
    if _phase(phases, phase.name) is None:
        return (*phases, phase)
    return tuple(phase if known.name is phase.name else known for known in phases)


def _start_deadline(revision: Revision) -> timedelta:
    return timedelta(seconds=revision.options.start_deadline_seconds)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _minutes(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 60:g} minutes"
