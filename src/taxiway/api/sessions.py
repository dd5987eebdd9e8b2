"""Routes of one's own sessions: log in, who am I, log out, change the password."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.datastructures import Headers

from taxiway.api.guard import Guard, facts_of
from taxiway.api.parameters import IdPath
from taxiway.api.people import session_out, who_am_i_out
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.errors import NotSignedIn, TooManyRequests
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import SessionId
from taxiway.domain.people import Asking, Permission, Principal
from taxiway.services.sessions import LIFE
from taxiway.telemetry.metrics import ControlMetrics
from taxiway.wire.people import OwnPasswordIn, SessionList, SignInIn, WhoAmIOut

router = TaxiwayRouter(tags=["account"])


@router.post("/session", permission=Permission.PUBLIC, errors=("NotSignedIn", "PasswordsOff"))
async def sign_in(wanted: SignInIn, request: Request, response: Response, services: Services) -> WhoAmIOut:
    """Log in with a password: begins a session, whose secret is a cookie that no script can read.

    A session that the browser had before ends. Programs use API tokens instead.
    """
    services.sign_in.require_passwords()
    metrics: ControlMetrics = request.app.state.metrics
    facts, headers = facts_of(request.scope), Headers(scope=request.scope)
    try:
        _, secret, _ = await services.sessions.log_in(
            name=wanted.name,
            password=wanted.password,
            source=facts.source,
            user_agent=headers.get("user-agent", ""),
            request_id=facts.request_id,
        )
    except TooManyRequests:
        metrics.logins.labels("held up").inc()
        raise
    except NotSignedIn as error:
        metrics.logins.labels("failed").inc()
        known = await services.users.find_id(wanted.name)
        await services.audit.deny(
            None,
            action="session.begin",
            object_kind=SubjectKind.USER,
            # What was typed where no user has that name may be somebody's password.
            object=wanted.name if known is not None else "unknown user",
            reason=error.reason,
            source=facts.source,
            request_id=facts.request_id,
        )
        raise
    metrics.logins.labels("done").inc()
    await put_session(request, response, services, secret)
    principal = await services.sessions.identify(secret)
    if principal is None:
        raise NotSignedIn("The session ended at once.", hint="Log in again.")
    facts.principal = principal
    return who_am_i_out(principal)


async def put_session(request: Request, response: Response, services: ApiServices, secret: str) -> None:
    """Give the browser a new session; the one that it had before ends."""
    guard: Guard = request.app.state.guard
    authenticator, facts = guard.authenticator, facts_of(request.scope)
    before = await authenticator.identify_cookie(Headers(scope=request.scope))
    if before is not None:
        await services.sessions.log_out(Asking(principal=before, source=facts.source, request_id=facts.request_id))
    response.set_cookie(
        authenticator.cookie_name,
        secret,
        max_age=int(LIFE.total_seconds()),
        path="/",
        secure=authenticator.is_secure,
        httponly=True,
        samesite="lax",
    )


@router.get("/session", permission=Permission.ACCOUNT, serves_password_change=True)
async def who_am_i(asking: Asker) -> WhoAmIOut:
    """Tell who one is, by what, in which projects, and what one may do."""
    return who_am_i_out(asking.principal)


@router.delete("/session", permission=Permission.ACCOUNT, status_code=204, serves_password_change=True)
async def sign_out(asking: Asker, request: Request, response: Response, services: Services) -> None:
    """Log out: the session ends on the server too. With an API token: no effect."""
    await services.sessions.log_out(asking)
    _forget_cookie(request, response)


def _forget_cookie(request: Request, response: Response) -> None:
    guard: Guard = request.app.state.guard
    authenticator = guard.authenticator
    response.delete_cookie(
        authenticator.cookie_name, path="/", secure=authenticator.is_secure, httponly=True, samesite="lax"
    )


@router.put(
    "/session/password",
    permission=Permission.ACCOUNT,
    status_code=204,
    serves_password_change=True,
    errors=("PasswordsOff",),
)
async def change_own_password(wanted: OwnPasswordIn, asking: Asker, services: Services) -> None:
    """Change one's own password; all of one's other sessions end."""
    services.sign_in.require_passwords()
    await services.users.change_own_password(asking, old=wanted.old, new=wanted.new)


@router.get("/sessions", permission=Permission.ACCOUNT)
async def list_sessions(asking: Asker, services: Services) -> SessionList:
    """List one's own sessions, newest first."""
    found = await services.sessions.list_own(asking)
    principal: Principal = asking.principal
    return SessionList(items=[session_out(session, principal) for session in found])


@router.delete("/sessions/{session}", permission=Permission.ACCOUNT, status_code=204)
async def end_session(session: IdPath, asking: Asker, services: Services) -> None:
    """End one of one's own sessions."""
    await services.sessions.end(asking, SessionId(session))
