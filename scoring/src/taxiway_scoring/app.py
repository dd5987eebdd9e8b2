"""ScoringApp: the protocols of an endpoint, with no server inside. A request in, a response out."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from taxiway_scoring.answers import plain, write_predictions
from taxiway_scoring.contract import NULLABLE, Contract, Mismatch, check_value, openapi
from taxiway_scoring.docs import page
from taxiway_scoring.payload import Request, read_request
from taxiway_scoring.predictor import Predictor
from taxiway_scoring.refusals import Refused
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
STUCK_GRACE_SECONDS = 1.0
"""How much longer than its time limit a prediction may take before it counts as one that never ends."""
_ALIVE = b"\n"


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
    """How much at once and how long. ``queue`` and ``queue_bytes`` bound what waits behind what is predicted."""

    timeout_seconds: float = 30.0
    concurrency: int = 1
    queue: int = 128
    queue_bytes: int = 64 << 20
    refuse_mismatch: bool = False


@dataclass
class Job:
    """One prediction: when it was begun (monotonic; None while it waits) and what becomes of it."""

    began: float | None = None
    future: Future[tuple[bytes, int]] = field(default_factory=Future)


class ScoringApp:
    """Answers requests for one model. Until ``install`` it has none; ``is_ready`` is what readiness probes see."""

    def __init__(
        self,
        *,
        identity: Identity,
        contract: Contract,
        limits: Limits,
        example: bytes | None = None,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_stuck`` is called when a prediction does not end after its time limit: a thread cannot be killed."""
        self.telemetry = Telemetry()
        self.is_ready = False
        self._identity = identity
        self._contract = contract
        self._limits = limits
        self._predictor: Predictor | None = None
        self._on_stuck = on_stuck
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")
        self._held_bytes = 0
        self._lately: deque[float] = deque(maxlen=32)
        self._typical = 0.0
        """Seconds that half of the latest predictions took at most: one slow one must not turn callers away."""
        self._is_given_up = False
        self._end: asyncio.Future[None] | None = None
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

    def give_up(self) -> None:
        """Answer all that waits with 503: the process is about to end."""
        self.is_ready, self._is_given_up = False, True
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

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
        return self._signed(response, request_id)

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
        if predictor is None or self._is_given_up:
            raise Refused(503, "NotReady", "The model is not ready.")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "UnsupportedMediaType", "Compressed bodies are not understood.")
        self._admit(len(request.body))
        self._held_bytes += len(request.body)
        try:
            return await self._wait_for(self._begin(predictor, request))
        finally:
            self._held_bytes -= len(request.body)

    def _admit(self, size: int) -> None:
        """Refuse what could not be answered in time, or would take too much memory until then."""
        limits, waiting = self._limits, self.telemetry.in_flight - 1
        if waiting < limits.concurrency:
            return
        if (
            waiting >= limits.concurrency + limits.queue
            or self._held_bytes + size > limits.queue_bytes
            or self._typical * waiting / limits.concurrency > limits.timeout_seconds
        ):
            raise Refused(429, "TooManyRequests", "The pod has as many requests as it can answer in time.")

    def _begin(self, predictor: Predictor, request: HttpRequest) -> Job:
        header = request.headers.get("content-type", "application/json")
        job, came = Job(), time.monotonic()

        def work() -> tuple[bytes, int]:
            job.began = began = time.monotonic()
            limit = self._limits.timeout_seconds
            if began - came > limit / 2 and began - came + self._typical > limit:
                # Whoever waits would not see the end of it; those behind may see the end of theirs.
                raise _timed_out(limit)
            try:
                return self.score(predictor, request.body, header)
            finally:
                self._lately.append(time.monotonic() - began)
                self._typical = sorted(self._lately)[(len(self._lately) - 1) // 2]

        job.future = self._threads.submit(work)
        return job

    async def _wait_for(self, job: Job) -> HttpResponse:
        seconds = self._limits.timeout_seconds
        result = asyncio.wrap_future(job.future)
        # Nobody may wait for it any more when it fails.
        result.add_done_callback(lambda done: done.cancelled() or done.exception())
        end = self._end = self._end or asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((result, end), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                body, rows = result.result()
                return HttpResponse(200, body, rows=rows)
        finally:
            # Also where the client has gone: what is not begun need not be, what is may be stuck.
            if not job.future.cancel() and not job.future.done():
                self._watch(job)
        if self._is_given_up:
            raise Refused(503, "NotReady", "The scoring server is started anew.")
        raise _timed_out(seconds)

    def _watch(self, job: Job) -> None:
        now = time.monotonic()
        overdue = (job.began or now) + self._limits.timeout_seconds + STUCK_GRACE_SECONDS
        asyncio.get_running_loop().call_later(max(0.0, overdue - now), self._look_at, job)

    def _look_at(self, job: Job) -> None:
        if not job.future.done() and not self._is_given_up:
            self.give_up()
            self._on_stuck()

    def score(self, predictor: Predictor, body: bytes, header: str) -> tuple[bytes, int]:
        """Decode, predict, encode; runs in a thread. Raises Refused."""
        checked = read_request(self._contract, body, header, is_typed=predictor.is_typed)
        predictions = _predictions(predictor, checked)
        try:
            values = plain(predictions)
            self._check_output(values)
            return write_predictions(values), len(values) if isinstance(values, list) else 1
        except (TypeError, ValueError, RecursionError) as error:
            log.warning("unusable predictions: %s", type(error).__name__)
            kind = type(predictions).__name__
            raise Refused(
                500, "PredictionFailed", f"The model returned a {kind} with something that JSON does not have."
            ) from None

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
        return HttpResponse(200, _ALIVE, "text/plain")

    def _ready(self) -> HttpResponse:
        if not self.is_ready:
            raise Refused(503, "NotReady", "The model is not ready.")
        return HttpResponse(200, _ALIVE, "text/plain")

    def _version(self) -> HttpResponse:
        version = self._predictor.mlflow_version if self._predictor is not None else ""
        return HttpResponse(200, version.encode(), "text/plain")

    def _document(self) -> HttpResponse:
        return HttpResponse(200, self._openapi)

    def _docs(self) -> HttpResponse:
        return HttpResponse(200, page(json.loads(self._openapi)), "text/html; charset=utf-8")

    def _metrics(self) -> HttpResponse:
        return HttpResponse(200, self.telemetry.render(), "text/plain; version=0.0.4; charset=utf-8")

    def problem(self, status: int, reason: str, message: str) -> HttpResponse:
        """Make an answer for what the HTTP server itself refuses."""
        request_id = secrets.token_hex(16)
        return self._signed(self._problem(status, reason, message, request_id), request_id)

    def _signed(self, response: HttpResponse, request_id: str) -> HttpResponse:
        response.headers |= {
            "X-Request-Id": request_id,
            "X-Taxiway-Revision": self._identity.revision,
            "X-Taxiway-Pod": self._identity.pod,
        }
        return response

    def _problem(self, status: int, reason: str, message: str, request_id: str, **places: object) -> HttpResponse:
        document = {
            "type": f"urn:taxiway:problem:{reason}",
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


def _timed_out(seconds: float) -> Refused:
    return Refused(504, "PredictionTimedOut", f"The prediction took longer than {seconds:g} s.")


def _wrong_method(allowed: str) -> Refused:
    return Refused(405, "MethodNotAllowed", f"This route takes {allowed}.", allow=allowed)


def _predictions(predictor: Predictor, request: Request) -> Any:
    try:
        return predictor.predict(request)
    except Refused:
        raise
    except Exception as error:
        log.exception("the model failed")
        if request.rows == 0:
            raise Refused(
                422, "ContractViolation", "The input has no rows, and the model cannot predict none."
            ) from None
        raise Refused(
            500, "PredictionFailed", f"The model raised {type(error).__name__}; its log says where."
        ) from None


def _check_cell(type_: Any, value: Any, *, required: bool) -> None:
    if value is None:
        if required and type_.kind not in (*NULLABLE, "any"):
            raise Mismatch("a value")
        return
    check_value(type_, value)
