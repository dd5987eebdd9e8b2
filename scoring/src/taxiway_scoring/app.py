"""ScoringApp: the protocols of an endpoint, with no server inside. A request in, a response out."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from taxiway_scoring.contract import Contract, Mismatch, check_value, openapi
from taxiway_scoring.payload import Refused, plain, read_request, write_predictions
from taxiway_scoring.predictor import Predictor
from taxiway_scoring.telemetry import Telemetry

log = logging.getLogger("taxiway")

ERROR_CODES = {
    400: "BAD_REQUEST",
    404: "ENDPOINT_NOT_FOUND",
    405: "BAD_REQUEST",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "BAD_REQUEST",
    422: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's names for what our status codes say."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,80}\Z")
_NUL = b"\n"


@dataclass
class HttpRequest:
    """One whole request, headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpResponse:
    """One whole answer. ``rows`` is how many predictions it carries."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class Identity:
    """Whose pod this is; shown in headers and documents."""

    pod: str
    revision: str
    model: str
    version: str


@dataclass(frozen=True)
class Limits:
    """How much at once and how long."""

    timeout_seconds: float = 30.0
    concurrency: int = 1
    queue: int = 100
    refuse_mismatch: bool = False


class ScoringApp:
    """Answers requests for one model. ``predictor`` None: still loading."""

    def __init__(
        self,
        *,
        identity: Identity,
        contract: Contract,
        limits: Limits,
        example: bytes | None = None,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self.telemetry = Telemetry()
        self.is_ready = False
        self.finished = 0
        """Predictions that came back, in time or not: what tells a slow one from a stuck one."""
        self._identity = identity
        self._contract = contract
        self._limits = limits
        self._predictor: Predictor | None = None
        self._on_stuck = on_stuck
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")
        self._openapi = json.dumps(
            openapi(
                contract,
                title=identity.model,
                version=identity.version,
                example=None if example is None else json.loads(example),
            )
        ).encode()

    def install(self, predictor: Predictor) -> None:
        """Give the loaded model."""
        self._predictor = predictor

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; never raises."""
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(16)
        try:
            response = await self._route(request)
        except Refused as refusal:
            response = self._problem(refusal.status, refusal.reason, refusal.message, request_id, **refusal.places)
        except Exception:
            log.exception("request %s failed", request_id)
            response = self._problem(500, "Internal", "The scoring server failed on this request.", request_id)
        response.headers |= {
            "X-Request-Id": request_id,
            "X-Taxiway-Revision": self._identity.revision,
            "X-Taxiway-Pod": self._identity.pod,
        }
        return response

    async def _route(self, request: HttpRequest) -> HttpResponse:
        path, method = request.path.partition("?")[0], request.method
        if path == "/invocations":
            if method != "POST":
                raise _wrong_method("POST")
            return await self._invocations(request)
        handler = {
            "/ping": self._live,
            "/health": self._live,
            "/v2/health/live": self._live,
            "/ready": self._ready,
            "/v2/health/ready": self._ready,
            "/version": self._version,
            "/openapi.json": self._document,
            "/docs": self._docs,
            "/metrics": self._metrics,
        }.get(path)
        if handler is None:
            raise Refused(404, "NotFound", "There is no such route; see /openapi.json.")
        if method not in ("GET", "HEAD"):
            raise _wrong_method("GET")
        return handler()

    # -------------------------------------------------------------- prediction

    async def _invocations(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        telemetry = self.telemetry
        telemetry.in_flight += 1
        status, rows = 500, 0
        try:
            response = await self._predict(request)
            status, rows = response.status, response.rows
        except Refused as refusal:
            status = refusal.status
            raise
        finally:
            telemetry.in_flight -= 1
            telemetry.count(status, time.monotonic() - began, rows)
        return response

    async def _predict(self, request: HttpRequest) -> HttpResponse:
        predictor = self._predictor
        if predictor is None or not self.is_ready:
            raise Refused(503, "NotReady", "The model is not ready.")
        if self.telemetry.in_flight > self._limits.concurrency + self._limits.queue:
            raise Refused(429, "TooManyRequests", "The pod has as many requests as it may hold.")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, "UnsupportedMediaType", "Compressed bodies are not understood.")
        header = request.headers.get("content-type", "application/json")
        work = asyncio.get_running_loop().run_in_executor(self._threads, self.score, predictor, request.body, header)
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                body, rows = await asyncio.shield(work)
        except TimeoutError:
            if not work.cancel():
                self._on_stuck()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise Refused(
                504,
                "PredictionTimedOut",
                f"The prediction took longer than {self._limits.timeout_seconds:g} s.",
            ) from None
        return HttpResponse(200, body, rows=rows)

    def score(self, predictor: Predictor, body: bytes, header: str) -> tuple[bytes, int]:
        """Decode, predict, encode; runs in a thread. Raises Refused."""
        checked = read_request(self._contract, body, header, is_typed=predictor.is_typed)
        try:
            predictions = predictor.predict(checked)
        except Refused:
            raise
        except Exception as error:
            log.exception("the model failed")
            raise Refused(
                500, "PredictionFailed", f"The model raised {type(error).__name__}; its log says where."
            ) from None
        finally:
            self.finished += 1
        try:
            values = plain(predictions)
            self._check_output(values)
            return write_predictions(values), len(values) if isinstance(values, list) else 1
        except TypeError as error:
            log.warning("unusable predictions: %s", error)
            raise Refused(500, "PredictionFailed", str(error)) from None

    def _check_output(self, values: Any) -> None:
        if self._keeps_its_promise(values):
            return
        self.telemetry.output_mismatches += 1
        if self._limits.refuse_mismatch:
            raise Refused(500, "OutputMismatch", "The model's answer breaks its own output schema.")

    def _keeps_its_promise(self, values: Any) -> bool:
        outputs = self._contract.outputs
        if not outputs or not isinstance(values, list):
            return True
        names = [column.name for column in outputs if column.name is not None]
        try:
            for row in values:
                if names and isinstance(row, dict):
                    for column in outputs:
                        _check_cell(column.type, row.get(column.name), required=column.required)
                elif len(outputs) == 1 and not isinstance(row, (list, dict)):
                    _check_cell(outputs[0].type, row, required=False)
        except Mismatch:
            return False
        return True

    # -------------------------------------------------------------- the small routes

    def _live(self) -> HttpResponse:
        return HttpResponse(200, _NUL, "text/plain")

    def _ready(self) -> HttpResponse:
        if not self.is_ready:
            raise Refused(503, "NotReady", "The model is not ready.")
        return HttpResponse(200, _NUL, "text/plain")

    def _version(self) -> HttpResponse:
        version = self._predictor.mlflow_version if self._predictor is not None else ""
        return HttpResponse(200, version.encode(), "text/plain")

    def _document(self) -> HttpResponse:
        return HttpResponse(200, self._openapi)

    def _docs(self) -> HttpResponse:
        from taxiway_scoring.docs import page

        return HttpResponse(200, page(json.loads(self._openapi)), "text/html; charset=utf-8")

    def _metrics(self) -> HttpResponse:
        return HttpResponse(200, self.telemetry.render(), "text/plain; version=0.0.4; charset=utf-8")

    def problem(self, status: int, reason: str, message: str) -> HttpResponse:
        """Make an answer for what the HTTP server itself refuses."""
        response = self._problem(status, reason, message, secrets.token_hex(16))
        response.headers["X-Taxiway-Pod"] = self._identity.pod
        return response

    def _problem(self, status: int, reason: str, message: str, request_id: str, **places: object) -> HttpResponse:
        document = {
            "type": f"urn:taxiway:{reason}",
            "title": reason,
            "status": status,
            "detail": message,
            "reason": reason,
            "error_code": ERROR_CODES.get(status, "INTERNAL_ERROR"),
            "message": message,
            "instance": f"urn:request:{request_id}",
            **places,
        }
        headers = {"Retry-After": "1"} if status in (429, 503) else {}
        if status == 405:
            headers["Allow"] = str(places.get("allow", "GET"))
        return HttpResponse(status, json.dumps(document).encode(), "application/problem+json", headers)


def _wrong_method(allowed: str) -> Refused:
    return Refused(405, "MethodNotAllowed", f"This route takes {allowed}.", allow=allowed)


def _check_cell(type_: Any, value: Any, *, required: bool) -> None:
    if value is None:
        if required and type_.kind not in ("float", "double", "string", "datetime", "any"):
            raise Mismatch("a value")
        return
    check_value(type_, value)
