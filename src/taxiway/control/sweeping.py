"""Clears away what nobody needs any more: model environments and snapshots that no row names.

A crash can leave such things (a copy that ended while its deployment was deleted), and deletions leave model
environments on purpose: the next model with the same requirements finds its own ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from datetime import timedelta

import structlog

from taxiway.domain.ids import EnvironmentId, SnapshotId
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.models import Environment
from taxiway.ports import EnvironmentBuilder, LogStore, SnapshotStore
from taxiway.store import revisions, snapshots
from taxiway.store.database import Database

log = structlog.get_logger()

ENVIRONMENTS_KEPT_FOR = timedelta(hours=1)
SNAPSHOTS_KEPT_FOR = timedelta(minutes=1)
"""Long enough for a copy that is just done to be remembered."""


class Sweeper:
    """Drops what was found unused for long enough. What it found is forgotten with the process: then it waits again."""

    def __init__(
        self,
        *,
        database: Database,
        stores: Mapping[Environment, SnapshotStore],
        builder: EnvironmentBuilder,
        logs: LogStore,
        environments_kept_for: timedelta = ENVIRONMENTS_KEPT_FOR,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._stores = stores
        self._builder = builder
        self._logs = logs
        self._environments_kept_for = environments_kept_for
        self._elapsed = elapsed
        self._unused_since: dict[Hashable, float] = {}

    async def sweep(self) -> None:
        """Look once and drop what is due. Called every minute or so; once more does no harm."""
        stored = {(where, digest) for where in self._stores for digest in await self._stores[where].stored()}
        built = await self._builder.stored()
        async with self._database.read() as tx:
            used = {(where, digest) for where in self._stores for digest in await snapshots.digests(tx, where)}
            environments = await revisions.environments(tx)
        unused_snapshots = stored - used
        unused_environments = set(built) - set(environments)
        self._remember({*unused_snapshots, *unused_environments})
        for unused in sorted(unused_snapshots):
            if self._is_due(unused, SNAPSHOTS_KEPT_FOR):
                await self._drop_snapshot(*unused)
        for environment in sorted(unused_environments):
            if self._is_due(environment, self._environments_kept_for):
                await self._drop_environment(environment)

    def _remember(self, unused: Collection[Hashable]) -> None:
        now = self._elapsed()
        self._unused_since = {key: self._unused_since.get(key, now) for key in unused}

    def _is_due(self, key: Hashable, kept_for: timedelta) -> bool:
        return self._elapsed() - self._unused_since[key] >= kept_for.total_seconds()

    async def _drop_snapshot(self, environment: Environment, digest: SnapshotId) -> None:
        async with self._database.read() as tx:
            if digest in await snapshots.digests(tx, environment):
                return
        await self._stores[environment].drop(digest)
        log.info("snapshot dropped", digest=digest[:12])

    async def _drop_environment(self, environment: EnvironmentId) -> None:
        # Asked again: dropping takes its time, and somebody may have come to need the next one meanwhile.
        async with self._database.read() as tx:
            if environment in await revisions.environments(tx):
                return
        await self._builder.drop(environment)
        await self._logs.forget(LogName(kind=LogKind.BUILD, id=environment))
        log.info("model environment dropped", environment=environment[:12])
