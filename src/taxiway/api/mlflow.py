"""``/mlflow``: what MLflow's own clients speak to. Glue between ASGI and ``registry/proxy.py``, which decides.

A Bearer API token, or the token as the password of Basic authentication, for clients that know no other. Browsers
have nothing to do here, so cookies do not count. Not rate limited but for callers without a token that counts: a
training loop logs as fast as it can, and each call is cheap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from taxiway.api.guard import Guard, facts_of
from taxiway.api.limits import RateLimiter
from taxiway.domain.errors import NotAllowed, NotSignedIn, TaxiwayError
from taxiway.domain.events import SubjectKind
from taxiway.domain.people import Asking, Permission, Principal
from taxiway.registry.proxy import PERMISSIONS, Answer, ClientGone, MLflowProxy, refusal
from taxiway.services.audit import AuditLog
from taxiway.services.projects import Projects
from taxiway.services.tracking_changes import TrackingChanges

PREFIX = "/mlflow"
STRANGERS_PER_SECOND = 5.0
STRANGERS_AT_ONCE = 50
"""Refused calls without a token that counts, from one source."""


class MLflowMount:
    """An ASGI application to be mounted at ``/mlflow``."""

    permissions: frozenset[Permission] = PERMISSIONS

    def __init__(self, proxy: MLflowProxy, *, projects: Projects, audit: AuditLog, changes: TrackingChanges) -> None:
        self._proxy = proxy
        self._projects = projects
        self._audit = audit
        self._changes = changes
        self._strangers = RateLimiter(rate=STRANGERS_PER_SECOND, burst=STRANGERS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        facts_of(scope).route = PREFIX
        try:
            await self._pass_on(scope, receive, send)
        except ClientGone:
            return
        except TaxiwayError as error:
            await _send(refusal(error), send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await self._identify(scope)
        facts = facts_of(scope)
        asking = Asking(principal=principal, source=facts.source, request_id=facts.request_id)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        try:
            passage = self._proxy.admit(
                principal,
                method=scope["method"],
                raw_path=_path(scope),
                query=scope["query_string"].decode("latin-1"),
                headers=headers,
            )
        except NotAllowed as error:
            await self._deny(asking, error, scope["method"])
            raise
        facts.route = PREFIX + passage.call.path
        if passage.project is not None:
            await self._projects.require_workspace(passage.project)
        sending = await self._proxy.prepare(passage, headers=headers, body=_body(receive))
        if passage.call.is_destructive and passage.project is not None:
            await self._changes.begin(asking, project=passage.project, method=scope["method"], about=sending.about)
        async with self._proxy.forward(sending) as answer:
            await _send(answer, send)

    async def _identify(self, scope: Scope) -> Principal:
        facts = facts_of(scope)
        guard: Guard = scope["app"].state.guard
        headers = Headers(raw=[(name, value) for name, value in scope["headers"] if name.lower() != b"cookie"])
        try:
            identity = await guard.authenticator.identify(headers, takes_basic=True)
            if identity is None:
                raise NotSignedIn("Nobody is signed in.", hint="Set MLFLOW_TRACKING_TOKEN to an API token.")
        except NotSignedIn:
            self._strangers.take(facts.source)
            raise
        facts.principal = identity.principal
        return identity.principal

    async def _deny(self, asking: Asking, error: NotAllowed, method: str) -> None:
        await self._audit.deny(
            asking,
            action="tracking",
            object_kind=SubjectKind.TRACKING,
            object=f"{method} {PREFIX}",
            reason=error.reason,
        )


def _path(scope: Scope) -> str:
    """Return the path as it was sent, without our prefix; '' when it was not spelled so."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    return path.removeprefix(PREFIX) if path.startswith(f"{PREFIX}/") else ""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            # Ended here as if it were whole, a half file would be kept for a whole one.
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _send(answer: Answer, send: Send) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    async for chunk in answer.body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
