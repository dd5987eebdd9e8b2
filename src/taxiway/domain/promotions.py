"""Promotions: gates that must hold before a model version goes to production, and the record of the act.

| gate      | holds when                                                                                        |
| --------- | ------------------------------------------------------------------------------------------------- |
| signature | the model says what goes in and what comes out                                                     |
| files     | staging has the model's files, copied whole                                                        |
| example   | a pod of staging scored the model's own input example                                              |
| contract  | who calls the deployment now feels nothing, or an administrator accepts that, with a reason         |
| formats   | no file can run code when the model is loaded, or the policy lets it pass                          |
| isolation | pods of staging cannot read production's files, or the settings say that this need not be           |
| capacity  | this host has the memory and the CPUs that production is promised, these pods included             |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taxiway.domain.compatibility import Change, breaking
from taxiway.domain.conditions import PhaseName
from taxiway.domain.deployments import Deployment
from taxiway.domain.errors import GatesFailed, LimitReached
from taxiway.domain.ids import DeploymentId, ModelVersionId, SnapshotId
from taxiway.domain.models import FileFormat, ModelFacts, ModelVersion
from taxiway.domain.resources import Capacity, Resources, Scale
from taxiway.domain.revisions import Revision
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState


class FormatPolicy(StrEnum):
    """What becomes of models whose files can run code when they are loaded."""

    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"


class GateName(StrEnum):
    """A rule that must hold before a promotion."""

    SIGNATURE = "signature"
    FILES = "files"
    EXAMPLE = "example"
    CONTRACT = "contract"
    FORMATS = "formats"
    ISOLATION = "isolation"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How a gate stands: one sentence, and what to do where it does not hold."""

    gate: GateName
    holds: bool
    message: str
    hint: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionView:
    """All that the gates look at."""

    facts: ModelFacts
    snapshot: SnapshotCopy
    revisions: Sequence[Revision]
    """Of the staging deployment."""
    changes: tuple[Change, ...] | None
    """Of the contract, against what the deployment serves now; None for a new deployment."""
    accepts_breaking: bool
    reason: str
    policy: FormatPolicy
    is_isolated: bool
    capacity: Capacity
    promised: Sequence[tuple[Resources, int]]
    """To other production deployments that are ON: what a pod may use, and how many there are at least."""
    resources: Resources
    scale: Scale


def evaluate(view: PromotionView) -> tuple[GateResult, ...]:
    """Return how every gate stands, in the order of the table above."""
    return (
        _signature(view),
        _files(view),
        _example(view),
        _contract(view),
        _formats(view),
        _isolation(view),
        _capacity(view),
    )


def check(gates: Sequence[GateResult]) -> None:
    """Raise GatesFailed, which tells all that do not hold."""
    failed = [gate for gate in gates if not gate.holds]
    if failed:
        count = "One gate does" if len(failed) == 1 else f"{len(failed)} gates do"
        raise GatesFailed(
            f"{count} not hold. " + " ".join(f"{gate.gate.value.capitalize()}: {gate.message}" for gate in failed),
            hint=" ".join(dict.fromkeys(gate.hint for gate in failed if gate.hint)),
        )


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


def _signature(view: PromotionView) -> GateResult:
    signature = view.facts.signature or {}
    missing = [side for side in ("inputs", "outputs") if not signature.get(side)]
    if not missing:
        return GateResult(gate=GateName.SIGNATURE, holds=True, message="The model says what goes in and comes out.")
    return GateResult(
        gate=GateName.SIGNATURE,
        holds=False,
        message=f"The model's signature has no {' and no '.join(missing)}.",
        hint="Log the model with signature=mlflow.models.infer_signature(inputs, predictions).",
    )


def _files(view: PromotionView) -> GateResult:
    if view.snapshot.state is SnapshotState.READY and view.snapshot.digest is not None:
        message = f"The files are those of snapshot {view.snapshot.digest[:12]}."
        return GateResult(gate=GateName.FILES, holds=True, message=message)
    return GateResult(
        gate=GateName.FILES,
        holds=False,
        message="Staging has no whole copy of the model's files.",
        hint="Wait until the model version is ON, or see why it is not.",
    )


def _example(view: PromotionView) -> GateResult:
    if not view.facts.has_input_example:
        return GateResult(
            gate=GateName.EXAMPLE,
            holds=False,
            message="The model has no input example.",
            hint="Log the model with input_example=…, and convert that run.",
        )
    # A phase also ends where its revision fails; the route's begins only after a pod was ready, the example scored.
    if any(phase.name is PhaseName.ROUTE for revision in view.revisions for phase in revision.phases):
        return GateResult(gate=GateName.EXAMPLE, holds=True, message="A pod of staging scored the input example.")
    return GateResult(
        gate=GateName.EXAMPLE,
        holds=False,
        message="No pod of staging has scored the input example.",
        hint="Switch the model version ON in staging, and wait until it is.",
    )


def _contract(view: PromotionView) -> GateResult:
    if view.changes is None:
        return GateResult(gate=GateName.CONTRACT, holds=True, message="Nobody calls it yet.")
    felt = breaking(view.changes)
    if not felt:
        return GateResult(gate=GateName.CONTRACT, holds=True, message="Who calls it need not change.")
    listed = "; ".join(f"{change.side} {change.name or '(all)'}: {change.why}" for change in felt[:5])
    more = f"; and {len(felt) - 5} more" if len(felt) > 5 else ""
    is_accepted = view.accepts_breaking and bool(view.reason)
    return GateResult(
        gate=GateName.CONTRACT,
        holds=is_accepted,
        message=f"Who calls it may feel it: {listed}{more}" + (" It was accepted." if is_accepted else ""),
        hint="" if is_accepted else "Accept breaking changes, and give a reason, once the callers know.",
    )


def _formats(view: PromotionView) -> GateResult:
    if view.facts.file_format is FileFormat.SAFE:
        return GateResult(gate=GateName.FORMATS, holds=True, message="No file can run code when it is loaded.")
    files = ", ".join(view.facts.unsafe_files[:5]) or "some of unknown formats"
    if view.policy is FormatPolicy.ENFORCE:
        return GateResult(
            gate=GateName.FORMATS,
            holds=False,
            message=f"Files can run code when they are loaded: {files}.",
            hint="Log the model in a safe format, such as skops or the library's own.",
        )
    warning = f"Files can run code when they are loaded: {files}."
    message = "The formats of files are not looked at." if view.policy is FormatPolicy.OFF else warning
    return GateResult(gate=GateName.FORMATS, holds=True, message=message)


def _isolation(view: PromotionView) -> GateResult:
    if view.is_isolated:
        return GateResult(gate=GateName.ISOLATION, holds=True, message="Pods of staging see no files of production.")
    return GateResult(
        gate=GateName.ISOLATION,
        holds=False,
        message="Pods are isolated plainly: one of staging could read and change production's files.",
        hint="See `taxiway doctor` for what isolates them, or set production.allow_plain_isolation.",
    )


def _capacity(view: PromotionView) -> GateResult:
    try:
        view.capacity.check(view.resources)
        view.capacity.check_promised(view.promised, view.resources, view.scale.minimum)
    except LimitReached as error:
        return GateResult(gate=GateName.CAPACITY, holds=False, message=error.message, hint=error.hint or "")
    return GateResult(gate=GateName.CAPACITY, holds=True, message="The host has what its pods need.")
