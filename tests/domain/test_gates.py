"""Does each gate hold when it should, are all that do not hold named at once, and nothing of the data?"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from taxiway.domain.compatibility import Change, Side
from taxiway.domain.conditions import PhaseName
from taxiway.domain.errors import GatesFailed, InvalidInput
from taxiway.domain.examinations import Examination, Invariant
from taxiway.domain.gates import FormatPolicy, GateName, PromotionView, check, evaluate
from taxiway.domain.models import FileFormat
from taxiway.domain.resources import Capacity, Resources, Scale
from taxiway.domain.thresholds import Bound, Threshold
from tests.builders import a_ready_revision, a_revision, a_snapshot, a_stored_snapshot, some_facts, some_phases

GIB = 1 << 30
FELT = Change(Side.INPUT, "hour", "", "long", is_breaking=True, why="Callers do not send it.")
UNFELT = Change(Side.INPUT, "note", "", "string, optional", is_breaking=False, why="Callers need not send it.")
AUC = Threshold(metric="auc", bound=Bound.AT_LEAST, value=0.9)
WITH_INVARIANTS = some_facts(file_format=FileFormat.SAFE, unsafe_files=(), has_invariants=True)
HELD = Invariant(name="country is known", holds=True)
BROKEN = Invariant(name="amount never falls", holds=False, message="row 0: it falls where amount becomes 9")
WELL = PromotionView(
    facts=some_facts(file_format=FileFormat.SAFE, unsafe_files=()),
    snapshot=a_stored_snapshot(),
    revisions=[a_ready_revision()],
    changes=None,
    accepts_breaking=False,
    reason="They asked for it.",
    policy=FormatPolicy.ENFORCE,
    is_isolated=True,
    capacity=Capacity(memory_bytes=4 * GIB, cpus=4),
    promised=[(Resources(memory_bytes=GIB, cpus=1), 2)],
    resources=Resources(memory_bytes=GIB, cpus=1),
    scale=Scale(minimum=2, maximum=5),
)
AMISS: dict[GateName, dict[str, Any]] = {
    GateName.SIGNATURE: {"facts": some_facts(file_format=FileFormat.SAFE, signature={"inputs": "[]"})},
    GateName.FILES: {"snapshot": a_snapshot()},
    GateName.EXAMPLE: {"revisions": [a_revision(phases=some_phases(PhaseName.EXAMPLE))]},
    GateName.CONTRACT: {"changes": (FELT, UNFELT)},
    GateName.FORMATS: {"facts": some_facts()},
    GateName.ISOLATION: {"is_isolated": False},
    GateName.METRICS: {"thresholds": (AUC,), "metrics": {"auc": 0.88}},
    GateName.INVARIANTS: {"facts": WITH_INVARIANTS, "examination": Examination(invariants=(HELD, BROKEN))},
    GateName.CAPACITY: {"scale": Scale(minimum=3, maximum=3)},
    GateName.APPROVAL: {"needs_approval": True},
}
TOLD_BY_FACTS: dict[GateName, dict[str, Any]] = {
    GateName.SIGNATURE: {"signature": {"inputs": "[]"}},
    GateName.INVARIANTS: {"has_invariants": True},
}
MAY_FAIL = [gate for gate in GateName if gate is not GateName.SCAN]


def failing(**changes: Any) -> list[GateName]:
    return [gate.gate for gate in evaluate(replace(WELL, **changes)) if not gate.holds]


def test_all_hold_where_nothing_is_amiss() -> None:
    gates = evaluate(WELL)
    assert [gate.gate for gate in gates] == list(GateName)
    assert all(gate.holds for gate in gates)
    check(gates)


@pytest.mark.parametrize("gate", MAY_FAIL)
def test_each_fails_alone_and_says_what_to_do(gate: GateName) -> None:
    assert failing(**AMISS[gate]) == [gate]
    found = next(each for each in evaluate(replace(WELL, **AMISS[gate])) if each.gate is gate)
    assert found.message.endswith(".")
    assert found.hint.endswith(".")


def test_none_hides_another() -> None:
    for several in combinations(MAY_FAIL, 3):
        changes: dict[str, Any] = {}
        for gate in several:
            changes |= AMISS[gate]
        told = [name for name in (*TOLD_BY_FACTS, GateName.FORMATS) if name in several]
        if len(told) > 1:  # several are told by the facts
            facts = {key: value for name in told for key, value in TOLD_BY_FACTS.get(name, {}).items()}
            safe = {} if GateName.FORMATS in several else {"file_format": FileFormat.SAFE, "unsafe_files": ()}
            changes["facts"] = some_facts(**facts, **safe)
        assert failing(**changes) == [gate for gate in GateName if gate in several]
        with pytest.raises(GatesFailed) as refused:
            check(evaluate(replace(WELL, **changes)))
        named = [gate for gate in several if gate is not GateName.APPROVAL]  # that one is waited for
        assert refused.value.message.startswith(f"{len(named)} gates do not hold.")
        assert all(gate.value.capitalize() in refused.value.message for gate in named)


def test_an_approval_that_is_missing_can_be_waited_for() -> None:
    check(evaluate(replace(WELL, needs_approval=True)))
    assert failing(needs_approval=True, approved_by="maria") == []


@pytest.mark.parametrize(
    ("metrics", "holds"),
    [({"auc": 0.9}, True), ({"auc": 0.91}, True), ({"auc": 0.8999}, False), ({"auc": math.nan}, False), ({}, False)],
)
def test_a_metric_that_is_missing_or_no_number_reaches_nothing(metrics: dict[str, float], holds: bool) -> None:
    assert (failing(thresholds=[AUC], metrics=metrics) == []) is holds


@pytest.mark.parametrize(
    "examination",
    [None, Examination(trouble="ImportError: no module named acme"), Examination(invariants=(HELD, BROKEN))],
)
def test_invariants_must_have_been_tried_and_hold(examination: Examination | None) -> None:
    assert failing(facts=WITH_INVARIANTS, examination=examination) == [GateName.INVARIANTS]
    assert failing(facts=WITH_INVARIANTS, examination=Examination(invariants=(HELD,))) == []
    assert failing(examination=examination) == []  # of a model that was logged without


def test_the_scan_tells_and_never_refuses() -> None:
    found = Examination(packages=(("sklearn", 12), ("builtins", 1)), acts=("began a program curl",))
    (scan,) = (gate for gate in evaluate(replace(WELL, examination=found)) if gate.gate is GateName.SCAN)
    assert scan.holds
    assert "sklearn (12)" in scan.message
    assert "began a program curl" in scan.message


def test_what_callers_feel_needs_a_yes_and_a_reason() -> None:
    assert failing(changes=(UNFELT,)) == []
    assert failing(changes=(FELT,), accepts_breaking=True) == []
    assert failing(changes=(FELT,), accepts_breaking=True, reason="") == [GateName.CONTRACT]


@pytest.mark.parametrize(
    ("policy", "file_format", "holds"),
    [
        (FormatPolicy.OFF, FileFormat.UNSAFE, True),
        (FormatPolicy.WARN, FileFormat.UNSAFE, True),
        (FormatPolicy.ENFORCE, FileFormat.UNSAFE, False),
        (FormatPolicy.ENFORCE, FileFormat.UNKNOWN, False),
        (FormatPolicy.ENFORCE, FileFormat.SAFE, True),
    ],
)
def test_formats_of_files(policy: FormatPolicy, file_format: FileFormat, holds: bool) -> None:
    facts = some_facts(file_format=file_format)
    gate = next(each for each in evaluate(replace(WELL, facts=facts, policy=policy)) if each.gate is GateName.FORMATS)
    assert gate.holds is holds
    assert ("model.pkl" in gate.message) == (policy is not FormatPolicy.OFF and file_format is not FileFormat.SAFE)


def test_an_input_example_must_be_there_and_a_model_without_one_cannot_be_scored() -> None:
    assert failing(facts=replace(WELL.facts, has_input_example=False)) == [GateName.EXAMPLE]


@pytest.mark.parametrize(("minimum", "maximum"), [(-1, 1), (0, 0), (2, 1), (1, 101), (101, 101)])
def test_a_scale_that_cannot_be(minimum: int, maximum: int) -> None:
    with pytest.raises(InvalidInput):
        Scale(minimum=minimum, maximum=maximum)
