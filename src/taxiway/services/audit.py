"""The audit log: search, verify, export, and the refusals that it holds beside what was done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from taxiway.domain.audit import AuditEntry, AuditVerdict, Link, Outcome
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import ANONYMOUS, Asking
from taxiway.ports import Clock
from taxiway.store import audit
from taxiway.store.database import Database

PAGE = 1000


class AuditLog:
    """Reads the log, and writes down refusals; what is done writes its own entry, in its own transaction."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def search(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        project: ProjectName | None = None,
        object: str | None = None,  # noqa: A002
        outcome: Outcome | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        """List entries, newest first, whose sequence is less than ``before``; times are aware, ``until`` is not in."""
        wanted = audit.AuditFilter(
            actor=actor,
            action=action,
            project=project,
            object=object,
            outcome=outcome,
            since=since,
            until=until,
        )
        async with self._database.read() as tx:
            return await audit.search(tx, wanted, before=before, limit=limit)

    async def verify(self) -> AuditVerdict:
        """Check the whole chain from its beginning, some entries at a time."""
        last, entries = Link(), 0
        async for entry in self._all():
            if not last.accepts(entry):
                return AuditVerdict(is_intact=False, entries=entries, head=last.hash, broken_at=entry.sequence)
            last, entries = Link(sequence=entry.sequence, hash=entry.hash), entries + 1
        return AuditVerdict(is_intact=True, entries=entries, head=last.hash)

    async def export(self) -> AsyncIterator[str]:
        """Stream the log as JSON lines, oldest first, each with its line end."""
        async for entry in self._all():
            yield f"{entry.export()}\n"

    async def _all(self) -> AsyncIterator[AuditEntry]:
        # A transaction for each page: nothing is ever changed, and a slow reader must not hold one open.
        after = 0
        while True:
            async with self._database.read() as tx:
                page = await audit.page(tx, after=after, limit=PAGE)
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return
            after = page[-1].sequence

    async def deny(
        self,
        asking: Asking | None,
        *,
        action: str,
        object_kind: str,
        object: str,  # noqa: A002
        project: str = "",
        reason: str,
        source: str = "",
        request_id: str = "",
    ) -> None:
        """Write down that something was refused; without an asker, to somebody who did not sign in."""
        if asking is None:
            asking = Asking(principal=ANONYMOUS, source=source, request_id=request_id)
        async with self._database.write() as tx:
            await audit.append(
                tx,
                at=self._now(),
                asking=asking,
                action=action,
                object_kind=object_kind,
                object=object,
                project=project,
                reason=reason,
                outcome=Outcome.DENIED,
            )
