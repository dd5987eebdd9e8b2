"""ProcessRuntime: the port Runtime on one machine. The edge that acts; ``pods.py`` decides.

What is wanted lives in memory and is told again at start; what is so lives in the pods' directories. Between the
two stands ``_keep``, which runs each second and whenever something was told. Everything that touches files or
processes runs in one thread of its own, so the event loop never waits and no two steps overlap.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from taxiway.domain.errors import TaxiwayError
from taxiway.domain.ids import EnvironmentId, PodId, RevisionId, new_id
from taxiway.domain.pods import PodObservation
from taxiway.domain.revisions import RevisionSpec
from taxiway.runtimes.process.files import replace
from taxiway.runtimes.process.looking import PodDirectories
from taxiway.runtimes.process.pods import (
    SPOOL,
    Confinement,
    PodPlaces,
    PodSeen,
    observe_pod,
    plan_pods,
    pod_child,
    pod_config,
    pod_labels,
)
from taxiway.stub import children, levels
from taxiway.stub.children import Level

T = TypeVar("T")
_log = logging.getLogger(__name__)
_KEEP_SECONDS = 1.0
_LOOK_CLOSER_SECONDS = 0.2
_RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodHome:
    """Where the runtime finds and puts things. ``dead_logs`` gets a directory a dead pod; ``sockets`` is short."""

    pods: Path
    sockets: Path
    dead_logs: Path
    scoring: Path
    """The directory with the scoring server's code."""


class ProcessRuntime:
    """Runs pods as processes. ``close`` ends the keeping, never the pods."""

    def __init__(
        self,
        home: PodHome,
        *,
        locate_snapshot: Callable[[RevisionSpec], Path],
        locate_environment: Callable[[EnvironmentId], Path],
        locate_proof: Callable[[RevisionSpec], Path],
        level: Level | None = None,
        allow_network: bool = False,
        use_cgroups: bool = True,
        log_bytes: int = 20 << 20,
    ) -> None:
        """Take ``level`` None for the strongest that the host has; ``log_bytes`` is what is kept of a pod's log."""
        self._home = home
        self._pods = PodDirectories(home.pods)
        self._locate_snapshot = locate_snapshot
        self._locate_environment = locate_environment
        self._locate_proof = locate_proof
        self._demanded = level
        self._allow_network = allow_network
        self._use_cgroups = use_cgroups
        self._log_bytes = log_bytes
        self._confinement: Confinement | None = None
        self._wanted: dict[RevisionId, tuple[RevisionSpec, int]] = {}
        self._kill_at: dict[PodId, float] = {}
        self._spawn_errors: dict[RevisionId, tuple[int, float]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pods")
        self._told = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def apply(self, spec: RevisionSpec, *, scale: int) -> None:
        """Make this revision so, with so many pods, and keep it so. Twice is once.

        Raises IsolationUnavailable when the demanded level cannot be had, StubNotStarted or OutOfDisk when a
        pod could not even be begun; the latter two are tried again meanwhile.
        """
        self._wanted[spec.id] = (spec, scale)
        self._spawn_errors.pop(spec.id, None)
        self._begin_keeping()
        await self._in_thread(lambda: self._settle(spec.id, self._pods_of(spec.id), raises=True))

    async def remove(self, revision: RevisionId, *, grace: timedelta) -> None:
        """Begin to stop all pods of the revision: drained, then killed after the grace period."""
        self._wanted.pop(revision, None)
        self._spawn_errors.pop(revision, None)
        self._begin_keeping()
        await self._in_thread(lambda: self._begin_removal(revision, grace))

    async def observe(self) -> Sequence[PodObservation]:
        """Tell every pod that has a directory here, wanted or not."""
        if self._keeper is None:
            self._begin_keeping()
        seen = await self._in_thread(self._pods.look)
        return [observe_pod(pod) for pod in seen]

    async def close(self) -> None:
        """Stop keeping. Pods go on; the next control plane adopts them."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._thread.shutdown(wait=True)

    # -- keeping ----------------------------------------------------------------------------------------------

    def _begin_keeping(self) -> None:
        self._told.set()
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="keep pods")

    async def _keep(self) -> None:
        while True:
            self._told.clear()
            try:
                is_busy = await self._in_thread(self._settle_all)
            except Exception:
                _log.exception("pods could not be looked after")
                is_busy = False
            try:
                async with asyncio.timeout(_LOOK_CLOSER_SECONDS if is_busy else _KEEP_SECONDS):
                    await self._told.wait()
            except TimeoutError:
                continue

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- in the thread ----------------------------------------------------------------------------------------

    def _settle_all(self) -> bool:
        """Bring everything closer to what is wanted. True while pods are on their way out."""
        for leaving, when in list(self._kill_at.items()):
            directory = self._home.pods / leaving
            status = children.status(directory)
            if status is None or not status.is_alive:
                self._kill_at.pop(leaving)
            elif time.monotonic() >= when:
                children.kill(directory)
        seen: dict[RevisionId, list[PodSeen]] = {revision: [] for revision in self._wanted}
        for pod in self._pods.look():
            seen.setdefault(pod.revision, []).append(pod)
        for pod_id in self._pods.left_over():
            self._delete(pod_id)
        for revision, pods in seen.items():
            self._settle(revision, pods, raises=False)
        return bool(self._kill_at)

    def _settle(self, revision: RevisionId, seen: Sequence[PodSeen], *, raises: bool) -> None:
        """Carry out the plan for one revision's pods."""
        wanted = self._wanted.get(revision)
        plan = plan_pods(seen, scale=wanted[1] if wanted else None)
        for pod in plan.stop:
            children.begin_stop(self._home.pods / pod)
        for pod in plan.clear_away:
            self._clear_away(pod, revision)
        if wanted is None or not self._may_spawn(revision):
            return
        try:
            for pod in plan.spawn_again:
                created_at = next(item.created_at for item in seen if item.id == pod)
                self._spawn(pod, wanted[0], created_at=created_at)
            for _ in range(plan.new_pods):
                self._spawn(PodId(new_id()), wanted[0], created_at=datetime.now(UTC))
        except TaxiwayError as error:
            count = self._spawn_errors.get(revision, (0, 0.0))[0]
            delay = _RETRY_SECONDS[min(count, len(_RETRY_SECONDS) - 1)]
            self._spawn_errors[revision] = (count + 1, time.monotonic() + delay)
            if raises:
                raise
            _log.warning("a pod of revision %s could not be begun: %s", revision, error.message)
        else:
            self._spawn_errors.pop(revision, None)

    def _pods_of(self, revision: RevisionId) -> Sequence[PodSeen]:
        return [pod for pod in self._pods.look() if pod.revision == revision]

    def _may_spawn(self, revision: RevisionId) -> bool:
        error = self._spawn_errors.get(revision)
        return error is None or time.monotonic() >= error[1]

    def _spawn(self, pod: PodId, spec: RevisionSpec, *, created_at: datetime) -> None:
        places = self._make_places(pod, spec)
        labels = pod_labels(pod, spec, places, created_at=created_at)
        confinement = self.confine()
        replace(places.config, json.dumps(pod_config(pod, spec, places), indent=1))
        children.start(places.directory, pod_child(spec, places, confinement, labels=labels))

    def confine(self) -> Confinement:
        """Return how pods are shut in here; the isolation level is chosen once."""
        if self._confinement is None:
            level = levels.choose_level(self._demanded, levels.survey())
            self._confinement = Confinement(
                level=level,
                bwrap=levels.find_bwrap(),
                allow_network=self._allow_network,
                use_cgroups=self._use_cgroups,
                log_bytes=self._log_bytes,
            )
        return self._confinement

    def _make_places(self, pod: PodId, spec: RevisionSpec) -> PodPlaces:
        directory, sockets = self._home.pods / pod, self._home.sockets / pod
        environment = self._locate_environment(spec.environment)
        places = PodPlaces(
            directory=directory,
            home=directory / "home",
            config=directory / "config.json",
            socket=sockets / "s",
            environment=environment,
            snapshot=self._locate_snapshot(spec),
            scoring=self._home.scoring,
            proof=self._locate_proof(spec),
            interpreter=levels.interpreter_paths(environment / "bin" / "python"),
        )
        for made in (self._home.pods, self._home.sockets, directory, sockets):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What a dead predecessor left in its home is not the next one's business.
        shutil.rmtree(places.home, ignore_errors=True)
        for own in ("tmp", SPOOL):
            (places.home / own).mkdir(parents=True, exist_ok=True, mode=0o700)
        return places

    def _begin_removal(self, revision: RevisionId, grace: timedelta) -> None:
        for pod in self._pods_of(revision):
            end = children.begin_stop if grace > timedelta() else children.kill
            if not end(self._home.pods / pod.id):
                self._clear_away(pod.id, revision)
                continue
            kill_at = time.monotonic() + grace.total_seconds()
            self._kill_at[pod.id] = min(kill_at, self._kill_at.get(pod.id, kill_at))

    def _clear_away(self, pod: PodId, revision: RevisionId) -> None:
        """Delete a dead pod's directories; its log is kept for those who ask why it died."""
        kept = self._home.dead_logs / pod
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(kept / "pod.json", json.dumps({"pod": pod, "revision": revision}))
        self._delete(pod, keep_log_in=kept / "log")

    def _delete(self, pod: PodId, *, keep_log_in: Path | None = None) -> None:
        try:
            children.remove(self._home.pods / pod, keep_log_in=keep_log_in)
        except (TaxiwayError, OSError) as error:
            _log.warning("pod %s could not be cleared away: %s", pod, error)
            return
        shutil.rmtree(self._home.sockets / pod, ignore_errors=True)
        self._kill_at.pop(pod, None)
