"""Gates: what must hold before a model version goes to production. Pure: a view in, one sentence for each gate out.

| gate       | holds when                                                                                           |
| ---------- | ---------------------------------------------------------------------------------------------------- |
| signature  | the model says what goes in and what comes out                                                       |
| files      | staging has the model's files, copied whole                                                          |
| example    | a pod of staging scored the model's own input example                                                |
| contract   | who calls the deployment now feels nothing, or an administrator accepts that, with a reason          |
| formats    | no file can run code when the model is loaded, or the policy lets it pass                            |
| scan       | always: it tells what the model's pickles name, and what loading it did                              |
| metrics    | the run's metrics, as they were when it was converted, are within the thresholds that its owners set |
| invariants | what the model's own ``taxiway_invariants.py`` says of its predictions held, in a pod                |
| isolation  | pods of staging cannot read production's files, or the settings say that this need not be            |
| capacity   | this host has the memory and the CPUs that production is promised, these pods included               |
| approval   | another administrator approved it, where the settings ask for that                                   |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from taxiway.domain.compatibility import Change, breaking
from taxiway.domain.conditions import PhaseName
from taxiway.domain.errors import GatesFailed, LimitReached
from taxiway.domain.examinations import Examination
from taxiway.domain.models import FileFormat, ModelFacts
from taxiway.domain.resources import Capacity, Resources, Scale
from taxiway.domain.revisions import Revision
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState
from taxiway.domain.thresholds import Threshold, missed


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
    SCAN = "scan"
    METRICS = "metrics"
    INVARIANTS = "invariants"
    ISOLATION = "isolation"
    CAPACITY = "capacity"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """How a gate stands: one sentence, and what to do where it does not hold."""

    gate: GateName
    holds: bool
    message: str
    hint: str = ""
    can_be_awaited: bool = False
    """It does not hold yet, and refuses nothing: the promotion waits until it does."""


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
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the run, as they were when it was converted."""
    thresholds: Sequence[Threshold] = ()
    examination: Examination | None = None
    """What a pod found about the model; None where none has told."""
    needs_approval: bool = False
    approved_by: str = ""


def evaluate(view: PromotionView) -> tuple[GateResult, ...]:
    """Return how every gate stands, in the order of the table above."""
    return (
        _signature(view),
        _files(view),
        _example(view),
        _contract(view),
        _formats(view),
        _scan(view),
        _metrics(view),
        _invariants(view),
        _isolation(view),
        _capacity(view),
        _approval(view),
    )


def check(gates: Sequence[GateResult]) -> None:
    """Raise GatesFailed, which tells all that do not hold; an approval that is missing can be waited for."""
    failed = [gate for gate in gates if not gate.holds and not gate.can_be_awaited]
    if failed:
        count = "One gate does" if len(failed) == 1 else f"{len(failed)} gates do"
        raise GatesFailed(
            f"{count} not hold. " + " ".join(f"{gate.gate.value.capitalize()}: {gate.message}" for gate in failed),
            hint=" ".join(dict.fromkeys(gate.hint for gate in failed if gate.hint)),
        )


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


def _scan(view: PromotionView) -> GateResult:
    found = view.examination
    if found is None:
        message = "No pod has told yet what loading the model does."
    else:
        named = ", ".join(f"{package} ({count})" for package, count in found.packages[:8])
        more = f", and {len(found.packages) - 8} more" if len(found.packages) > 8 else ""
        names = f"Its pickles name classes and functions of {named}{more}." if named else "It has no pickles."
        acts = f"Loading it: {'; '.join(found.acts[:5])}." if found.acts else "Loading it only read files."
        message = f"{names} {acts}"
    return GateResult(gate=GateName.SCAN, holds=True, message=message)


def _metrics(view: PromotionView) -> GateResult:
    if not view.thresholds:
        return GateResult(gate=GateName.METRICS, holds=True, message="The model has no thresholds.")
    failed = missed(view.thresholds, view.metrics)
    if not failed:
        message = f"The run's metrics are within: {', '.join(str(each) for each in view.thresholds[:5])}."
        return GateResult(gate=GateName.METRICS, holds=True, message=message)
    return GateResult(
        gate=GateName.METRICS,
        holds=False,
        message=f"The run's metrics are not within: {'; '.join(failed[:5])}.",
        hint="Promote a better version, or let the model's owners change its thresholds.",
    )


def _invariants(view: PromotionView) -> GateResult:
    if not view.facts.has_invariants:
        return GateResult(gate=GateName.INVARIANTS, holds=True, message="The model was logged without invariants.")
    found = view.examination
    if found is None or found.trouble:
        trouble = "" if found is None else f": {found.trouble}"
        return GateResult(
            gate=GateName.INVARIANTS,
            holds=False,
            message=f"The model's invariants have not been tried{trouble}.",
            hint="Wait until it is ON in staging for a moment." if found is None else "See taxiway_invariants.py.",
        )
    failed = [f"{each.name}: {each.message}" for each in found.invariants if not each.holds]
    if not failed:
        message = f"What must hold of its predictions held: {', '.join(each.name for each in found.invariants[:8])}."
        return GateResult(gate=GateName.INVARIANTS, holds=True, message=message)
    return GateResult(
        gate=GateName.INVARIANTS,
        holds=False,
        message=f"What must hold of its predictions does not: {'; '.join(failed[:5])}.",
        hint="Mend the model, or what its taxiway_invariants.py demands, and log it again.",
    )


def _approval(view: PromotionView) -> GateResult:
    if not view.needs_approval:
        return GateResult(gate=GateName.APPROVAL, holds=True, message="One administrator is enough.")
    if view.approved_by:
        return GateResult(gate=GateName.APPROVAL, holds=True, message=f"{view.approved_by} approved it.")
    return GateResult(
        gate=GateName.APPROVAL,
        holds=False,
        can_be_awaited=True,
        message="Another administrator has to approve it.",
        hint="It waits for that once all other gates hold: see `taxiway production requests`.",
    )


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
