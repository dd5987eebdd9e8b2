"""Scrubs: every file of every kept snapshot read again, so that damage is found before a pod finds it.

A scrub reports and mends copies of what is whole elsewhere; it never deletes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from taxiway.domain.ids import SnapshotId
from taxiway.domain.models import Environment

TRY_AGAIN_AFTER = timedelta(hours=1)
"""When a scrub that could not read everything is followed by the next."""


class Place(StrEnum):
    """Which copy of a snapshot is spoken of."""

    STORE = "store"
    """The store itself: its files, or its objects."""
    LOCAL = "local copy"
    """What pods of this host read, where the store is elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A file that is not what was sealed."""

    environment: Environment
    snapshot: SnapshotId
    path: str
    place: Place
    message: str
    is_mended: bool = False
    """Made whole again from another copy that was."""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two finds the same damage."""
        return self.environment, self.snapshot, self.place, self.path

    def say(self) -> str:
        """Return the damage in one sentence."""
        whose = f"{self.environment.value.capitalize()}'s snapshot {self.snapshot[:12]}"
        ending = " It was made whole again." if self.is_mended else ""
        return f"{whose} ({self.place}) is damaged: {self.message}{ending}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a store found of one of a snapshot's files. ``is_mended``: it made that whole again."""

    path: str
    place: Place
    message: str
    is_mended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrub:
    """One scrub: asked for, begun, ended. A control plane that dies in it leaves it to the next, which begins anew."""

    id: str
    asked_at: datetime
    asked_by: str
    began_at: datetime | None = None
    ended_at: datetime | None = None
    snapshots: int = 0
    bytes_read: int = 0
    damages: tuple[Damage, ...] = ()
    trouble: str = ""
    """Why not everything could be read."""

    @property
    def unmended(self) -> tuple[Damage, ...]:
        """The damages that are still there."""
        return tuple(damage for damage in self.damages if not damage.is_mended)

    def is_over_for(self, now: datetime, period: timedelta) -> bool:
        """Tell whether it ended so long ago that the next is due."""
        pause = min(period, TRY_AGAIN_AFTER) if self.trouble else period
        return self.ended_at is not None and now - self.ended_at >= pause
