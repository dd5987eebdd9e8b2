"""What administrators can ask of scrubs: run one now, and what the last ones found."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import new_id
from taxiway.domain.people import Asking
from taxiway.domain.scrubs import Scrub
from taxiway.ports import Clock
from taxiway.store import audit, scrubs
from taxiway.store.database import Database


class Scrubs:
    """Intentions about scrubs, and what was found."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def ask(self, asking: Asking) -> Scrub:
        """Ask for a scrub, which begins within seconds. One that has not ended is that one: nothing is changed."""
        async with self._database.write() as tx:
            known = await scrubs.newest(tx)
            if known and known[0].ended_at is None:
                return known[0]
            now = self._now()
            scrub = Scrub(id=new_id(), asked_at=now, asked_by=asking.principal.name)
            await scrubs.insert_scrub(tx, scrub)
            await audit.append(
                tx, at=now, asking=asking, action="production.scrub", object_kind=SubjectKind.PLATFORM, object=scrub.id
            )
        return scrub

    async def newest(self, *, limit: int) -> Sequence[Scrub]:
        """List scrubs, newest first."""
        async with self._database.read() as tx:
            return await scrubs.newest(tx, limit=limit)

    async def notes(self) -> Sequence[str]:
        """Say what needs attention: damages that the last scrub found and nobody mended, and what it could not read."""
        async with self._database.read() as tx:
            known = await scrubs.newest(tx, only_ended=True)
        if not known:
            return ()
        trouble = [f"The last scrub could not read everything: {known[0].trouble}"] if known[0].trouble else []
        return [*(damage.say() for damage in known[0].unmended), *trouble]
