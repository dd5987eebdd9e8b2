"""Prover in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import OutOfDisk
from taxiway.domain.examinations import Examination
from taxiway.domain.ids import PodId, SnapshotId
from taxiway.domain.proofs import LiveCheck, ProofProgress, ProofState, ServingPath, ServingProof
from taxiway.domain.revisions import RevisionSpec
from tests.fakes.clock import FakeClock


class ProofFate(Enum):
    """What becomes of proofs."""

    WELL = auto()
    FAILS = auto()
    HANGS = auto()
    BEGIN_FAILS = auto()
    """``begin`` itself raises: the disk is full."""


PROVEN = ServingProof(path=ServingPath.PLAN, name="columns → LightGBM", rows=1_725, rows_are_independent=True)
PROOF_FAILED = Failure(reason="StartDeadlineExceeded", message="It took longer than 90 s.")


@dataclass(kw_only=True)
class FakeProver:
    """Proofs that end by the clock; of a snapshot, whatever the environment."""

    clock: FakeClock
    seconds: float = 0.5
    fate: ProofFate = ProofFate.WELL
    proven: set[SnapshotId] = field(default_factory=set)
    begun: Counter[SnapshotId] = field(default_factory=Counter)
    cancelled: list[SnapshotId] = field(default_factory=list)
    running: dict[SnapshotId, float] = field(default_factory=dict)
    """When the proofs under way began."""
    failed: set[SnapshotId] = field(default_factory=set)
    examinations: dict[SnapshotId, Examination] = field(default_factory=dict)
    found: dict[SnapshotId, LiveCheck] = field(default_factory=dict)
    """What the next check of live requests finds."""

    async def begin(self, spec: RevisionSpec) -> None:
        if self.fate is ProofFate.BEGIN_FAILS:
            raise OutOfDisk("The disk is full.")
        key = spec.snapshot
        self.failed.discard(key)
        if key not in self.proven and key not in self.running:
            self.begun[key] += 1
            self.running[key] = self.clock.elapsed()

    async def observe(self, spec: RevisionSpec) -> ProofProgress | None:
        key = spec.snapshot
        began = self.running.get(key)
        if began is not None and self.fate is not ProofFate.HANGS and self.clock.elapsed() - began >= self.seconds:
            del self.running[key]
            (self.failed if self.fate is ProofFate.FAILS else self.proven).add(key)
        if key in self.proven:
            return ProofProgress(state=ProofState.DONE, proof=PROVEN)
        if key in self.failed:
            return ProofProgress(state=ProofState.FAILED, failure=PROOF_FAILED)
        return ProofProgress(state=ProofState.RUNNING) if key in self.running else None

    async def cancel(self, spec: RevisionSpec) -> None:
        if self.running.pop(spec.snapshot, None) is not None:
            self.cancelled.append(spec.snapshot)

    async def examination(self, spec: RevisionSpec) -> Examination | None:
        return self.examinations.get(spec.snapshot)

    async def check(self, spec: RevisionSpec, pods: Sequence[PodId]) -> LiveCheck | None:
        found = self.found.pop(spec.snapshot, None) if pods else None
        if found is not None and found.differences:
            self.proven.discard(spec.snapshot)
            self.failed.add(spec.snapshot)
        return found

    def control_plane_died(self) -> None:
        """Forget what a process remembers; results stay, proofs go on."""
        self.failed.clear()
