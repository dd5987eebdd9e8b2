"""One build, from a request to a sealed directory. Knows nothing of other builds; ``builder.py`` runs it.

Resolve to a lock with hashes, install exactly that, compile, seal. All of it in a directory beside the final place.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taxiway.domain.conditions import Failure
from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.errors import NoInterpreter
from taxiway.environments import compiled, failures, requirements, sealing, uv
from taxiway.environments.failures import BuildFailed
from taxiway.environments.requirements import Attempt
from taxiway.environments.running import run
from taxiway.environments.sealing import Skeleton

SMALLEST_BYTES = 256 << 20
"""What a model environment with NumPy, pandas and MLflow takes at the least, with its files in the cache."""
_LOOK_SECONDS = 0.2
_REMEMBERED_LINES = 400
_BIG_DOWNLOAD = re.compile(r"Downloading (\S+) \(([^)]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every build uses. ``reserve_bytes`` of the disk are left for the database."""

    home: Path
    cache: Path
    compiled: Path
    sources: uv.Sources
    host: Mapping[str, str]
    reserve_bytes: int
    find_uv: Callable[[], str]
    find_interpreter: Callable[[str], Path | None]
    free_bytes: Callable[[Path], int]


class Build:
    """A build while it runs. ``progress`` is what it says of itself."""

    def __init__(self, request: EnvironmentRequest, workshop: Workshop, write: Callable[[str], None]) -> None:
        self.progress = BuildProgress(state=BuildState.WAITING, detail="waiting for another build to end")
        self._request = request
        self._shop = workshop
        self._write = write
        self._building = sealing.new_building(workshop.home, request.id)
        self._listed = self._building.with_name(f"{self._building.name}.compiled")
        self._lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._env = uv.variables(workshop.sources, workshop.host, cache=workshop.cache)
        self._total: int | None = None

    async def run(self) -> None:
        """Build it. Raises BuildFailed; cancelled, it leaves nothing behind and nothing running."""
        try:
            await self._run()
        except OSError as error:
            need = self._shop.reserve_bytes + SMALLEST_BYTES
            raise BuildFailed(failures.of_system(error, need=need, free=self._free)) from error
        finally:
            await asyncio.to_thread(self._clear_away)

    def _clear_away(self) -> None:
        sealing.remove(self._building)
        self._listed.unlink(missing_ok=True)

    def last_lines(self) -> tuple[str, ...]:
        """Return what uv said last."""
        return tuple(self._lines)

    async def _run(self) -> None:
        began = time.monotonic()
        self._enter(BuildState.RESOLVING, f"resolving {len(self._request.requirements)} requirements")
        for directory in (self._shop.home, self._shop.cache):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._check_disk(self._shop.reserve_bytes + SMALLEST_BYTES)
        uv_program = self._find_uv()
        interpreter = await asyncio.to_thread(self._shop.find_interpreter, self._request.python)
        if interpreter is None:
            message, hint = failures.no_interpreter(self._request.python, ())
            raise BuildFailed(Failure(reason=NoInterpreter.reason, message=message, hint=hint))
        self._write(f"Python {self._request.python}: {interpreter}")
        await self._must(uv.venv(uv_program, interpreter=interpreter, directory=self._building))
        skeleton = Skeleton.of(self._building)
        pinned = requirements.read_lock(await self._resolve(uv_program))
        self._total = len(pinned)
        self._write(f"Resolved {len(pinned)} packages in {time.monotonic() - began:.1f} s")
        await self._install(uv_program)
        await self._compile(interpreter)
        await self._seal(skeleton, packages=len(pinned))
        self._write(f"Ready: {len(pinned)} packages in {time.monotonic() - began:.1f} s")

    async def _resolve(self, uv_program: str) -> str:
        """Write the lock and return it: the first attempt that fits."""
        tried = requirements.attempts(self._request)
        for attempt in tried:
            if await self._try_to_resolve(uv_program, attempt):
                break
            if not failures.can_be_resolved_otherwise(self._lines):
                raise BuildFailed(failures.classify(self._lines))
        else:
            raise BuildFailed(failures.classify(self._lines))
        path = self._building / sealing.LOCK
        lock = path.read_text("utf-8")
        more = requirements.completed(self._request, attempt, lock)
        if more is None:
            return lock
        if await self._try_to_resolve(uv_program, more):
            return path.read_text("utf-8")
        path.write_text(lock, "utf-8")  # it cannot be had with more: as it was resolved, then
        return lock

    async def _try_to_resolve(self, uv_program: str, attempt: Attempt) -> bool:
        if attempt.note:
            self._write(attempt.note)
        for line in attempt.lines:
            self._write(f"  {line}")
        asked, lock = self._building / sealing.ASKED, self._building / sealing.LOCK
        asked.write_text("".join(f"{line}\n" for line in attempt.lines), "utf-8")
        lock.unlink(missing_ok=True)  # uv would prefer the versions of an earlier attempt
        self._lines.clear()
        code = await self._watch(
            uv.resolve(uv_program, self._shop.sources, python=self._python(), asked=asked, lock=lock)
        )
        return code == 0

    async def _install(self, uv_program: str) -> None:
        self._enter(BuildState.INSTALLING, f"0 of {self._total} packages")
        lock = self._building / sealing.LOCK
        await self._must(uv.install(uv_program, self._shop.sources, python=self._python(), lock=lock))
        self._count()

    async def _compile(self, interpreter: Path) -> None:
        self._enter(BuildState.COMPILING, f"{self._total} packages, compiling")
        began = time.monotonic()
        # Not uv's --compile-bytecode: see compiling.py for whose Python may do it, and what -S keeps away.
        command = [
            str(interpreter), "-I", "-S", "-W", "ignore", str(compiled.PROGRAM), str(self._shop.compiled),
            str(self._packages()), str(self._listed),
        ]  # fmt: skip
        if await self._watch(command) != 0:
            # Some packages ship files for other Pythons; they are read as they are, as pip leaves them too.
            self._write("Some files could not be compiled and were left as they are.")
        self._write(f"Compiled in {time.monotonic() - began:.1f} s")

    async def _seal(self, skeleton: Skeleton, *, packages: int) -> None:
        """Seal it and let it be seen. Cancelled on the way, it is either there as a whole or not at all."""
        sealing_it = asyncio.ensure_future(
            asyncio.to_thread(sealing.seal, self._building, self._request, skeleton=skeleton, packages=packages)
        )
        try:
            await asyncio.shield(sealing_it)
        except asyncio.CancelledError:
            await asyncio.wait({sealing_it})  # a thread cannot be stopped, and must not seal what is being removed
            raise
        await asyncio.to_thread(sealing.sync_all, self._building)
        await asyncio.to_thread(compiled.publish, self._listed)
        sealing.move_into_place(self._building, self._shop.home, self._request.id)

    async def _must(self, command: Sequence[str]) -> None:
        self._lines.clear()
        if await self._watch(command) != 0:
            raise BuildFailed(failures.classify(self._lines))

    async def _watch(self, command: Sequence[str]) -> int:
        """Run a program, look now and then how far it is and whether the disk still has room."""
        # `uv venv` makes the directory itself; before, there is no place for a note.
        note = self._building / sealing.PROCESS if self._building.exists() else None
        running = asyncio.ensure_future(run(command, env=self._env, say=self._say, note=note))
        try:
            while not (await asyncio.wait({running}, timeout=_LOOK_SECONDS))[0]:
                self._check_disk(self._shop.reserve_bytes)
                self._count()
            return running.result()
        finally:
            running.cancel()
            await asyncio.wait({running})

    def _say(self, line: str) -> None:
        text = uv.mask(line)
        if not text.strip():
            return
        self._lines.append(text)
        self._write(text)
        download = _BIG_DOWNLOAD.match(text)
        if download is not None:
            self._tell(f"0 of {self._total} packages, downloading {download[1]} ({download[2]})")

    def _count(self) -> None:
        if self.progress.state is not BuildState.INSTALLING:
            return
        done = sum(1 for path in self._packages().iterdir() if path.name.endswith(".dist-info"))
        if done:
            self._tell(f"{done} of {self._total} packages", done=done)

    def _enter(self, state: BuildState, detail: str) -> None:
        done = self.progress.packages_done
        self.progress = BuildProgress(state=state, packages_done=done, packages_total=self._total, detail=detail)

    def _tell(self, detail: str, *, done: int = 0) -> None:
        self.progress = BuildProgress(
            state=self.progress.state, packages_done=done, packages_total=self._total, detail=detail
        )

    def _check_disk(self, need: int) -> None:
        have = self._free()
        if have < need:
            raise BuildFailed(failures.out_of_disk(need=need, have=have))

    def _free(self) -> int:
        return self._shop.free_bytes(self._shop.home)

    def _find_uv(self) -> str:
        try:
            return self._shop.find_uv()
        except FileNotFoundError:
            raise BuildFailed(failures.uv_is_missing()) from None

    def _python(self) -> Path:
        return self._building / "bin" / "python"

    def _packages(self) -> Path:
        return self._building / "lib" / f"python{self._request.python}" / "site-packages"
