"""Every call of the control API as a value: what is sent, and how the answer is read.

The sync and the async client send the same values, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from taxiway.wire.logs import PodLogList
from taxiway.wire.measurements import SeriesOut
from taxiway.wire.models import (
    AccessTokenIn,
    AccessTokenList,
    AccessTokenOut,
    ConfigurationIn,
    ContractChangesOut,
    ConversionIn,
    IssuedAccessTokenOut,
    LogPageOut,
    ModelVersionDetailOut,
    ModelVersionOut,
    ModelVersionPage,
    PreflightOut,
    ThresholdList,
    ThresholdsIn,
)
from taxiway.wire.production import (
    ApprovalList,
    ApprovalOut,
    DecisionIn,
    ProductionConfigurationIn,
    ProductionDetailOut,
    ProductionOut,
    ProductionPage,
    PromotionIn,
    PromotionOut,
    RollbackIn,
    RolloutChangeIn,
    ServedList,
    UsageList,
)
from taxiway.wire.scrubs import ScrubList, ScrubOut
from taxiway.wire.tracking import ExperimentPage, LoggedModelList, RunOut, RunPage

T = TypeVar("T", bound=BaseModel | dict[str, Any] | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request. ``answer`` is the type of what comes back; None: nothing does; dict: as it is."""

    method: str
    path: str
    answer: type[T] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _path(*parts: str | int) -> str:
    return "/api/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def _query(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _version(project: str, model: str, version: int, *more: str) -> str:
    return _path("projects", project, "models", model, "versions", version, *more)


def plain(
    method: str, *path: str | int, body: Mapping[str, Any] | None = None, **query: object
) -> Call[dict[str, Any]]:
    """Make a call whose answer is taken as it is."""
    return Call(method=method, path=_path(*path), answer=dict, query=_query(**query), body=body)


def experiments(project: str, *, limit: int, cursor: str | None) -> Call[ExperimentPage]:
    """List experiments."""
    return Call(
        method="GET",
        path=_path("projects", project, "experiments"),
        answer=ExperimentPage,
        query=_query(limit=limit, cursor=cursor),
    )


def runs(project: str, *, experiment: str | None, where: str | None, limit: int, cursor: str | None) -> Call[RunPage]:
    """Search runs with MLflow's filter language."""
    return Call(
        method="GET",
        path=_path("projects", project, "runs"),
        answer=RunPage,
        query=_query(experiment=experiment, filter=where, limit=limit, cursor=cursor),
    )


def run(project: str, run_id: str) -> Call[RunOut]:
    """Look at one run."""
    return Call(method="GET", path=_path("projects", project, "runs", run_id), answer=RunOut)


def logged_models(project: str, run_id: str) -> Call[LoggedModelList]:
    """List the models that a run logged."""
    return Call(
        method="GET",
        path=_path("projects", project, "runs", run_id, "logged-models"),
        answer=LoggedModelList,
    )


def preflight(project: str, run_id: str, wanted: ConversionIn) -> Call[PreflightOut]:
    """Check a conversion without doing it."""
    return Call(
        method="POST",
        path=_path("projects", project, "runs", run_id, "conversions", "preflight"),
        answer=PreflightOut,
        body=wanted.model_dump(exclude_none=True),
    )


def convert(project: str, run_id: str, wanted: ConversionIn, *, idempotency_key: str) -> Call[ModelVersionDetailOut]:
    """Convert a run's logged model."""
    return Call(
        method="POST",
        path=_path("projects", project, "runs", run_id, "conversions"),
        answer=ModelVersionDetailOut,
        body=wanted.model_dump(exclude_none=True),
        headers={"Idempotency-Key": idempotency_key},
    )


def models(
    *,
    project: str | None,
    model: str | None,
    status: str | None,
    owner: str | None,
    contains: str | None,
    tag: str | None,
    limit: int,
    cursor: str | None,
) -> Call[ModelVersionPage]:
    """List model versions, newest first."""
    query = _query(
        project=project, model=model, status=status, owner=owner, contains=contains, tag=tag,
        limit=limit, cursor=cursor,
    )  # fmt: skip
    return Call(method="GET", path=_path("models"), answer=ModelVersionPage, query=query)


def model(project: str, name: str, version: int) -> Call[ModelVersionDetailOut]:
    """Look at one model version."""
    return Call(method="GET", path=_version(project, name, version), answer=ModelVersionDetailOut)


def contract_changes(project: str, name: str, version: int, *, since: int | None) -> Call[ContractChangesOut]:
    """Compare a model version's contract with another version's."""
    path = _version(project, name, version, "contract-changes")
    return Call(method="GET", path=path, answer=ContractChangesOut, query=_query(since=since))


def switch(project: str, name: str, version: int, *, to: str) -> Call[ModelVersionOut]:
    """Switch a deployment ``on`` or ``off``."""
    return Call(method="POST", path=_version(project, name, version, to), answer=ModelVersionOut)


def configure(project: str, name: str, version: int, wanted: ConfigurationIn) -> Call[ModelVersionOut]:
    """Change a deployment's configuration."""
    return Call(
        method="PATCH",
        path=_version(project, name, version),
        answer=ModelVersionOut,
        body=wanted.model_dump(exclude_none=True),
    )


def delete(project: str, name: str, version: int) -> Call[None]:
    """Delete a model version with all that belongs to it."""
    return Call(method="DELETE", path=_version(project, name, version))


def logs(
    project: str,
    name: str,
    version: int,
    *,
    kind: str,
    pod: str | None,
    after: int | None,
    tail: int | None,
    contains: str | None,
    limit: int,
) -> Call[LogPageOut]:
    """Read a build or container log."""
    return Call(
        method="GET",
        path=_version(project, name, version, "logs", kind),
        answer=LogPageOut,
        query=_query(pod=pod, after=after, tail=tail, contains=contains, limit=limit),
    )


def pods(project: str, name: str, version: int) -> Call[PodLogList]:
    """List pods whose logs are kept."""
    return Call(method="GET", path=_version(project, name, version, "pods"), answer=PodLogList)


def measurements(project: str, name: str, version: int, *, minutes: int) -> Call[SeriesOut]:
    """Look at what a staging deployment did."""
    path = _version(project, name, version, "measurements")
    return Call(method="GET", path=path, answer=SeriesOut, query=_query(minutes=minutes))


def production_measurements(name: str, *, minutes: int) -> Call[SeriesOut]:
    """Look at what a production deployment did."""
    return Call(method="GET", path=_production(name, "measurements"), answer=SeriesOut, query=_query(minutes=minutes))


def _production(*more: str) -> str:
    return _path("production", "deployments", *more)


def promote(wanted: PromotionIn) -> Call[PromotionOut]:
    """Promote a model version, or tell what that would do."""
    return Call(
        method="POST", path=_path("production", "promotions"), answer=PromotionOut,
        body=wanted.model_dump(mode="json"),
    )  # fmt: skip


def production(*, customer: str | None) -> Call[ProductionPage]:
    """List production deployments."""
    return Call(method="GET", path=_production(), answer=ProductionPage, query=_query(customer=customer))


def production_deployment(name: str) -> Call[ProductionDetailOut]:
    """Look at one production deployment."""
    return Call(method="GET", path=_production(name), answer=ProductionDetailOut)


def switch_production(name: str, *, to: str, dry_run: bool) -> Call[ProductionOut]:
    """Switch a production deployment ``on`` or ``off``."""
    return Call(method="POST", path=_production(name, to), answer=ProductionOut, query=_dry(dry_run))


def configure_production(name: str, wanted: ProductionConfigurationIn, *, dry_run: bool) -> Call[ProductionOut]:
    """Change a production deployment."""
    body = wanted.model_dump(mode="json")
    return Call(method="PATCH", path=_production(name), answer=ProductionOut, body=body, query=_dry(dry_run))


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dry_run": "true"} if dry_run else {}


def approvals() -> Call[ApprovalList]:
    """List promotions that wait."""
    return Call(method="GET", path=_path("production", "requests"), answer=ApprovalList)


def decide(key: str, wanted: DecisionIn) -> Call[ApprovalOut]:
    """Approve, reject or withdraw a promotion."""
    body = wanted.model_dump(mode="json")
    return Call(method="POST", path=_path("production", "requests", key), answer=ApprovalOut, body=body)


def thresholds(project: str, name: str) -> Call[ThresholdList]:
    """List a model's thresholds."""
    return Call(method="GET", path=_path("projects", project, "models", name, "thresholds"), answer=ThresholdList)


def set_thresholds(project: str, name: str, wanted: ThresholdsIn) -> Call[ThresholdList]:
    """Replace a model's thresholds."""
    return Call(
        method="PUT", path=_path("projects", project, "models", name, "thresholds"), answer=ThresholdList,
        body=wanted.model_dump(mode="json"),
    )  # fmt: skip


def production_logs(name: str, *, kind: str, pod: str | None, **query: object) -> Call[LogPageOut]:
    """Read a log of a production deployment."""
    return Call(method="GET", path=_production(name, "logs", kind), answer=LogPageOut, query=_query(pod=pod, **query))


def production_pods(name: str) -> Call[PodLogList]:
    """List pods whose logs are kept."""
    return Call(method="GET", path=_production(name, "pods"), answer=PodLogList)


def usage(*, since: date | None, until: date | None, customer: str | None) -> Call[UsageList]:
    """Add up what customers used."""
    days = {name: None if day is None else day.isoformat() for name, day in (("since", since), ("until", until))}
    return Call(
        method="GET", path=_path("production", "usage"), answer=UsageList, query=_query(customer=customer, **days)
    )


def served(*, at: str | None, customer: str | None) -> Call[ServedList]:
    """Look back at what served."""
    return Call(
        method="GET", path=_path("production", "served"), answer=ServedList, query=_query(at=at, customer=customer)
    )


def change_rollout(name: str, wanted: RolloutChangeIn, *, dry_run: bool) -> Call[ProductionDetailOut]:
    """Change the rollout that is under way."""
    body = wanted.model_dump(mode="json", exclude_none=True)
    return Call(
        method="PATCH", path=_production(name, "rollout"), answer=ProductionDetailOut, body=body, query=_dry(dry_run)
    )


def roll_back(name: str, wanted: RollbackIn, *, dry_run: bool) -> Call[ProductionOut]:
    """Serve again as an earlier revision did."""
    body = wanted.model_dump(mode="json", exclude_none=True)
    return Call(method="POST", path=_production(name, "rollback"), answer=ProductionOut, body=body, query=_dry(dry_run))


def scrubs(limit: int) -> Call[ScrubList]:
    """List scrubs, newest first."""
    return Call(method="GET", path=_path("production", "scrubs"), answer=ScrubList, query=_query(limit=limit))


def run_scrub() -> Call[ScrubOut]:
    """Read every kept snapshot again."""
    return Call(method="POST", path=_path("production", "scrubs"), answer=ScrubOut)


def delete_production(name: str, *, dry_run: bool) -> Call[None]:
    """Delete a production deployment."""
    return Call(method="DELETE", path=_production(name), query=_dry(dry_run))


def issue_production_token(name: str, wanted: AccessTokenIn) -> Call[IssuedAccessTokenOut]:
    """Issue an access token."""
    return Call(
        method="POST", path=_production(name, "access-tokens"), answer=IssuedAccessTokenOut,
        body=wanted.model_dump(mode="json"),
    )  # fmt: skip


def production_tokens(name: str) -> Call[AccessTokenList]:
    """List access tokens."""
    return Call(method="GET", path=_production(name, "access-tokens"), answer=AccessTokenList)


def revoke_production_token(name: str, token: str) -> Call[AccessTokenOut]:
    """Revoke an access token."""
    return Call(method="DELETE", path=_production(name, "access-tokens", token), answer=AccessTokenOut)


def issue_token(project: str, name: str, version: int, wanted: AccessTokenIn) -> Call[IssuedAccessTokenOut]:
    """Issue an access token."""
    return Call(
        method="POST",
        path=_version(project, name, version, "access-tokens"),
        answer=IssuedAccessTokenOut,
        body=wanted.model_dump(exclude_none=True),
    )


def tokens(project: str, name: str, version: int) -> Call[AccessTokenList]:
    """List access tokens."""
    return Call(method="GET", path=_version(project, name, version, "access-tokens"), answer=AccessTokenList)


def revoke_token(project: str, name: str, version: int, token: str) -> Call[AccessTokenOut]:
    """Revoke an access token."""
    return Call(method="DELETE", path=_version(project, name, version, "access-tokens", token), answer=AccessTokenOut)
