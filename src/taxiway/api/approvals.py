"""Routes of promotions that another administrator has to approve."""

from __future__ import annotations

from taxiway.api.parameters import IdPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.approvals import Decision
from taxiway.domain.people import Permission
from taxiway.services.approvals import PromotionAsked
from taxiway.wire.production import ApprovalList, ApprovalOut, DecisionIn

router = TaxiwayRouter(tags=["production"])


@router.get("/production/requests", permission=Permission.PRODUCTION_READ)
async def list_approvals(services: Services) -> ApprovalList:
    """List the promotions that wait for another administrator, then those that were decided last."""
    return ApprovalList(items=[_out(asked) for asked in await services.promotions.requests()])


@router.post(
    "/production/requests/{request}",
    permission=Permission.PRODUCTION_WRITE,
    errors=("NotFound", "Conflict", "GatesFailed", "LimitReached"),
)
async def decide(request: IdPath, wanted: DecisionIn, asking: Asker, services: Services) -> ApprovalOut:
    """Approve, reject or withdraw a promotion. Approved, it is done, after all gates were looked at again."""
    decided = await services.promotions.decide(asking, request, Decision(wanted.decision), reason=wanted.reason)
    return _out(decided)


def _out(asked: PromotionAsked) -> ApprovalOut:
    source, decided = asked.wanted.source, asked.decided
    return ApprovalOut(
        id=asked.id,
        name=asked.wanted.name,
        customer=asked.wanted.customer or "",
        project=source.project,
        model=source.model,
        version=source.version,
        digest=asked.digest,
        reason=asked.wanted.reason,
        asked_by=asked.asking.principal.name,
        asked_at=asked.asked_at,
        decision=decided.decision.value,
        decided_by=decided.by,
        decided_at=decided.at,
        decision_reason=decided.reason,
    )
