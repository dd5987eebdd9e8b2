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
    assert (code, [report.get("phase") for report in reports]) == (0, ["verified", "proven", "examined"])
    proof = read_proof(reports[1]["detail"])
    assert proof is not None
    assert (proof.path, proof.reason, proof.needs_mlflow) == ("plan", "", False)
    assert proof.rows > 1_000
    examined = reports[-1]["detail"]
    assert (examined["invariants"], examined["trouble"], examined["acts"]) == ([], "", [])
    assert "sklearn" in dict(map(tuple, examined["packages"]))


INVARIANTS = """
from taxiway_scoring.invariants import answers_without, never_falls


def check_more_never_costs_less(predict, example):
    never_falls(predict, example, "a", [0.0, 1.0, 2.0])


def check_b_may_be_missing(predict, example):
    answers_without(predict, example, ["b"])
"""


def test_invariants_that_were_logged_with_a_model_are_tried(tmp_path: Path) -> None:
    import mlflow
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
    model = LinearRegression().fit(rows, np.array([0.0, 1.0, 2.0]))
    home = tmp_path / "snapshot"
    home.mkdir()
    (tmp_path / "taxiway_invariants.py").write_text(INVARIANTS)
    mlflow.sklearn.save_model(
        model, str(home / "files"), signature=infer_signature(rows, model.predict(rows)), input_example=rows,
        code_paths=[str(tmp_path / "taxiway_invariants.py")], pip_requirements=["scikit-learn"],
    )  # fmt: skip
    listed = manifest.dump(manifest.build(home / "files"))
    (home / "manifest.json").write_bytes(listed)
    told = {"snapshot": str(home), "manifest_digest": manifest.digest(listed), "threads": 1, "job": "prove"}
    code, reports = run(tmp_path, told)
    assert code == 0, reports
    broken, held = reports[-1]["detail"]["invariants"]
    assert (held["name"], held["holds"]) == ("more never costs less", True)
    assert (broken["name"], broken["holds"]) == ("b may be missing", False)
    assert broken["message"].startswith("ValueError: Input X contains NaN")


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
