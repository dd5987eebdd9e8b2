"""A pickle that would run code on load runs nothing in the control plane, whatever is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.client.calls import plain
from taxiway.wire.models import ConversionIn
from tests.journeys.training import CANARY
from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(400)]


def test_nothing_is_unpickled_outside_a_pod(platform: Platform, tmp_path: Path) -> None:
    """Log, list, look, check, convert, read logs, delete: the canary's file appears nowhere outside its pod."""
    mark = tmp_path / "touched"
    run_id = platform.python(CANARY, str(mark)).splitlines()[-1]
    mark.unlink(missing_ok=True)  # the training code may load its own model
    with platform.client() as client:
        client.experiments()
        client.runs()
        client.run(run_id)
        client.logged_models(run_id)
        client.send(plain("GET", "projects", "fraud", "runs", run_id, "artifacts"))
        client.preflight(run_id, ConversionIn(model="canary"))
    made = platform.convert(run_id, "canary")
    assert made.status == "ON", f"{made.reason}: {made.message}"
    with platform.client() as client:
        lines = client.logs("canary", made.version, kind="pod").lines
        assert any("the canary sings" in line.text for line in lines), "in its pod it does run: the bird is alive"
        client.logs("canary", made.version, kind="build")
        client.delete("canary", made.version)
    assert not mark.exists(), "code of a pickle ran outside a pod"
