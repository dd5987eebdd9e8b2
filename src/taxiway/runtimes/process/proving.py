"""ProcessProver: the port Prover on one machine. A proof is a pod that ends: same environment, same confinement.

Results lie in files named by what they hold for: snapshot, environment, scoring server, CPU and threads. Nothing is
remembered in a database: like the snapshot and the environment, a proof is found by its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import platform
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import TaxiwayError
from taxiway.domain.ids import EnvironmentId, SnapshotId
from taxiway.domain.proofs import ProofProgress, ProofState, ServingProof, read_proof
from taxiway.domain.revisions import RevisionSpec
from taxiway.runtimes.process.files import replace
from taxiway.runtimes.process.pods import Confinement, PodPlaces, proof_child, proof_config, threads
from taxiway.stub import children, levels

T = TypeVar("T")
AT_ONCE = 2
TIME_LIMIT = timedelta(seconds=90)
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
        locate_snapshot: Callable[[SnapshotId], Path],
        locate_environment: Callable[[EnvironmentId], Path],
        confine: Callable[[], Confinement],
    ) -> None:
        """Keep results and the jobs' directories in ``home``; ``scoring`` is the directory with its code."""
        self._home = home
        self._scoring = scoring
        self._locate_snapshot = locate_snapshot
        self._locate_environment = locate_environment
        self._confine = confine
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
        facts = [spec.snapshot, spec.environment, self._scoring.name, _cpu(), str(threads(spec.resources.cpus))]
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
        if (kept is not None and kept.state is ProofState.DONE) or any(key == waiting for waiting, _ in self._waiting):
            return
        if key in self._running and children.status(self._job(key)) is not None:
            return
        self._result(key).unlink(missing_ok=True)
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
            if directory.name in self._running:
                continue
            status = children.status(directory)
            if status is None or not status.is_alive:
                told = None if status is None else _told(status)
                if told is not None:
                    self._keep(directory.name, told.document)
                self._clear_away(directory.name)

    def _start(self, key: str, spec: RevisionSpec) -> None:
        self._clear_away(key)
        directory = self._job(key)
        environment = self._locate_environment(spec.environment)
        places = PodPlaces(
            directory=directory,
            home=directory / "home",
            config=directory / "config.json",
            socket=directory / "home" / "s",
            environment=environment,
            snapshot=self._locate_snapshot(spec.snapshot),
            scoring=self._scoring,
            proof=directory / "home" / "proof.json",
            interpreter=levels.interpreter_paths(environment / "bin" / "python"),
        )
        for made in (self._home, directory.parent, directory, places.home, places.home / "tmp"):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(places.config, json.dumps(proof_config(spec, places), indent=1))
        children.start(directory, proof_child(spec, places, self._confine(), limit=TIME_LIMIT, labels={"proof": key}))
        self._running.add(key)

    def _observe(self, spec: RevisionSpec) -> ProofProgress | None:
        key = self._key(spec)
        kept = self._kept(key)
        if kept is not None:
            return kept
        if any(key == waiting for waiting, _ in self._waiting):
            self._start_next()
            return ProofProgress(state=ProofState.RUNNING)
        status = children.status(self._job(key))
        if status is None:
            self._running.discard(key)
            return None
        told = _told(status)
        if told is not None:
            self._keep(key, told.document)
            self._end(key)
            return ProofProgress(state=ProofState.DONE, proof=told)
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
