"""Users, roles, projects and what each role may do.

| permission is held by      | meaning                                                          |
| -------------------------- | ---------------------------------------------------------------- |
| everybody who is signed in | their own account                                                |
| a member of the project    | the project's tracking, models, deployments in staging           |
| an administrator           | everything, in every project                                     |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from taxiway.domain.errors import InvalidInput
from taxiway.domain.events import CONTROL
from taxiway.domain.ids import ApiTokenId, ProjectName, SessionId, UserId

USER_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,79}\Z")
RESERVED_USERS = frozenset({"anonymous"})
"""The audit log's name for whoever did not sign in."""
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024


class Role(StrEnum):
    """What a person is to Taxiway. A manager is an administrator."""

    DATA_SCIENTIST = "data-scientist"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """One thing that a route may demand. ``PUBLIC`` demands nothing."""

    PUBLIC = "public"
    ACCOUNT = "account"
    """One's own account, sessions and API tokens."""
    TRACKING_READ = "tracking:read"
    TRACKING_WRITE = "tracking:write"
    MODEL_READ = "model:read"
    MODEL_WRITE = "model:write"
    TOKEN_WRITE = "token:write"  # noqa: S105
    """Issue and revoke access tokens of staging deployments."""
    PROJECT_READ = "project:read"
    PROJECT_WRITE = "project:write"
    """Make and delete projects, change members."""
    USER_READ = "user:read"
    USER_WRITE = "user:write"
    PRODUCTION_READ = "production:read"
    PRODUCTION_WRITE = "production:write"
    """Promote, change, switch and delete production deployments; issue their access tokens."""
    AUDIT_READ = "audit:read"
    PLATFORM_READ = "platform:read"
    """Health and isolation of the platform in detail, logs of the platform itself."""


MEMBER_PERMISSIONS = frozenset(
    {
        Permission.TRACKING_READ,
        Permission.TRACKING_WRITE,
        Permission.MODEL_READ,
        Permission.MODEL_WRITE,
        Permission.TOKEN_WRITE,
        Permission.PROJECT_READ,
    }
)
"""Held within the projects that one is a member of."""

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.DATA_SCIENTIST: frozenset({Permission.PUBLIC, Permission.ACCOUNT}) | MEMBER_PERMISSIONS,
    Role.ADMINISTRATOR: frozenset(Permission),
}
"""The table role → permission. Those in MEMBER_PERMISSIONS count only with membership, but for administrators."""


class AuthMethod(StrEnum):
    """How a principal showed who it is."""

    SESSION = "session"
    API_TOKEN = "api-token"  # noqa: S105
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or program with an account."""

    id: UserId
    name: str
    role: Role
    is_disabled: bool
    must_change_password: bool
    created_at: datetime
    issuer: str | None = None
    """The identity provider that says who this is; None for one with a password."""
    subject: str | None = None
    """Who it is there; never an address or a name, which others may be given later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A team's space, one MLflow workspace of the same name."""

    name: ProjectName
    description: str
    created_at: datetime
    created_by: UserId
    workspace_is_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: a user, by a session or an API token, and what that lets it do.

    ``projects`` are those that the user is a member of. A token may be narrower than its owner: ``scopes`` (None:
    all that the owner may) and ``home`` (the project that its MLflow calls are for where none is named). Who must
    change the password has only the own account until then.
    """

    user: UserId
    name: str
    role: Role
    projects: frozenset[ProjectName]
    method: AuthMethod
    token: ApiTokenId | None = None
    session: SessionId | None = None
    scopes: frozenset[Permission] | None = None
    home: ProjectName | None = None
    must_change_password: bool = False
    issuer: str | None = None

    @property
    def is_administrator(self) -> bool:
        """Whether the role is administrator (a token's scopes may still narrow what it may do)."""
        return self.role is Role.ADMINISTRATOR

    def may(self, permission: Permission, project: ProjectName | None = None) -> bool:
        """Tell whether the principal may do this; for a member's permission, in this project.

        Without a project, a member's permission is held by whoever could hold it in some project: the caller
        then lists only what is visible.
        """
        if permission is Permission.PUBLIC:
            return True
        if self.must_change_password and permission is not Permission.ACCOUNT:
            return False
        if self.scopes is not None and permission not in self.scopes:
            return False
        if permission not in ROLE_PERMISSIONS[self.role]:
            return False
        if self.is_administrator or project is None or permission not in MEMBER_PERMISSIONS:
            return True
        return project in self.projects

    def sees(self, project: ProjectName) -> bool:
        """Tell whether the project exists for this principal at all."""
        return self.is_administrator or project in self.projects


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A principal and the request it came with: what the audit log and the events say of who did it."""

    principal: Principal
    source: str = ""
    request_id: str = ""


ANONYMOUS = Principal(
    user=UserId(""), name="anonymous", role=Role.DATA_SCIENTIST, projects=frozenset(), method=AuthMethod.NONE
)
"""Whoever did not sign in; for what the audit log says of refusals."""
ITSELF = Principal(user=UserId(""), name=CONTROL, role=Role.ADMINISTRATOR, projects=frozenset(), method=AuthMethod.NONE)
"""The control plane, where it does something that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser's session. The secret itself is never kept, only its SHA-256."""

    id: SessionId
    user: UserId
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    source: str
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A program's token to the control API and to MLflow. The secret itself is never kept, only its SHA-256."""

    id: ApiTokenId
    user: UserId
    name: str
    project: ProjectName | None
    scopes: frozenset[Permission] | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None = field(default=None)


def check_user_name(value: str, *, field: str = "/name") -> str:
    """Return the value as a user's name, or raise InvalidInput."""
    if USER_NAME.match(value) is None:
        raise InvalidInput(
            "A user's name is 1 to 80 of a-z, 0-9, '.', '_', '@' and '-', beginning with a letter or digit.",
            hint="Choose a name like 'ada' or 'ada@example.org'.",
            field=field,
        )
    if value in RESERVED_USERS:
        raise InvalidInput(f"'{value}' is reserved and cannot be a user's name.", hint="Choose another.", field=field)
    return value


def check_password(value: str, *, name: str, field: str = "/password") -> str:
    """Return the value as a password for this user, or raise InvalidInput, which never says the value."""
    if not SHORTEST_PASSWORD <= len(value) <= LONGEST_PASSWORD:
        raise InvalidInput(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
            hint="Several words that do not belong together make a good one.",
            field=field,
        )
    if value.casefold() == name.casefold():
        raise InvalidInput("A password is not the user's name.", hint="Choose another password.", field=field)
    return value
