"""Production deployments and promotions, as the API speaks of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from taxiway.domain.deployments import Status
from taxiway.domain.rollouts import RolloutState, RolloutWanted
from taxiway.wire import In, Out
from taxiway.wire.measurements import LoadOut
from taxiway.wire.models import ConditionOut, ContractChangeOut, ResourcesOut, RevisionOut, SnapshotOut


class ScheduleIn(In):
    """More pods at least on some days from one time of the day until another."""

    min_pods: int = Field(ge=1, le=100)
    days: list[int] = Field([0, 1, 2, 3, 4], max_length=7, description="0 (Monday) to 6.")
    begins: str = Field(max_length=5, description="As in 08:00.")
    until: str = Field(max_length=5, description="As in 18:00; before `begins`: on the next day.")
    zone: str = Field("UTC", max_length=60, description="As in Europe/Berlin.")


class PolicyIn(In):
    """What load one pod is to have; the number of pods follows between the least and the most."""

    metric: Literal["cpu", "memory", "concurrency", "requests", "none"] = Field(
        description="`none` ends autoscaling: then there are as many pods as at least."
    )
    target: float = Field(0, description="By pod: percent of CPU or memory, requests, or requests per second.")
    tolerance: float = Field(0.1, description="Share of the target that is no reason to change.")
    over_seconds: float = Field(30, description="The load is the average of so long.")
    up_window_seconds: float = Field(0, description="The least that was asked for in this time counts for more pods.")
    down_window_seconds: float = Field(300, description="The most that was asked for in it counts for fewer pods.")
    up_pods: int = Field(4, description="More pods in a period, or by the percentage if that is more.")
    up_percent: float = 100
    up_period_seconds: float = 15
    down_pods: int = 1
    down_percent: float = 100
    down_period_seconds: float = 15
    schedules: list[ScheduleIn] = Field([], max_length=20)
    idle_seconds: float = Field(300, description="The last pod is stopped after so long without a request, if at all.")


class ScheduleOut(Out):
    """More pods at least at some times."""

    min_pods: int
    days: list[int]
    begins: str
    until: str
    zone: str


class PolicyOut(Out):
    """What load one pod is to have."""

    metric: str
    target: float
    tolerance: float
    over_seconds: float
    up_window_seconds: float
    down_window_seconds: float
    up_pods: int
    up_percent: float
    up_period_seconds: float
    down_pods: int
    down_percent: float
    down_period_seconds: float
    schedules: list[ScheduleOut]
    idle_seconds: float


class StrategyIn(In):
    """Let requests move to the new revision step by step, and back at once when it is worse than the old one."""

    steps: list[int] = Field(
        max_length=20,
        description="Rising whole percents, 100 follows. None: it stays at 0 %, reached by its tag, until moved on.",
    )
    step_seconds: float = Field(300, description="How long a step lasts, 5 to 900.")
    max_error_rate_rise: float | None = Field(
        0.01, description="How much greater the share of 5xx may be than the old revision's; null: any."
    )
    max_latency_ratio: float | None = Field(
        1.5, description="How many times the old revision's 95th percentile it may take; null: any."
    )
    min_requests: int = Field(50, description="Requests that the new revision must have answered in a step.")


class RolloutChangeIn(In):
    """What is wanted of the rollout that is under way."""

    wanted: Literal["run", "pause", "finish", "abort"]
    percent: int | None = Field(None, description="With pause: the share of requests to stay at, 0 to 99.")
    reason: str = Field("", max_length=500)


class RolloutOut(Out):
    """How requests move, or moved last, from one revision to the next."""

    old_revision: int
    new_revision: int
    wanted: RolloutWanted
    state: RolloutState
    is_active: bool
    steps: list[int]
    step: int = Field(description="From 1; 0 before the first.")
    percent: int = Field(description="What the new revision is to get now.")
    step_seconds: float
    max_error_rate_rise: float | None
    max_latency_ratio: float | None
    min_requests: int
    reason: str
    message: str
    begun_by: str
    begun_at: datetime
    changed_at: datetime | None
    next_url: str = Field(description="Where the new revision alone answers while the rollout is under way.")
    old_load: LoadOut | None = Field(description="Of the last minute.")
    new_load: LoadOut | None


class PromotionIn(In):
    """Promote a model version of staging to a production deployment: a new one, or one that is there."""

    project: str = Field(max_length=80)
    model: str = Field(max_length=80)
    version: int = Field(ge=1, le=2**31 - 1)
    name: str = Field(max_length=80, description="The production deployment's name, as it stands in its URL.")
    reason: str = Field(max_length=500, description="Why; it is kept with the act.")
    customer: str | None = Field(None, max_length=80, description="Whom it serves; needed for a new one.")
    memory: str | None = Field(None, max_length=40, description="Of a pod; left out: as it is, or as in staging.")
    cpus: str | None = Field(None, max_length=40)
    min_pods: int | None = Field(None, ge=0, le=100)
    max_pods: int | None = Field(None, ge=1, le=100)
    needs_token: bool | None = None
    quota_per_second: float | None = Field(None, description="Requests a second of each caller; 0 ends the quota.")
    quota_burst: int | None = Field(None, description="Requests above it at once; left out: twice the rate.")
    autoscaling: PolicyIn | None = Field(None, description="Left out: as it is.")
    rollout: StrategyIn | None = Field(None, description="None: all requests at once, when it is ready.")
    accept_breaking: bool = Field(False, description="Promote although callers may feel the contract's changes.")
    dry_run: bool = Field(False, description="Only tell how the gates stand and what would be done.")


class ProductionConfigurationIn(In):
    """Change a production deployment; what is left out stays."""

    memory: str | None = Field(None, max_length=40)
    cpus: str | None = Field(None, max_length=40)
    min_pods: int | None = Field(None, ge=0, le=100)
    max_pods: int | None = Field(None, ge=1, le=100)
    needs_token: bool | None = None
    quota_per_second: float | None = Field(None, description="Requests a second of each caller; 0 ends the quota.")
    quota_burst: int | None = Field(None, description="Requests above it at once; left out: twice the rate.")
    autoscaling: PolicyIn | None = Field(None, description="Left out: as it is.")
    rollout: StrategyIn | None = Field(None, description="None: all requests at once, when it is ready.")


class RollbackIn(In):
    """Serve again as an earlier revision did."""

    reason: str = Field(max_length=500, description="Why; it is kept with the act.")
    revision: int | None = Field(None, ge=1, description="Its number; none: the newest earlier one that differs.")


class DecisionIn(In):
    """What becomes of a promotion that waits."""

    decision: Literal["approved", "rejected", "withdrawn"]
    reason: str = Field("", max_length=500)


class ApprovalOut(Out):
    """A promotion that another administrator has to approve, or had to."""

    id: str
    name: str = Field(description="The production deployment's name.")
    customer: str = Field(description="Empty: as it is.")
    project: str
    model: str
    version: int
    digest: str
    reason: str
    asked_by: str
    asked_at: datetime
    decision: Literal["waiting", "approved", "rejected", "withdrawn"]
    decided_by: str
    decided_at: datetime | None
    decision_reason: str


class ApprovalList(Out):
    """Promotions that wait, then those that were decided last."""

    items: list[ApprovalOut]


class GateOut(Out):
    """How a gate stands."""

    gate: str
    holds: bool
    message: str
    hint: str
    can_be_awaited: bool = Field(description="It does not hold yet, and refuses nothing: the promotion waits for it.")


class ProductionOut(Out):
    """One production deployment, as lists show it."""

    name: str
    customer: str
    project: str
    model: str
    version: int
    status: Status
    reason: str
    message: str
    hint: str
    url: str
    wanted: str
    owner: str
    created_at: datetime
    changed_at: datetime
    resources: ResourcesOut
    min_pods: int
    max_pods: int
    pods_wanted: int = Field(description="How many there are to be now.")
    pods_ready: int
    autoscaling: PolicyOut | None
    quota_per_second: float | None = Field(description="Requests a second of each caller; null: no quota.")
    quota_burst: int | None
    needs_token: bool
    generation: int
    observed_generation: int
    deployment: str
    load: LoadOut | None = Field(description="Of the last minute; null where nothing was measured.")


class ProductionPage(Out):
    """All production deployments, or a customer's."""

    items: list[ProductionOut]


class PromotionRecordOut(Out):
    """One promotion: what, by whom, why, and how the gates stood."""

    project: str
    model: str
    version: int
    digest: str
    gates: list[GateOut]
    reason: str
    promoted_by: str
    promoted_at: datetime


class RevisionRecordOut(Out):
    """One revision in a deployment's history: what it serves, by whom, when and why."""

    number: int
    state: str
    project: str
    model: str
    version: int
    memory: str
    cpus: str
    made_by: str
    made_at: datetime
    why: str


class ProductionDetailOut(ProductionOut):
    """A production deployment with all that belongs to it."""

    revisions: list[RevisionOut]
    snapshot: SnapshotOut
    conditions: list[ConditionOut]
    promotions: list[PromotionRecordOut]
    history: list[RevisionRecordOut]
    rollout: RolloutOut | None = Field(description="The newest one, under way or not.")


class UsageOut(Out):
    """What one production deployment used in some days. The cost is by the rate of the settings."""

    deployment: str
    customer: str
    requests: int
    rows: int = Field(description="Predictions that pods returned.")
    client_errors: int
    server_errors: int
    cpu_hours: float
    pod_hours: float
    cost: float


class UsageList(Out):
    """What was used on the days from `since` to `until`, both included, UTC."""

    since: date
    until: date
    items: list[UsageOut]


class ServedOut(Out):
    """One revision that answered at the moment that was asked for, and who put it there."""

    deployment: str
    customer: str
    revision: int
    project: str
    model: str
    version: int
    memory: str
    cpus: str
    digest: str = Field(description="Of its files; empty where that is not known any more.")
    promoted_by: str
    promoted_at: datetime | None
    reason: str = Field(description="Of the promotion.")
    made_by: str = Field(description="Who made the revision: it may be a rollback or another size.")
    made_at: datetime
    why: str


class ServedList(Out):
    """What answered at a moment."""

    at: datetime
    items: list[ServedOut]


class PromotionOut(Out):
    """What a promotion did, or would do."""

    is_done: bool
    waits_as: str = Field(description="The id under which it waits for another administrator; empty: it does not.")
    gates: list[GateOut]
    changes: list[ContractChangeOut]
    before: ProductionOut | None
    after: ProductionOut
