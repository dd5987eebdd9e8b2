"""ProcessProver: the port Prover on one machine. A proof is a pod that ends: same environment, same confinement.

Results lie in files named by what they hold for: snapshot, environment, scoring server and CPU. Nothing is
remembered in a database: like the snapshot and the environment, a proof is found by its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import platform
import shutil
import stat
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import Conflict, TaxiwayError
from taxiway.domain.examinations import Examination, read_examination
from taxiway.domain.ids import EnvironmentId, PodId
from taxiway.domain.proofs import (
    TURNED_OFF,
    LiveCheck,
    ProofProgress,
    ProofState,
    ServingPath,
    ServingProof,
    read_check,
    read_proof,
)
from taxiway.domain.revisions import RevisionSpec
from taxiway.runtimes.process.files import replace
from taxiway.runtimes.process.pods import (
    SPOOL,
    Confinement,
    PodPlaces,
    check_config,
    proof_child,
    proof_config,
)
from taxiway.stub import children, levels

T = TypeVar("T")
AT_ONCE = 2
TIME_LIMIT = timedelta(seconds=90)
MAX_CHECKED = 64
MAX_CHECKED_BYTES = 2 << 20
_log = logging.getLogger(__name__)


class ProcessProver:
    """Runs proofs as processes, at most two at once. A proof that a crash left alone is found or begun again.

    What a job reports becomes the file that pods wait for when somebody looks.
    """

    def __init__(
        self,
        home: Path,
        *,
        scoring: Path,
        locate_snapshot: Callable[[RevisionSpec], Path],
        locate_environment: Callable[[EnvironmentId], Path],
        confine: Callable[[], Confinement],
        locate_home: Callable[[PodId], Path],
    ) -> None:
        """Keep results and the jobs' directories in ``home``; ``scoring`` is the directory with its code.

        ``locate_home`` tells where a pod may write, and so where it keeps requests to be compared.
        """
        self._home = home
        self._scoring = scoring
        self._locate_snapshot = locate_snapshot
        self._locate_environment = locate_environment
        self._confine = confine
        self._locate_home = locate_home
        self._waiting: deque[tuple[str, RevisionSpec]] = deque()
        self._running: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proofs")

    async def begin(self, spec: RevisionSpec) -> None:
        """Begin a proof. Proven or under way: no effect. One that cannot be begun has failed."""
        await self._in_thread(lambda: self._begin(spec))

    async def observe(self, spec: RevisionSpec) -> ProofProgress | None:
        """Tell how the proof stands; None when nothing is known of it."""
        return await self._in_thread(lambda: self._observe(spec))

    async def cancel(self, spec: RevisionSpec) -> None:
        """Stop the proof."""
        await self._in_thread(lambda: self._cancel(spec))

    async def examination(self, spec: RevisionSpec) -> Examination | None:
        """Tell what a proof's pod found besides. None: nothing yet."""
        return await self._in_thread(lambda: self._examination(spec))

    async def check(self, spec: RevisionSpec, pods: Sequence[PodId]) -> LiveCheck | None:
        """Compare requests that pods kept with pyfunc: begin that, or tell what came of it. None: nothing yet."""
        return await self._in_thread(lambda: self._check(spec, pods))

    def locate(self, spec: RevisionSpec) -> Path:
        """Return the file that has the proof, or will have it, in a directory that is there."""
        directory = self._home / "results" / self._key(spec)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return directory / "proof.json"

    async def close(self) -> None:
        """Stop looking. Proofs that run go on; the next control plane finds them."""
        self._thread.shutdown(wait=True)

    # -- in the thread ----------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _key(self, spec: RevisionSpec) -> str:
        facts = [spec.snapshot, spec.environment, self._scoring.name, str(spec.options.method), _cpu()]
        return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]

    def _result(self, key: str) -> Path:
        return self._home / "results" / key / "proof.json"

    def _kept(self, key: str) -> ProofProgress | None:
        try:
            document = json.loads(self._result(key).read_text())
        except (OSError, ValueError):
            return None
        proof = read_proof(document)
        if proof is not None:
            return ProofProgress(state=ProofState.DONE, proof=proof)
        failed = document.get("failed") if isinstance(document, dict) else None
        if not isinstance(failed, dict):
            return None
        reason, message, hint = (str(failed.get(name, "")) for name in ("reason", "message", "hint"))
        failure = Failure(reason=reason, message=message, hint=hint)
        return ProofProgress(state=ProofState.FAILED, failure=failure)

    def _keep(self, key: str, document: Mapping[str, Any]) -> None:
        self._result(key).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(self._result(key), json.dumps(document))

    def _begin(self, spec: RevisionSpec) -> None:
        key = self._key(spec)
        kept = self._kept(key)
        if kept is not None and kept.failure is not None and kept.failure.reason == TURNED_OFF:
            return  # callers found what proofs do not
        if (kept is not None and kept.state is ProofState.DONE) or any(key == waiting for waiting, _ in self._waiting):
            return
        if key in self._running and children.status(self._job(key)) is not None:
            return
        for left in (self._result(key), self._examined(key)):
            left.unlink(missing_ok=True)
        self._waiting.append((key, spec))
        self._start_next()

    def _job(self, key: str) -> Path:
        return self._home / "jobs" / key

    def _start_next(self) -> None:
        self._tidy()
        while self._waiting and len(self._running) < AT_ONCE:
            key, spec = self._waiting.popleft()
            try:
                self._start(key, spec)
            except (TaxiwayError, OSError) as error:
                # Pods wait for a word, and do not care why there is no proof.
                message = error.message if isinstance(error, TaxiwayError) else str(error.strerror)
                _log.warning("a proof could not be begun: %s", message)
                self._keep(key, {"failed": {"reason": "ProofNotBegun", "message": message}})

    def _tidy(self) -> None:
        """Take what jobs told that nobody asks for any more, and clear them away."""
        if not self._job("").is_dir():
            return
        for directory in self._job("").iterdir():
            status = children.status(directory)
            if status is not None and not status.is_alive:
                self._take(directory.name, status)
                self._clear_away(directory.name)
                self._running.discard(directory.name)
            elif status is None and directory.name not in self._running:
                self._clear_away(directory.name)

    def _start(self, key: str, spec: RevisionSpec) -> None:
        self._clear_away(key)
        places = self._make_places(self._job(key), spec)
        replace(places.config, json.dumps(proof_config(spec, places), indent=1))
        self._launch(spec, places, key)
        self._running.add(key)

    def _launch(self, spec: RevisionSpec, places: PodPlaces, key: str) -> None:
        child = proof_child(spec, places, self._confine(), limit=TIME_LIMIT, labels={"proof": key})
        children.start(places.directory, child)

    def _make_places(self, directory: Path, spec: RevisionSpec) -> PodPlaces:
        environment = self._locate_environment(spec.environment)
        places = PodPlaces(
            directory=directory,
            home=directory / "home",
            config=directory / "config.json",
            socket=directory / "home" / "s",
            environment=environment,
            snapshot=self._locate_snapshot(spec),
            scoring=self._scoring,
            proof=directory / "home" / "proof.json",
            interpreter=levels.interpreter_paths(environment / "bin" / "python"),
        )
        for made in (self._home, directory.parent, directory, places.home, places.home / "tmp"):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        return places

    def _check(self, spec: RevisionSpec, pods: Sequence[PodId]) -> LiveCheck | None:
        key = self._key(spec)
        kept = self._kept(key)
        if kept is None or kept.proof is None or kept.proof.path is ServingPath.PYFUNC:
            return None
        directory = self._home / "checks" / key
        status = children.status(directory)
        if status is not None:
            return self._end_of_check(key, directory, status)
        found = [file for pod in pods for file in _files_in(self._locate_home(pod) / SPOOL)][:MAX_CHECKED]
        if not found:
            return None
        if directory.is_dir():
            shutil.rmtree(directory, ignore_errors=True)
        places = self._make_places(directory, spec)
        (places.home / SPOOL).mkdir(mode=0o700)
        for number, file in enumerate(found):
            file.rename(places.home / SPOOL / f"{number}.json")
        replace(places.config, json.dumps(check_config(spec, places), indent=1))
        self._launch(spec, places, key)
        return None

    def _end_of_check(self, key: str, directory: Path, status: children.ChildStatus) -> LiveCheck | None:
        told = next((read_check(dict(report.detail)) for report in status.reports if report.phase == "checked"), None)
        if told is None and status.is_alive:
            return None
        children.kill(directory)
        try:
            children.remove(directory)
        except Conflict:  # its stub is ending; what it told is told again at the next look
            return None
        if told is not None and told.differences:
            message = f"Of {told.rows} rows that callers sent, {told.differences} differ from pyfunc: {told.where}."
            self._keep(key, {"failed": {"reason": TURNED_OFF, "message": message}})
        return told

    def _observe(self, spec: RevisionSpec) -> ProofProgress | None:
        key = self._key(spec)
        status = children.status(self._job(key))
        if status is not None:
            self._take(key, status)
        kept = self._kept(key)
        if kept is not None:
            if status is not None and (not status.is_alive or self._examined(key).exists()):
                self._end(key)
            return kept
        if any(key == waiting for waiting, _ in self._waiting):
            self._start_next()
            return ProofProgress(state=ProofState.RUNNING)
        if status is None:
            self._running.discard(key)
            return None
        if status.is_alive:
            self._running.add(key)
            return ProofProgress(state=ProofState.RUNNING)
        trouble = status.trouble
        self._end(key)
        if trouble is None:  # its stub was killed: nobody knows anything
            return None
        failure = Failure(reason=trouble.reason, message=trouble.message, hint=trouble.hint, lines=trouble.lines)
        _log.warning("a proof failed: %s", failure.message)
        words = {"reason": failure.reason, "message": failure.message, "hint": failure.hint}
        self._keep(key, {"failed": words})
        return ProofProgress(state=ProofState.FAILED, failure=failure)

    def _take(self, key: str, status: children.ChildStatus) -> None:
        """Keep what a job told: the proof as soon as there is one, since pods wait for it, and what it found after."""
        told = _told(status)
        if told is not None and self._kept(key) is None:
            self._keep(key, told.document)
        found = next((dict(report.detail) for report in status.reports if report.phase == "examined"), None)
        if found is None and not status.is_alive and status.trouble is not None:
            found = {"trouble": status.trouble.message}
        if found is not None and not self._examined(key).exists():
            self._examined(key).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace(self._examined(key), json.dumps(found))

    def _examined(self, key: str) -> Path:
        return self._home / "results" / key / "examination.json"

    def _examination(self, spec: RevisionSpec) -> Examination | None:
        self._observe(spec)
        try:
            return read_examination(json.loads(self._examined(self._key(spec)).read_text()))
        except (OSError, ValueError):
            return None

    def _cancel(self, spec: RevisionSpec) -> None:
        key = self._key(spec)
        self._waiting = deque(item for item in self._waiting if item[0] != key)
        if self._job(key).is_dir():
            self._end(key)

    def _end(self, key: str) -> None:
        self._clear_away(key)
        self._running.discard(key)
        self._start_next()

    def _clear_away(self, key: str) -> None:
        directory = self._job(key)
        if not directory.is_dir():
            return
        children.kill(directory)
        try:
            children.remove(directory)
        except Exception as error:
            _log.warning("the directory of a proof could not be deleted: %s", error)
            shutil.rmtree(directory, ignore_errors=True)


def _files_in(directory: Path) -> list[Path]:
    """Return the requests that a pod kept. It may write anything there: only small regular files count."""
    try:
        with os.scandir(directory) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(".json")
                and stat.S_ISREG((info := entry.stat(follow_symlinks=False)).st_mode)
                and info.st_size <= MAX_CHECKED_BYTES
            ]
    except OSError:
        return []


def _told(status: children.ChildStatus) -> ServingProof | None:
    """Return the proof that a job reported."""
    return next((read_proof(dict(report.detail)) for report in status.reports if report.phase == "proven"), None)


@cache
def _cpu() -> str:
    """Return what the CPU can do: libraries choose their instructions, and with them the last bits, by that."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {' '.join(sorted(flags.split()))}"
