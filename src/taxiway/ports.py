"""The seams: all that Taxiway needs from the world, in one file.

Protocols, not base classes; domain types in and out. Adapters implement them and do not know each other;
``app.py`` puts them together. Each docstring says when a method may be called, what happens when it is called
twice, and what it raises. Anything that may take over a second is begun, observed and can be cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from taxiway.domain.environments import BuildProgress, EnvironmentRequest
from taxiway.domain.examinations import Examination
from taxiway.domain.ids import (
    DeploymentId,
    EnvironmentId,
    ExperimentId,
    ModelName,
    ModelVersionId,
    PodId,
    ProjectName,
    RevisionId,
    RunId,
    SnapshotId,
)
from taxiway.domain.logs import LogName, LogPage
from taxiway.domain.measurements import Traffic, Window
from taxiway.domain.models import LoggedModel, LoggedModelRef, ModelFacts
from taxiway.domain.pods import PodAnswer, PodObservation
from taxiway.domain.proofs import LiveCheck, ProofProgress
from taxiway.domain.revisions import RevisionSpec
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.domain.scrubs import Found
from taxiway.domain.sign_in import Flow, Identity
from taxiway.domain.snapshots import CopyProgress
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Page, Run

Clock = Callable[[], datetime]
"""The time, UTC and aware."""

ReportBytes = Callable[[int, int | None], None]
"""Called as a copy goes on: bytes done, bytes in all where known."""

Fetch = Callable[[Path, ReportBytes], Awaitable[None]]
"""Fills an empty directory with a model's files. Cancelling it stops it; what it left is thrown away."""

Pace = Callable[[int], None]
"""Told of every piece that is read, in the thread that reads it: waits where that is too fast, raises to stop it."""


class Runtime(Protocol):
    """Where pods run. Keeps what it was last told, remembers nothing on disk, is told everything again at start."""

    async def apply(self, spec: RevisionSpec, *, scale: int) -> None:
        """Make this revision so, with so many pods, and keep it so. Twice is once.

        Snapshot and environment must be ready. Returns before the pods are; ``observe`` tells. Pods that died
        are made again, with back-off.
        """

    async def remove(self, revision: RevisionId, *, grace: timedelta) -> None:
        """Begin to stop all pods of the revision: drained, then killed after the grace period.

        An unknown revision is already gone: no error. ``observe`` stops listing its pods when they are gone.
        """

    async def observe(self) -> Sequence[PodObservation]:
        """Tell every pod that runs here in our name, wanted or not, with its address: the only truth about pods.

        A revision that was applied and whose pods died for good is listed with FAILED pods and their reasons.
        """


class Pods(Protocol):
    """Asks one pod directly; only for people who try a model."""

    async def ask(
        self, address: str, method: str, path: str, *, body: bytes = b"", content_type: str = "", timeout: float = 10.0
    ) -> PodAnswer:
        """Return what the pod answers, whatever its status. Raises NotReady where it does not answer in time."""


class Gateway(Protocol):
    """The way in. Takes the whole routing table, never a difference: a whole table is its own repair."""

    async def publish(self, table: RoutingTable) -> None:
        """Ask for this table. Returns when it is written, not when it is in force. Twice is once."""

    async def accepted(self) -> RoutingVersion | None:
        """Return the version of the table that is in force; None before the first or when that cannot be told.

        Raises GatewayRejected, once for each published table, when Envoy refused it.
        """

    async def traffic(self) -> Mapping[RevisionId, Traffic] | None:
        """Tell what was counted of each revision since the gateway began to count; None when it cannot be told.

        Counts only grow, until the gateway is started anew. A revision without requests may be missing.
        """


class Measurements(Protocol):
    """What was measured in the last minutes. None means no data, which is not the same as no requests."""

    def of_revision(self, revision: RevisionId, *, over: timedelta) -> Window | None:
        """Add up what was measured of a revision in the last while."""

    def of_deployment(self, deployment: DeploymentId, *, over: timedelta) -> Window | None:
        """Add up what was measured of all of a deployment's revisions in the last while."""

    def between(self, revision: RevisionId, since: datetime, until: datetime) -> Window | None:
        """Add up what was measured of a revision between two moments, the second included."""


class Tracking(Protocol):
    """Experiments and runs, as screens and clients need them. Every call is for one project's workspace.

    All raise TrackingUnavailable when MLflow does not answer within two seconds, NotFound for unknown ids and
    InvalidInput when MLflow refuses a filter, an order or a cursor.
    """

    async def ensure_workspace(self, project: ProjectName) -> None:
        """Make the project's workspace. Twice is once."""

    async def experiments(
        self, project: ProjectName, *, name_contains: str | None, limit: int, cursor: str | None
    ) -> Page[Experiment]:
        """List the experiments that are not deleted, newest first."""

    async def runs(
        self,
        project: ProjectName,
        *,
        experiments: Sequence[ExperimentId],
        where: str,
        order_by: Sequence[str],
        limit: int,
        cursor: str | None,
    ) -> Page[Run]:
        """Search runs with MLflow's filter language in ``where``. No experiments means all of the project's."""

    async def run(self, project: ProjectName, run: RunId) -> Run:
        """Return one run, also one that is deleted."""

    async def change_tags(self, project: ProjectName, run: RunId, tags: Mapping[str, str | None]) -> None:
        """Set a run's tags; None takes one away. One that is not there: fine. InvalidInput for a deleted run."""

    async def delete_run(self, project: ProjectName, run: RunId) -> None:
        """Mark a run as deleted. Twice is once."""

    async def restore_run(self, project: ProjectName, run: RunId) -> None:
        """Take the mark away. Twice is once."""

    async def metric_history(
        self, project: ProjectName, run: RunId, metric: str, *, limit: int, cursor: str | None
    ) -> Page[MetricPoint]:
        """Return the logged values of a metric in order of step."""

    async def sampled_metric(
        self, project: ProjectName, run: RunId, metric: str, *, most: int, steps: tuple[int, int] | None
    ) -> Sequence[MetricPoint]:
        """Return so many of a metric's values at most, evenly chosen with the first and the last, in order of step.

        ``steps`` are the first and the last one to choose from; None: all.
        """

    async def artifacts(self, project: ProjectName, run: RunId, path: str) -> Sequence[Artifact]:
        """List one folder of a run's artifacts; '' is the root."""

    def read_artifact(self, project: ProjectName, run: RunId, path: str) -> AsyncIterator[bytes]:
        """Stream one file of a run's artifacts."""


class ModelRegistry(Protocol):
    """Logged models of runs, and MLflow's registered models. Raises as Tracking does."""

    async def logged_in(self, project: ProjectName, run: RunId) -> Sequence[LoggedModel]:
        """List the models that the run logged, MLflow 3's and MLflow 2's, without reading their files."""

    async def metrics_of(self, project: ProjectName, run: RunId) -> Mapping[str, float]:
        """Return the latest value of each of the run's metrics, of those that are finite numbers."""

    async def inspect(self, project: ProjectName, ref: LoggedModelRef) -> ModelFacts:
        """Read the small files beside a logged model and say what it is. Opens no pickle.

        Raises NoSignature, MalformedModel or UnsupportedRequirements, each with what to do.
        """

    async def register(
        self,
        project: ProjectName,
        model: ModelName,
        ref: LoggedModelRef,
        *,
        key: ModelVersionId,
        tags: Mapping[str, str],
    ) -> int:
        """Register the logged model as the next version of the model, which is made where it is new.

        Called again with the same ``key``, also after a crash, it returns the version that it made before.
        """

    async def unregister(self, project: ProjectName, model: ModelName, version: int) -> None:
        """Delete a version, and the model when it was its last. An unknown one is already gone: no error."""

    async def fetch(self, project: ProjectName, ref: LoggedModelRef, into: Path, report: ReportBytes) -> None:
        """Copy the logged model's files into an existing empty directory. May be cancelled.

        Raises MalformedModel for names that would leave the directory or collide, LimitReached for too much.
        """


class SnapshotStore(Protocol):
    """Immutable copies by digest."""

    async def begin(self, key: ModelVersionId, fetch: Fetch) -> None:
        """Begin a copy and seal it when it is whole: digest, read-only, durable, moved into place at once.

        While a copy of that key runs, or is done and in place: no effect. After one that failed: begins anew.
        """

    async def observe(self, key: ModelVersionId) -> CopyProgress | None:
        """Tell how the copy stands; None when this process began none (it did not outlive a restart)."""

    async def cancel(self, key: ModelVersionId) -> None:
        """Stop the copy, remove what it left, and forget it; files in place stay. None running: no error."""

    async def verify(self, digest: SnapshotId) -> None:
        """Compare every file with the manifest. Raises ArtifactDigestMismatch, which names the file."""

    async def copy_out(self, digest: SnapshotId, into: Path, report: ReportBytes) -> None:
        """Copy a snapshot's files into an existing empty directory, and check that they are those. May be cancelled.

        Raises ArtifactDigestMismatch for what is not there or not what was sealed.
        """

    async def drop(self, digest: SnapshotId) -> None:
        """Delete a copy. An unknown one is already gone: no error.

        One in which a copy that was begun, and not cancelled, ended here stays too: another model version came to
        share it a moment ago.
        """

    async def stored(self) -> Sequence[SnapshotId]:
        """List the copies on this host's disk, wanted or not. Asks nobody else."""

    async def scrub(self, digest: SnapshotId, pace: Pace) -> Sequence[Found]:
        """Read every file again, wherever copies are kept, and name those that are not what was sealed.

        Makes a copy whole again from another one that is; deletes nothing. Raises StoreUnavailable or StoreRefused
        where it cannot read, and what ``pace`` raises.
        """

    def locate(self, digest: SnapshotId) -> Path:
        """Return the directory with ``files/`` and ``manifest.json``; it may be missing."""


class BundleStore(Protocol):
    """Signed documents of what went to production."""

    async def keep(self, key: ModelVersionId, document: Mapping[str, Any]) -> None:
        """Sign a document and keep it. There already: no effect, for a bundle never changes."""

    async def drop(self, key: ModelVersionId) -> None:
        """Delete a bundle. An unknown one is already gone: no error."""

    async def scrub(self, key: ModelVersionId) -> Sequence[Found]:
        """Check a bundle's signature wherever it is kept; name what is damaged, and mend what is whole elsewhere.

        Kept nowhere: nothing is found. Deletes nothing. Raises StoreUnavailable or StoreRefused.
        """


class EnvironmentBuilder(Protocol):
    """Builds model environments. What is built is kept and shared by all who ask for the same."""

    def check(self, facts: ModelFacts) -> EnvironmentRequest:
        """Turn what a model asks for into a request. Raises NoInterpreter or UnsupportedRequirements at once."""

    async def begin(self, request: EnvironmentRequest) -> None:
        """Begin a build. Built already, or building: no effect. After a failure: begins anew."""

    async def observe(self, environment: EnvironmentId) -> BuildProgress | None:
        """Tell how the build stands, READY also for one found on disk; None when nothing is known of it."""

    async def cancel(self, environment: EnvironmentId) -> None:
        """Stop a build, with everything it started, within five seconds. None running: no error."""

    async def drop(self, environment: EnvironmentId) -> None:
        """Delete an environment. An unknown one is already gone: no error."""

    async def stored(self) -> Sequence[EnvironmentId]:
        """List the environments on disk, wanted or not."""

    async def lock(self, environment: EnvironmentId) -> str:
        """Return what is installed in a READY environment: pip's format, with hashes; "" where it is gone."""

    def locate(self, environment: EnvironmentId) -> Path:
        """Return the environment's directory (``bin/python`` in it); it may be missing."""


class Prover(Protocol):
    """Finds the path by which a revision's pods may serve. What is proven is kept, for all revisions of the same."""

    async def begin(self, spec: RevisionSpec) -> None:
        """Begin a proof; snapshot and environment must be ready. Proven or under way: no effect. Failed: anew."""

    async def observe(self, spec: RevisionSpec) -> ProofProgress | None:
        """Tell how the proof stands, DONE also for one found on disk; None when nothing is known of it."""

    async def cancel(self, spec: RevisionSpec) -> None:
        """Stop the proof. None under way: no error."""

    async def examination(self, spec: RevisionSpec) -> Examination | None:
        """Tell what a proof's pod found besides: invariants, and what loading the model did. None: nothing yet."""

    async def check(self, spec: RevisionSpec, pods: Sequence[PodId]) -> LiveCheck | None:
        """Compare requests that these pods kept with pyfunc: begin that, or tell what came of it. None: nothing yet.

        Where any differs, the proof does not hold any more, for nobody and for good.
        """


class LogStore(Protocol):
    """Build, pod and platform logs; of the dead too, until a cap pushes them out."""

    async def read(self, name: LogName, *, after: int = 0, limit: int = 1000, contains: str | None = None) -> LogPage:
        """Return lines with a greater sequence than ``after``, those that contain the text where one is given.

        An unknown log is empty and complete.
        """

    async def tail(self, name: LogName, *, limit: int = 100) -> LogPage:
        """Return the last lines."""

    async def pods_of(self, revision: RevisionId) -> Sequence[str]:
        """List the ids of all pods, living and dead, whose logs of this revision are still kept; oldest first."""

    async def forget(self, name: LogName) -> None:
        """Delete a log. An unknown one is already gone: no error."""


class Signer(Protocol):
    """Signs access tokens. Two keys exist from the first day, so that one can be replaced without a gap."""

    def sign(self, claims: Mapping[str, str | int]) -> str:
        """Return a signed JWT (EdDSA) of these claims."""

    def public_keys(self) -> Mapping[str, bytes]:
        """Return the raw Ed25519 public keys by key id, for the gateway."""


class Nudge(Protocol):
    """Services tell controllers that there is work. Losing one costs latency, not correctness."""

    def __call__(self, kind: str, key: str) -> None:
        """Put ``key`` of ``kind`` (``deployment``, ``revision``, ``snapshot``, ``routing``) on its queue."""


class IdentityProvider(Protocol):
    """Whoever says who people are. May wait for the network for some seconds, and changes nothing here."""

    async def close(self) -> None:
        """Let go of connections; nothing is asked afterwards. Twice is once."""

    async def begin(self, flow: Flow) -> str:
        """Return the URL that the browser is to go to. Raises ProviderUnavailable."""

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        """Turn the parameters that the browser came back with into who it is; a code counts once.

        Raises SignInFailed for what cannot be trusted, and ProviderUnavailable.
        """
