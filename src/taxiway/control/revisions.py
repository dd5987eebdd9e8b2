"""Brings revisions to what is wanted of them: snapshot, model environment, pods."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never

import structlog

from taxiway.control.observed import Observed, gist_of
from taxiway.domain.conditions import Failure
from taxiway.domain.deployments import is_steady
from taxiway.domain.environments import BuildProgress, BuildState
from taxiway.domain.errors import ArtifactDigestMismatch, IsolationUnavailable, LeaseLost, TaxiwayError
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.ids import PodId, RevisionId, SnapshotId
from taxiway.domain.lifecycle import (
    DRAIN_GRACE,
    Action,
    Apply,
    BeginBuild,
    BeginCopy,
    BeginProof,
    CancelBuild,
    CancelCopy,
    CancelProof,
    Remove,
    RevisionPlan,
    RevisionView,
    plan_revision,
)
from taxiway.domain.lost_files import runs_nowhere
from taxiway.domain.models import Environment, LoggedModelRef
from taxiway.domain.pods import PodPhase, in_order
from taxiway.domain.promotions import Promotion, describe
from taxiway.domain.proofs import ProofProgress, ProofState
from taxiway.domain.revisions import Revision, RevisionState
from taxiway.domain.snapshots import CopyProgress, CopyState, SnapshotCopy, SnapshotState
from taxiway.ports import (
    BundleStore,
    Clock,
    EnvironmentBuilder,
    Fetch,
    ModelRegistry,
    Nudge,
    Prover,
    ReportBytes,
    Runtime,
    SnapshotStore,
)
from taxiway.store import deployments, events, models, promotions, revisions, snapshots
from taxiway.store.database import Database

log = structlog.get_logger()


class Attempt(StrEnum):
    """What may go wrong at its very beginning."""

    COPY = "copy"
    BUILD = "build"
    PROOF = "proof"
    APPLY = "apply"


class RevisionController:
    """The only place with the order of I/O for a revision."""

    def __init__(
        self,
        *,
        database: Database,
        registry: ModelRegistry,
        stores: Mapping[Environment, SnapshotStore],
        bundles: BundleStore,
        builder: EnvironmentBuilder,
        prover: Prover,
        runtime: Runtime,
        observed: Observed,
        nudge: Nudge,
        now: Clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._registry = registry
        self._stores = stores
        self._bundles = bundles
        self._builder = builder
        self._prover = prover
        self._runtime = runtime
        self._observed = observed
        self._nudge = nudge
        self._now = now
        self._elapsed = elapsed
        self._applied: dict[RevisionId, int] = {}
        """Revision → how many pods the runtime was told to keep."""
        self._acted_at: dict[RevisionId, float] = {}
        """When the runtime was last told something of a revision."""
        self._seen_since: dict[RevisionId, tuple[RevisionState, float]] = {}
        self._resting_since: dict[RevisionId, float] = {}
        """Since when no pods are wanted and no request can reach one."""
        self._told: dict[RevisionId, object] = {}
        """What others were told to look at last: as long as it is the same, they need not."""
        self._forgiven: dict[RevisionId, dict[PodId, int]] = {}
        """How often a pod had been restarted when it was last well."""
        self._could_not: dict[tuple[Attempt, str], Failure] = {}

    async def keys(self) -> Sequence[str]:
        """List the revisions that are not retired, and those that pods run of, whether they are known or not."""
        async with self._database.read() as tx:
            living = await revisions.living_keys(tx)
        return [*living, *(self._observed.all_pods().keys() - set(living))]

    async def reconcile(self, key: str) -> timedelta | None:
        """Load, decide, act, record."""
        if not self._observed.has_looked:
            return timedelta(milliseconds=100)
        async with self._database.read() as tx:
            revision = await revisions.find(tx, RevisionId(key))
            if revision is None or revision.state is RevisionState.RETIRED:
                return await self._remove_strays(RevisionId(key))
            snapshot = await snapshots.get(tx, revision.model_version)
            version = await models.get_version_by_id(tx, revision.model_version)
            deployment = await deployments.find(tx, revision.deployment)
            promoted = await promotions.find(tx, revision.model_version)
        if version is None or deployment is None:
            return None
        wanted = revision.pods_within(deployment.scale)
        view = await self._see(revision, snapshot, scale=self._scale(revision, wanted))
        now = self._now()
        plan = plan_revision(view, now=now)
        for action in plan.actions:
            await self._carry_out(action, plan, version.source, promoted)
        await self._record(revision, plan, snapshot_was=snapshot != plan.snapshot)
        seen = plan.revision, deployment.scale, view.scale, view.is_routed, gist_of(view.pods)
        if self._told.get(revision.id) != seen:
            self._told[revision.id] = seen
            self._nudge("deployment", revision.deployment)
            if plan.revision.state is RevisionState.READY:
                self._nudge("routing", "table")
        if view.scale > wanted:
            return timedelta(milliseconds=200)
        return None if plan.wake_at is None else max(plan.wake_at - now, timedelta(milliseconds=50))

    def _scale(self, revision: Revision, wanted: int) -> int:
        """Return how many pods the runtime is to keep: those too many stay until no request can reach them."""
        if revision.state not in (RevisionState.READY, RevisionState.IDLE):
            wanted = max(wanted, 1)
        pods = self._observed.pods(revision.id)
        living = sum(pod.phase is not PodPhase.DRAINING for pod in pods)
        # A control plane that was just started told the runtime nothing yet; its predecessor did.
        applied = self._applied.get(revision.id, max(living, wanted))
        if wanted < applied and any(self._observed.may_be_asked(pod.address) for pod in in_order(pods)[wanted:]):
            wanted = applied
        if wanted > 0:
            self._resting_since.pop(revision.id, None)
        else:
            self._resting_since.setdefault(revision.id, self._elapsed())
        return wanted

    async def _see(self, revision: Revision, snapshot: SnapshotCopy, *, scale: int) -> RevisionView:
        is_preparing = revision.state in (RevisionState.QUEUED, RevisionState.PREPARING)
        is_serving = scale > 0 and revision.state in (
            RevisionState.STARTING, RevisionState.READY, RevisionState.IDLE
        )  # fmt: skip
        elapsed = self._elapsed()
        # What runs needs no files any more; whether they are there matters to what is to start.
        is_down = is_serving and runs_nowhere(self._observed.pods(revision.id))
        has_files, build = True, None
        if (is_preparing or is_down) and snapshot.digest is not None:
            has_files = snapshot.digest in await self._stores[revision.environment].stored()
        if is_preparing or is_down:
            build = await self._build(revision)
        return RevisionView(
            revision=revision,
            snapshot=snapshot,
            has_files=has_files,
            has_environment=not is_down or (build is not None and build.state is BuildState.READY),
            copy=await self._copy(revision) if is_preparing else None,
            build=build,
            proof=await self._proof(revision, snapshot),
            pods=self._observed.pods(revision.id),
            is_fresh=self._observed.has_looked_since(self._acted_at.get(revision.id, -math.inf)),
            was_applied=self._applied.get(revision.id) == scale,
            trouble=self._could_not.get((Attempt.APPLY, revision.id)),
            is_routed=revision.id in self._observed.routed(),
            may_get_requests=self._observed.may_get_requests(revision.id),
            waited=self._waited(revision),
            forgiven=self._forgive(revision.id),
            scale=scale,
            rested=timedelta(seconds=elapsed - self._resting_since.get(revision.id, elapsed)),
        )

    def _forgive(self, key: RevisionId) -> Mapping[PodId, int]:
        """Remember of each pod that is well how often it was restarted until now."""
        known, now = self._forgiven.get(key, {}), self._now()
        pods = self._observed.pods(key)
        self._forgiven[key] = {pod.id: pod.restarts if is_steady(pod, now) else known.get(pod.id, 0) for pod in pods}
        return self._forgiven[key]

    def _waited(self, revision: Revision) -> timedelta:
        """Return how long this process has seen the revision in its state."""
        elapsed = self._elapsed()
        state, since = self._seen_since.get(revision.id, (None, elapsed))
        if state is not revision.state:
            self._seen_since[revision.id] = (revision.state, elapsed)
            since = elapsed
        return timedelta(seconds=elapsed - since)

    async def _remove_strays(self, key: RevisionId) -> timedelta | None:
        """Stop pods of a revision that is no longer, or was never, ours to run."""
        self._forget(key)
        if not self._observed.pods(key):
            return None
        await self._runtime.remove(key, grace=DRAIN_GRACE)
        return timedelta(seconds=1)

    def _forget(self, key: RevisionId) -> None:
        self._applied.pop(key, None)
        self._acted_at.pop(key, None)
        self._seen_since.pop(key, None)
        self._told.pop(key, None)
        self._forgiven.pop(key, None)
        self._resting_since.pop(key, None)
        for attempt in (Attempt.BUILD, Attempt.PROOF, Attempt.APPLY):
            self._could_not.pop((attempt, key), None)

    async def _copy(self, revision: Revision) -> CopyProgress | None:
        failure = self._could_not.get((Attempt.COPY, revision.model_version))
        if failure is not None:
            return CopyProgress(state=CopyState.FAILED, bytes_done=0, bytes_total=None, failure=failure)
        return await self._stores[revision.environment].observe(revision.model_version)

    async def _build(self, revision: Revision) -> BuildProgress | None:
        failure = self._could_not.get((Attempt.BUILD, revision.id))
        if failure is not None:
            return BuildProgress(state=BuildState.FAILED, failure=failure)
        return await self._builder.observe(revision.request.id)

    async def _proof(self, revision: Revision, snapshot: SnapshotCopy) -> ProofProgress | None:
        failure = self._could_not.get((Attempt.PROOF, revision.id))
        if failure is not None:
            return ProofProgress(state=ProofState.FAILED, failure=failure)
        if snapshot.digest is None:
            return None
        return await self._prover.observe(revision.spec(snapshot.digest))

    async def _carry_out(
        self, action: Action, plan: RevisionPlan, source: LoggedModelRef, promoted: Promotion | None
    ) -> None:
        revision = plan.revision
        store = self._stores[revision.environment]
        match action:
            case BeginCopy():
                fetch = self._fetch(revision, source) if promoted is None else self._fetch_promoted(promoted)
                await self._attempt(Attempt.COPY, revision.model_version, store.begin(revision.model_version, fetch))
            case CancelCopy():
                if plan.snapshot.state is not SnapshotState.READY:
                    await store.cancel(revision.model_version)
            case BeginBuild():
                await self._attempt(Attempt.BUILD, revision.id, self._builder.begin(revision.request))
            case CancelBuild():
                async with self._database.read() as tx:
                    waiting = await revisions.waiting_for_environment(tx, revision.request.id)
                if waiting == 0 or (waiting == 1 and revision.state is RevisionState.FAILED):
                    await self._builder.cancel(revision.request.id)
            case BeginProof() if plan.snapshot.digest is not None:
                spec = revision.spec(plan.snapshot.digest)
                await self._attempt(Attempt.PROOF, revision.id, self._prover.begin(spec))
            case CancelProof() if plan.snapshot.digest is not None:
                await self._prover.cancel(revision.spec(plan.snapshot.digest))
            case BeginProof() | CancelProof():
                pass
            case Apply(scale=scale):
                if plan.snapshot.digest is None:
                    raise AssertionError(f"revision {revision.id} has no snapshot to serve")
                applying = self._apply(revision, plan.snapshot.digest, promoted, scale=scale)
                self._applied[revision.id] = scale
                if not await self._attempt(Attempt.APPLY, revision.id, applying):
                    self._applied.pop(revision.id, None)
                self._acted_at[revision.id] = self._elapsed()
            case Remove(grace=grace):
                await self._runtime.remove(revision.id, grace=grace)
                self._applied.pop(revision.id, None)
                self._acted_at[revision.id] = self._elapsed()
            case _:
                assert_never(action)

    async def _apply(self, revision: Revision, digest: SnapshotId, promoted: Promotion | None, *, scale: int) -> None:
        """Tell the runtime. What is promoted does not run before its bundle is kept."""
        if promoted is not None:
            await self._bundles.keep(revision.model_version, await self._bundle(revision, promoted))
        await self._runtime.apply(revision.spec(digest), scale=scale)

    async def _attempt(self, attempt: Attempt, key: str, act: Awaitable[None]) -> bool:
        """Begin something and tell whether that went well; why it did not is seen at the next look."""
        self._could_not.pop((attempt, key), None)
        try:
            await act
        except LeaseLost:
            raise
        except TaxiwayError as error:
            self._could_not[attempt, key] = _failure(error)
        except OSError as error:
            what = error.strerror or type(error).__name__
            log.warning("not begun", attempt=str(attempt), key=key, error=what, file=error.filename)
            message, hint = f"{_ATTEMPTED[attempt]}: {what}.", "See the log of the control plane."
            self._could_not[attempt, key] = Failure(reason="SystemError", message=message, hint=hint)
        return (attempt, key) not in self._could_not

    def _fetch(self, revision: Revision, source: LoggedModelRef) -> Fetch:
        async def fetch(into: Path, report: ReportBytes) -> None:
            await self._registry.fetch(revision.project, source, into, report)

        return fetch

    async def _bundle(self, revision: Revision, promoted: Promotion) -> Mapping[str, Any]:
        """Return what is signed of a promotion. Its snapshot and its model environment are ready."""
        async with self._database.read() as tx:
            version = await models.get_version_by_id(tx, revision.model_version)
            deployment = await deployments.find(tx, revision.deployment)
        lock = await self._builder.lock(revision.request.id)
        return describe(promoted, version, deployment, revision, lock=lock)

    def _fetch_promoted(self, promoted: Promotion) -> Fetch:
        """Copy what was promoted out of production's own store, where it may be, or staging's, and nothing else."""
        production, staging = self._stores[Environment.PRODUCTION], self._stores[Environment.STAGING]

        async def fetch(into: Path, report: ReportBytes) -> None:
            try:
                await production.copy_out(promoted.digest, into, report)
            except ArtifactDigestMismatch as damage:
                try:
                    await staging.copy_out(promoted.digest, into, report)
                except ArtifactDigestMismatch as error:
                    raise _in_neither(damage, error) from error

        return fetch

    async def _record(self, before: Revision, plan: RevisionPlan, *, snapshot_was: bool) -> None:
        after = plan.revision
        if after == before and not snapshot_was:
            return
        async with self._database.write() as tx:
            if snapshot_was:
                await snapshots.record(tx, plan.snapshot)
            if not await revisions.record(tx, after, if_generation=before.generation):
                self._nudge("revision", before.id)
                return
            if after.state is not before.state:
                await events.append(tx, self._event(before, after))
        if after.state is RevisionState.RETIRED:
            self._forget(after.id)
        if after.state is not before.state:
            self._nudge("revision", after.id)

    def _event(self, before: Revision, after: Revision) -> Event:
        failure = after.failure if after.state in (RevisionState.PREPARING, RevisionState.FAILED) else None
        return Event(
            at=self._now(),
            actor=CONTROL,
            project=after.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=after.deployment,
            topic=Topic.REVISION,
            was=str(before.state),
            became=str(after.state),
            reason=failure.reason if failure else f"Revision{after.state}",
            message=f"Revision {after.number}: {failure.message if failure else _SAID[after.state]}",
        )


_SAID: dict[RevisionState, str] = {
    RevisionState.QUEUED: "waits for its turn.",
    RevisionState.PREPARING: "the model's files are copied and its environment is built.",
    RevisionState.STARTING: "snapshot and model environment are ready; its pod is being started.",
    RevisionState.READY: "its pod answers and scored the input example.",
    RevisionState.IDLE: "no request came for a while; its last pod is stopped.",
    RevisionState.RETIRING: "it gets no more requests; those in flight are finished.",
    RevisionState.RETIRED: "its pods are gone.",
    RevisionState.FAILED: "it failed.",
}


_ATTEMPTED = {
    Attempt.COPY: "The copy of the model's files could not be begun",
    Attempt.BUILD: "The build of the model environment could not be begun",
    Attempt.PROOF: "The proof of a faster path could not be begun",
    Attempt.APPLY: "The pod could not be started",
}


def _in_neither(damage: ArtifactDigestMismatch, error: ArtifactDigestMismatch) -> ArtifactDigestMismatch:
    """Say of both stores what is wrong: which of them should have had the files depends on what was deleted since."""
    message = f"{damage.message.rstrip('.')}; in staging: {error.message}"
    return ArtifactDigestMismatch(message, hint=error.hint, path=damage.facts.get("path", ""))


def _failure(error: TaxiwayError) -> Failure:
    return Failure(
        reason=error.reason,
        message=error.message,
        hint=error.hint or "",
        retryable=not isinstance(error, IsolationUnavailable),
    )
