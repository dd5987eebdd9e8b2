"""Users, projects, sessions, API tokens, audit entries, events → what the control API returns."""

from __future__ import annotations

import json
from typing import Any

from taxiway.domain.audit import AuditEntry
from taxiway.domain.events import Event
from taxiway.domain.people import ApiToken, Permission, Principal, Project, Session, User
from taxiway.wire.people import (
    ApiTokenOut,
    AuditEntryOut,
    EventOut,
    MemberOut,
    ProjectOut,
    SessionOut,
    UserOut,
    WhoAmIOut,
)


def who_am_i_out(principal: Principal) -> WhoAmIOut:
    """Show who asks."""
    return WhoAmIOut(
        name=principal.name,
        role=str(principal.role),
        projects=sorted(principal.projects),
        method=str(principal.method),
        home=principal.home,
        permissions=sorted(str(permission) for permission in Permission if principal.may(permission)),
        must_change_password=principal.must_change_password,
        issuer=principal.issuer,
    )


def session_out(session: Session, principal: Principal) -> SessionOut:
    """Show a session without its secret."""
    return SessionOut(
        id=session.id,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        source=session.source,
        user_agent=session.user_agent,
        is_this=session.id == principal.session,
    )


def user_out(user: User) -> UserOut:
    """Show a user."""
    return UserOut(
        name=user.name,
        role=str(user.role),
        is_disabled=user.is_disabled,
        must_change_password=user.must_change_password,
        created_at=user.created_at,
        issuer=user.issuer,
    )


def member_out(user: User) -> MemberOut:
    """Show a member of a project."""
    return MemberOut(name=user.name, role=str(user.role), is_disabled=user.is_disabled)


def project_out(project: Project) -> ProjectOut:
    """Show a project."""
    return ProjectOut(
        name=project.name,
        description=project.description,
        created_at=project.created_at,
        workspace_is_ready=project.workspace_is_ready,
    )


def api_token_out(token: ApiToken) -> ApiTokenOut:
    """Show an API token without its text."""
    return ApiTokenOut(
        id=token.id,
        name=token.name,
        project=token.project,
        scopes=None if token.scopes is None else sorted(str(scope) for scope in token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
        revoked_at=token.revoked_at,
    )


def audit_entry_out(entry: AuditEntry) -> AuditEntryOut:
    """Show an audit entry; what was before and after is parsed."""
    return AuditEntryOut(
        sequence=entry.sequence,
        at=entry.at,
        actor=entry.actor,
        auth_method=entry.auth_method,
        token_id=entry.token_id,
        source=entry.source,
        request_id=entry.request_id,
        action=entry.action,
        object_kind=entry.object_kind,
        object=entry.object,
        project=entry.project,
        before=_parsed(entry.before),
        after=_parsed(entry.after),
        reason=entry.reason,
        outcome=entry.outcome,
        previous_hash=entry.previous_hash,
        hash=entry.hash,
    )


def _parsed(text: str) -> Any:
    """Parse what the log holds; an entry that was tampered with is still shown, as it stands."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def event_out(event: Event) -> EventOut:
    """Show an event."""
    return EventOut(
        sequence=event.sequence,
        at=event.at,
        actor=event.actor,
        project=event.project,
        subject_kind=str(event.subject_kind),
        subject=event.subject,
        topic=event.topic,
        was=event.was,
        became=event.became,
        reason=event.reason,
        message=event.message,
    )
