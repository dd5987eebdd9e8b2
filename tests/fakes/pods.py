"""Runtime in memory: pods that live by the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from taxiway.domain.conditions import Failure
from taxiway.domain.ids import (
    PodId,
    RevisionId,
)
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.pods import PodAnswer, PodObservation, PodPhase, ReportedPhase
from taxiway.domain.revisions import RevisionSpec
from tests.fakes.clock import FakeClock
from tests.fakes.logs import FakeLogStore


class PodFate(Enum):
    """What becomes of a revision's pods."""

    WELL = auto()
    NEVER_READY = auto()
    """Loads for ever."""
    FAILS_AT_LOAD = auto()
    """Ends while it loads, whenever it is started."""
    FAILS_FOR_GOOD = auto()
    """Ends and is not started again: its snapshot is not what was copied."""
    CRASHES_AFTER_READY = auto()
    """Ends three seconds after it was ready, whenever it is started."""
    VANISHES = auto()
    """Is gone two seconds after it was ready, once, as if the machine had lost it."""
    NEVER_STOPS = auto()
    """Drains for ever."""


PENDING_SECONDS, READY_SECONDS, CRASH_SECONDS, VANISH_SECONDS = 0.2, 1.0, 3.0, 2.0
DRAIN_SECONDS = 0.3
REPORTED = tuple(
    ReportedPhase(name=name, seconds=seconds)
    for name, seconds in (("verified", 0.1), ("loaded", 0.5), ("example", 0.2), ("ready", 0.0))
)
EXITED = Failure(reason="Exited", message="The scoring server exited with code 1.", hint="See its container log.")
TAMPERED = Failure(
    reason="ArtifactDigestMismatch",
    message="The file 'model.pkl' is not what was copied.",
    hint="Convert the run again for a new copy.",
    retryable=False,
)


@dataclass(kw_only=True)
class FakePod:
    """One pod: when it was started, and when it was told to stop."""

    id: PodId
    revision: RevisionId
    born: float
    created_at: datetime
    fate: PodFate
    draining_since: float | None = None
    crashes: int = 0
    rows: int = 0


class FakeRuntime:
    """Pods by the clock. ``fates`` and ``refusals`` are a revision's own; ``fate`` is everybody else's."""

    def __init__(self, clock: FakeClock, *, logs: FakeLogStore | None = None, fate: PodFate = PodFate.WELL) -> None:
        self._clock = clock
        self._logs = logs
        self.fate = fate
        self.fates: dict[RevisionId, PodFate] = {}
        self.refusals: dict[RevisionId, Exception] = {}
        """What ``apply`` raises for a revision, for as long as it is there."""
        self.wanted: dict[RevisionId, tuple[RevisionSpec, int]] = {}
        self.is_blind: Exception | None = None
        """What ``observe`` raises, for as long as it is set."""
        self.made = 0
        self.most_at_once: Counter[RevisionId] = Counter()
        self._pods: dict[PodId, FakePod] = {}

    async def apply(self, spec: RevisionSpec, *, scale: int) -> None:
        if spec.id in self.refusals:
            raise self.refusals[spec.id]
        self.wanted[spec.id] = (spec, scale)
        self._keep(spec.id)

    async def remove(self, revision: RevisionId, *, grace: timedelta) -> None:
        self.wanted.pop(revision, None)
        for pod in [pod for pod in self._pods.values() if pod.revision == revision]:
            if grace <= timedelta():
                del self._pods[pod.id]
            elif pod.draining_since is None:
                pod.draining_since = self._clock.elapsed()

    async def observe(self) -> Sequence[PodObservation]:
        if self.is_blind is not None:
            raise self.is_blind
        for revision in list(self.wanted):
            self._keep(revision)
        self._end_what_is_over()
        return [self._seen(pod) for pod in self._pods.values()]

    def add_stray(self, revision: RevisionId) -> None:
        """Have a pod run that nobody asked for, as one of a revision that was forgotten."""
        self._make(revision)

    def crash(self, revision: RevisionId) -> None:
        """Have the revision's scoring servers end once; they are started again at once."""
        for pod in self._pods.values():
            if pod.revision == revision:
                pod.born, pod.crashes = self._clock.elapsed(), pod.crashes + 1

    def return_rows(self, revision: RevisionId, rows: int) -> None:
        """Have each of the revision's pods return so many predictions."""
        for pod in self._pods.values():
            pod.rows += rows if pod.revision == revision else 0

    def lose_pods(self) -> None:
        """Take all pods away, as when the machine is restarted: nothing tells why."""
        self._pods.clear()

    def control_plane_died(self) -> None:
        """Forget what was wanted. Pods go on."""
        self.wanted.clear()

    def living(self) -> Sequence[FakePod]:
        """All pods, draining ones too."""
        return list(self._pods.values())

    def running(self) -> Sequence[RevisionId]:
        """Whose pods run, draining ones too."""
        return sorted(pod.revision for pod in self._pods.values())

    def _keep(self, revision: RevisionId) -> None:
        scale = self.wanted[revision][1]
        counted = [pod for pod in self._pods.values() if pod.revision == revision and pod.draining_since is None]
        for _ in range(scale - len(counted)):
            self._make(revision)
        for pod in counted[scale:]:
            pod.draining_since = self._clock.elapsed()
        now_running = sum(pod.revision == revision for pod in self._pods.values())
        self.most_at_once[revision] = max(self.most_at_once[revision], now_running)

    def _make(self, revision: RevisionId) -> None:
        self.made += 1
        pod = FakePod(
            id=PodId(f"p{self.made:04}"),
            revision=revision,
            born=self._clock.elapsed(),
            created_at=self._clock(),
            fate=self.fates.get(revision, self.fate),
        )
        self._pods[pod.id] = pod
        if self._logs is not None:
            self._logs.belongs(revision, pod.id)
            self._logs.write(LogName(kind=LogKind.POD, id=pod.id), "loading the model")

    def _end_what_is_over(self) -> None:
        now = self._clock.elapsed()
        for pod in list(self._pods.values()):
            if pod.draining_since is not None:
                if pod.fate is not PodFate.NEVER_STOPS and now - pod.draining_since >= DRAIN_SECONDS:
                    del self._pods[pod.id]
            elif pod.fate is PodFate.VANISHES and now - pod.born >= READY_SECONDS + VANISH_SECONDS:
                del self._pods[pod.id]
                self.wanted.pop(pod.revision, None)
                self.fates[pod.revision] = PodFate.WELL

    def _seen(self, pod: FakePod) -> PodObservation:
        now = self._clock.elapsed()
        age, restarts, is_down = now - pod.born, pod.crashes, False
        life = {
            PodFate.FAILS_AT_LOAD: READY_SECONDS / 2,
            PodFate.CRASHES_AFTER_READY: READY_SECONDS + CRASH_SECONDS,
        }.get(pod.fate)
        pause = 1.0
        while life is not None and age >= life:
            # One life and the pause after it, which doubles up to a minute.
            if age < life + pause:
                is_down = True
                break
            age, restarts, pause = age - life - pause, restarts + 1, min(pause * 2, 60.0)
        observation = PodObservation(
            id=pod.id,
            revision=pod.revision,
            phase=self._phase(pod, age, is_down=is_down),
            address=f"unix:/run/{pod.id}/s",
            created_at=pod.created_at,
            started_at=self._clock() - timedelta(seconds=age),
            restarts=restarts,
            rows=pod.rows,
            cpu_seconds=age,  # a whole core from its start on
            restart_at=self._clock() + timedelta(seconds=pause) if is_down else None,
            failure=EXITED if is_down or (restarts and age < READY_SECONDS) else None,
        )
        if observation.phase is PodPhase.FAILED:
            return replace(observation, failure=TAMPERED)
        return replace(observation, phases=REPORTED) if observation.phase is PodPhase.READY else observation

    @staticmethod
    def _phase(pod: FakePod, age: float, *, is_down: bool) -> PodPhase:
        if pod.draining_since is not None:
            return PodPhase.DRAINING
        if is_down:
            return PodPhase.UNREADY
        if age < PENDING_SECONDS:
            return PodPhase.PENDING
        if pod.fate is PodFate.FAILS_FOR_GOOD:
            return PodPhase.FAILED
        if age < READY_SECONDS or pod.fate in (PodFate.NEVER_READY, PodFate.FAILS_AT_LOAD):
            return PodPhase.STARTING
        return PodPhase.READY


class FakePods:
    """Pods that answer whatever they are asked with what they were sent."""

    async def ask(
        self, address: str, method: str, path: str, *, body: bytes = b"", content_type: str = "", timeout: float = 10.0
    ) -> PodAnswer:
        del address, path, timeout
        found = body if method == "POST" else b'{"openapi": "3.1.0"}'
        return PodAnswer(status=200, body=found, content_type=content_type or "application/json", milliseconds=1.5)
