"""Deployments: what people ask for, and the one word that they see.

The newest revision is the newest that is to serve: one that a rollout's limits took back is not.

| wanted  | newest revision          | else                                     | status    |
| ------- | ------------------------ | ---------------------------------------- | --------- |
| deleted | any                      |                                          | Stopping  |
| off     | some not yet retired     |                                          | Stopping  |
| off     | all retired              |                                          | OFF       |
| on      | Failed                   | an older revision answers                | Degraded  |
| on      | Failed                   | none answers                             | Failed    |
| on      | Queued … Ready, not routed | an older revision answers              | Updating  |
| on      | Ready                    | a rollout moves requests to it           | Updating  |
| on      | Queued                   |                                          | Queued    |
| on      | Preparing                |                                          | Preparing |
| on      | Starting                 |                                          | Starting  |
| on      | Ready, Idle, no pods wanted |                                       | Idle      |
| on      | Ready, not routed        | a request waits for its first pod        | Starting  |
| on      | Ready, not routed        | never was, for at most a minute          | Starting  |
| on      | Ready, not routed        | the gateway refused the routes           | Degraded  |
| on      | Ready, not routed        | was before, or longer than a minute      | Degraded  |
| on      | Ready, routed            | a pod is not ready, or was restarted lately | Degraded |
| on      | Ready, routed            | every pod is ready, comes up or is leaving | ON      |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from taxiway.domain.autoscaling import AutoscalingPolicy
from taxiway.domain.conditions import Condition, Failure, PhaseName
from taxiway.domain.errors import TaxiwayError
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId, UserId
from taxiway.domain.models import Environment
from taxiway.domain.pods import PodObservation, PodPhase, was_ready
from taxiway.domain.quotas import Quota
from taxiway.domain.resources import Resources, Scale
from taxiway.domain.revisions import Revision, RevisionState, ScoringOptions, newest_wanted
from taxiway.domain.rollouts import Rollout

STEADY_AFTER = timedelta(seconds=30)
"""How long a scoring server that was restarted must stay up before its pod counts as well again."""
ROUTE_DEADLINE = timedelta(minutes=1)
"""How long the gateway may take for a new route before that is called trouble."""


class DeploymentWanted(StrEnum):
    """What people want of a deployment."""

    ON = "on"
    OFF = "off"
    DELETED = "deleted"


class Status(StrEnum):
    """The one word per deployment that people see."""

    QUEUED = "Queued"
    PREPARING = "Preparing"
    STARTING = "Starting"
    ON = "ON"
    DEGRADED = "Degraded"
    IDLE = "Idle"
    UPDATING = "Updating"
    STOPPING = "Stopping"
    OFF = "OFF"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A status with its reason (CamelCase), one sentence, and the next thing to do ('' when there is none)."""

    status: Status
    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment as it is remembered. ``status`` … ``conditions`` are seen, all before them is wanted."""

    id: DeploymentId
    environment: Environment
    project: ProjectName
    model: ModelName
    version: int
    model_version: ModelVersionId
    owner: UserId
    wanted: DeploymentWanted
    resources: Resources
    options: ScoringOptions
    needs_token: bool
    generation: int
    created_at: datetime
    changed_at: datetime
    name: str = ""
    """Of a production deployment: its own, as it stands in its URL. Staging ones are named by their model version."""
    customer: str = ""
    """Whom a production deployment serves."""
    scale: Scale = field(default_factory=Scale)
    autoscaling: AutoscalingPolicy | None = None
    """None: as many pods as there are at least."""
    quota: Quota | None = None
    """What each caller may send; None: as much as it likes."""
    observed_generation: int = 0
    verdict: Verdict = field(
        default_factory=lambda: Verdict(status=Status.QUEUED, reason="Queued", message="The deployment was asked for.")
    )
    conditions: tuple[Condition, ...] = ()

    @property
    def path(self) -> str:
        """The endpoint's path on the gateway, with a slash at its end."""
        if self.environment is Environment.PRODUCTION:
            return f"/production/{self.name}/"
        return f"/staging/{self.project}/{self.model}/{self.version}/"


def is_steady(pod: PodObservation, now: datetime) -> bool:
    """Tell whether a pod is ready and has not been restarted lately."""
    if pod.phase is not PodPhase.READY:
        return False
    # A pod that started in the future did so before somebody set the clock back.
    return pod.restarts == 0 or (pod.started_at is not None and abs(now - pod.started_at) >= STEADY_AFTER)


def judge(
    deployment: Deployment,
    *,
    revisions: Sequence[Revision],
    pods: Mapping[RevisionId, Sequence[PodObservation]],
    routed: frozenset[RevisionId],
    now: datetime,
    rejection: TaxiwayError | None = None,
    rollout: Rollout | None = None,
) -> Verdict:
    """Say in one word how the deployment is, by the table above.

    Revisions in order of their number. ``rejection`` is why the gateway refused the newest routing table.
    """
    living = [revision for revision in revisions if revision.state is not RevisionState.RETIRED]
    if deployment.wanted is DeploymentWanted.DELETED:
        return Verdict(status=Status.STOPPING, reason="Deleting", message="The deployment is being deleted.")
    if deployment.wanted is DeploymentWanted.OFF:
        if living and any(revision.state is not RevisionState.FAILED for revision in living):
            return Verdict(
                status=Status.STOPPING, reason="SwitchedOff", message="Requests in flight are finished first."
            )
        return Verdict(
            status=Status.OFF,
            reason="SwitchedOff",
            message="It was switched off; its URL and configuration are kept.",
            hint="Switch it ON to serve again.",
        )
    if not revisions:
        return Verdict(status=Status.QUEUED, reason="Queued", message="The deployment was asked for.")
    newest = newest_wanted(revisions)
    answering = next(
        (
            r for r in reversed(revisions)
            if r.number < newest.number and _answers(r, routed, pods)
        ),
        None,
    )  # fmt: skip
    if newest.state is RevisionState.FAILED:
        return _judge_failed(newest, answering)
    if rollout is not None and answering is not None and newest.state is RevisionState.READY:
        return Verdict(status=Status.UPDATING, reason="RollingOut", message=rollout.message)
    is_served = newest.state in (RevisionState.READY, RevisionState.IDLE)
    if is_served and newest.pods_within(deployment.scale) == 0:
        return Verdict(
            status=Status.IDLE, reason="NoRequests", message="It has no pod; the next request waits for one."
        )
    if newest.state is RevisionState.READY and newest.id in routed:
        return _judge_pods(newest, pods.get(newest.id, ()), now)
    if is_served and deployment.scale.minimum == 0 and _is_waking(pods.get(newest.id, ())):
        return Verdict(status=Status.STARTING, reason="Waking", message="A request waits for its first pod.")
    if newest.state is RevisionState.READY:
        trouble = _trouble_with_route(newest, pods.get(newest.id, ()), rejection, now)
        if trouble is not None:
            return trouble
    return _judge_coming(newest, answering, pods.get(newest.id, ()))


def _answers(
    revision: Revision, routed: frozenset[RevisionId], pods: Mapping[RevisionId, Sequence[PodObservation]]
) -> bool:
    """Tell whether requests are answered by it: one that rests does so once it is awake."""
    if revision.state is RevisionState.IDLE:
        return True
    return revision.state is RevisionState.READY and revision.id in routed and bool(pods.get(revision.id))


def _is_waking(pods: Sequence[PodObservation]) -> bool:
    """Tell whether its first pod is on its way, and nothing was wrong with it yet."""
    return all(pod.failure is None and pod.restarts == 0 for pod in pods)


def _judge_failed(newest: Revision, answering: Revision | None) -> Verdict:
    failure = newest.failure or Failure(reason="Failed", message="It failed without a reason.")
    if answering is None:
        return Verdict(status=Status.FAILED, reason=failure.reason, message=failure.message, hint=failure.hint)
    return Verdict(
        status=Status.DEGRADED,
        reason=failure.reason,
        message=f"Revision {newest.number} failed; {answering.number} goes on serving: {failure.message}",
        hint=failure.hint,
    )


def _trouble_with_route(
    newest: Revision, pods: Sequence[PodObservation], rejection: TaxiwayError | None, now: datetime
) -> Verdict | None:
    """Say why a revision that is ready gets no requests; None while its route may still be on its way."""
    route = next((phase for phase in newest.phases if phase.name is PhaseName.ROUTE), None)
    if route is not None and route.ended_at is not None and not (pods and all(is_steady(pod, now) for pod in pods)):
        return _judge_pods(newest, pods, now)
    if rejection is not None:
        return Verdict(
            status=Status.DEGRADED, reason=rejection.reason, message=rejection.message, hint=rejection.hint or ""
        )
    if route is None or (route.ended_at is None and abs(now - route.began_at) <= ROUTE_DEADLINE):
        return None
    return Verdict(
        status=Status.DEGRADED,
        reason="RouteNotAccepted",
        message="Its pods are ready, and the gateway has not taken its route into force.",
        hint="See the gateway's log with `taxiway platform-log envoy`.",
    )


def _judge_coming(newest: Revision, answering: Revision | None, pods: Sequence[PodObservation]) -> Verdict:
    status = {
        RevisionState.QUEUED: Status.QUEUED,
        RevisionState.PREPARING: Status.PREPARING,
    }.get(newest.state, Status.STARTING)
    trouble = next((pod.failure for pod in pods if pod.failure is not None), newest.failure)
    running = next((phase for phase in newest.phases[::-1] if phase.ended_at is None), None)
    if status is Status.STARTING and trouble is not None:
        reason, message, hint = trouble.reason, f"It will be started again. {trouble.message}", trouble.hint
    else:
        reason = str(newest.state)
        message = f"{_DOING[running.name]}{running.detail and f': {running.detail}'}." if running else "Waiting."
        hint = ""
    if answering is None:
        return Verdict(status=status, reason=reason, message=message, hint=hint)
    return Verdict(
        status=Status.UPDATING,
        reason=reason,
        message=f"Revision {newest.number} is coming up while revision {answering.number} serves. {message}",
        hint=hint,
    )


def _judge_pods(newest: Revision, pods: Sequence[PodObservation], now: datetime) -> Verdict:
    well = [pod for pod in pods if is_steady(pod, now)]
    coming = [pod for pod in pods if not was_ready(pod) and pod.failure is None]
    leaving = [pod for pod in pods if pod.phase in (PodPhase.DRAINING, PodPhase.STOPPED)]
    if well and len(well) + len(coming) + len(leaving) == len(pods) and len(well) < len(pods):
        more = f"{len(coming)} more on the way" if coming else f"{len(leaving)} on the way out"
        return Verdict(status=Status.ON, reason="Serving", message=f"The endpoint answers; {len(well)} pods, {more}.")
    if pods and len(well) == len(pods):
        return Verdict(status=Status.ON, reason="Serving", message="The endpoint answers.")
    failure = next((pod.failure for pod in pods if pod.failure is not None), newest.failure)
    if failure is not None:
        return Verdict(
            status=Status.DEGRADED,
            reason=failure.reason,
            message=f"{len(well)} of {max(len(pods), 1)} pods are well. {failure.message}",
            hint=failure.hint,
        )
    return Verdict(
        status=Status.DEGRADED,
        reason="PodsNotReady",
        message=f"{len(well)} of {max(len(pods), 1)} pods are well; the others are being restarted.",
        hint=f"See the container log of revision {newest.number}.",
    )


_DOING = {
    "queued": "Waiting for its turn",
    "snapshot": "Copying the model's files",
    "environment": "Building the model environment",
    "proof": "Proving a faster path equal to pyfunc",
    "pod": "Starting the scoring server",
    "loaded": "Loading the model",
    "example": "Scoring the input example",
    "route": "Making the route live",
}
