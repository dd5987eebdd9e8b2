"""Revisions: what a pod is, immutable. The values are here; ``lifecycle.py`` decides what happens to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from taxiway.domain.conditions import Condition, Failure, Phase, PhaseName
from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import Conflict, NotFound
from taxiway.domain.ids import (
    DeploymentId,
    EnvironmentId,
    ModelName,
    ModelVersionId,
    ProjectName,
    RevisionId,
    SnapshotId,
)
from taxiway.domain.models import Environment
from taxiway.domain.resources import Resources, Scale


class RevisionState(StrEnum):
    """What is seen of a revision."""

    QUEUED = "Queued"
    PREPARING = "Preparing"
    STARTING = "Starting"
    READY = "Ready"
    IDLE = "Idle"
    RETIRING = "Retiring"
    RETIRED = "Retired"
    FAILED = "Failed"


class RevisionWanted(StrEnum):
    """What is wanted of a revision."""

    SERVE = "serve"
    RETIRE = "retire"


class OnOutputMismatch(StrEnum):
    """What a pod does with an answer that breaks the model's own output schema."""

    PASS = "pass"  # noqa: S105
    REFUSE = "refuse"


class Serving(StrEnum):
    """Which serving path a pod may take."""

    AUTO = "auto"
    """The fastest that is proven equal to ``mlflow.pyfunc``."""
    PYFUNC = "pyfunc"


class Method(StrEnum):
    """Which of a model's methods its endpoint answers with."""

    PREDICT = "predict"
    """As the model was logged: what ``mlflow models serve`` answers with."""
    PREDICT_PROBA = "predict_proba"
    PREDICT_LOG_PROBA = "predict_log_proba"
    DECISION_FUNCTION = "decision_function"
    SCORE_SAMPLES = "score_samples"
    TRANSFORM = "transform"


class RowsAreIndependent(StrEnum):
    """Whether rows of several requests may be predicted together."""

    AS_PROVEN = "as-proven"
    YES = "yes"
    """The owner's word, also where the last bits of a result then depend on what else was asked."""
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How the scoring server treats requests. Bytes and seconds."""

    timeout_seconds: float = 30.0
    body_bytes: int = 16 * 1024 * 1024
    start_deadline_seconds: float = 600.0
    on_output_mismatch: OnOutputMismatch = OnOutputMismatch.PASS
    serving: Serving = Serving.AUTO
    rows_are_independent: RowsAreIndependent = RowsAreIndependent.AS_PROVEN
    method: Method = Method.PREDICT


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionSpec:
    """All that a runtime must know to run a revision's pods. Never changes once made."""

    id: RevisionId
    deployment: DeploymentId
    project: ProjectName
    model: ModelName
    version: int
    snapshot: SnapshotId
    environment: EnvironmentId
    resources: Resources
    options: ScoringOptions = field(default_factory=ScoringOptions)
    lives_in: Environment = Environment.STAGING
    """Whose snapshots it is served from."""


def newest_wanted(known: Sequence[Revision]) -> Revision:
    """Return the newest revision that is to serve, or where none is the newest; in order of their number.

    One that was rolled back by a rollout's limits is newer, and no longer wanted.
    """
    return next((revision for revision in reversed(known) if revision.wanted is RevisionWanted.SERVE), known[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A revision as it is remembered: what was asked, what is wanted of it, what was seen.

    ``number`` counts within the deployment from 1. ``generation`` counts wanted changes of this revision;
    ``observed_generation`` is the one that the seen part speaks of.
    """

    id: RevisionId
    deployment: DeploymentId
    number: int
    project: ProjectName
    model: ModelName
    version: int
    model_version: ModelVersionId
    request: EnvironmentRequest
    resources: Resources
    options: ScoringOptions
    created_at: datetime
    wanted: RevisionWanted
    generation: int
    environment: Environment = Environment.STAGING
    made_by: str = ""
    """Who asked for it; "" for what is not known any more."""
    why: str = ""
    pods: int | None = None
    """How many there are to be, as the autoscaler decided last; None for the least."""
    state: RevisionState = RevisionState.QUEUED
    observed_generation: int = 0
    phases: tuple[Phase, ...] = ()
    conditions: tuple[Condition, ...] = ()
    failure: Failure | None = None
    """Why it failed; while it lives, why the runtime could not be told to run it, or why it is prepared anew."""

    def renewed(self, at: datetime, *, by: str, why: str, number: int | None = None) -> Revision:
        """Return the next revision, which asks for the same; ``number`` where this is not the last one."""
        number = self.number + 1 if number is None else number
        return Revision(
            id=RevisionId(f"{self.id.removesuffix(str(self.number))}{number}"),
            deployment=self.deployment,
            number=number,
            project=self.project,
            model=self.model,
            version=self.version,
            model_version=self.model_version,
            request=self.request,
            resources=self.resources,
            options=self.options,
            created_at=at,
            wanted=RevisionWanted.SERVE,
            generation=1,
            environment=self.environment,
            made_by=by,
            why=why,
            # One that rests is no reason not to look whether the next one starts.
            pods=self.pods or None,
        )

    def pods_within(self, scale: Scale) -> int:
        """Return how many pods there are to be within the bounds of the deployment: none where the last one rests."""
        pods = max(scale.minimum, 1) if self.pods is None else self.pods
        return min(max(pods, scale.minimum), scale.maximum)

    def spec(self, snapshot: SnapshotId) -> RevisionSpec:
        """Return what a runtime must know, once the snapshot is there."""
        return RevisionSpec(
            id=self.id,
            deployment=self.deployment,
            project=self.project,
            model=self.model,
            version=self.version,
            snapshot=snapshot,
            environment=self.request.id,
            resources=self.resources,
            options=self.options,
            lives_in=self.environment,
        )


def choose_rollback(
    known: Sequence[Revision], to: int | None, *, aborted: Collection[RevisionId] = frozenset()
) -> Revision:
    """Return the revision to go back to: the one that is named, or the newest earlier one that served and differs.

    Those whose rollout was aborted served, but not well; they must be named.
    """
    newest = newest_wanted(known)
    earlier = [revision for revision in known if revision.number < newest.number]
    if to is not None:
        found = next((revision for revision in earlier if revision.number == to), None)
        if found is None:
            raise NotFound(
                f"There is no earlier revision {to}.", hint="List them with `taxiway production history NAME`."
            )
        return found
    for revision in reversed(earlier):
        has_served = any(phase.name is PhaseName.ROUTE for phase in revision.phases) and revision.id not in aborted
        if has_served and _served(revision) != _served(newest):
            return revision
    raise Conflict(
        "No earlier revision served anything else.", hint="Name one with its number, or promote another version."
    )


def _served(revision: Revision) -> tuple[object, ...]:
    return revision.model_version, revision.resources, revision.options
