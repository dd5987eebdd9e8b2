"""Jobs: programs of a pod that end.

``prove`` finds the path by which a model's pods may serve; ``check`` asks pyfunc what they were asked since.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway_scoring.contract import Contract
from taxiway_scoring.methods import PREDICT
from taxiway_scoring.predictor import find_example, load_predictor
from taxiway_scoring.proof import Proof, prove
from taxiway_scoring.spool import Check, check

log = logging.getLogger("taxiway")
SEED = 20_261_126
"""What proofs draw their rows from where the configuration names nothing else: the same rows for the same model."""


def run_proof(files: Path, metadata: Mapping[str, Any], contract: Contract, config: Mapping[str, Any]) -> Proof:
    """Return the proof of a snapshot's files. Raises LoadFailed for a model that cannot be loaded at all."""
    method = str(config.get("method", PREDICT))
    predictor = load_predictor(files, contract, method)
    example = find_example(files, dict(metadata))
    seed = int(config.get("seed", SEED))
    proof = prove(files, metadata, predictor.contract, predictor, example, seed=seed, method=method)
    log.info("the path is %s (%s): %s rows compared. %s", proof.path, proof.name, proof.rows, proof.reason)
    return proof


def run_check(files: Path, contract: Contract, config: Mapping[str, Any]) -> Check:
    """Compare the requests that pods kept in the spool. Raises LoadFailed."""
    predictor = load_predictor(files, contract, str(config.get("method", PREDICT)))
    result = check(predictor, predictor.contract, Path(config["spool"]["directory"]))
    log.info("%s live requests compared, %s differ. %s", result.requests, result.differences, result.where)
    return result
