"""Routes of production: for administrators only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Path, Query
from pydantic import AwareDatetime

from taxiway.api import shapes
from taxiway.api.access_tokens import tokens_out
from taxiway.api.models import name_of, resources_of
from taxiway.api.parameters import IdPath
from taxiway.api.policies import policy_in
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.deployments import Deployment
from taxiway.domain.ids import AccessTokenId
from taxiway.domain.people import Permission
from taxiway.domain.pods import PodPhase
from taxiway.domain.quotas import Quota
from taxiway.domain.resources import Scale
from taxiway.domain.rollouts import Limits, RolloutWanted, Strategy
from taxiway.services.approvals import PromotionRequest
from taxiway.services.deployments import UNCHANGED, DeploymentDetail, ProductionName, Unchanged
from taxiway.services.promotions import PromotionPlan
from taxiway.wire.models import AccessTokenIn, AccessTokenList, AccessTokenOut, IssuedAccessTokenOut
from taxiway.wire.production import (
    ProductionConfigurationIn,
    ProductionDetailOut,
    ProductionOut,
    ProductionPage,
    PromotionIn,
    PromotionOut,
    RollbackIn,
    RolloutChangeIn,
    RolloutOut,
    ServedList,
    StrategyIn,
    UsageList,
    UsageOut,
)

router = TaxiwayRouter(tags=["production"])

NAMED = "/production/deployments/{deployment}"
DryRun = Annotated[bool, Query(description="Check, and tell what would be; change nothing.")]
NamePath = Annotated[str, Path(max_length=80, description="A production deployment's name.")]


@router.post(
    "/production/promotions",
    permission=Permission.PRODUCTION_WRITE,
    status_code=202,
    errors=("NotFound", "Conflict", "GatesFailed", "LimitReached"),
)
async def promote(wanted: PromotionIn, asking: Asker, services: Services) -> PromotionOut:
    """Promote a model version, or with `dry_run` tell how the gates stand; every gate that fails is named."""
    request = await _request(services, wanted)
    if wanted.dry_run:
        return await _promotion_out(services, await services.promotions.plan(asking, request), is_done=False)
    plan = await services.promotions.promote(asking, request)
    return await _promotion_out(services, plan, is_done=not plan.waits_as)


async def _request(services: ApiServices, wanted: PromotionIn) -> PromotionRequest:
    source = name_of(wanted.project, wanted.model, wanted.version)
    staging = (await services.deployments.detail(source)).deployment
    known = {each.name: each for each in await services.promotions.search()}
    base = known.get(wanted.name, staging)
    return PromotionRequest(
        source=source,
        name=wanted.name,
        reason=wanted.reason,
        customer=wanted.customer,
        resources=resources_of(base.resources, wanted),
        scale=_scale(base.scale, wanted),
        needs_token=wanted.needs_token,
        accepts_breaking=wanted.accept_breaking,
        autoscaling=policy_in(wanted.autoscaling),
        quota=_quota(wanted),
        strategy=_strategy(wanted.rollout),
    )


def _quota(wanted: PromotionIn | ProductionConfigurationIn) -> Quota | Unchanged | None:
    if wanted.quota_per_second is None:
        return UNCHANGED
    if wanted.quota_per_second == 0:
        return None
    burst = math.ceil(2 * wanted.quota_per_second) if wanted.quota_burst is None else wanted.quota_burst
    return Quota(per_second=wanted.quota_per_second, burst=burst)


def _strategy(wanted: StrategyIn | None) -> Strategy | None:
    if wanted is None:
        return None
    return Strategy(
        steps=tuple(wanted.steps),
        step=timedelta(seconds=wanted.step_seconds),
        limits=Limits(
            error_rate_rise=wanted.max_error_rate_rise,
            latency_ratio=wanted.max_latency_ratio,
            requests=wanted.min_requests,
        ),
    )


def _scale(base: Scale, wanted: PromotionIn | ProductionConfigurationIn) -> Scale:
    """Return the scale that is asked for; more pods at least than at most raise the most."""
    least = base.minimum if wanted.min_pods is None else wanted.min_pods
    most = max(base.maximum, least) if wanted.max_pods is None else wanted.max_pods
    return Scale(minimum=least, maximum=most)


async def _promotion_out(services: ApiServices, plan: PromotionPlan, *, is_done: bool) -> PromotionOut:
    before = [] if plan.before is None else await _shown(services, [plan.before])
    (after,) = await _shown(services, [plan.after])
    return PromotionOut(
        is_done=is_done,
        waits_as=plan.waits_as,
        gates=[shapes.gate_out(gate) for gate in plan.gates],
        changes=[shapes.contract_change_out(change) for change in plan.changes],
        before=before[0] if before else None,
        after=after,
    )


async def _pods(services: ApiServices, deployment: Deployment) -> tuple[int, int]:
    """Return how many pods there are to be, and how many are ready, of all revisions that serve."""
    known = await services.deployments.serving(deployment)
    ready = sum(pod.phase is PodPhase.READY for each in known for pod in services.pods_of(each.id))
    return sum(each.pods_within(deployment.scale) for each in known), ready


async def _shown(services: ApiServices, found: Iterable[Deployment]) -> list[ProductionOut]:
    shown = list(found)
    owners = await services.users.names(deployment.owner for deployment in shown)
    return [
        shapes.production_out(
            deployment,
            public_url=services.public_url,
            owner=owners.get(deployment.owner, deployment.owner),
            load=services.measurements.now(deployment.id),
            pods=await _pods(services, deployment),
        )
        for deployment in shown
    ]


@router.get("/production/deployments", permission=Permission.PRODUCTION_READ)
async def list_production(
    services: Services, customer: Annotated[str | None, Query(max_length=80, description="Only this one's.")] = None
) -> ProductionPage:
    """List production deployments by name."""
    return ProductionPage(items=await _shown(services, await services.promotions.search(customer=customer)))


@router.get("/production/usage", permission=Permission.PRODUCTION_READ)
async def list_usage(
    services: Services,
    since: Annotated[date | None, Query(description="First day, UTC; the first of this month.")] = None,
    until: Annotated[date | None, Query(description="Last day, UTC; today.")] = None,
    customer: Annotated[str | None, Query(max_length=80, description="Only this one's.")] = None,
) -> UsageList:
    """Tell what customers used: requests, rows, errors, CPU and pod hours, and what that costs."""
    today = datetime.now(UTC).date()
    first, last = since or today.replace(day=1), until or today
    found = await services.usage.between(first, last, customer=customer)
    items = [
        UsageOut(
            deployment=each.name,
            customer=each.customer,
            requests=each.requests,
            rows=each.rows,
            client_errors=each.client_errors,
            server_errors=each.server_errors,
            cpu_hours=each.cpu_hours,
            pod_hours=each.pod_hours,
            cost=each.cost,
        )
        for each in found
    ]
    return UsageList(since=first, until=last, items=items)


@router.get("/production/served", permission=Permission.AUDIT_READ)
async def list_served(
    services: Services,
    at: Annotated[AwareDatetime | None, Query(description="A moment with its offset, as in 2026-03-01T12:00Z.")] = None,
    customer: Annotated[str | None, Query(max_length=80, description="Only this one's.")] = None,
) -> ServedList:
    """Tell what served at a moment, to whom, and who put it there; without one, now."""
    moment = at or datetime.now(UTC)
    found = await services.served.at(moment, customer=customer)
    return ServedList(at=moment, items=[shapes.served_out(each) for each in found])


@router.get(NAMED, permission=Permission.PRODUCTION_READ)
async def get_production(deployment: NamePath, services: Services) -> ProductionDetailOut:
    """Show a production deployment: status, revisions and pods, and who promoted what, when and why."""
    detail = await services.deployments.detail(ProductionName(name=deployment))
    (shown,) = await _shown(services, [detail.deployment])
    return shapes.production_detail_out(
        shown,
        detail,
        pods={revision.id: services.pods_of(revision.id) for revision in detail.revisions},
        history=await services.promotions.history(deployment),
        rollout=await _rollout_out(services, deployment, detail),
    )


async def _rollout_out(services: ApiServices, name: str, detail: DeploymentDetail) -> RolloutOut | None:
    rollout = await services.rollouts.newest(name)
    if rollout is None:
        return None
    return shapes.rollout_out(
        rollout,
        detail,
        public_url=services.public_url,
        loads={key: services.measurements.of_revision(key) for key in (rollout.old, rollout.new)},
    )


@router.patch(NAMED + "/rollout", permission=Permission.PRODUCTION_WRITE, errors=("NotFound", "Conflict"))
async def change_rollout(
    deployment: NamePath, wanted: RolloutChangeIn, asking: Asker, services: Services, dry_run: DryRun = False
) -> ProductionDetailOut:
    """Let the rollout that is under way go on, stay at a share, finish, or end with all requests where they were."""
    await services.rollouts.change(
        asking,
        deployment,
        RolloutWanted(wanted.wanted),
        percent=wanted.percent,
        reason=wanted.reason,
        dry_run=dry_run,
    )
    return await get_production(deployment, services)


@router.patch(NAMED, permission=Permission.PRODUCTION_WRITE, errors=("Conflict", "LimitReached"))
async def configure_production(
    deployment: NamePath, wanted: ProductionConfigurationIn, asking: Asker, services: Services, dry_run: DryRun = False
) -> ProductionOut:
    """Change memory, CPUs, pods or access; what is left out stays. Other pods need no new revision."""
    key = ProductionName(name=deployment)
    present = (await services.deployments.detail(key)).deployment
    changed = await services.deployments.configure(
        asking,
        key,
        resources=resources_of(present.resources, wanted),
        needs_token=wanted.needs_token,
        scale=_scale(present.scale, wanted),
        autoscaling=policy_in(wanted.autoscaling),
        quota=_quota(wanted),
        strategy=_strategy(wanted.rollout),
        if_generation=present.generation,
        dry_run=dry_run,
    )
    return (await _shown(services, [changed]))[0]


@router.delete(NAMED, permission=Permission.PRODUCTION_WRITE, status_code=204, errors=("Conflict",))
async def delete_production(deployment: NamePath, asking: Asker, services: Services, dry_run: DryRun = False) -> None:
    """Delete a production deployment with its endpoint, files and access tokens."""
    await services.deployments.delete(asking, ProductionName(name=deployment), dry_run=dry_run)


@router.post(NAMED + "/on", permission=Permission.PRODUCTION_WRITE, errors=("Conflict",))
async def switch_production_on(
    deployment: NamePath, asking: Asker, services: Services, dry_run: DryRun = False
) -> ProductionOut:
    """Serve again, with the same URL and configuration; also tries a Failed one again."""
    changed = await services.deployments.switch_on(asking, ProductionName(name=deployment), dry_run=dry_run)
    return (await _shown(services, [changed]))[0]


@router.post(NAMED + "/off", permission=Permission.PRODUCTION_WRITE, errors=("Conflict",))
async def switch_production_off(
    deployment: NamePath, asking: Asker, services: Services, dry_run: DryRun = False
) -> ProductionOut:
    """Stop serving; URL and configuration are kept."""
    changed = await services.deployments.switch_off(asking, ProductionName(name=deployment), dry_run=dry_run)
    return (await _shown(services, [changed]))[0]


@router.post(
    NAMED + "/rollback", permission=Permission.PRODUCTION_WRITE, errors=("NotFound", "Conflict", "LimitReached")
)
async def roll_back(
    deployment: NamePath, wanted: RollbackIn, asking: Asker, services: Services, dry_run: DryRun = False
) -> ProductionOut:
    """Serve again as an earlier revision did, by a new revision; nothing is copied or built."""
    changed = await services.promotions.roll_back(
        asking, deployment, reason=wanted.reason, to=wanted.revision, dry_run=dry_run
    )
    return (await _shown(services, [changed]))[0]


@router.get(NAMED + "/access-tokens", permission=Permission.PRODUCTION_READ)
async def list_production_tokens(deployment: NamePath, services: Services) -> AccessTokenList:
    """List the access tokens, newest first, also those that no longer count; never their texts."""
    found = await services.access_tokens.list_all(ProductionName(name=deployment))
    return AccessTokenList(items=await tokens_out(services, found))


@router.post(NAMED + "/access-tokens", permission=Permission.PRODUCTION_WRITE, status_code=201)
async def issue_production_token(
    deployment: NamePath, wanted: AccessTokenIn, asking: Asker, services: Services
) -> IssuedAccessTokenOut:
    """Issue an access token for one caller; its text is returned this once. Several may count at the same time."""
    token, text = await services.access_tokens.issue(
        asking, ProductionName(name=deployment), caller=wanted.caller, life=timedelta(days=wanted.days)
    )
    (shown,) = await tokens_out(services, [token])
    return IssuedAccessTokenOut(**shown.model_dump(), token=text)


@router.delete(NAMED + "/access-tokens/{token}", permission=Permission.PRODUCTION_WRITE)
async def revoke_production_token(
    deployment: NamePath, token: IdPath, asking: Asker, services: Services
) -> AccessTokenOut:
    """Make the gateway refuse an access token, within two seconds. Revoked already: no effect."""
    revoked = await services.access_tokens.revoke(asking, ProductionName(name=deployment), AccessTokenId(token))
    (shown,) = await tokens_out(services, [revoked])
    return shown
