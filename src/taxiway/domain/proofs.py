"""Proofs: whether a model's pods may take a faster path than ``mlflow.pyfunc``, and which. Made once, kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from taxiway.domain.conditions import Failure

TURNED_OFF = "PlanTurnedOff"
"""Why a path that was proven is not taken any more: a live answer differed."""


class ProofState(StrEnum):
    """How a proof stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ServingPath(StrEnum):
    """How pods go from rows to predictions."""

    PLAN = "plan"
    """Compiled: typed decoding, known preprocessing, the model's native interface."""
    FRAME = "frame"
    """A typed data frame, then the flavor's own method."""
    PYFUNC = "pyfunc"
    """``mlflow.pyfunc``, as ``mlflow models serve`` does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingProof:
    """What was proven: the path, its name for people, and why no faster one is taken.

    ``rows`` were compared with pyfunc, bit for bit. ``document`` is the proof as the scoring server wrote it and
    reads it.
    """

    path: ServingPath
    name: str
    reason: str = ""
    rows: int = 0
    rows_are_independent: bool = False
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofProgress:
    """What a prover says of a proof. A failed one says why; pods then take the generic path."""

    state: ProofState
    proof: ServingProof | None = None
    failure: Failure | None = None


def read_proof(document: object) -> ServingProof | None:
    """Return the proof that a pod reported; None for anything else. The reporter may write anything: trust nothing."""
    if not isinstance(document, dict) or document.get("path") not in set(ServingPath):
        return None
    rows, independent = document.get("rows"), document.get("rows_are_independent")
    if not isinstance(rows, int) or not isinstance(independent, bool):
        return None
    return ServingProof(
        path=ServingPath(document["path"]),
        name=str(document.get("name", ""))[:200],
        reason=str(document.get("reason", ""))[:600],
        rows=rows,
        rows_are_independent=independent,
        document=document,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """What came of comparing live requests with pyfunc: how many rows, how many differ, and where the first does."""

    rows: int
    differences: int
    where: str = ""


def read_check(document: object) -> LiveCheck | None:
    """Return what a job reported of live requests; None for anything else."""
    if not isinstance(document, dict):
        return None
    rows, differences = document.get("rows"), document.get("differences")
    if not isinstance(rows, int) or not isinstance(differences, int):
        return None
    return LiveCheck(rows=rows, differences=differences, where=str(document.get("where", ""))[:300])


def say(progress: ProofProgress) -> str:
    """Return a sentence for people: which path, and why."""
    proof = progress.proof
    if proof is None:
        why = progress.failure.message if progress.failure is not None else "The proof did not end."
        return f"pyfunc; nothing faster was proven: {why}"
    told = f"{proof.path}: {proof.name}, equal to pyfunc on {proof.rows} rows"
    if proof.path is ServingPath.PYFUNC:
        told = "pyfunc"
    return f"{told}; {proof.reason}" if proof.reason else told
