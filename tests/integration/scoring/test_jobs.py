"""Jobs as processes, as the platform starts them: a configuration in, reports out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import taxiway_scoring
from taxiway_scoring import manifest
from taxiway_scoring.proof import read_proof
from taxiway_scoring.spool import Spool

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every job on one model of the zoo is told."""
    from tests.zoo.__main__ import save

    home = tmp_path_factory.mktemp("snapshot")
    shutil.move(save("linear", 1, home), home / "files")
    listed = manifest.dump(manifest.build(home / "files"))
    (home / "manifest.json").write_bytes(listed)
    return {"snapshot": str(home), "manifest_digest": manifest.digest(listed), "threads": 1}


def run(place: Path, config: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Run a job to its end; return its exit code and its reports."""
    (place / "job.json").write_text(json.dumps(config))
    program = Path(taxiway_scoring.__file__).parent
    reader, writer = os.pipe()
    with open(reader) as reports:  # noqa: PTH123 - a descriptor
        job = subprocess.run(
            [sys.executable, "-I", str(program), "--config", str(place / "job.json")],
            env={"PATH": os.defpath, "HOME": str(place), "TAXIWAY_REPORT_FD": str(writer)},
            cwd=place,
            pass_fds=[writer],
            capture_output=True,
            timeout=100,
            check=False,
        )
        os.close(writer)
        return job.returncode, [json.loads(line) for line in reports]


def test_a_proof_is_reported(tmp_path: Path, config: dict[str, Any]) -> None:
    code, reports = run(tmp_path, {**config, "job": "prove"})
    assert (code, [report.get("phase") for report in reports]) == (0, ["verified", "proven"])
    proof = read_proof(reports[-1]["detail"])
    assert proof is not None
    assert (proof.path, proof.reason, proof.needs_mlflow) == ("plan", "", False)
    assert proof.rows > 1_000


def test_kept_requests_are_compared_and_a_difference_is_reported(tmp_path: Path, config: dict[str, Any]) -> None:
    files = Path(config["snapshot"]) / "files"
    body = (files / "serving_input_example.json").read_bytes()
    rows = json.loads(body)["dataframe_split"]["data"]
    spool = tmp_path / "spool"
    spool.mkdir()
    told = {"directory": str(spool), "every": 1}
    Spool(spool, 1).keep(body, "application/json", json.dumps({"predictions": [0.5] * len(rows)}).encode())
    code, reports = run(tmp_path, {**config, "job": "check", "spool": told})
    assert (code, [report.get("phase") for report in reports]) == (0, ["verified", "checked"])
    where = f"row 0 of a request of {len(rows)} rows differs"
    assert reports[-1]["detail"] == {"requests": 1, "rows": len(rows), "differences": 1, "where": where}
    assert list(spool.iterdir()) == []


def test_another_job_and_another_snapshot_are_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    code, reports = run(tmp_path, {**config, "job": "dance"})
    assert (code, reports[-1]["failed"]["reason"]) == (3, "UnknownJob")
    code, reports = run(tmp_path, {**config, "job": "prove", "manifest_digest": "0" * 64})
    assert (code, reports[-1]["failed"]["reason"]) == (3, "ArtifactDigestMismatch")
