"""UvEnvironmentBuilder: the port EnvironmentBuilder. Keeps builds apart, counts them, remembers how they ended.

What is built lies on disk and speaks for itself; what is being built, and what failed, is known in memory only and
does not outlive a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from taxiway.domain.conditions import Failure
from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.errors import EnvironmentFailed, NoInterpreter, TaxiwayError
from taxiway.domain.ids import EnvironmentId
from taxiway.domain.models import ModelFacts
from taxiway.environments import compiled, failures, requirements, sealing, uv
from taxiway.environments.build import Build, Workshop
from taxiway.environments.failures import BuildFailed
from taxiway.environments.interpreters import Interpreters

RESERVE_BYTES = 256 << 20
"""What builds leave free on the disk, so that the database can go on writing."""
_log = logging.getLogger(__name__)


class BuildLogWriter(Protocol):
    """Where a build's lines go."""

    def write(self, text: str, *, is_error: bool = False) -> None:
        """Append one line."""

    def close(self) -> None:
        """Say that nothing more comes."""


class _QuietLog:
    """A build's log that is left unwritten where it cannot be written: that must not be why a build fails."""

    def __init__(self, open_log: Callable[[EnvironmentId], BuildLogWriter], environment: EnvironmentId) -> None:
        self._writer: BuildLogWriter | None = None
        with contextlib.suppress(OSError):
            self._writer = open_log(environment)

    def write(self, text: str, *, is_error: bool = False) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(text, is_error=is_error)

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


@dataclass(slots=True)
class _Begun:
    """A build that this process began: its task while it runs, then how it ended."""

    build: Build
    task: asyncio.Task[None] | None = None
    failure: Failure | None = None


class UvEnvironmentBuilder:
    """Builds with uv below ``home``. ``open`` it first; ``close`` stops what still runs."""

    def __init__(
        self,
        home: Path,
        *,
        cache: Path,
        open_log: Callable[[EnvironmentId], BuildLogWriter],
        index_url: str = "",
        wheel_store: Path | None = None,
        is_offline: bool = False,
        allow_source_builds: bool = False,
        build_timeout: timedelta = timedelta(minutes=15),
        concurrent_builds: int = 2,
        reserve_bytes: int = RESERVE_BYTES,
        host: Mapping[str, str] | None = None,
        interpreters: Interpreters | None = None,
        find_uv: Callable[[], str] = find_uv_bin,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        """Take ``cache`` on the file system of ``home``, or files are copied and not linked. Builders may share it.

        ``index_url`` '' means the host's own uv configuration; ``host`` is the environment that certificates and
        proxies are taken from, by default this process's own.
        """
        self._home = home
        self._open_log = open_log
        self._timeout = build_timeout
        self._interpreters = interpreters or Interpreters()
        self._index = uv.mask(index_url)
        self._shop = Workshop(
            home=home,
            cache=cache / "uv",
            compiled=cache / "compiled",
            sources=uv.Sources(
                index_url=index_url,
                wheel_store=wheel_store,
                is_offline=is_offline,
                allow_source_builds=allow_source_builds,
            ),
            host=os.environ if host is None else host,
            reserve_bytes=reserve_bytes,
            find_uv=find_uv,
            find_interpreter=self._interpreters.get,
            free_bytes=free_bytes,
        )
        self._places = asyncio.Semaphore(concurrent_builds)
        self._begun: dict[EnvironmentId, _Begun] = {}
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Clear away what a crash left half built, and begin to look for interpreters.

        No other builder may work in the same home.
        """
        self._looking = asyncio.create_task(self._look_for_interpreters())
        count = await asyncio.to_thread(sealing.clear_leftovers, self._home)
        if count:
            _log.info("cleared away %d half-built model environments", count)

    async def close(self) -> None:
        """Stop all builds."""
        if self._looking is not None:
            await self._looking
        for environment in list(self._begun):
            await self.cancel(environment)

    def check(self, facts: ModelFacts) -> EnvironmentRequest:
        """Turn what a model asks for into a request. Raises NoInterpreter or UnsupportedRequirements at once.

        EnvironmentFailed where uv is missing. May be called in any thread: it looks for interpreters on the host when
        one is missing, which takes a second where a version manager has many shims.
        """
        python = requirements.minor_of(facts.python_version)
        asked = requirements.check_requirements(facts.requirements)
        fitting = requirements.scoring_pythons()
        if not fitting.contains(f"{python}.99"):
            raise NoInterpreter(
                f"Python {python}, which the model was logged with, is not one that the scoring server runs on "
                f"({fitting}).",
                hint="Log the model with a newer Python.",
            )
        if self._interpreters.get(python) is None:
            message, hint = failures.no_interpreter(python, self._interpreters.versions())
            raise NoInterpreter(message, hint=hint)
        return EnvironmentRequest(
            python=python,
            requirements=asked,
            scoring_requirements=requirements.scoring_requirements(),
            mlflow_version=requirements.logged_with(facts.mlflow_version),
            platform=requirements.this_platform(),
            index=self._index,
        )

    async def begin(self, request: EnvironmentRequest) -> None:
        """Begin a build. Built already, or building: no effect. After a failure: begins anew."""
        begun = self._begun.get(request.id)
        if begun is not None and begun.task is not None:
            if begun.failure is None:
                return
            # It has failed, and is about to end: who asks again now must not be taken for whoever waits for it.
            await asyncio.wait({begun.task})
        self._begun.pop(request.id, None)
        if sealing.packages_in(self._home, request.id) is not None:
            return
        log = _QuietLog(self._open_log, request.id)
        begun = _Begun(build=Build(request, self._shop, log.write))
        self._begun[request.id] = begun
        begun.task = asyncio.create_task(self._keep(begun, log))
        # A callback, since a task that is cancelled before its first step never gets to a ``finally``.
        begun.task.add_done_callback(lambda task: self._end(request.id, begun, log, is_cancelled=task.cancelled()))

    async def observe(self, environment: EnvironmentId) -> BuildProgress | None:
        """Tell how the build stands, READY also for one found on disk; None when nothing is known of it."""
        begun = self._begun.get(environment)
        if begun is not None:
            progress = begun.build.progress
            if begun.failure is None:
                return progress
            return replace(progress, state=BuildState.FAILED, failure=begun.failure, detail=begun.failure.message)
        packages = sealing.packages_in(self._home, environment)
        if packages is None:
            return None
        return BuildProgress(
            state=BuildState.READY, packages_done=packages, packages_total=packages, detail=f"{packages} packages"
        )

    async def cancel(self, environment: EnvironmentId) -> None:
        """Stop a build, with everything it started, within five seconds. None running: no error."""
        begun = self._begun.get(environment)
        if begun is None or begun.task is None:
            return
        begun.task.cancel()
        await asyncio.wait({begun.task})

    async def drop(self, environment: EnvironmentId) -> None:
        """Delete an environment, and stop its build. An unknown one is already gone: no error."""
        await self.cancel(environment)
        self._begun.pop(environment, None)
        await asyncio.to_thread(sealing.drop, self._home, environment)
        await asyncio.to_thread(compiled.prune, self._shop.compiled)

    async def stored(self) -> Sequence[EnvironmentId]:
        """List the environments on disk, wanted or not."""
        return sealing.sealed_in(self._home)

    async def lock(self, environment: EnvironmentId) -> str:
        """Return what is installed in a READY environment: pip's format, with hashes; "" where it is gone."""
        try:
            return await asyncio.to_thread((self.locate(environment) / sealing.LOCK).read_text, "utf-8")
        except FileNotFoundError:
            return ""

    def locate(self, environment: EnvironmentId) -> Path:
        """Return the environment's directory (``bin/python`` in it); it may be missing."""
        return self._home / environment

    async def _look_for_interpreters(self) -> None:
        try:
            await asyncio.to_thread(self._interpreters.get, requirements.OWN_PYTHON)
        except EnvironmentFailed as error:
            _log.warning("model environments cannot be built: %s", error.message)

    async def _keep(self, begun: _Begun, log: _QuietLog) -> None:
        """Run a build within its deadline, when there is a place, and keep how it ended."""
        try:
            async with self._places, asyncio.timeout(self._timeout.total_seconds()):
                await begun.build.run()
        except Exception as error:  # whatever it was, nobody must wait for this build any more
            begun.failure = self._explain(error, begun.build)
            log.write(f"Failed: {begun.failure.message}", is_error=True)

    def _end(self, environment: EnvironmentId, begun: _Begun, log: _QuietLog, *, is_cancelled: bool) -> None:
        begun.task = None
        if begun.failure is None:  # built, and the disk speaks for it from now on; or cancelled, and nothing is left
            del self._begun[environment]
        if is_cancelled:
            log.write("The build was cancelled.", is_error=True)
        log.close()

    def _explain(self, error: Exception, build: Build) -> Failure:
        if isinstance(error, BuildFailed):
            return error.failure
        if isinstance(error, TimeoutError):
            return failures.deadline_exceeded(self._timeout, detail=build.progress.detail, lines=build.last_lines())
        if isinstance(error, TaxiwayError):
            return Failure(reason=error.reason, message=error.message, hint=error.hint or "See the build log.")
        _log.error("a model environment could not be built", exc_info=error)
        return Failure(
            reason=TaxiwayError.reason,
            message="The model environment could not be built: an error within Taxiway.",
            hint="See the log of the control plane, then try again.",
        )
