"""Promotions: the record of an act that brought a model version to production, and of one that waits for approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taxiway.domain.deployments import Deployment
from taxiway.domain.gates import GateResult
from taxiway.domain.ids import DeploymentId, ModelVersionId, SnapshotId
from taxiway.domain.models import ModelVersion
from taxiway.domain.revisions import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One recorded act: which files went to which production deployment, who did it, why, and how the gates stood.

    ``model_version`` is the promoted one, of production; ``digest`` names the files that are copied for it.
    """

    model_version: ModelVersionId
    deployment: DeploymentId
    digest: SnapshotId
    gates: tuple[GateResult, ...]
    reason: str
    promoted_by: str
    promoted_at: datetime


def describe(
    promotion: Promotion, version: ModelVersion | None, deployment: Deployment | None, revision: Revision, *, lock: str
) -> dict[str, object]:
    """Return what a bundle says of a promotion: what, from where, its environment, by whom, why, and its gates."""
    return {
        "snapshot": promotion.digest,
        "deployment": "" if deployment is None else deployment.name,
        "customer": "" if deployment is None else deployment.customer,
        "model": f"{revision.project}/{revision.model}/{revision.version}",
        "run": "" if version is None else version.source.run_id,
        "contract": {} if version is None else dict(version.facts.signature or {}),
        "python": revision.request.python,
        "environment": revision.request.id,
        "lock": lock,
        "gates": [{"gate": str(gate.gate), "holds": gate.holds, "message": gate.message} for gate in promotion.gates],
        "reason": promotion.reason,
        "promoted_by": promotion.promoted_by,
        "promoted_at": promotion.promoted_at.isoformat(),
    }
