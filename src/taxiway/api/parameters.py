"""Parameters that several routes take, with their bounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from taxiway.api import cursors

LARGEST_ID = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[
    str | None, Query(max_length=cursors.LONGEST, description="`next_cursor` of the page before; none: begin.")
]
Text = Annotated[str | None, Query(max_length=200)]

ProjectPath = Annotated[str, Path(max_length=80, description="A project's name.")]
ModelPath = Annotated[str, Path(max_length=80, description="A model's name.")]
VersionPath = Annotated[int, Path(ge=1, le=2**31 - 1, description="A model version's number.")]
IdPath = Annotated[str, Path(max_length=80)]
UserPath = Annotated[str, Path(max_length=80, description="A user's name.")]

AfterSequence = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="Only lines after this sequence.")]
Tail = Annotated[int | None, Query(ge=1, le=10_000, description="Only the last so many lines.")]
Contains = Annotated[str | None, Query(min_length=1, max_length=200, description="Only lines with this text.")]
LineLimit = Annotated[int, Query(ge=1, le=10_000, description="At most so many lines.")]
