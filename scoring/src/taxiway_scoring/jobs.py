"""Jobs: programs of a pod that end.

``prove`` finds the path by which a model's pods may serve, and examines the model once they need not wait any more;
``check`` asks pyfunc what they were asked since.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway_scoring.contract import Contract
from taxiway_scoring.examining import Watch, examine
from taxiway_scoring.methods import PREDICT
from taxiway_scoring.predictor import find_example, import_mlflow, load_predictor
from taxiway_scoring.proof import Proof, prove
from taxiway_scoring.spool import Check, check

log = logging.getLogger("taxiway")
SEED = 20_261_126
"""What proofs draw their rows from where the configuration names nothing else: the same rows for the same model."""


class ProofRun:
    """A model that was loaded once to be proven, and then to be examined."""

    def __init__(self, files: Path, metadata: Mapping[str, Any], contract: Contract, config: Mapping[str, Any]) -> None:
        """Load a snapshot's files, watched. Raises LoadFailed for a model that cannot be loaded at all."""
        self._files, self._metadata = files, metadata
        self._method, self._seed = str(config.get("method", PREDICT)), int(config.get("seed", SEED))
        import_mlflow()
        self._watch = Watch()
        self._watch.open()
        self._predictor = load_predictor(files, contract, self._method)
        self._watch.close()
        self._example = find_example(files, dict(metadata))

    def prove(self) -> Proof:
        """Return which path may serve."""
        proof = prove(
            self._files, self._metadata, self._predictor.contract, self._predictor, self._example, seed=self._seed,
            method=self._method,
        )  # fmt: skip
        log.info("the path is %s (%s): %s rows compared. %s", proof.path, proof.name, proof.rows, proof.reason)
        return proof

    def examine(self) -> dict[str, Any]:
        """Return what loading the model did, and whether its invariants hold, as a report says it."""
        found = examine(
            self._files, self._metadata, self._predictor.contract, self._predictor, self._example, self._watch
        )
        for act in found["acts"]:
            log.info("loading the model %s", act)
        return found


def run_check(files: Path, contract: Contract, config: Mapping[str, Any]) -> Check:
    """Compare the requests that pods kept in the spool. Raises LoadFailed."""
    predictor = load_predictor(files, contract, str(config.get("method", PREDICT)))
    result = check(predictor, predictor.contract, Path(config["spool"]["directory"]))
    log.info("%s live requests compared, %s differ. %s", result.requests, result.differences, result.where)
    return result
