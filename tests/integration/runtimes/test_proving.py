"""Does a proof run as a pod that ends, is its result kept, and does trouble with it hold nobody up?"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.ids import EnvironmentId, PodId
from taxiway.domain.proofs import LiveCheck, ProofProgress, ProofState
from taxiway.domain.revisions import Method, RevisionSpec, ScoringOptions
from taxiway.runtimes.process import proving
from taxiway.runtimes.process.pods import Confinement
from taxiway.runtimes.process.proving import ProcessProver
from taxiway.stub import children, levels
from taxiway.stub.children import Level
from tests.integration.runtimes.programs import short_directory
from tests.integration.runtimes.test_process_runtime import a_spec

pytestmark = pytest.mark.integration
SPEC = a_spec()
PROOF = {
    "version": 1, "path": "plan", "needs_mlflow": False, "name": "columns → LightGBM", "reason": "", "rows": 5,
    "rows_are_independent": True, "batches": [1], "seed": 1,
}  # fmt: skip
TELLS = f"""
import json, os, sys
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
assert config["job"] == "prove", config
line = {{"phase": "proven", "seconds": 0.1, "detail": json.loads({json.dumps(json.dumps(PROOF))})}}
os.write(int(os.environ["TAXIWAY_REPORT_FD"]), json.dumps(line).encode() + b"\\n")
"""
EXAMINES = (
    TELLS
    + """
import time
time.sleep(0.5)
found = {"invariants": [{"name": "amount", "holds": False, "message": "it falls"}], "packages": [["sklearn", 2]]}
line = {"phase": "examined", "seconds": 0.5, "detail": found}
os.write(int(os.environ["TAXIWAY_REPORT_FD"]), json.dumps(line).encode() + b"\\n")
"""
)
FAILS = """
import json, os
failed = {"reason": "MissingPackage", "message": "The model needs more.", "hint": "", "retryable": False}
os.write(int(os.environ["TAXIWAY_REPORT_FD"]), json.dumps({"failed": failed}).encode() + b"\\n")
raise SystemExit(3)
"""
CHECKS = """
import json, os, sys
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
assert config["job"] == "check", config
spool = config["spool"]["directory"]
kept = [open(os.path.join(spool, name)).read() for name in os.listdir(spool)]
found = {"requests": len(kept), "rows": len(kept), "differences": kept.count("wrong"), "where": "row 0"}
line = {"phase": "checked", "seconds": 0.1, "detail": found}
os.write(int(os.environ["TAXIWAY_REPORT_FD"]), json.dumps(line).encode() + b"\\n")
"""
HANGS = "import time\ntime.sleep(60)"


class Workshop:
    """A place with code of our own instead of the scoring server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "scoring").mkdir()
        (root / "snapshot").mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "e")], check=True)
        self.provers: list[ProcessProver] = []

    def prover(self, code: str, level: Level = Level.PLAIN) -> ProcessProver:
        (self.root / "scoring" / "__main__.py").write_text(code)
        made = ProcessProver(
            self.root / "proofs",
            scoring=self.root / "scoring",
            locate_snapshot=lambda _: self.root / "snapshot",
            locate_environment=lambda _: self.root / "e",
            confine=lambda: Confinement(level=level, bwrap=levels.find_bwrap(), use_cgroups=False),
            locate_home=lambda pod: self.root / "pods" / pod / "home",
        )
        self.provers.append(made)
        return made


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    with short_directory() as root:
        made = Workshop(root)
        yield made
        for prover in made.provers:
            await prover.cancel(SPEC)
            await prover.close()


async def end_of(prover: ProcessProver, spec: RevisionSpec = SPEC) -> ProofProgress | None:
    async with asyncio.timeout(20):
        while True:
            seen = await prover.observe(spec)
            if seen is None or seen.state is not ProofState.RUNNING:
                return seen
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("level", [Level.PLAIN, Level.SANDBOX])
async def test_what_a_job_reports_is_kept_and_found_again(workshop: Workshop, level: Level) -> None:
    prover = workshop.prover(TELLS, level)
    assert await prover.observe(SPEC) is None
    await prover.begin(SPEC)
    await prover.begin(SPEC)
    seen = await end_of(prover)
    assert seen is not None
    assert seen.proof is not None
    assert (seen.state, seen.proof.path, seen.proof.rows) == (ProofState.DONE, "plan", 5)
    assert json.loads(prover.locate(SPEC).read_text()) == PROOF
    await all_ended(prover, workshop)
    other = workshop.prover(HANGS)
    await other.begin(SPEC)
    assert (await other.observe(SPEC)) == seen, "another process finds it and begins nothing"
    larger = replace(SPEC, resources=replace(SPEC.resources, cpus=4.0))
    assert (await other.observe(larger)) == seen, "a worker has one thread, however many workers there are"
    changed = replace(SPEC, environment=EnvironmentId("other"))
    assert await other.observe(changed) is None, "other versions may change the last bits"


async def all_ended(prover: ProcessProver, workshop: Workshop) -> None:
    """Look until no job is left; a proof counts before its job ends, since that goes on to examine the model."""
    async with asyncio.timeout(20):
        while list((workshop.root / "proofs" / "jobs").iterdir()):
            await asyncio.sleep(0.05)
            await prover.observe(SPEC)


async def test_the_proof_counts_before_the_model_is_examined(workshop: Workshop) -> None:
    prover = workshop.prover(EXAMINES)
    await prover.begin(SPEC)
    seen = await end_of(prover)
    assert seen is not None
    assert seen.state is ProofState.DONE
    assert await prover.examination(SPEC) is None
    await all_ended(prover, workshop)
    found = await prover.examination(SPEC)
    assert found is not None
    assert (found.invariants[0].name, found.invariants[0].holds, found.packages) == ("amount", False, (("sklearn", 2),))
    other = workshop.prover(HANGS)
    assert await other.examination(SPEC) == found, "another process finds it"


async def test_invariants_that_hang_are_given_up_and_the_proof_still_counts(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "TIME_LIMIT", timedelta(seconds=3))
    prover = workshop.prover(TELLS + "\nimport time\ntime.sleep(60)\n")
    await prover.begin(SPEC)
    seen = await end_of(prover)
    assert seen is not None
    assert seen.state is ProofState.DONE
    await all_ended(prover, workshop)
    found = await prover.examination(SPEC)
    assert found is not None
    assert found.trouble
    assert (await prover.observe(SPEC)) == seen


async def test_a_model_that_cannot_be_loaded_has_not_been_examined(workshop: Workshop) -> None:
    prover = workshop.prover(FAILS)
    await prover.begin(SPEC)
    await end_of(prover)
    found = await prover.examination(SPEC)
    assert found is not None
    assert found.trouble == "The model needs more."


async def test_a_failure_is_told_to_the_pods_and_tried_again_when_asked(workshop: Workshop) -> None:
    prover = workshop.prover(FAILS)
    await prover.begin(SPEC)
    seen = await end_of(prover)
    assert seen is not None
    assert seen.failure is not None
    assert (seen.state, seen.failure.reason) == (ProofState.FAILED, "MissingPackage")
    assert json.loads(prover.locate(SPEC).read_text())["failed"]["reason"] == "MissingPackage"
    again = workshop.prover(TELLS)
    await again.begin(SPEC)
    seen = await end_of(again)
    assert seen is not None
    assert seen.state is ProofState.DONE


async def test_one_that_cannot_be_begun_has_failed(workshop: Workshop) -> None:
    prover = workshop.prover(TELLS)
    (workshop.root / "proofs").mkdir()
    (workshop.root / "proofs" / "jobs").write_text("no directory")
    await prover.begin(SPEC)
    seen = await prover.observe(SPEC)
    assert seen is not None
    assert (seen.state, seen.failure and seen.failure.reason) == (ProofState.FAILED, "ProofNotBegun")


async def test_a_proof_that_a_crash_left_alone_is_found(workshop: Workshop) -> None:
    prover = workshop.prover(TELLS)
    await prover.begin(SPEC)
    other = workshop.prover(TELLS)
    seen = await end_of(other)
    assert seen is not None
    assert seen.state is ProofState.DONE


async def test_one_whose_stub_was_killed_is_nothing_and_can_be_begun_again(workshop: Workshop) -> None:
    prover = workshop.prover(HANGS)
    await prover.begin(SPEC)
    (job,) = (workshop.root / "proofs" / "jobs").iterdir()
    assert children.kill(job)
    assert await end_of(prover) is None
    again = workshop.prover(TELLS)
    await again.begin(SPEC)
    assert (await end_of(again)) is not None


async def test_a_cancelled_proof_leaves_nothing(workshop: Workshop) -> None:
    prover = workshop.prover(HANGS)
    await prover.begin(SPEC)
    await prover.cancel(SPEC)
    assert await prover.observe(SPEC) is None
    assert not list((workshop.root / "proofs" / "jobs").iterdir())


async def check(prover: ProcessProver, pods: list[PodId]) -> LiveCheck:
    async with asyncio.timeout(20):
        while (found := await prover.check(SPEC, pods)) is None:
            await asyncio.sleep(0.05)
    return found


async def test_what_callers_sent_can_turn_a_path_off_for_good(workshop: Workshop) -> None:
    prover = workshop.prover(TELLS)
    await prover.begin(SPEC)
    await end_of(prover)
    pod = PodId("pod")
    spool = workshop.root / "pods" / pod / "home" / "spool"
    spool.mkdir(parents=True)
    prover = workshop.prover(CHECKS)
    assert await prover.check(SPEC, [pod]) is None, "there is nothing to compare"
    (spool / "1.json").write_text("right")
    (spool / "2.json").symlink_to("/etc/passwd")
    (spool / "3.json").mkdir()
    assert await check(prover, [pod]) == LiveCheck(rows=1, differences=0, where="row 0")
    assert sorted(file.name for file in spool.iterdir()) == ["2.json", "3.json"]
    (spool / "1.json").write_text("wrong")
    assert (await check(prover, [pod])).differences == 1
    seen = await prover.observe(SPEC)
    assert seen is not None
    assert (seen.state, seen.failure and seen.failure.reason) == (ProofState.FAILED, "PlanTurnedOff")
    assert json.loads(prover.locate(SPEC).read_text())["failed"]["reason"] == "PlanTurnedOff"
    again = workshop.prover(TELLS)
    await again.begin(SPEC)
    assert (await again.observe(SPEC)) == seen, "callers found what proofs do not"
    assert not list((workshop.root / "proofs" / "checks").iterdir())


async def test_what_is_proven_of_one_method_is_not_of_another(workshop: Workshop) -> None:
    prover = workshop.prover(TELLS)
    other = replace(SPEC, options=ScoringOptions(method=Method.PREDICT_PROBA))
    assert prover.locate(other) != prover.locate(SPEC)
