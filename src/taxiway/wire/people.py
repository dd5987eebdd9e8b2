"""What the control API takes and returns about users, projects, sessions, API tokens, the audit log and events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from taxiway.domain.events import Topic
from taxiway.wire import In, Out

RoleName = Literal["data-scientist", "administrator"]
Password = Annotated[str, Field(max_length=1024, json_schema_extra={"format": "password", "writeOnly": True})]


class SignInIn(In):
    """Log in: begin a session."""

    name: str = Field(max_length=80)
    password: Password


class OwnPasswordIn(In):
    """Change one's own password."""

    old: Password
    new: Password


class UserIn(In):
    """Make a user."""

    name: str = Field(max_length=80, examples=["ada", "ada@example.org"])
    role: RoleName = "data-scientist"
    password: Password = Field(description="8 to 1024 characters.")
    must_change_password: bool = Field(False, description="Nothing else can be done before it is changed.")


class UserChangeIn(In):
    """Changes of a user; what is left out stays. Any change ends the user's sessions."""

    role: RoleName | None = None
    is_disabled: bool | None = None


class PasswordIn(In):
    """Give a user another password. Ends the user's sessions."""

    password: Password
    must_change_password: bool = False


class ProjectIn(In):
    """Make a project."""

    name: str = Field(max_length=40, examples=["fraud"])
    description: str = Field("", max_length=2000)


class ProjectChangeIn(In):
    """Describe a project anew."""

    description: str = Field(max_length=2000)


class ApiTokenIn(In):
    """Issue an API token for oneself."""

    name: str = Field(max_length=80, description="What it is for.")
    project: str | None = Field(None, max_length=40, description="The project of its MLflow calls.")
    scopes: list[str] | None = Field(None, max_length=50, description="Permissions; left out: all of one's own.")
    days: float = Field(90, gt=0, le=366)


class WhoAmIOut(Out):
    """Who one is, by what, and what one may do."""

    name: str
    role: str
    projects: list[str]
    method: str
    home: str | None
    permissions: list[str]
    must_change_password: bool
    issuer: str | None = Field(description="The identity provider that says who one is; null: a password does.")


class WaysInOut(Out):
    """How one can sign in here."""

    passwords: bool
    provider: str | None = Field(description="What the identity provider is called; null where there is none.")
    problem: str | None = Field(description="What the reason that was asked about means.")
    hint: str | None = Field(description="What to do about it.")


class SessionOut(Out):
    """A browser's session."""

    id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    source: str
    user_agent: str
    is_this: bool


class SessionList(Out):
    """One's own sessions, newest first."""

    items: list[SessionOut]


class UserOut(Out):
    """A person or program with an account."""

    name: str
    role: str
    is_disabled: bool
    must_change_password: bool
    created_at: datetime
    issuer: str | None = Field(description="The identity provider that says who it is; null: a password does.")


class UserPage(Out):
    """Some users, by name."""

    items: list[UserOut]
    next_cursor: str | None


class ProjectOut(Out):
    """A team's space."""

    name: str
    description: str
    created_at: datetime
    workspace_is_ready: bool


class ProjectPage(Out):
    """Some projects, by name."""

    items: list[ProjectOut]
    next_cursor: str | None


class MemberOut(Out):
    """A member of a project."""

    name: str
    role: str
    is_disabled: bool


class MemberList(Out):
    """A project's members, by name."""

    items: list[MemberOut]


class ApiTokenOut(Out):
    """An API token, without its text."""

    id: str
    name: str
    project: str | None
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class IssuedApiTokenOut(ApiTokenOut):
    """An API token with its text, which is shown this once."""

    token: str


class ApiTokenList(Out):
    """One's own API tokens, newest first."""

    items: list[ApiTokenOut]


class AuditEntryOut(Out):
    """Who did what, when, from where, to which object."""

    sequence: int
    at: datetime
    actor: str
    auth_method: str
    token_id: str
    source: str
    request_id: str
    action: str
    object_kind: str
    object: str
    project: str
    before: Any = None
    after: Any = None
    reason: str
    outcome: str
    previous_hash: str
    hash: str


class AuditPage(Out):
    """Some audit entries, newest first."""

    items: list[AuditEntryOut]
    next_cursor: str | None


class AuditVerdictOut(Out):
    """Whether the audit log is as it was written."""

    is_intact: bool
    entries: int
    head: str
    broken_at: int | None


class EventOut(Out):
    """One change. ``topic`` says what ``was`` and ``became`` speak of."""

    sequence: int
    at: datetime
    actor: str
    project: str
    subject_kind: str
    subject: str
    topic: Topic
    was: str
    became: str
    reason: str
    message: str


class HintOut(Out):
    """That something changed: of which deployment, user or project, and why."""

    subject: str
    project: str
    topic: str
    reason: str


class EventPage(Out):
    """Some events."""

    items: list[EventOut]
    next_cursor: str | None
