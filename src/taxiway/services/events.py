"""Events, as people look them up."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.store import events
from taxiway.store.database import Database


class Events:
    """Reads events; who changes something writes them."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def search(
        self,
        *,
        projects: tuple[ProjectName, ...] | None,
        subject_kind: SubjectKind | None = None,
        subject: str | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[Event]:
        """List events of these projects (None: all), oldest first unless asked otherwise.

        ``after`` and ``before`` are sequences that are not in: the last one seen, going up or down.
        """
        async with self._database.read() as tx:
            return await events.find(
                tx,
                projects=projects,
                subject_kind=subject_kind,
                subject=subject,
                after=after or 0,
                before=before,
                limit=limit,
                newest_first=newest_first,
            )
