"""The HTTP/1.1 server of a pod: asyncio protocols over a Unix socket or TCP, parsed by httptools.

Limits before anything else: header bytes, body bytes (also of chunked bodies), time to send the headers and the
body, time to read an answer, idle time, what is sent ahead. One request of a connection is answered at a time, in
order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools

from taxiway_scoring.app import HttpRequest, HttpResponse, ScoringApp
from taxiway_scoring.room import Room
from taxiway_scoring.streaming import Pieces

log = logging.getLogger("taxiway")
MAX_HEADER_BYTES = 32 * 1024
MAX_URL_BYTES = 8 * 1024
MAX_PIPELINE = 16
LINGER_SECONDS = 2.0
"""How long what a client still sends is read and thrown away after a refusal: a closed socket with unread bytes
would take the refusal with it."""
COPIED_BYTES = 64 * 1024
"""Larger bodies are not put behind their head, which would take the memory twice."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SMALL_BYTES = 64 * 1024
"""Bodies up to this size do not wait in line for room."""
FREE_BYTES = 4 * 1024
"""Of each body that comes in pieces; they need no room."""
_NO_ROOM = (503, "TooManyRequests", "The pod has as many large bodies and answers as it can hold.")
_ONCE = ("content-length", "transfer-encoding", "content-type", "host")


@dataclass(frozen=True)
class ServerLimits:
    """Bytes and seconds."""

    body_bytes: int = 16 * 1024 * 1024
    receiving_bytes: int = 128 * 1024 * 1024
    """Of all large bodies that come or wait for their answer, so that many cannot take the pod's memory."""
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 300.0
    room_seconds: float = 30.0
    """How long a large body waits, unread, until there is memory for it."""


class Connections:
    """All open connections; ``is_draining`` closes each after the answer that it waits for."""

    def __init__(self, limits: ServerLimits) -> None:
        self.open: set[Connection] = set()
        self.room = Room(limits.receiving_bytes)
        self.is_draining = False

    @property
    def busy(self) -> int:
        """How many connections wait for an answer or are sending a request."""
        return sum(not connection.is_idle for connection in self.open)

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way."""
        for connection in list(self.open):
            if connection.is_idle:
                connection.close()

    def abort(self) -> None:
        """Close all, with whatever is under way."""
        for connection in list(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, app: ScoringApp, limits: ServerLimits, connections: Connections) -> None:
        self._app = app
        self._limits = limits
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._deadline: float | None = None
        """When the client is too slow. The timer may be earlier: it is set anew only when it fires too soon."""
        self._waiting: deque[tuple[HttpRequest | HttpResponse, bool, int]] = deque()
        """Requests to be answered, and at most one refusal at the end; whether the connection is kept after each, and
        how much room it has."""
        self._room_taken = 0
        """By the body that comes."""
        self._announced = 0
        """How large the body that comes says it is."""
        self._is_in_line = False
        """The body waits for room and is not read."""
        self._buffered = 0
        self._task: asyncio.Task[None] | None = None
        self._is_taken = False
        """The app answers a request at the end of this turn of the loop."""
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._takes_no_more = False
        self._has_ended = False
        self._is_between = True
        """No byte of a request has come since the last one was whole."""
        self._unfinished = 0
        self._begin()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being sent, answered or still being written."""
        unwritten = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return not self._is_answering and self._is_between and not unwritten

    @property
    def _is_answering(self) -> bool:
        return self._task is not None or self._is_taken

    # -------------------------------------------------------------- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = transport  # type: ignore[assignment]
        self._connections.open.add(self)
        self._wait(self._limits.header_seconds)

    def connection_lost(self, _exception: Exception | None) -> None:
        """Forget the connection and what is not begun; what is being predicted for it runs to its end."""
        self._connections.open.discard(self)
        self._app.telemetry.closed += 1
        self._stop_waiting()
        self._leave_line()
        self._give_back(self._room_taken + sum(taken for _, _, taken in self._waiting))
        self._room_taken = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport = None
        self._waiting.clear()
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Stop answering while the client does not read."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._can_write.set()

    def eof_received(self) -> bool:
        """Let what was asked be answered to a client that closed its sending side."""
        self._takes_no_more = self._has_ended = True
        return self._is_answering

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._takes_no_more:
            return
        was_in_headers = not self._is_between and not self._has_headers
        size_was = self._size
        if self._is_between:
            self._is_between = False
            self._wait(self._limits.header_seconds)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request itself was answered as usual; what follows is not HTTP/1.1.
            self._takes_no_more = True
        except (_Stop, httptools.HttpParserError):
            self._refuse(400, "MalformedRequest", "The request is not HTTP/1.1.")
        else:
            # Bytes of headers that have no end yet, and of trailers; those of whole headers are counted one by one.
            is_unfinished = was_in_headers and not self._has_headers
            is_trailing = self._has_headers and not self._is_between and self._size == size_was
            self._unfinished += len(data) if is_unfinished or is_trailing else 0
            if self._unfinished > MAX_HEADER_BYTES:
                self._refuse_headers()
            # The first of it are nobody's business: small requests must get through whatever large ones hold.
            more = self._size - FREE_BYTES - self._room_taken
            if more > 0 and not self._is_in_line:  # of a body that is small, or does not say how large it will be
                if self._connections.room.grow(more):
                    self._room_taken += more
                else:
                    self._refuse(*_NO_ROOM)

    # -------------------------------------------------------------- httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begin()
        self._is_between = False
        if self._is_answering:  # sent ahead: its time begins when the one before is answered
            self._stop_waiting()
        else:
            self._wait(self._limits.header_seconds)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._url += url
        if len(self._url) > MAX_URL_BYTES:
            self._stop(414, "UrlTooLong", f"The URL has more than {MAX_URL_BYTES} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._has_headers:  # a trailer; nothing that it could say matters any more
            return
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()
            raise _Stop
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._headers:
            if key in _ONCE:
                self._stop(400, "MalformedRequest", f"The header {key} stands twice.")
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Check what the headers say before the body comes."""
        self._has_headers = True
        self._unfinished = 0
        headers = self._headers
        if "content-length" in headers and "transfer-encoding" in headers:
            self._stop(400, "MalformedRequest", "Content-Length and Transfer-Encoding exclude each other.")
        length = headers.get("content-length", "0")
        if len(length) > 19 or not (length.isascii() and length.isdigit()):
            self._stop(400, "MalformedRequest", "Content-Length is no number.")
        if int(length) > self._limits.body_bytes:
            self._refuse_body()
            raise _Stop
        size = int(length)
        if size > SMALL_BYTES:
            self._announced = size
            if not self._connections.room.take(size, self._come_in):
                self._is_in_line = True
                if self._transport is not None:
                    self._transport.pause_reading()
                self._wait(self._limits.room_seconds)
                return
            self._room_taken = size
        self._ask_for_body()

    def _come_in(self) -> None:
        """There is room for the body."""
        self._is_in_line = False
        self._room_taken = self._announced
        if self._transport is not None:
            self._transport.resume_reading()
        self._ask_for_body()

    def _ask_for_body(self) -> None:
        if self._is_answering:
            return
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)
        self._wait(self._limits.body_seconds)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(data)
        if self._size > self._limits.body_bytes:
            self._refuse_body()
            raise _Stop
        self._body += data

    def on_message_complete(self) -> None:
        """Put the whole request in line."""
        self._stop_waiting()
        if self._is_in_line:  # it came in one piece with its headers, and is here already
            self._leave_line()
            if self._transport is not None:
                self._transport.resume_reading()
        parser = self._parser
        request = HttpRequest(parser.get_method().decode("latin-1"), _path(self._url), self._headers, bytes(self._body))
        request.takes_chunks = parser.get_http_version() == "1.1"
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade() and parser.get_http_version() == "1.1"
        if (
            keep_alive
            and not self._is_answering
            and not self._takes_no_more
            and self._can_write.is_set()
            and self._app.take(request, self._answer_taken)
        ):
            self._is_taken = True
            self._give_back(self._room_taken)
            self._room_taken = 0
            self._begin()
            self._is_between = True
            return
        self._waiting.append((request, bool(keep_alive), self._room_taken))
        self._room_taken = 0
        self._buffered += len(request.body)
        if self._transport is not None and self._has_too_much:
            self._transport.pause_reading()
        if not self._is_answering:
            self._task = self._loop.create_task(self._answer_all())
        self._begin()
        self._is_between = True

    # -------------------------------------------------------------- own parts

    def _answer_taken(self, response: HttpResponse) -> None:
        """Send the answer to the request that the app took, and go on."""
        self._is_taken = False
        if self._transport is None:
            return
        is_last = not self._waiting and (self._takes_no_more or self._connections.is_draining)
        self._write(response, keep_alive=not is_last)
        if self._waiting:
            self._task = self._loop.create_task(self._answer_all())
        else:
            self._wait_for_next(is_kept=not is_last)

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0
        self._header_bytes = 0
        self._unfinished = 0
        self._has_headers = False

    @property
    def _has_too_much(self) -> bool:
        return len(self._waiting) > MAX_PIPELINE or self._buffered > self._limits.body_bytes

    async def _answer_all(self) -> None:
        is_kept, taken = True, 0
        try:
            while self._waiting and is_kept:
                request, is_kept, taken = self._waiting.popleft()
                is_chunked = True
                if isinstance(request, HttpResponse):
                    response, with_body = request, True
                else:
                    is_chunked = request.takes_chunks
                    self._buffered -= len(request.body)
                    response, with_body = await self._app.answer(request), request.method != "HEAD"
                is_last = not self._waiting and (self._takes_no_more or self._connections.is_draining)
                is_kept = is_kept and not is_last
                del request  # with its body, which nobody needs any more
                if response.pieces is not None:
                    # Others may hold answers that nobody reads.
                    given, taken = taken, 0
                    self._give_back(given)
                    if self._connections.room.grow(response.pieces.held):
                        taken = response.pieces.held
                    else:
                        response = self._app.problem(*_NO_ROOM)
                self._write(response, keep_alive=is_kept, with_body=with_body, is_chunked=is_chunked)
                if response.pieces is not None:
                    await self._write_pieces(response.pieces, is_chunked=is_chunked)
                    is_kept = is_kept and not (self._takes_no_more and not self._waiting)
                given, taken = taken, 0
                self._give_back(given)
                # Small answers never wait, and must not hold the loop as long as somebody sends ahead.
                await asyncio.sleep(0)
                if self._transport is not None and not self._has_too_much and not self._is_in_line:
                    self._transport.resume_reading()
                if not self._can_write.is_set():
                    await asyncio.wait_for(self._can_write.wait(), self._limits.body_seconds)
        except (asyncio.TimeoutError, TimeoutError):
            self.abort()
        except Exception:  # the head has gone, so that only an end that is none can tell
            log.exception("an answer could not be made to its end")
            self.abort()
        finally:
            self._task = None
            self._give_back(taken)
        self._wait_for_next(is_kept=is_kept)

    def _wait_for_next(self, *, is_kept: bool) -> None:
        if not is_kept:
            self._linger()
        elif self._is_between:
            self._wait(self._limits.idle_seconds)
        elif not self._is_in_line:
            self._wait(self._limits.body_seconds if self._has_headers else self._limits.header_seconds)

    async def _write_pieces(self, pieces: Pieces, *, is_chunked: bool) -> None:
        """Send a body as it is made, no faster than it is read. Raises TimeoutError for a client that is too slow."""
        sent, waited = 0, 0.0
        for piece in pieces:
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            sent += len(piece)
            if self._can_write.is_set():
                await asyncio.sleep(0)
                continue
            began = self._loop.time()
            patience = self._limits.body_seconds * (1 + sent // self._limits.body_bytes) - waited
            await asyncio.wait_for(self._can_write.wait(), patience)
            waited += self._loop.time() - began
        if is_chunked and self._transport is not None:
            self._transport.write(b"0\r\n\r\n")

    def _write(
        self, response: HttpResponse, *, keep_alive: bool, with_body: bool = True, is_chunked: bool = True
    ) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if response.head is not None and keep_alive and with_body:
            self._transport.write(response.head + response.body)
            return
        lines = [
            f"HTTP/1.1 {response.status} {_phrase(response.status)}",
            f"content-type: {response.content_type}",
            f"content-length: {len(response.body)}" if response.pieces is None else "transfer-encoding: chunked",
            "x-content-type-options: nosniff",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if response.pieces is not None and not is_chunked:
            del lines[2]  # the end of the connection is the end of the body
        if not keep_alive:
            lines.append("connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if with_body and len(response.body) > COPIED_BYTES:
            self._transport.write(head)
            self._transport.write(response.body)
        else:
            self._transport.write(head + response.body if with_body else head)

    def _stop(self, status: int, reason: str, message: str) -> None:
        self._refuse(status, reason, message)
        raise _Stop

    def _refuse_body(self) -> None:
        megabytes = self._limits.body_bytes / (1 << 20)
        self._refuse(413, "BodyTooLarge", f"The body has more than {megabytes:g} MiB.")

    def _refuse_headers(self) -> None:
        self._refuse(431, "HeadersTooLarge", f"The headers have more than {MAX_HEADER_BYTES} bytes.")

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer what came before, then this, and take nothing more."""
        if self._takes_no_more:
            return
        self._takes_no_more = True
        self._is_between = True
        self._stop_waiting()
        self._leave_line()
        self._give_back(self._room_taken)
        self._room_taken = 0
        self._waiting.append((self._app.problem(status, reason, message), False, 0))
        if not self._is_answering:
            self._task = self._loop.create_task(self._answer_all())

    def _linger(self) -> None:
        """Send the end, and close when the client has closed too or does not within a short time."""
        self._takes_no_more = True
        if self._transport is None or self._has_ended or self._transport.is_closing():
            self.close()
            return
        self._is_between = True
        is_written = not self._transport.get_write_buffer_size()
        self._wait(LINGER_SECONDS if is_written else self._limits.body_seconds)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def close(self) -> None:
        """Close when what is written has gone out, which must not take for ever."""
        self._stop_waiting()
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._wait(self._limits.body_seconds)
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._stop_waiting()
        if self._transport is not None:
            self._transport.abort()

    def _wait(self, seconds: float) -> None:
        self._deadline = deadline = self._loop.time() + seconds
        if self._timer is None or deadline < self._timer_at:
            self._set_timer(deadline)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._look_at_time), at

    def _stop_waiting(self) -> None:
        self._deadline = None

    def _look_at_time(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer(self._deadline)
        else:
            self._deadline = None
            self._too_slow()

    def _leave_line(self) -> None:
        if self._is_in_line:
            self._is_in_line = False
            self._connections.room.leave(self._come_in)

    def _give_back(self, taken: int) -> None:
        if taken:
            self._connections.room.give_back(taken)

    def _too_slow(self) -> None:
        if self._is_in_line:
            self._refuse(*_NO_ROOM)
            return
        if self._is_answering or self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self.abort()
        elif self._is_between:
            self.close()
        else:
            self._refuse(408, "RequestTimeout", "The request did not come whole in time.")


class _Stop(Exception):
    """The rest of what a client sends does not matter any more."""


def _path(url: bytes) -> str:
    """Return the path of a request's target, also of one in absolute form."""
    if not url.startswith(b"/"):
        with contextlib.suppress(httptools.HttpParserInvalidURLError):
            return (httptools.parse_url(url).path or b"/").decode("latin-1")
    return url.decode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


async def listen(app: ScoringApp, limits: ServerLimits, listener: socket.socket) -> tuple[Any, Connections]:
    """Accept what comes to a listening socket; return server and connections."""
    connections = Connections(limits)
    serve: Any = asyncio.get_running_loop()
    serve = serve.create_unix_server if listener.family == socket.AF_UNIX else serve.create_server
    return await serve(lambda: Connection(app, limits, connections), sock=listener, backlog=2048), connections


def receive(app: ScoringApp, limits: ServerLimits, channel: socket.socket, on_end: Callable[[], None]) -> Connections:
    """Take the connections that come through a channel as descriptors, until it ends; return them."""
    connections, loop = Connections(limits), asyncio.get_running_loop()
    arriving: set[asyncio.Task[Any]] = set()
    channel.setblocking(False)

    def come() -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                loop.remove_reader(channel)
                on_end()
                return
            if not descriptors:  # there was none left to take it
                app.telemetry.closed += 1
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                connection.setblocking(False)
                arrival = loop.create_task(
                    loop.connect_accepted_socket(lambda: Connection(app, limits, connections), connection)
                )
                arriving.add(arrival)
                arrival.add_done_callback(arriving.discard)

    loop.add_reader(channel, come)
    return connections
