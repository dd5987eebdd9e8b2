"""Rates and counts per principal, kept in memory: a restart forgives, and nothing grows without bound."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taxiway.domain.errors import TooManyRequests

MOST_KEYS = 10_000


class RateLimiter:
    """A token bucket a key: ``rate`` a second for ever, ``burst`` at once."""

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one; raises TooManyRequests when there is none."""
        now = self._clock()
        left, since = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        is_enough = left >= 1
        self._buckets[key] = (left - 1 if is_enough else left, now)
        # The key that was idle for the longest has a full bucket, or nearly: forgetting it costs nothing.
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        if not is_enough:
            raise TooManyRequests(
                f"More than {self._rate:g} requests a second.",
                hint="Ask less often.",
                retry_after_seconds=math.ceil((1 - left) / self._rate),
            )


class Slots:
    """At most so many things at the same time for a key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold one while the block runs; raises TooManyRequests when all are taken."""
        if self._taken[key] >= self._most:
            raise TooManyRequests(
                f"{self._most} streams are open already.", hint="Close one.", retry_after_seconds=RETRY_SECONDS
            )
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if self._taken[key] <= 0:
                del self._taken[key]


RETRY_SECONDS = 5
