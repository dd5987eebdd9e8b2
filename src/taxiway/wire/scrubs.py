"""Scrubs, as the API speaks of them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from taxiway.wire import Out


class DamageOut(Out):
    """A file that is not what was sealed."""

    environment: str
    snapshot: str = Field(description="The snapshot's digest.")
    path: str = Field(description="The file, as the model calls it.")
    place: str = Field(description="`store`, or `local copy` where the store is elsewhere.")
    message: str
    is_mended: bool = Field(description="Made whole again from another copy that was.")


class ScrubOut(Out):
    """One scrub. ``began_at`` is null before it began, ``ended_at`` while it runs."""

    id: str
    asked_at: datetime
    asked_by: str
    began_at: datetime | None
    ended_at: datetime | None
    snapshots: int = Field(description="Snapshots that were read, once for each store.")
    bytes_read: int
    damages: list[DamageOut]
    trouble: str = Field(description="Why not everything could be read; empty where it could.")


class ScrubList(Out):
    """Scrubs, newest first."""

    items: list[ScrubOut]
