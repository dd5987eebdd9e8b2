"""The lease: of all control planes on one database, the one that holds it runs the controllers.

On SQLite a lock on the data directory does the same and no lease is needed. A holder that was stopped for longer than
the lease lives (SIGSTOP, a sleeping laptop, a cut network) must not act when it wakes: ``check`` is called before
each act, and looks at the clock that goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from taxiway.domain.errors import LeaseLost
from taxiway.ports import Clock
from taxiway.store import leases
from taxiway.store.database import Database

log = structlog.get_logger()

NAME = "controllers"
LIFE = timedelta(seconds=15)
RENEW_EVERY = timedelta(seconds=4)
MARGIN = timedelta(seconds=2)
"""How long before its end a lease is not trusted any more: clocks of two hosts differ a little."""


class Lease:
    """Held by one control plane at a time. ``holder`` names the data directory, so that a restart takes it back."""

    def __init__(self, *, database: Database, holder: str, now: Clock) -> None:
        self._database = database
        self._holder = holder
        self._now = now
        self._token: int | None = None
        self._good_until = 0.0

    @property
    def is_held(self) -> bool:
        """Whether this process may act at this moment."""
        return self._token is not None and _elapsed() < self._good_until

    def check(self, *_name: object) -> None:
        """Raise LeaseLost unless the lease is held now."""
        if not self.is_held:
            raise LeaseLost("Another control plane may hold the lease.", hint="It is taken again by itself.")

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run the work whenever, and only while, the lease is held; until cancelled."""
        while True:
            if await self._take():
                log.info("lease taken", holder=self._holder, token=self._token)
                await self._work_while_held(work)
                log.warning("lease lost", holder=self._holder)
            await asyncio.sleep(RENEW_EVERY.total_seconds() / 2)

    async def release(self) -> None:
        """Give the lease back, so that another control plane need not wait for its end."""
        if self._token is None:
            return
        async with self._database.write() as tx:
            await leases.release(tx, NAME, holder=self._holder, token=self._token)
        self._token = None

    async def _work_while_held(self, work: Callable[[], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work())
        try:
            while self.is_held:
                done, _ = await asyncio.wait([working], timeout=RENEW_EVERY.total_seconds())
                if done:
                    working.result()
                    return
                await self._renew()
        finally:
            self._token = None if not self.is_held else self._token
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _take(self) -> bool:
        asked_at = _elapsed()
        try:
            async with self._database.write() as tx:
                token = await leases.take(tx, NAME, holder=self._holder, now=self._now(), life=LIFE)
        except Exception:
            log.exception("lease not taken")
            return False
        if token is None:
            return False
        self._token, self._good_until = token, asked_at + (LIFE - MARGIN).total_seconds()
        return True

    async def _renew(self) -> None:
        if self._token is None:
            return
        asked_at = _elapsed()
        try:
            async with self._database.write() as tx:
                kept = await leases.renew(tx, NAME, holder=self._holder, token=self._token, now=self._now(), life=LIFE)
        except Exception:
            # Not known: it counts until its end, and is asked for again before.
            log.exception("lease not renewed")
            return
        self._good_until = asked_at + (LIFE - MARGIN).total_seconds() if kept else 0.0


def _elapsed() -> float:
    """Return seconds on a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
