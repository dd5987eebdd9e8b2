"""The loop of a controller: take a key, reconcile it, come back when the plan says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from taxiway.control.queue import WorkQueue
from taxiway.domain.errors import TaxiwayError

log = structlog.get_logger()

Reconcile = Callable[[str], Awaitable[timedelta | None]]
"""Brings one key nearer to what is wanted; returns after what time to look again, None: when told."""


class Controller:
    """Runs ``reconcile`` for the keys of one noun, each never twice at the same time.

    ``keys`` lists all keys that there are; they are all looked at when the loop starts and then every ``resync``,
    so that a lost nudge costs latency and nothing else.
    """

    def __init__(
        self,
        noun: str,
        *,
        reconcile: Reconcile,
        keys: Callable[[], Awaitable[Sequence[str]]],
        resync: timedelta = timedelta(seconds=15),
        width: int = 4,
        share: float = 1.0,
    ) -> None:
        """``share`` is how much of its time a worker may work: after each key it rests for the remainder.

        What it is told of meanwhile is done once, however often it was told.
        """
        self.noun = noun
        self.queue = WorkQueue()
        self._reconcile = reconcile
        self._keys = keys
        self._resync = resync
        self._width = width
        self._rest = 1 / share - 1

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._list_all())
            for _ in range(self._width):
                tasks.create_task(self._work())

    async def _list_all(self) -> None:
        while True:
            try:
                for key in await self._keys():
                    self.queue.put(key)
            except Exception:
                log.exception("keys not listed", noun=self.noun)
            await asyncio.sleep(self._resync.total_seconds())

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            failed, began = False, asyncio.get_running_loop().time()
            try:
                delay = await self._reconcile(key)
                if delay is not None:
                    self.queue.put_after(key, delay)
            except TaxiwayError as error:
                failed = True
                log.warning("reconcile failed", noun=self.noun, key=key, reason=error.reason, message=error.message)
            except Exception:
                failed = True
                log.exception("reconcile failed", noun=self.noun, key=key)
            finally:
                self.queue.done(key, failed=failed)
            if self._rest:
                await asyncio.sleep(self._rest * (asyncio.get_running_loop().time() - began))
