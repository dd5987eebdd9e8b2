"""Time as tests set it, and a nudge that remembers."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.builders import NOW


class FakeClock:
    """The time, as tests set it. A ``Clock``; ``elapsed`` never goes back and does not feel ``jump``."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self._elapsed = 0.0

    def __call__(self) -> datetime:
        return self.now

    def elapsed(self) -> float:
        """Seconds on a clock that nobody sets."""
        return self._elapsed

    def advance(self, duration: timedelta | float) -> None:
        """Let time pass: seconds, or a duration."""
        step = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        self.now += step
        self._elapsed += step.total_seconds()

    def jump(self, duration: timedelta) -> None:
        """Have somebody set the clock, forwards or back; no time passes."""
        self.now += duration


class FakeNudge:
    """Remembers who was nudged, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, kind: str, key: str) -> None:
        self.told.append((kind, key))
