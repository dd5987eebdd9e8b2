"""Puts the control API together."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from taxiway.api import (
    access_tokens,
    accounts,
    approvals,
    audit,
    console,
    logs,
    measurements,
    models,
    platform,
    problems,
    production,
    projects,
    scrubs,
    sessions,
    sign_in,
    stream,
    thresholds,
    tracking,
    trying,
    users,
)
from taxiway.api.auth import PLAIN_COOKIE, SECURE_COOKIE, Authenticator
from taxiway.api.edge import Edge
from taxiway.api.guard import Guard, facts_of
from taxiway.api.limits import RateLimiter, Slots
from taxiway.api.origins import host_name
from taxiway.api.routing import SCHEMAS, TaxiwayRoute, route_table
from taxiway.api.services import STREAMS_PER_USER, ApiServices
from taxiway.domain.errors import TaxiwayError
from taxiway.telemetry.metrics import ControlMetrics
from taxiway.wire.problems import ProblemOut

BURST_SECONDS = 5
"""How long the lasting rate could be saved up for."""
ROUTERS = (
    platform.router,
    sessions.router,
    sign_in.router,
    accounts.router,
    users.router,
    projects.router,
    audit.router,
    tracking.router,
    models.router,
    access_tokens.router,
    trying.router,
    production.router,
    measurements.router,
    scrubs.router,
    approvals.router,
    thresholds.router,
    logs.router,
    stream.router,
    platform.plain_router,
    console.router,
)
TAGS = [
    {"name": "platform", "description": "The platform itself: health, engines, logs."},
    {"name": "account", "description": "One's own session, password and API tokens."},
    {"name": "users", "description": "Users and roles; administrators only."},
    {"name": "projects", "description": "Projects and their members."},
    {"name": "audit", "description": "What was changed, by whom; and what happened."},
    {"name": "tracking", "description": "Experiments, runs and artifacts, as MLflow keeps them."},
    {"name": "models", "description": "Convert to model; model versions and their staging deployments."},
    {"name": "access tokens", "description": "What callers show to endpoints."},
    {"name": "production", "description": "Promotions and production deployments; administrators only."},
    {"name": "measurements", "description": "Requests, latency, errors, pods and what they use, over time."},
    {"name": "logs", "description": "Build logs and container logs, of dead pods too."},
]


def create_api(
    services: ApiServices,
    *,
    metrics: ControlMetrics,
    allowed_hosts: Collection[str],
    requests_per_second: float = 20.0,
    mounts: Mapping[str, ASGIApp] | None = None,
) -> FastAPI:
    """Make the application. Raises UndeclaredPermission when any route of it demands nothing.

    Args:
        services: What the routes call.
        metrics: What is counted, and shown at ``/metrics``.
        allowed_hosts: Host names without ports; the public URL's own is added.
        requests_per_second: Lasting rate of one user, or of one source that is not signed in; five times at once.
        mounts: Applications below a path that guard themselves. Each has an attribute ``permissions``, and finds
            the guard at ``scope["app"].state.guard`` and the request's facts with ``facts_of(scope)``.
    """
    public = urlsplit(services.public_url)
    is_secure = public.scheme == "https"
    app = FastAPI(
        title="Taxiway",
        version=services.version,
        summary="From an MLflow run to production traffic.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    equip(
        app,
        services,
        metrics=metrics,
        is_secure=is_secure,
        limiter=RateLimiter(rate=requests_per_second, burst=max(1, round(BURST_SECONDS * requests_per_second))),
    )
    for router in ROUTERS:
        app.include_router(router.routes)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    _add_handlers(app)
    hosts = {*allowed_hosts, host_name(public.netloc) or ""} - {""}
    app.add_middleware(Edge, allowed_hosts=hosts, is_secure=is_secure)
    # Made when it is first asked for: it takes longer than everything else at the start.
    app.state.openapi = functools.cache(partial(describe, app, cookie=SECURE_COOKIE if is_secure else PLAIN_COOKIE))
    app.state.routes = route_table(app)
    return app


def equip(
    app: FastAPI, services: ApiServices, *, metrics: ControlMetrics, limiter: RateLimiter, is_secure: bool
) -> None:
    """Give the application what its routes and its guard work with."""
    app.state.services = services
    app.state.metrics = metrics
    app.state.streams = Slots(STREAMS_PER_USER)
    app.state.guard = Guard(
        authenticator=Authenticator(sessions=services.sessions, api_tokens=services.api_tokens, is_secure=is_secure),
        limiter=limiter,
        audit=services.audit,
        metrics=metrics,
    )


def describe(app: FastAPI, *, cookie: str) -> dict[str, Any]:
    """Return the OpenAPI document, with problems and how one signs in."""
    document = app.openapi()
    components = document["components"]
    components["securitySchemes"] = {
        "apiToken": {"type": "http", "scheme": "bearer", "description": "An API token: `twy_…`."},
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "A browser's session."},
    }
    problem = ProblemOut.model_json_schema(ref_template=SCHEMAS + "{model}")
    components["schemas"] |= problem.pop("$defs") | {ProblemOut.__name__: problem}
    return document


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(TaxiwayError)
    async def refuse(request: Request, error: TaxiwayError) -> Response:
        return problems.render(error, request_id=facts_of(request.scope).request_id)

    @app.exception_handler(RequestValidationError)
    async def refuse_input(request: Request, error: RequestValidationError) -> Response:
        route = request.scope.get("route")
        body = route.body_field.field_info.annotation if isinstance(route, TaxiwayRoute) and route.body_field else None
        refusal, errors = problems.from_validation(error, body=body)
        return problems.render(refusal, request_id=facts_of(request.scope).request_id, errors=errors)

    @app.exception_handler(HTTPException)
    async def refuse_http(request: Request, error: HTTPException) -> Response:
        allowed = allowed_methods(app, request.scope["path"]) if error.status_code == 405 else set()
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        refusal = problems.from_http(error, allowed=allowed)
        return problems.render(refusal, request_id=facts_of(request.scope).request_id, headers=headers)


def allowed_methods(app: FastAPI, path: str) -> set[str]:
    """Return every method that some route takes at this path."""
    return {
        method
        for context in iter_route_contexts(app.routes)
        if context.path_regex.match(path)
        for method in context.methods or ()
    }
