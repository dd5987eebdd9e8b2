"""Routes of the audit log and of events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from taxiway.api.cursors import read_number, write_cursor
from taxiway.api.models import visible_projects
from taxiway.api.parameters import LARGEST_ID, Cursor, Limit, Text
from taxiway.api.people import audit_entry_out, event_out
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.audit import Outcome
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Permission
from taxiway.wire.people import AuditPage, AuditVerdictOut, EventPage

router = TaxiwayRouter(tags=["audit"])

JSON_LINES = "application/jsonl"
Time = Annotated[datetime | None, Query(description="ISO 8601; UTC where no offset is given.")]


@router.get("/audit", permission=Permission.AUDIT_READ)
async def list_audit_entries(
    _asking: Asker,
    services: Services,
    actor: Text = None,
    action: Text = None,
    project: Text = None,
    audited: Annotated[str | None, Query(alias="object", max_length=200)] = None,
    outcome: Outcome | None = None,
    since: Time = None,
    until: Time = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """List audit entries, newest first: every change, and everything that was refused to somebody."""
    found = await services.audit.search(
        actor=actor,
        action=action,
        project=None if project is None else ProjectName(project),
        object=audited,
        outcome=outcome,
        since=aware(since),
        until=aware(until),
        before=read_number("audit", cursor),
        limit=limit + 1,
    )
    shown = found[:limit]
    return AuditPage(
        items=[audit_entry_out(entry) for entry in shown],
        next_cursor=write_cursor("audit", shown[-1].sequence) if len(found) > limit else None,
    )


def aware(at: datetime | None) -> datetime | None:
    """Return the time in UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


@router.get("/audit/verify", permission=Permission.AUDIT_READ)
async def verify_audit_log(_asking: Asker, services: Services) -> AuditVerdictOut:
    """Check that no entry was changed, added or removed. Note ``head`` elsewhere: it also tells of lost ends."""
    verdict = await services.audit.verify()
    return AuditVerdictOut(
        is_intact=verdict.is_intact, entries=verdict.entries, head=verdict.head, broken_at=verdict.broken_at
    )


@router.get(
    "/audit/export",
    permission=Permission.AUDIT_READ,
    response_class=Response,
    responses={200: {"content": {JSON_LINES: {}}, "description": "One entry a line, oldest first"}},
)
async def export_audit_log(_asking: Asker, services: Services) -> Response:
    """Stream the whole audit log as JSON lines."""
    return StreamingResponse(
        services.audit.export(),
        media_type=JSON_LINES,
        headers={"Content-Disposition": 'attachment; filename="taxiway-audit.jsonl"'},
    )


@router.get("/events", permission=Permission.MODEL_READ, errors=("NotFound",))
async def list_events(
    asking: Asker,
    services: Services,
    subject_kind: SubjectKind | None = None,
    subject: Text = None,
    project: Text = None,
    after: Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="Only later than this sequence.")] = None,
    newest_first: Annotated[bool, Query(description="The newest ones, from the newest on.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EventPage:
    """List events of the projects that one sees, oldest first unless asked otherwise."""
    start = read_number("events", cursor)
    later = after if newest_first or start is None else start
    found = await services.events.search(
        projects=visible_projects(asking.principal, Permission.MODEL_READ, project),
        subject_kind=subject_kind,
        subject=subject,
        after=later,
        before=start if newest_first else None,
        limit=limit + 1,
        newest_first=newest_first,
    )
    shown = found[:limit]
    return EventPage(
        items=[event_out(event) for event in shown],
        next_cursor=write_cursor("events", shown[-1].sequence) if len(found) > limit else None,
    )
