"""Does each gate hold when it should, are all that do not hold named at once, and nothing of the data?"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from taxiway.domain.compatibility import Change, Side
from taxiway.domain.conditions import PhaseName
from taxiway.domain.errors import GatesFailed, InvalidInput
from taxiway.domain.models import FileFormat
from taxiway.domain.promotions import FormatPolicy, GateName, PromotionView, check, evaluate
from taxiway.domain.resources import Capacity, Resources, Scale
from tests.builders import a_ready_revision, a_revision, a_snapshot, a_stored_snapshot, some_facts, some_phases

GIB = 1 << 30
FELT = Change(Side.INPUT, "hour", "", "long", is_breaking=True, why="Callers do not send it.")
UNFELT = Change(Side.INPUT, "note", "", "string, optional", is_breaking=False, why="Callers need not send it.")
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
    GateName.CAPACITY: {"scale": Scale(minimum=3, maximum=3)},
}


def failing(**changes: Any) -> list[GateName]:
    return [gate.gate for gate in evaluate(replace(WELL, **changes)) if not gate.holds]


def test_all_hold_where_nothing_is_amiss() -> None:
    gates = evaluate(WELL)
    assert [gate.gate for gate in gates] == list(GateName)
    assert all(gate.holds for gate in gates)
    check(gates)


@pytest.mark.parametrize("gate", GateName)
def test_each_fails_alone_and_says_what_to_do(gate: GateName) -> None:
    assert failing(**AMISS[gate]) == [gate]
    found = next(each for each in evaluate(replace(WELL, **AMISS[gate])) if each.gate is gate)
    assert found.message.endswith(".")
    assert found.hint.endswith(".")


def test_none_hides_another() -> None:
    for several in combinations(GateName, 3):
        changes: dict[str, Any] = {}
        for gate in several:
            changes |= AMISS[gate]
        if {GateName.SIGNATURE, GateName.FORMATS} <= {*several}:  # both are told by the facts
            changes["facts"] = some_facts(signature={"inputs": "[]"})
        assert failing(**changes) == [gate for gate in GateName if gate in several]
        with pytest.raises(GatesFailed) as refused:
            check(evaluate(replace(WELL, **changes)))
        assert refused.value.message.startswith("3 gates do not hold.")
        assert all(gate.value.capitalize() in refused.value.message for gate in several)


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


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 1), (2, 1), (1, 101), (101, 101)])
def test_a_scale_that_cannot_be(minimum: int, maximum: int) -> None:
    with pytest.raises(InvalidInput):
        Scale(minimum=minimum, maximum=maximum)
