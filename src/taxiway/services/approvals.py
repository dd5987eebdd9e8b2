"""Promotions that another administrator has to approve: asked for, and decided once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from taxiway.domain.approvals import Decided, Decision, check_decision
from taxiway.domain.autoscaling import AutoscalingPolicy
from taxiway.domain.deployments import Deployment
from taxiway.domain.errors import Conflict
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import SnapshotId, new_id
from taxiway.domain.people import Asking, Principal, Role
from taxiway.domain.quotas import Quota
from taxiway.domain.resources import Resources, Scale
from taxiway.domain.rollouts import Strategy
from taxiway.services.deployments import UNCHANGED, DeploymentName, Unchanged
from taxiway.store import approvals, audit, users
from taxiway.store.database import Transaction
from taxiway.store.mapping import Document

LISTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRequest:
    """What is to go where, and how large. What is None stays as it is, or is as in staging for a new deployment."""

    source: DeploymentName
    name: str
    reason: str
    customer: str | None = None
    resources: Resources | None = None
    scale: Scale | None = None
    autoscaling: AutoscalingPolicy | Unchanged | None = UNCHANGED
    quota: Quota | Unchanged | None = UNCHANGED
    needs_token: bool | None = None
    accepts_breaking: bool = False
    strategy: Strategy | None = None
    """How requests move to it; None: all at once when it is ready."""


_document = Document[PromotionRequest](TypeAdapter(PromotionRequest))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionAsked:
    """A promotion that was asked for: by whom, when, of which files, and what was decided."""

    id: str
    wanted: PromotionRequest
    digest: SnapshotId
    asking: Asking
    asked_at: datetime
    decided: Decided


async def ask(
    tx: Transaction, asking: Asking, wanted: PromotionRequest, digest: SnapshotId, after: Deployment, *, at: datetime
) -> PromotionAsked:
    """Write down that a promotion waits, with its audit entry."""
    asked = approvals.Asked(
        id=new_id(), deployment=wanted.name, digest=digest, wanted=_document.dump(wanted), asking=asking, asked_at=at
    )
    await approvals.insert_asked(tx, asked)
    await _record(tx, asking, "production.ask", wanted, at, after.path, {"reason": wanted.reason})
    return _read(asked)


async def decide(tx: Transaction, acting: Asking, key: str, decision: Decision, reason: str, *, at: datetime) -> None:
    """Write a decision, and its audit entry where nothing else follows. Raises NotFound, Conflict, NotAllowed."""
    asked = _read(await approvals.get(tx, key, for_update=True))
    user = acting.principal.user
    check_decision(asked.decided, decision, asked_by=asked.asking.principal.user, deciding=user)
    if decision is Decision.APPROVED:
        await _refuse_gone(tx, asked.asking.principal)
    await approvals.decide(tx, key, Decided(decision=decision, by=acting.principal.name, at=at, reason=reason))
    if decision is not Decision.APPROVED:  # a promotion has an entry of its own, which names both
        path = f"production/{asked.wanted.name}"
        facts = {"asked_by": asked.asking.principal.name, "reason": reason}
        await _record(tx, acting, f"production.{_ACTS[decision]}", asked.wanted, at, path, facts)


async def _refuse_gone(tx: Transaction, asker: Principal) -> None:
    """Raise Conflict where who asked is not an administrator any more: nothing is done in that one's name."""
    user = await users.find(tx, asker.name)
    if user is None or user.id != asker.user or user.is_disabled or user.role is not Role.ADMINISTRATOR:
        raise Conflict(
            f"{asker.name}, who asked for it, is no administrator any more.", hint="Reject it, and promote it yourself."
        )


_ACTS = {Decision.REJECTED: "reject", Decision.WITHDRAWN: "withdraw"}


async def find(tx: Transaction, key: str) -> PromotionAsked:
    """Return one. Raises NotFound."""
    return _read(await approvals.get(tx, key))


async def listed(tx: Transaction) -> Sequence[PromotionAsked]:
    """List those that wait, then what was decided last."""
    return [_read(each) for each in await approvals.newest(tx, limit=LISTED)]


def _read(asked: approvals.Asked) -> PromotionAsked:
    return PromotionAsked(
        id=asked.id,
        wanted=_document.load(asked.wanted),
        digest=asked.digest,
        asking=asked.asking,
        asked_at=asked.asked_at,
        decided=asked.decided,
    )


async def _record(
    tx: Transaction,
    asking: Asking,
    action: str,
    wanted: PromotionRequest,
    at: datetime,
    path: str,
    facts: Mapping[str, object],
) -> None:
    source = wanted.source
    await audit.append(
        tx,
        at=at,
        asking=asking,
        action=action,
        object_kind=SubjectKind.DEPLOYMENT,
        object=path.strip("/"),
        project=source.project,
        after={"model": f"{source.project}/{source.model}/{source.version}", **facts},
    )
