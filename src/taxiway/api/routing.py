"""Routes that declare their permission, and the check that there is no other route in the application."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Mount
from starlette.types import Message

from taxiway.api.guard import Demand, Guard, facts_of
from taxiway.api.problems import MEDIA_TYPE, PROBLEMS, BodyTooLarge
from taxiway.domain.errors import InvalidInput, NotAllowed
from taxiway.domain.people import Asking, Permission
from taxiway.wire.problems import ProblemOut

API = "/api/v1"
SCHEMAS = "#/components/schemas/"
BODY_BYTES = 1 << 20
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class UndeclaredPermission(Exception):
    """A route demands nothing, not even PUBLIC. The application does not start with it."""


class TaxiwayRoute(APIRoute):
    """A route that asks the guard before it reads the body."""

    demand: Demand | None = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler; what is demanded is known once the route is whole."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            demand = self.demand
            if demand is None:
                raise UndeclaredPermission(self.path)
            guard: Guard = request.app.state.guard
            facts_of(request.scope).route = self.path
            try:
                request.state.asking = await guard.admit(request, demand)
                if request.method in BODY_METHODS:
                    request = with_body(request, await read_body(request))
                return await handle(request)
            except NotAllowed as error:
                await guard.deny(request, demand, error)
                raise

        return guarded


async def read_body(request: Request) -> bytes:
    """Read the body, but no more than the limit. Raises BodyTooLarge, and InvalidInput for U+0000 in it.

    The framework's own limit answers in plain text, and before it is known who asks.
    """
    length = request.headers.get("content-length", "")
    chunks, size = [], int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
    if size <= BODY_BYTES:
        size = 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > BODY_BYTES:
                break
    if size > BODY_BYTES:
        raise BodyTooLarge("The body has more than 1 MiB.", hint="Send less.")
    body = b"".join(chunks)
    # PostgreSQL keeps no U+0000 in texts, and no field of ours has a use for one.
    if b"\\u0000" in body:
        raise InvalidInput("A text holds the character U+0000.", hint="Leave it out.")
    return body


def with_body(request: Request, body: bytes) -> Request:
    """Return the request with a body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return Request(request.scope, receive)


class TaxiwayRouter:
    """Collects routes below ``/api/v1``; each says which permission it demands."""

    def __init__(self, *, tags: Sequence[str], prefix: str = API) -> None:
        self.routes = APIRouter(prefix=prefix, tags=list(tags), route_class=TaxiwayRoute)

    def get(self, path: str, *, permission: Permission, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a route that looks and changes nothing."""
        return self._add("GET", path, permission, **options)

    def post(self, path: str, *, permission: Permission, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a route that makes or does something."""
        return self._add("POST", path, permission, **options)

    def put(self, path: str, *, permission: Permission, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a route that makes something so; twice is once."""
        return self._add("PUT", path, permission, **options)

    def patch(self, path: str, *, permission: Permission, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a route that changes what is given."""
        return self._add("PATCH", path, permission, **options)

    def delete(self, path: str, *, permission: Permission, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a route that takes something away."""
        return self._add("DELETE", path, permission, **options)

    def _add(
        self,
        method: str,
        path: str,
        permission: Permission,
        *,
        errors: Sequence[str] = (),
        is_free_of_limits: bool = False,
        serves_password_change: bool = False,
        responses: dict[int | str, dict[str, Any]] | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        demand = Demand(
            permission=permission,
            is_free_of_limits=is_free_of_limits,
            serves_password_change=serves_password_change,
        )
        reasons = [*_usual_errors(method, path, demand), *errors]

        def add(endpoint: Endpoint) -> Endpoint:
            self.routes.add_api_route(
                path,
                endpoint,
                methods=[method],
                operation_id=getattr(endpoint, "__name__", None),
                summary=(endpoint.__doc__ or "").strip().partition("\n")[0].rstrip("."),
                responses={**problem_responses(reasons), **(responses or {})},
                openapi_extra=_security(permission),
                **options,
            )
            route = self.routes.routes[-1]
            assert isinstance(route, TaxiwayRoute)  # noqa: S101  the router was given this class
            route.demand = demand
            return endpoint

        return add


def _usual_errors(method: str, path: str, demand: Demand) -> Iterator[str]:
    if "{" in path or method in BODY_METHODS or method == "GET":
        yield "InvalidInput"
    if demand.permission is not Permission.PUBLIC:
        yield from ("NotSignedIn", "NotAllowed", "PasswordChangeNeeded")
    if method != "GET":
        yield "CrossOrigin"
    if "{" in path:
        yield "NotFound"
    if method in BODY_METHODS:
        yield "BodyTooLarge"
    if not demand.is_free_of_limits:
        yield "TooManyRequests"


def _security(permission: Permission) -> dict[str, Any]:
    schemes: list[dict[str, list[str]]] = [] if permission is Permission.PUBLIC else [{"apiToken": []}, {"session": []}]
    return {"security": schemes, "x-permission": str(permission)}


def problem_responses(reasons: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """Document what a route can refuse with, by status, and 500 for the rest."""
    by_status: dict[int, list[str]] = {}
    for reason in sorted(set(reasons)):
        by_status.setdefault(PROBLEMS[reason][0], []).append(reason)
    documented: dict[int | str, dict[str, Any]] = {}
    for status, found in sorted(by_status.items()):
        documented[status] = _problem("; ".join(f"{reason}: {PROBLEMS[reason][1]}" for reason in found))
    documented["default"] = _problem("Any other refusal")
    return documented


def _problem(description: str) -> dict[str, Any]:
    # By reference, not by model: the framework would build a validator for each of some hundred responses.
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + ProblemOut.__name__}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """One line of the route table. A mount has one for all that is below it."""

    method: str
    path: str
    permissions: frozenset[Permission]


def route_table(app: FastAPI) -> list[RouteEntry]:
    """List every route of the application with what it demands. Raises UndeclaredPermission.

    An application that is mounted guards itself and says so by an attribute ``permissions``, the set of all that
    its own routes demand.
    """
    table = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, TaxiwayRoute) and route.demand is not None:
            for method in sorted(route.methods or ()):
                table.append(
                    RouteEntry(method=method, path=route.path, permissions=frozenset({route.demand.permission}))
                )
        elif isinstance(route, Mount) and (declared := getattr(route.app, "permissions", None)):
            table.append(RouteEntry(method="*", path=route.path, permissions=frozenset(declared)))
        else:
            raise UndeclaredPermission(f"{context.path or route!r} declares no permission.")
    return table


def _asking(request: Request) -> Asking:
    asking: Asking | None = request.state.asking
    if asking is None:
        raise UndeclaredPermission("A public route asks who asks.")
    return asking


Asker = Annotated[Asking, Depends(_asking)]
"""Who asks, for endpoints of routes that are not public."""
