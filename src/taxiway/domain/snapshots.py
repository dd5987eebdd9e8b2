"""Artifact snapshots: immutable copies of a model version's files, named by the digest of their manifest.

| state           | on                                            | next            |
| --------------- | --------------------------------------------- | --------------- |
| PENDING, FAILED | a revision needs it: copy begun               | COPYING         |
| COPYING         | copy unknown (restart, cancelled): begun anew | COPYING         |
| COPYING         | sealed                                        | READY           |
| COPYING         | copy failed, or over its deadline             | FAILED          |
| READY           | a revision needs it and its files are gone    | COPYING         |
| any             | its model version is deleted                  | (forgotten)     |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taxiway.domain.conditions import Failure
from taxiway.domain.ids import ModelVersionId, SnapshotId


class SnapshotState(StrEnum):
    """What is seen of a snapshot."""

    PENDING = "Pending"
    COPYING = "Copying"
    READY = "Ready"
    FAILED = "Failed"


class SnapshotWanted(StrEnum):
    """What people want of a snapshot."""

    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotCopy:
    """The copy for one model version. Two versions with equal files share one ``digest`` on disk."""

    model_version: ModelVersionId
    wanted: SnapshotWanted
    state: SnapshotState
    digest: SnapshotId | None
    began_at: datetime | None
    bytes_done: int = 0
    bytes_total: int | None = None
    failure: Failure | None = None


class CopyState(StrEnum):
    """How a copy in progress stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """What a snapshot store says of a copy that it was asked for."""

    state: CopyState
    bytes_done: int
    bytes_total: int | None
    digest: SnapshotId | None = None
    file_count: int = 0
    failure: Failure | None = None
