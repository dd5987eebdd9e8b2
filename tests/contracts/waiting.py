"""How contract tests wait: a fake's time is made to pass, a real adapter is given some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.fakes import FakeClock

T = TypeVar("T")
Pass = Callable[[], Awaitable[None]]
"""Lets a little time pass."""


def fake_time(clock: FakeClock) -> Pass:
    async def a_moment() -> None:
        clock.advance(0.1)

    return a_moment


async def real_time() -> None:
    await asyncio.sleep(0.02)


async def until(look: Callable[[], Awaitable[T]], holds: Callable[[T], object], a_moment: Pass) -> T:
    """Look again and again until what is seen is as it should be; return it."""
    seen = await look()
    end = time.monotonic() + 20
    while not holds(seen):
        assert time.monotonic() < end, f"it never came to be: {seen}"
        await a_moment()
        seen = await look()
    return seen
