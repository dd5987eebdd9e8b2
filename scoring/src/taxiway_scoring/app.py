"""ScoringApp: the protocols of an endpoint, with no server inside. A request in, a response out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import random
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote

from taxiway_scoring import __version__, v2
from taxiway_scoring.accepting import choose
from taxiway_scoring.answers import plain, write_array, write_predictions
from taxiway_scoring.contract import NULLABLE, Contract, Mismatch, Tensor, check_value, fits_tensor, openapi
from taxiway_scoring.deadlines import Overdue
from taxiway_scoring.decoding import Rows
from taxiway_scoring.docs import POLICY, page
from taxiway_scoring.payload import JSON_TYPE, Request, find_gap, lacking, read_request
from taxiway_scoring.predictor import Predictor
from taxiway_scoring.refusals import ModelFailed, Refused, listed, malformed, violation
from taxiway_scoring.serving import RowPath
from taxiway_scoring.spool import Spool
from taxiway_scoring.streaming import (
    LARGE_CELLS,
    Pieces,
    array_pieces,
    frame_pieces,
    list_pieces,
    table_of,
    table_pieces,
)
from taxiway_scoring.tables import ARROW_STREAM, PARQUET, are_understood, load_pyarrow
from taxiway_scoring.telemetry import Board, Telemetry

log = logging.getLogger("taxiway")
T = TypeVar("T")

ERROR_CODES = {
    400: "BAD_REQUEST",
    404: "ENDPOINT_NOT_FOUND",
    405: "BAD_REQUEST",
    406: "BAD_REQUEST",
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
INLINE_SECONDS = 0.002
"""What one row may take at most to be predicted in the event loop."""
INLINE_BYTES = 64 * 1024
INLINE_ROWS = 64
"""Larger requests are predicted in the worker thread, so that they do not hold up small ones."""
JOINED_ROWS = 1024
"""How many rows of several requests are predicted together at most."""
REFUSALS_A_SECOND = 200
REFUSAL_SECONDS = 1.0
"""How long a refusal waits at most: as long as ``Retry-After`` asks clients to."""
GZIP = ("gzip", "x-gzip")
_ALIVE = b"\n"


@dataclass
class HttpRequest:
    """One whole request, headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    takes_chunks: bool = True
    """The answer may have no length; HTTP/1.0 knows no chunks."""


@dataclass
class HttpResponse:
    """One whole answer. ``rows`` is how many predictions it carries."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    head: bytes | None = None
    """The whole head for a connection that is kept, where it is ready-made."""
    pieces: Pieces | None = None
    """The body, made while it is sent; ``body`` is empty then."""


@dataclass(frozen=True)
class Identity:
    """Whose pod this is; shown in headers and documents."""

    pod: str
    revision: str
    model: str
    version: str


@dataclass(frozen=True)
class Limits:
    """How much at once and how long. ``queue`` bounds what waits behind what is predicted."""

    timeout_seconds: float = 30.0
    concurrency: int = 1
    queue: int = 128
    body_bytes: int = 16 << 20
    """How large a compressed body may become."""
    refuse_mismatch: bool = False


Body = bytes | Pieces
"""Whole, or pieces that are made while they are sent."""
Work = Callable[[], tuple[Body, int]]
"""Decodes, predicts and encodes, in the worker thread: the answer and how many rows it has."""
Predict = Callable[[Predictor], tuple[Body, int]]


@dataclass
class Job:
    """One prediction: when it was begun (monotonic; None while it waits) and what becomes of it."""

    predictor: Predictor
    body: bytes
    header: str
    came: float
    work: Work | None = None
    """What predicts, where that is no plain request to ``/invocations``."""
    began: float | None = None
    future: Future[tuple[Body, int]] = field(default_factory=Future)


@dataclass
class Taken:
    """A small request that waits for the end of this turn of the event loop, and whom to tell."""

    rows: Rows
    request_id: str
    came: float
    done: Callable[[HttpResponse], None]


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
        spool: Spool | None = None,
        board: Board | None = None,
    ) -> None:
        """``on_stuck`` is called when a prediction does not end after its time limit: a thread cannot be killed.

        ``spool`` keeps some of the requests that a path other than pyfunc answered. ``board`` is where workers count.
        """
        self.telemetry = Telemetry(board)
        self.is_ready = False
        self.guard: Callable[[Callable[[Any], Any], Any], Any] = _plainly
        """How predictions in the event loop's thread are called; one with a deadline raises Overdue."""
        self._identity = identity
        self._contract = contract
        self._limits = limits
        self._predictor: Predictor | None = None
        self._on_stuck = on_stuck
        self._spool = spool
        self._rows: RowPath | None = None
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="predict")
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._working = 0
        self._taken: list[Taken] = []
        self._head = (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
            f"X-Taxiway-Revision: {identity.revision}\r\nX-Taxiway-Pod: {identity.pod}\r\n"
            "content-length: %d\r\nX-Request-Id: %s\r\n\r\n"
        )
        self._offered = (JSON_TYPE, ARROW_STREAM, PARQUET) if are_understood() else (JSON_TYPE,)
        self._kept_promises: dict[tuple[Any, ...], bool] = {}
        self._held_back = 0
        self._next_refusal = 0.0
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
                takes_tables=are_understood(),
            )
        ).encode()

    def install(self, predictor: Predictor, rows: RowPath | None = None) -> None:
        """Give the loaded model, and its path for plain rows where it has one."""
        self._predictor = predictor
        self._rows = rows

    def warm(self, example: bytes) -> None:
        """Predict a row of an example as small requests do; a plan that is not quick keeps to the worker thread."""
        path = self._rows
        rows = None if path is None else path.decoder.decode(example)
        if path is None or path.inline is None or not rows:
            return
        spent = []
        for _ in range(3):
            began = time.perf_counter()
            with contextlib.suppress(Refused):
                _call(path.inline.predict, rows[:1])
            spent.append(time.perf_counter() - began)
        if min(spent) > INLINE_SECONDS:
            log.info("a prediction takes %.1f ms: small requests go to the worker thread too", min(spent) * 1000)
            self._rows = replace(path, inline=None)

    def give_up(self) -> None:
        """Answer all that waits with 503: the process is about to end."""
        self.is_ready, self._is_given_up = False, True
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; never raises."""
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else _new_id()
        try:
            response = await self._route(request)
        except Refused as refusal:
            response = self._problem(refusal.status, refusal.reason, refusal.message, request_id, **refusal.places)
            if refusal.is_of_protocol:
                response.body = v2.error_of(response.body)
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
        if path == "/v2" or path.startswith("/v2/models/"):
            return await self._v2(request, path, method)
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

    # -------------------------------------------------------------- the Open Inference Protocol

    async def _v2(self, request: HttpRequest, path: str, method: str) -> HttpResponse:
        try:
            return await self._of_protocol(request, path, method)
        except Refused as refusal:
            refusal.is_of_protocol = True
            raise

    async def _of_protocol(self, request: HttpRequest, path: str, method: str) -> HttpResponse:
        name, version = self._identity.model, self._identity.version
        here = f"/v2/models/{quote(name, safe='')}"
        below = path.removeprefix(here).removeprefix(f"/versions/{quote(version, safe='')}")
        if path != "/v2" and (not path.startswith(here) or below not in ("", "/ready", "/infer")):
            raise Refused(404, "NotFound", "There is no such model or route here.")
        if below == "/infer" and path != "/v2":
            if method != "POST":
                raise _wrong_method("POST")
            return await self._infer(request)
        if method not in ("GET", "HEAD"):
            raise _wrong_method("GET")
        if path == "/v2":
            about = {"name": "taxiway", "version": __version__, "extensions": [*v2.EXTENSIONS]}
            return HttpResponse(200, json.dumps(about).encode())
        if below == "/ready":
            if not self.is_ready:
                raise Refused(503, "NotReady", "The model is not ready.")
            return HttpResponse(200, json.dumps({"name": name, "ready": True}).encode())
        return HttpResponse(200, json.dumps(v2.model_metadata(self._contract, name, version)).encode())

    async def _infer(self, request: HttpRequest) -> HttpResponse:
        lengths: list[int | None] = []

        def predict(predictor: Predictor) -> tuple[Body, int]:
            asked = v2.read(self._contract, request.body, request.headers.get(v2.HEADER_LENGTH))
            predictions = _careful(self._contract, predictor, asked.request)
            try:
                self._check_output(plain(predictions))
                body, rows, length = v2.write(asked, predictions, self._identity.model, self._identity.version)
            except (TypeError, ValueError, RecursionError) as error:
                log.warning("unusable predictions: %s", type(error).__name__)
                raise Refused(500, "PredictionFailed", "The model returned something that is no tensor.") from None
            lengths.append(length)
            return body, rows

        response = await self._invocations(request, predict)
        if lengths and lengths[0] is not None:
            response.content_type = "application/octet-stream"
            response.headers["Inference-Header-Content-Length"] = str(lengths[0])
        return response

    # -------------------------------------------------------------- prediction

    async def _invocations(self, request: HttpRequest, predict: Predict | None = None) -> HttpResponse:
        """Predict by ``predict``; without it, as ``/invocations`` does."""
        began = time.monotonic()
        telemetry = self.telemetry
        telemetry.in_flight += 1
        status, rows = 500, 0
        try:
            response = await self._predict(request, predict)
            status, rows = response.status, response.rows
            # What is compressed would have to be unpacked again by who compares it; plain requests are enough.
            is_plain = request.headers.get("content-encoding", "identity").lower() == "identity"
            is_sampled = predict is None and is_plain and self._rows is not None
            is_sampled = is_sampled and response.content_type == JSON_TYPE and response.pieces is None
            if self._spool is not None and is_sampled and self._spool.is_due():
                self._spool.keep(request.body, request.headers.get("content-type", JSON_TYPE), response.body)
        except Refused as refusal:
            status = refusal.status
            raise
        finally:
            telemetry.in_flight -= 1
            telemetry.count(status, time.monotonic() - began, rows)
        return response

    async def _predict(self, request: HttpRequest, predict: Predict | None) -> HttpResponse:
        predictor = self._predictor
        if predictor is None or self._is_given_up:
            raise Refused(503, "NotReady", "The model is not ready.")
        encoding = request.headers.get("content-encoding", "identity").lower()
        is_packed = encoding in GZIP and predict is None
        wanted = JSON_TYPE
        if predict is None:
            wanted = choose(request.headers.get("accept", ""), self._offered)
            if is_packed or wanted != JSON_TYPE:
                predict = functools.partial(self._score_unusual, request, wanted, is_packed=is_packed)
        if encoding != "identity" and not is_packed:
            raise Refused(415, "UnsupportedMediaType", "The content encoding must be identity or gzip.")
        if not self._admits():
            await self._hold_back()
            raise Refused(429, "TooManyRequests", "The pod has as many requests as it can answer in time.")
        work = None if predict is None else functools.partial(predict, predictor)
        response = await self._wait_for(self._begin(predictor, request, work))
        response.content_type = wanted
        return response

    def _score_unusual(
        self, request: HttpRequest, wanted: str, predictor: Predictor, *, is_packed: bool
    ) -> tuple[Body, int]:
        body = unpack(request.body, self._limits.body_bytes) if is_packed else request.body
        return self.score(predictor, body, request.headers.get("content-type", JSON_TYPE), wanted)

    def _admits(self) -> bool:
        """Tell whether a request can be answered in time."""
        limits, waiting = self._limits, self.telemetry.in_flight - 1 - self._held_back
        return waiting < limits.concurrency or (
            waiting < limits.concurrency + limits.queue
            and self._typical * waiting / limits.concurrency <= limits.timeout_seconds
        )

    async def _hold_back(self) -> None:
        """Space refusals out: clients that ask again at once must not take the CPU from those that are answered."""
        now = time.monotonic()
        self._next_refusal = min(max(now, self._next_refusal) + 1 / REFUSALS_A_SECOND, now + REFUSAL_SECONDS)
        self._held_back += 1
        try:
            await asyncio.sleep(self._next_refusal - now)
        finally:
            self._held_back -= 1

    def _begin(self, predictor: Predictor, request: HttpRequest, work: Work | None) -> Job:
        header = request.headers.get("content-type", JSON_TYPE)
        job = Job(predictor, request.body, header, time.monotonic(), work)
        with self._lock:
            self._jobs.append(job)
            is_new = self._working < self._limits.concurrency
            self._working += is_new
        if is_new:
            self._threads.submit(self._work)
        return job

    # -------------------------------------------------------------- in the worker thread

    def _work(self) -> None:
        """Predict until nothing waits; what came while something was predicted goes together, where it may."""
        while True:
            with self._lock:
                jobs = self._next_jobs()
                if not jobs:
                    self._working -= 1
                    return
            began = time.monotonic()
            for job in jobs:
                job.began = began
            self._finish(jobs)
            self._lately.append(time.monotonic() - began)
            self._typical = sorted(self._lately)[(len(self._lately) - 1) // 2]

    def _next_jobs(self) -> list[Job]:
        jobs: list[Job] = []
        path, size = self._rows, 0
        while self._jobs and len(jobs) < JOINED_ROWS:
            is_joined = (
                path is not None and path.may_join and _is_json(self._jobs[0].header) and self._jobs[0].work is None
            )
            if jobs and not (is_joined and size + len(self._jobs[0].body) <= INLINE_BYTES * 16):
                break
            job = self._jobs.popleft()
            if not job.future.set_running_or_notify_cancel():
                continue
            size += len(job.body)
            jobs.append(job)
            if not is_joined:
                break
        return jobs

    def _finish(self, jobs: Sequence[Job]) -> None:
        left: list[tuple[Job, Rows]] = []
        limit, now = self._limits.timeout_seconds, time.monotonic()
        for job in jobs:
            if now - job.came > limit / 2 and now - job.came + self._typical > limit:
                # Whoever waits would not see the end of it; those behind may see the end of theirs.
                job.future.set_exception(_timed_out(limit))
                continue
            rows = self._rows.decoder.decode(job.body) if self._rows is not None and len(jobs) > 1 else None
            if rows is None:
                self._finish_alone(job)
            else:
                left.append((job, rows))
        for some in bounded(left, [len(rows) for _, rows in left]):
            together = len(some) > 1 and self._rows is not None
            answers = self._joined(self._rows.plan.predict, [rows for _, rows in some]) if together else None  # type: ignore[union-attr]
            self.telemetry.joined += 0 if answers is None else len(some)
            for at, (job, _) in enumerate(some):
                if answers is None:
                    self._finish_alone(job)
                else:
                    _settle(job, lambda at=at, answers=answers: self._write(answers[at]))  # type: ignore[misc]

    def _finish_alone(self, job: Job) -> None:
        _settle(job, job.work or (lambda: self.score(job.predictor, job.body, job.header)))

    def _joined(self, predict: Callable[[Rows], Any], requests: Sequence[Rows]) -> list[Any] | None:
        """Predict rows of several requests together; None where each must be tried alone to see whose fault it is."""
        rows = [row for request in requests for row in request]
        try:
            predictions = predict(rows)
            if len(predictions) != len(rows):
                return None
            cut = predictions.iloc if hasattr(predictions, "iloc") else predictions
            answers, at = [], 0
            for request in requests:
                answers.append(cut[at : at + len(request)])
                at += len(request)
        except Exception as error:
            log.info("requests that were joined are tried one by one: %s", type(error).__name__)
            return None
        return answers

    # -------------------------------------------------------------- in the event loop

    def take(self, request: HttpRequest, done: Callable[[HttpResponse], None]) -> bool:
        """Take a small prediction, to be answered at the end of this turn of the event loop by calling ``done``.

        False, with nothing done, for all that ``answer`` must look at.
        """
        path = self._rows
        headers = request.headers
        if (
            path is None
            or path.inline is None
            or request.path != "/invocations"
            or request.method != "POST"
            or len(request.body) > INLINE_BYTES
            or "content-encoding" in headers
            or not _is_first(headers.get("accept", ""), self._offered)
            or not _is_json(headers.get("content-type", JSON_TYPE))
            or self._is_given_up
        ):
            return False
        came = time.monotonic()
        rows = path.decoder.decode(request.body)
        if rows is None or len(rows) > INLINE_ROWS:
            return False
        given = headers.get("x-request-id")
        request_id = given if given is not None and _REQUEST_ID.match(given) else _new_id()
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._answer_taken)
        if self._spool is not None and self._spool.is_due():
            done = _keeping(self._spool, request, done)
        self._taken.append(Taken(rows, request_id, came, done))
        return True

    def _answer_taken(self) -> None:
        """Predict what came in this turn: together where rows may be joined."""
        taken, self._taken = self._taken, []
        path = self._rows
        if path is None or path.inline is None:  # pragma: no cover - it was there when they were taken
            return
        predict = functools.partial(self.guard, path.inline.predict)
        answered = 0
        try:
            for some in bounded(taken, [len(one.rows) for one in taken]):
                many = len(some) > 1 and path.may_join
                answers = self._joined(predict, [one.rows for one in some]) if many else None
                self.telemetry.joined_inline += 0 if answers is None else len(some)
                for at, one in enumerate(some):
                    self._answer_one(predict, one, None if answers is None else answers[at])
                    answered += 1
        except Overdue:
            self._give_up_on(taken[answered:])

    def _answer_one(self, predict: Callable[[Rows], Any], one: Taken, predictions: Any) -> None:
        """Answer by predictions or, where there are none, make them; raises only Overdue, for others wait behind it."""
        rows = 0
        try:
            body, rows = self._write(_call(predict, one.rows) if predictions is None else predictions)
            body = body if isinstance(body, bytes) else b"".join(body)
            head = (self._head % (len(body), one.request_id)).encode("latin-1")
            response = HttpResponse(200, body, rows=rows, head=head)
        except Refused as error:
            refusal = _explained(error, self._contract, lambda: _as_request(self._contract, one.rows))
            response = self._problem(refusal.status, refusal.reason, refusal.message, one.request_id, **refusal.places)
        except Exception:
            log.exception("request %s failed", one.request_id)
            message = "The scoring server failed on this request."
            response = self._problem(500, "Internal", message, one.request_id)
        self._tell(one, response, rows)

    def _tell(self, one: Taken, response: HttpResponse, rows: int) -> None:
        self.telemetry.count(response.status, time.monotonic() - one.came, rows)
        try:
            one.done(self._signed(response, one.request_id))
        except Exception:
            log.exception("request %s could not be answered", one.request_id)

    def _give_up_on(self, taken: Sequence[Taken]) -> None:
        """Answer those whose time went by, and end: what was interrupted may have left anything behind."""
        refusal = _timed_out(self._limits.timeout_seconds)
        for one in taken:
            self._tell(one, self._problem(refusal.status, refusal.reason, refusal.message, one.request_id), 0)
        self.give_up()
        self._on_stuck()

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
                if isinstance(body, bytes):
                    return HttpResponse(200, body, rows=rows)
                return HttpResponse(200, b"", rows=rows, pieces=body)
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

    def score(self, predictor: Predictor, body: bytes, header: str, wanted: str = JSON_TYPE) -> tuple[Body, int]:
        """Decode, predict, encode as a content type; runs in a thread. Raises Refused."""
        return self._encoded(self._predicted(predictor, body, header), wanted)

    def _predicted(self, predictor: Predictor, body: bytes, header: str) -> Any:
        path = self._rows
        if path is not None and _is_json(header):
            rows = path.decoder.decode(body)
            if rows is not None:
                try:
                    return _call(path.plan.predict, rows)
                except ModelFailed as error:
                    raise _explained(error, self._contract, lambda: _as_request(self._contract, rows)) from None
        checked = read_request(self._contract, body, header, is_typed=predictor.is_typed)
        if path is not None and checked.form == "table" and checked.value.is_plain:
            try:
                return _call(path.plan.predict_columns, checked.value)
            except ModelFailed as error:
                raise _explained(error, self._contract, lambda: checked) from None
        self.telemetry.careful += 1
        return _careful(self._contract, predictor, checked)

    def _encoded(self, predictions: Any, wanted: str) -> tuple[Body, int]:
        """Return the answer, in pieces where it is large, and how many predictions it has. Raises Refused."""
        if wanted != JSON_TYPE:
            load_pyarrow()
            if not self._keeps_by_type(predictions):
                self._check_output(_plain(predictions))
            table = table_of(predictions, self._contract.outputs)
            return table_pieces(table, wanted), table.num_rows
        if self._keeps_by_type(predictions) and predictions.size > LARGE_CELLS:
            pieces = frame_pieces(predictions) if hasattr(predictions, "iloc") else array_pieces(predictions)
            if pieces is not None:
                return pieces, len(predictions)
        return self._write(predictions)

    def _keeps_by_type(self, predictions: Any) -> bool:
        """Tell whether an array, or each column of a frame, keeps the output schema whatever its values are."""
        module, dimensions = type(predictions).__module__, getattr(predictions, "ndim", 0)
        outputs = self._contract.outputs
        if module == "numpy" and dimensions in (1, 2):
            return keeps_always(self._contract, predictions.dtype.str, *predictions.shape[1:])
        if module.partition(".")[0] != "pandas" or dimensions != 2 or self._contract.output_tensors:
            return False
        types = {str(name): getattr(dtype, "str", "") for name, dtype in predictions.dtypes.items()}
        if len(types) != predictions.shape[1] or not all(
            dtype[1:2] in ("f", "i", "u", "b") for dtype in types.values()
        ):
            return False
        return all(keeps_always(Contract(outputs=(column,)), types.get(str(column.name), "")) for column in outputs)

    def _write(self, predictions: Any) -> tuple[Body, int]:
        """Return the answer as JSON and how many predictions it has. Raises Refused."""
        dtype = getattr(predictions, "dtype", None)
        if dtype is not None and hasattr(predictions, "tolist") and getattr(predictions, "ndim", 0) in (1, 2):
            key = (dtype.str if hasattr(dtype, "str") else "", *predictions.shape[1:])
            keeps = self._kept_promises.get(key)
            if keeps is None:
                keeps = self._kept_promises[key] = keeps_always(self._contract, *key)
            if keeps and type(predictions).__module__ == "numpy":
                body = write_array(predictions)
                if body is not None:
                    return body, len(predictions)
        values = _plain(predictions)
        self._check_output(values)
        if isinstance(values, list) and len(values) > LARGE_CELLS:
            pieces = list_pieces(values)
            if pieces is not None:
                return pieces, len(values)
        try:
            return write_predictions(values), len(values) if isinstance(values, list) else 1
        except (TypeError, ValueError, RecursionError) as error:
            raise _unusable(predictions, error) from None

    def _check_output(self, values: Any) -> None:
        if self._keeps_its_promise(values):
            return
        self.telemetry.output_mismatches += 1
        if self._limits.refuse_mismatch:
            raise Refused(500, "OutputMismatch", "The model's answer breaks its own output schema.")

    def _keeps_its_promise(self, values: Any) -> bool:
        outputs, tensors = self._contract.outputs, self._contract.output_tensors
        if not isinstance(values, list):
            return True
        if len(tensors) == 1:
            return fits_tensor(replace(tensors[0], shape=(-1, *tensors[0].shape[1:])), values)
        if not outputs:
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
        text = page(json.loads(self._openapi), self._contract)
        return HttpResponse(200, text, "text/html; charset=utf-8", {"Content-Security-Policy": POLICY})

    def _metrics(self) -> HttpResponse:
        return HttpResponse(200, self.telemetry.render(), "text/plain; version=0.0.4; charset=utf-8")

    def problem(self, status: int, reason: str, message: str) -> HttpResponse:
        """Make an answer for what the HTTP server itself refuses."""
        request_id = _new_id()
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


def bounded(requests: Sequence[T], rows: Sequence[int]) -> Iterator[Sequence[T]]:
    """Cut requests into runs of at most ``JOINED_ROWS`` rows, in order; a larger one is a run of its own."""
    begin, size = 0, 0
    for at, count in enumerate(rows):
        if at > begin and size + count > JOINED_ROWS:
            yield requests[begin:at]
            begin, size = at, 0
        size += count
    if begin < len(requests):
        yield requests[begin:]


def _timed_out(seconds: float) -> Refused:
    return Refused(504, "PredictionTimedOut", f"The prediction took longer than {seconds:g} s.")


def _wrong_method(allowed: str) -> Refused:
    return Refused(405, "MethodNotAllowed", f"This route takes {allowed}.", allow=allowed)


def unpack(body: bytes, limit: int) -> bytes:
    """Return what a gzip body holds. Raises Refused: 400 where it is none, 413 for more than ``limit`` bytes."""
    try:
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        unpacked = stream.decompress(body, limit + 1)
    except zlib.error:
        raise malformed("The body is not valid gzip.") from None
    if len(unpacked) > limit:
        raise Refused(413, "BodyTooLarge", f"The body has more than {limit / (1 << 20):g} MiB when it is unpacked.")
    if not stream.eof or stream.unused_data:
        raise malformed("The body is not one whole gzip stream.")
    return unpacked


_ids = random.Random()  # noqa: S311 - ids of requests are no secrets, and asking the system for each costs a third
os.register_at_fork(after_in_child=_ids.seed)


def _new_id() -> str:
    return f"{_ids.getrandbits(128):032x}"


@functools.lru_cache(64)
def _is_first(header: str, offered: Sequence[str]) -> bool:
    """Tell whether a client gets the first of the types offered."""
    try:
        return choose(header, offered) == offered[0]
    except Refused:
        return False


def _is_json(header: str) -> bool:
    """Tell whether a content type is plain JSON; unusual ways to say so are looked at elsewhere."""
    return header in (JSON_TYPE, "application/json; charset=utf-8")


def _keeping(
    spool: Spool, request: HttpRequest, done: Callable[[HttpResponse], None]
) -> Callable[[HttpResponse], None]:
    """Answer, then keep what was asked and answered."""

    def answered(response: HttpResponse) -> None:
        done(response)
        if response.status == 200:
            spool.keep(request.body, request.headers.get("content-type", JSON_TYPE), response.body)

    return answered


def _settle(job: Job, score: Callable[[], tuple[Body, int]]) -> None:
    try:
        job.future.set_result(score())
    except BaseException as error:
        job.future.set_exception(error)


def _careful(contract: Contract, predictor: Predictor, request: Request) -> Any:
    """Predict; tell a model that cannot do with what its signature allows from one that fails."""
    try:
        return _call(predictor.predict, request)
    except ModelFailed as error:
        if request.rows == 0:
            message = "The input has no rows, and the model cannot predict none."
            raise Refused(422, "ContractViolation", message) from None
        missing = lacking(contract, request)
        if not missing:
            raise _explained(error, contract, lambda: request) from None
        message = f"The model cannot predict without {listed(missing)}, though its signature calls that optional."
        raise Refused(422, "ContractViolation", message, column=missing[0]) from None


def _explained(refusal: Refused, contract: Contract, request: Callable[[], Request]) -> Refused:
    """Return the refusal of a request by which a model failed that may lack a value that the model needs.

    That is the caller's to mend: a failure of the server's would be sent again, and gateways leave pods that have many.
    """
    gap = find_gap(contract, request()) if isinstance(refusal, ModelFailed) else None
    if gap is None or not isinstance(refusal, ModelFailed):
        return refusal
    row, column, what = gap
    message = (
        f"The model raised {refusal.kind}, and row {row}, column '{column}' {what}: "
        "its signature allows that, but it seems to need a finite value."
    )
    return violation(message, row=row, column=column)


def _as_request(contract: Contract, rows: Rows) -> Request:
    return Request("dataframe_split", {"columns": contract.names, "data": rows}, rows=len(rows))


def _plain(predictions: Any) -> Any:
    """Return predictions as JSON has them. Raises Refused for what it has not."""
    try:
        return plain(predictions)
    except (TypeError, ValueError, RecursionError) as error:
        raise _unusable(predictions, error) from None


def _unusable(predictions: Any, error: Exception) -> Refused:
    log.warning("unusable predictions: %s", type(error).__name__)
    kind = type(predictions).__name__
    return Refused(500, "PredictionFailed", f"The model returned a {kind} with something that JSON does not have.")


def _plainly(function: Callable[[Any], Any], given: Any) -> Any:
    return function(given)


def _call(predict: Callable[[Any], Any], given: Any) -> Any:
    try:
        return predict(given)
    except Refused:
        raise
    except Exception as error:
        log.exception("the model failed")
        raise ModelFailed(error) from None


_KINDS_OF = {"boolean": "b", "string": "U", "integer": "iu", "long": "iu", "float": "f", "double": "f"}
_SIZES_OF = {"integer": 4, "float": 4}


def keeps_always(contract: Contract, dtype: str, *row: int) -> bool:
    """Tell whether every array of this type (``<f8``) and shape of its rows keeps the promise of the output schema."""
    outputs = contract.outputs
    if len(contract.output_tensors) == 1:
        return _keeps_tensor(contract.output_tensors[0], dtype, row)
    if len(outputs) != 1 or row:
        # As ``_keeps_its_promise``: lists of lists are not compared with columns.
        return bool(row) or not outputs
    if len(dtype) < 3:
        return False
    kind = outputs[0].type.kind
    size = int(dtype[2:]) if dtype[2:].isdigit() else 8
    if kind == "integer" and dtype[1] == "u" and size >= 4:
        return False
    return dtype[1] in _KINDS_OF.get(kind, "") and size <= _SIZES_OF.get(kind, 1 << 30) and dtype[1:] != "u8"


def _keeps_tensor(tensor: Tensor, dtype: str, row: tuple[int, ...]) -> bool:
    wanted = tensor.shape[1:]
    if len(wanted) != len(row) or any(size not in (-1, found) for size, found in zip(wanted, row)):
        return False
    return dtype[1:2] in _KINDS_IN.get(tensor.dtype.rstrip("0123456789"), "")


_KINDS_IN = {"float": "fiu", "int": "iu", "uint": "iu", "bool": "b", "str": "U"}


def _check_cell(type_: Any, value: Any, *, required: bool) -> None:
    if value is None:
        if required and type_.kind not in (*NULLABLE, "any"):
            raise Mismatch("a value")
        return
    check_value(type_, value)
