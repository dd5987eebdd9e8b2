"""A queue of keys, for controllers that work from the state of things and not from messages.

- A key that is put twice before it is taken is taken once.
- A key that is put while it is worked on is taken again afterwards, never at the same time.
- A key can be put for later; the earliest time counts.
- A key that failed comes back with growing delay, until it succeeds.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import timedelta

FIRST_DELAY = timedelta(milliseconds=100)
LONGEST_DELAY = timedelta(seconds=30)


class WorkQueue:
    """The keys of one controller. Used from one event loop; times are the loop's, so clock jumps are no matter."""

    def __init__(self) -> None:
        self._ready: dict[str, None] = {}
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._changed = asyncio.Event()

    def put(self, key: str) -> None:
        """Ask for work on a key as soon as may be."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        else:
            self._ready[key] = None
        self._changed.set()

    def put_after(self, key: str, delay: timedelta) -> None:
        """Ask for work on a key after a delay; an earlier wish for it stays."""
        due = asyncio.get_running_loop().time() + max(delay.total_seconds(), 0.0)
        if key in self._ready or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, key))
        self._changed.set()

    async def take(self) -> str:
        """Wait for a key. It must be given back with ``done``."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            now = loop.time()
            while self._later and self._later[0][0] <= now:
                due, key = heapq.heappop(self._later)
                if self._due.get(key) == due:
                    del self._due[key]
                    self.put(key)
            if self._ready:
                key = next(iter(self._ready))
                del self._ready[key]
                self._working.add(key)
                if self._ready:
                    self._changed.set()
                return key
            wait = self._later[0][0] - now if self._later else None
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: str, *, failed: bool = False) -> timedelta | None:
        """Give a key back. After a failure it comes again by itself; returns after what delay."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.put(key)
        if not failed:
            self._failures.pop(key, None)
            return None
        times = self._failures.get(key, 0)
        self._failures[key] = times + 1
        delay = min(FIRST_DELAY * (1 << min(times, 16)), LONGEST_DELAY)
        self.put_after(key, delay)
        return delay
