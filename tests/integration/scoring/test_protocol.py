"""Does a public client of the Open Inference Protocol get along with our server?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def test_the_triton_client_predicts_and_is_refused() -> None:
    program = [sys.executable, "-W", "ignore", "-m", "tests.integration.scoring.protocol_client"]
    root = Path(__file__).parents[3]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    predictions = [1.0, 2.5, 5.0]
    assert said == {
        "live": True, "ready": True, "model ready": True, "server": "taxiway", "inputs": ["amount", "count", "kind"],
        "json": ["7", predictions], "binary": ["7", predictions], "many": 20_000,
        "refused": "[422] The input lacks column 'kind'.",
    }  # fmt: skip
