"""Routes of the platform itself: health, engines and their logs, metrics, the OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
import html
from enum import StrEnum
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from taxiway.api import shapes
from taxiway.api.parameters import AfterSequence, Contains, LineLimit, Tail
from taxiway.api.reading import read_log
from taxiway.api.routing import API, Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.people import Permission
from taxiway.domain.platform import PlatformFacts
from taxiway.telemetry.metrics import CONTENT_TYPE, ControlMetrics
from taxiway.wire.models import LogPageOut
from taxiway.wire.platform import CapacityOut, EngineOut, HealthOut, PlatformOut

router = TaxiwayRouter(tags=["platform"])
plain_router = TaxiwayRouter(tags=["platform"], prefix="")


class Engine(StrEnum):
    """The platform's own processes that have a log."""

    CONTROL = "control"
    MLFLOW = "mlflow"
    ENVOY = "envoy"


LOGS = {Engine.CONTROL: LogKind.CONTROL, Engine.MLFLOW: LogKind.TRACKING, Engine.ENVOY: LogKind.GATEWAY}


@router.get("/health", permission=Permission.PUBLIC, is_free_of_limits=True)
async def get_health(services: Services) -> HealthOut:
    """Tell that the control API answers.

    Looks at nothing else: whether MLflow or the gateway is well is told by ``/platform``.
    """
    return HealthOut(version=services.version)


@router.get("/openapi.json", permission=Permission.PUBLIC, response_model=dict[str, Any])
async def get_openapi_document(request: Request) -> Response:
    """Return this document."""
    return JSONResponse(request.app.state.openapi())


@router.get("/platform", permission=Permission.ACCOUNT)
async def get_platform(asking: Asker, services: Services) -> PlatformOut:
    """Show the platform's URLs, defaults and engines; to administrators also what the host has."""
    facts = await services.platform()
    return platform_out(facts, is_detailed=asking.principal.may(Permission.PLATFORM_READ))


def platform_out(facts: PlatformFacts, *, is_detailed: bool) -> PlatformOut:
    """Show the platform."""
    capacity = shapes.resources_out(facts.capacity)
    return PlatformOut(
        version=facts.version,
        public_url=facts.public_url,
        api_url=facts.public_url + API,
        tracking_uri=facts.public_url + "/mlflow",
        default_resources=shapes.resources_out(facts.default_resources),
        engines=[
            EngineOut(
                name=engine.name,
                is_alive=engine.is_alive,
                phase=engine.phase,
                restarts=engine.restarts if is_detailed else None,
                message=engine.message if is_detailed else None,
            )
            for engine in facts.engines
        ],
        capacity=CapacityOut(**capacity.model_dump()) if is_detailed else None,
        isolation=facts.isolation if is_detailed else None,
        notes=list(facts.notes) if is_detailed else None,
    )


@router.get("/platform/logs/{engine}", permission=Permission.PLATFORM_READ)
async def get_platform_log(
    engine: Engine,
    services: Services,
    after: AfterSequence = None,
    tail: Tail = None,
    contains: Contains = None,
    limit: LineLimit = 1000,
) -> LogPageOut:
    """Read the log of the control plane, of MLflow or of Envoy."""
    name = LogName(kind=LOGS[engine])
    page = await read_log(services.logs, name, after=after, tail=tail, contains=contains, limit=limit)
    return shapes.log_page_out(str(engine), page)


@plain_router.get(
    "/metrics", permission=Permission.PUBLIC, is_free_of_limits=True, include_in_schema=False, response_model=None
)
async def get_metrics(request: Request) -> Response:
    """Return the control plane's metrics for Prometheus; the gateway serves it on its loopback listener only."""
    metrics: ControlMetrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE)


STYLE = "body{font-family:system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;line-height:1.5}"
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Taxiway</title><style>{style}</style></head><body>
"""
TRACKING_PAGE = """\
<h1>Taxiway's tracking URI</h1>
<p>This address is for MLflow's clients, which send an API token with it:</p>
<pre>export MLFLOW_TRACKING_URI={url}/mlflow
export MLFLOW_TRACKING_TOKEN=$(taxiway token create --name laptop --project PROJECT)</pre>
<p>MLflow prints links to it that have no page here. What was logged is seen in
<a href="/experiments">the console</a>, or with <code>taxiway run list</code>.</p>
</body></html>
"""


@plain_router.get("/mlflow", permission=Permission.PUBLIC, include_in_schema=False, response_class=HTMLResponse)
@plain_router.get("/mlflow/", permission=Permission.PUBLIC, include_in_schema=False, response_class=HTMLResponse)
async def get_tracking_page(services: Services) -> Response:
    """Say what the tracking URI is to browsers that follow a link which MLflow printed."""
    return _page(TRACKING_PAGE, services)


def _page(body: str, services: ApiServices) -> Response:
    version, url = html.escape(services.version), html.escape(services.public_url)
    text = HEAD.format(style=STYLE) + body.format(version=version, url=url)
    return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY})
