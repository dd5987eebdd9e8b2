"""Routes of signing in with the identity provider: what ways there are, away to the provider, and back from it.

The way back is walked by a browser, so what goes wrong there is shown on the console's sign-in page: it is led there
with the reason alone, whose words the first route has.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers

from taxiway.api.guard import Guard, facts_of
from taxiway.api.problems import PROBLEMS
from taxiway.api.routing import API, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.api.sessions import put_session
from taxiway.domain.errors import Conflict, TaxiwayError
from taxiway.domain.people import Permission
from taxiway.domain.sign_in import FLOW_LIFE, ProviderUnavailable, SignInFailed, SignInRefused
from taxiway.telemetry.metrics import ControlMetrics
from taxiway.wire.people import WaysInOut

router = TaxiwayRouter(tags=["account"])

CALLBACK = f"{API}/sign-in/callback"
"""Where the provider sends browsers back to; registered there below the public URL."""
ANSWER = frozenset({"state", "code", "iss", "error"})
"""What a provider's answer is made of, as far as it is read."""
SHOWN = {
    "SignInFailed": (
        PROBLEMS["SignInFailed"][1],
        "Sign in again. If it stays so, an administrator compares people.provider with what the provider has.",
    ),
    "SignInRefused": (
        PROBLEMS["SignInRefused"][1],
        (
            "None of your groups gives access, the account is disabled, the name is another's, or you signed in as "
            "somebody else than before. The audit log says which; ask an administrator."
        ),
    ),
    "ProviderUnavailable": (
        PROBLEMS["ProviderUnavailable"][1],
        "Try again in a moment. If it stays so, an administrator sees whether Taxiway's host reaches the provider.",
    ),
    "Conflict": (
        "Your groups would take the last administrator away",
        "Make somebody else an administrator first; until then you stay one, and cannot sign in anew.",
    ),
}
"""What the sign-in page says of each reason with which a browser is led there, and what to do about it."""
_PLAIN, _SECURE = "taxiway-sign-in", "__Host-taxiway-sign-in"


@router.get("/sign-in", permission=Permission.PUBLIC)
async def ways_in(services: Services, problem: Annotated[str | None, Query(max_length=40)] = None) -> WaysInOut:
    """Tell how one can sign in, and what the reason means with which a sign-in ended."""
    ways = services.sign_in
    said, hint = SHOWN.get(problem or "", (None, None))
    return WaysInOut(
        passwords=ways.takes_passwords,
        provider=None if ways.provider is None else ways.provider.name,
        problem=said,
        hint=hint,
    )


@router.get("/sign-in/provider", permission=Permission.PUBLIC, status_code=303, response_class=RedirectResponse)
async def sign_in_with_provider(
    request: Request,
    services: Services,
    next: Annotated[str | None, Query(max_length=500)] = None,  # noqa: A002
    again: Annotated[str | None, Query(max_length=80)] = None,
) -> RedirectResponse:
    """Lead a browser to the identity provider.

    ``again`` names the user who signs in once more: the provider is to ask for the credentials, even if it knows who
    it is, and nobody else is signed in.

    ``next`` is a path of the console to go to afterwards; anything else is the start page.
    """
    try:
        url, kept = await services.sign_in.begin(next_path=next, again=again)
    except (SignInFailed, ProviderUnavailable) as error:
        return _show(error)
    answer = RedirectResponse(url, status_code=303)
    name, is_secure = _cookie(request)
    answer.set_cookie(
        name,
        kept,
        max_age=int(FLOW_LIFE.total_seconds()),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get("/sign-in/callback", permission=Permission.PUBLIC, status_code=303, response_class=RedirectResponse)
async def come_back(request: Request, services: Services) -> RedirectResponse:
    """Take a browser back from the identity provider: begins a session, or shows why not."""
    metrics: ControlMetrics = request.app.state.metrics
    facts, (name, is_secure) = facts_of(request.scope), _cookie(request)
    try:
        _, secret, path = await services.sign_in.finish(
            request.cookies.get(name),
            {key: value for key, value in request.query_params.items() if key in ANSWER},
            source=facts.source,
            user_agent=Headers(scope=request.scope).get("user-agent", ""),
            request_id=facts.request_id,
        )
    except (SignInFailed, SignInRefused, Conflict, ProviderUnavailable) as error:
        metrics.logins.labels("failed").inc()
        answer = _show(error)
    else:
        metrics.logins.labels("done").inc()
        answer = RedirectResponse(path, status_code=303)
        await put_session(request, answer, services, secret)
    answer.delete_cookie(name, path="/", secure=is_secure, httponly=True, samesite="lax")
    return answer


def _show(error: TaxiwayError) -> RedirectResponse:
    return RedirectResponse(f"/sign-in?{urlencode({'problem': error.reason})}", status_code=303)


def _cookie(request: Request) -> tuple[str, bool]:
    guard: Guard = request.app.state.guard
    is_secure = guard.authenticator.is_secure
    return (_SECURE if is_secure else _PLAIN), is_secure
