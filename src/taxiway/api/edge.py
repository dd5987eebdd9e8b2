"""The outermost layer: request ids, host names, headers of every answer, the log line, metrics, and the last resort.

Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taxiway.api.guard import FACTS, RequestFacts
from taxiway.api.origins import is_known_host, source_of
from taxiway.api.problems import INTERNAL, UnknownHost, render
from taxiway.domain.errors import InvalidInput, TaxiwayError
from taxiway.telemetry.metrics import ControlMetrics

log = structlog.get_logger()

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""
STRICT_TRANSPORT = "max-age=31536000"
UNMATCHED = "unmatched"


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str], is_secure: bool) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._headers = SECURITY_HEADERS | ({"Strict-Transport-Security": STRICT_TRANSPORT} if is_secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        facts = RequestFacts(
            request_id=given if REQUEST_ID.match(given) else secrets.token_hex(12), source=source_of(scope, headers)
        )
        scope[FACTS] = facts
        began = time.perf_counter()
        status = 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = facts.request_id
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refuse(scope, headers)
            if refusal is None:
                await self._app(scope, receive, finish)
            else:
                await self._answer(refusal, facts)(scope, receive, finish)
        except Exception:
            log.exception("request failed", request_id=facts.request_id, route=_route(scope, facts))
            if status:
                raise
            await self._answer(INTERNAL, facts)(scope, receive, finish)
        finally:
            self._tell(scope, facts, status, time.perf_counter() - began)

    def _refuse(self, scope: Scope, headers: Headers) -> TaxiwayError | None:
        if not is_known_host(headers, self._allowed_hosts):
            return UnknownHost(
                "Taxiway does not answer to this host name.",
                hint="An administrator adds names with the setting server.allowed_hosts.",
            )
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            return InvalidInput("The URL holds the character U+0000.", hint="Leave it out.")
        return None

    def _answer(self, error: TaxiwayError, facts: RequestFacts) -> Response:
        return render(error, request_id=facts.request_id)

    def _tell(self, scope: Scope, facts: RequestFacts, status: int, seconds: float) -> None:
        route = _route(scope, facts)
        metrics: ControlMetrics = scope["app"].state.metrics
        metrics.answered(route=route, method=scope["method"], status=status, seconds=seconds)
        if facts.is_routine and status < 400:
            return
        told = {
            "method": scope["method"] if scope["method"].isalpha() else "",
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "principal": facts.principal.name if facts.principal else "",
            "request_id": facts.request_id,
        }
        if scope["method"] == "GET" and status < 400:
            # Looking again and again is what clients do while they wait; the gateway's log has every request.
            log.debug("request", **told)
        else:
            log.info("request", **told)


def _route(scope: Scope, facts: RequestFacts) -> str:
    """Return the template that was met, never the path itself: that may hold anything."""
    return facts.route or getattr(scope.get("route"), "path", "") or UNMATCHED
