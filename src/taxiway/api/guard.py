"""Whether a request is let in: who asks, from where, how often, and whether the route's permission is held.

Deny by default: ``routing.py`` lets no route exist without a declared permission, and calls ``admit`` before the
body is read. What is refused to somebody known is written to the audit log; what nobody asked is only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from taxiway.api.auth import Authenticator
from taxiway.api.limits import RateLimiter
from taxiway.api.origins import is_same_site
from taxiway.api.problems import CrossOrigin, PasswordChangeNeeded
from taxiway.domain.errors import NotAllowed, NotSignedIn
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.domain.names import is_slug
from taxiway.domain.people import Asking, Permission, Principal
from taxiway.services.audit import AuditLog
from taxiway.store import projects
from taxiway.telemetry.metrics import ControlMetrics

FACTS = "taxiway.facts"
"""Where a request's facts are in its scope."""


@dataclass(slots=True, kw_only=True)
class RequestFacts:
    """What is known of a request while it is answered; for the log line, the metrics and the audit log."""

    request_id: str
    source: str
    principal: Principal | None = None
    route: str = ""
    is_routine: bool = False
    """Asked by machines every few seconds: no line in the log while all is well."""


def facts_of(scope: Scope) -> RequestFacts:
    """Return the facts of the request that is being answered."""
    facts: RequestFacts = scope[FACTS]
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a route demands of whoever asks."""

    permission: Permission
    is_free_of_limits: bool = False
    """For what machines ask all the time: health and metrics."""
    serves_password_change: bool = False
    """Open also to those who must change their password first."""


class Guard:
    """Lets requests in or raises."""

    def __init__(
        self, *, authenticator: Authenticator, limiter: RateLimiter, audit: AuditLog, metrics: ControlMetrics
    ) -> None:
        self.authenticator = authenticator
        self._limiter = limiter
        self._audit = audit
        self._metrics = metrics

    async def admit(self, request: Request, demand: Demand) -> Asking | None:
        """Return who asks; None where the route is public. Raises NotSignedIn, NotAllowed or NotFound."""
        facts = facts_of(request.scope)
        headers = Headers(scope=request.scope)
        if demand.permission is Permission.PUBLIC:
            facts.is_routine = demand.is_free_of_limits
            if not demand.is_free_of_limits:
                self._limiter.take(f"source:{facts.source}")
            if "authorization" not in headers:
                _refuse_other_sites(request.method, headers)
            return None
        try:
            identity = await self.authenticator.identify(headers)
        except NotSignedIn:
            self._limiter.take(f"source:{facts.source}")
            raise
        if identity is None:
            self._limiter.take(f"source:{facts.source}")
            raise NotSignedIn("Nobody is signed in.", hint="Sign in with `taxiway login`, or send an API token.")
        principal = facts.principal = identity.principal
        self._limiter.take(f"user:{principal.user}")
        if identity.by_cookie:
            _refuse_other_sites(request.method, headers)
        if principal.must_change_password and not demand.serves_password_change:
            raise PasswordChangeNeeded(
                "The password must be changed first.",
                hint="Choose a new one with `taxiway password`, or PUT /api/v1/session/password.",
            )
        project = request.path_params.get("project")
        check_permission(principal, demand.permission, None if project is None else str(project))
        return Asking(principal=principal, source=facts.source, request_id=facts.request_id)

    async def deny(self, request: Request, demand: Demand, error: NotAllowed) -> None:
        """Write down that somebody known was refused."""
        facts = facts_of(request.scope)
        self._metrics.denials.labels(error.reason).inc()
        if facts.principal is None:
            return
        project = str(request.path_params.get("project", ""))
        await self._audit.deny(
            Asking(principal=facts.principal, source=facts.source, request_id=facts.request_id),
            action=str(demand.permission),
            object_kind=SubjectKind.PROJECT if project else SubjectKind.PLATFORM,
            object=f"{request.method} {facts.route}"[:120],
            project=project if is_slug(project) else "",
            reason=error.reason,
            source=facts.source,
            request_id=facts.request_id,
        )


def check_permission(principal: Principal, permission: Permission, project: str | None) -> None:
    """Raise NotFound for a project that the principal does not see, NotAllowed for what it may not do there."""
    name = None if project is None else ProjectName(project)
    if name is not None and not (is_slug(name) and principal.sees(name)):
        raise projects.not_found()
    if not principal.may(permission, name):
        raise NotAllowed(
            f"That needs the permission {permission}.",
            hint="Use a token without narrower scopes, or ask an administrator.",
        )


def _refuse_other_sites(method: str, headers: Headers) -> None:
    if not is_same_site(method, headers):
        raise CrossOrigin(
            "A change without an API token must come from Taxiway's own pages.",
            hint="Send an API token, or an Origin header that names this host.",
        )
