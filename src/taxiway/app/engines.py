"""Keeps MLflow and Envoy: each under a stub of its own that restarts it; here the stubs themselves are kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import structlog

from taxiway.domain.errors import TaxiwayError
from taxiway.stub import children
from taxiway.stub.spec import to_json

log = structlog.get_logger()

LOOK_EVERY = timedelta(seconds=1)
STOP_PATIENCE = timedelta(seconds=20)
_DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine: its name, its child directory and what it is to be."""

    name: str
    directory: Path
    spec: children.ChildSpec


class Engines:
    """Starts what does not run, adopts what runs as it should, replaces what runs otherwise."""

    def __init__(self, engines: tuple[Engine, ...]) -> None:
        self._engines = engines
        self._digests = {engine.name: _digest(engine.spec) for engine in engines}

    async def start(self) -> None:
        """Bring all of them to what they are to be, side by side."""
        await asyncio.gather(*(self._settle(engine) for engine in self._engines))

    async def keep(self) -> None:
        """Start again what lost its stub, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            for engine in self._engines:
                try:
                    await self._settle(engine)
                except TaxiwayError as error:
                    log.warning("engine not started", engine=engine.name, reason=error.reason, message=error.message)

    async def _settle(self, engine: Engine) -> None:
        seen = await asyncio.to_thread(children.status, engine.directory)
        if seen is not None and seen.is_alive:
            if seen.labels.get(_DIGEST) == self._digests[engine.name]:
                return
            log.info("engine replaced", engine=engine.name)
            await children.stop(engine.directory, timeout=STOP_PATIENCE)
        spec = replace(engine.spec, labels={**engine.spec.labels, _DIGEST: self._digests[engine.name]})
        await children.start_in_thread(engine.directory, spec)
        log.info("engine started", engine=engine.name)


def _digest(spec: children.ChildSpec) -> str:
    """Tell a spec that changed, for example with the settings, from the one that runs."""
    text = json.dumps(to_json(spec, nonce="", group=""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
