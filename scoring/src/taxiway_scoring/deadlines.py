"""A time limit for what runs in the event loop's own thread, where nobody else could notice that it is over."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

TICK_SECONDS = 0.2
"""How often it is looked at most; an answer is that much late."""


class Overdue(BaseException):
    """The time is up. No ``Exception``, so that a model that catches those does not catch it."""


class Deadline:
    """Interrupts calls in the main thread that take longer than ``seconds``, by ``SIGALRM``.

    The timer runs only while there are calls, and is set once for many: it would cost more than a small prediction.
    Code that does not come back to the interpreter is not interrupted.
    """

    def __init__(self, seconds: float) -> None:
        """Must run in the main thread; takes ``SIGALRM``."""
        self._seconds = seconds
        self._tick = min(TICK_SECONDS, seconds / 4)
        self._until = math.inf
        self._is_ticking = self._was_used = False
        signal.signal(signal.SIGALRM, self._look)

    def call(self, function: Callable[[Any], Any], given: Any) -> Any:
        """Call a function of one argument. Raises Overdue, and what it raises."""
        self._was_used = True
        if not self._is_ticking:
            self._is_ticking = True
            signal.setitimer(signal.ITIMER_REAL, self._tick, self._tick)
        self._until = time.monotonic() + self._seconds
        try:
            return function(given)
        finally:
            self._until = math.inf

    def _look(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now > self._until:
            self._until = now  # again at the next tick, for a model may have swallowed it
            raise Overdue
        if self._until == math.inf and not self._was_used:
            self._is_ticking = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._was_used = False
