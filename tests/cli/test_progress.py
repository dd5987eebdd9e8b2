"""What is shown while something is waited for: what is new since the command began."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from taxiway.cli.progress import phases_display, render
from taxiway.domain.deployments import Status
from taxiway.wire.models import ModelVersionDetailOut, PhaseOut
from tests.builders import NOW


def a_phase(name: str, *, after: float, ended: bool = True) -> PhaseOut:
    began = NOW + timedelta(seconds=after)
    end = began + timedelta(seconds=1) if ended else None
    return PhaseOut(name=name, began_at=began, ended_at=end, seconds=1.0 if ended else None, detail="", progress=None)


def a_detail(
    *phases: PhaseOut, status: Status = Status.ON, generation: int = 1, seen: int = 1
) -> ModelVersionDetailOut:
    fields: dict[str, Any] = {
        "model": "fraud", "version": 3, "status": status, "message": "", "phases": list(phases),
        "generation": generation, "observed_generation": seen,
    }  # fmt: skip
    return ModelVersionDetailOut.model_construct(**fields)


OLD = (a_phase("snapshot", after=0), a_phase("pod", after=1))


def shown(before: ModelVersionDetailOut | None, *seen: ModelVersionDetailOut, err: pytest.CaptureFixture[str]) -> str:
    with phases_display(before) as update:
        for one in seen:
            update(one)
    return err.readouterr().err


def test_a_conversion_shows_every_phase(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(None, a_detail(*OLD, status=Status.STARTING), a_detail(*OLD), err=capsys)

    assert [line.split("fraud/3 ")[1] for line in text.splitlines()] == [
        "snapshot: 1.0 s", "pod: 1.0 s", "Starting", "ON",
    ]  # fmt: skip


def test_off_shows_no_phase_of_before_nor_the_status_of_before(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        a_detail(*OLD),
        a_detail(*OLD, generation=2, seen=1),
        a_detail(*OLD, status=Status.STOPPING, generation=2, seen=2),
        a_detail(*OLD, status=Status.OFF, generation=2, seen=2),
        err=capsys,
    )

    assert [line.split("fraud/3 ")[1] for line in text.splitlines()] == ["Stopping", "OFF"]


def test_another_attempt_shows_its_own_phases(capsys: pytest.CaptureFixture[str]) -> None:
    again = (a_phase("snapshot", after=100), a_phase("pod", after=101, ended=False))

    assert "snapshot: 1.0 s" in shown(a_detail(*OLD), a_detail(*again), err=capsys)


def test_a_terminal_shows_the_same_phases() -> None:
    drawn = render(a_detail(*OLD, a_phase("route", after=2)), without={("snapshot", NOW)})

    assert [str(line).split()[1] for line in drawn.renderables[1:]] == ["pod", "route"]
