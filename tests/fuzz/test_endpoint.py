"""Some thousand strange requests in every run; ``make fuzz-endpoint`` sends more than a hundred thousand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
MODELS = "a,lightgbm-regressor,ordinal-hist"


def run(home: Path, module: str, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-W", "ignore", "-m", module, *arguments, "--only", MODELS]
    done = subprocess.run(program, cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}"
    return done.stdout


def test_whatever_is_sent_is_answered_or_refused_with_a_place(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    run(tmp_path, "tests.zoo", "--seed", "7", "--out", str(zoo))
    said = run(tmp_path, "tests.fuzz.endpoint", "--zoo", str(zoo), "--payloads", "1500", "--seed", "11")
    for name in MODELS.split(","):
        assert f"{name}: {{200: " in said
