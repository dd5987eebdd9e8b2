"""The HTTP/1.1 server of a pod: asyncio protocols over a Unix socket or TCP, parsed by httptools.

Limits before anything else: header bytes, body bytes (also of chunked bodies), time to send the headers and the
body, idle time, requests in a pipeline. One request of a connection is answered at a time, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools

from taxiway_scoring.app import HttpRequest, HttpResponse, ScoringApp

MAX_HEADER_BYTES = 32 * 1024
MAX_URL_BYTES = 8 * 1024
MAX_PIPELINE = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class ServerLimits:
    """Bytes and seconds."""

    body_bytes: int = 16 * 1024 * 1024
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 300.0


class Connections:
    """All open connections; ``is_draining`` closes each after the answer that it waits for."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self.is_draining = False

    def drain(self) -> None:
        """Stop keeping connections alive and close the idle ones."""
        self.is_draining = True
        for connection in list(self.open):
            connection.close_if_idle()

    @property
    def busy(self) -> int:
        """How many connections wait for an answer."""
        return sum(connection.is_busy for connection in self.open)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, app: ScoringApp, limits: ServerLimits, connections: Connections) -> None:
        self._app = app
        self._limits = limits
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._is_refusing = False
        self._is_between = True
        self._received = 0
        self._begin()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered or waits."""
        return self._task is not None or bool(self._waiting)

    # -------------------------------------------------------------- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = transport  # type: ignore[assignment]
        self._connections.open.add(self)
        self._wait(self._limits.header_seconds)

    def connection_lost(self, _exception: Exception | None) -> None:
        """Forget the connection; what is being predicted for it runs to its end."""
        self._connections.open.discard(self)
        self._stop_waiting()
        self._transport = None
        self._can_write.set()

    def pause_writing(self) -> None:
        """Stop answering while the client does not read."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Go on answering."""
        self._can_write.set()

    def eof_received(self) -> bool:
        """Let what was asked be answered to a client that closed its sending side."""
        return self.is_busy

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._is_refusing:
            return
        self._received += len(data)
        if not self._has_headers and self._received > MAX_HEADER_BYTES:
            self._refuse(431, "HeadersTooLarge", f"The headers have more than {MAX_HEADER_BYTES} bytes.")
            return
        if self._is_between:
            self._is_between = False
            self._wait(self._limits.header_seconds)
        try:
            self._parser.feed_data(data)
        except _Stop:
            return
        except httptools.HttpParserUpgrade:
            self._refuse(400, "MalformedRequest", "The connection cannot be upgraded.")
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, _Stop):
                self._refuse(400, "MalformedRequest", "The request is not HTTP/1.1.")

    # -------------------------------------------------------------- httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begin(is_between=False)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._url += url
        if len(self._url) > MAX_URL_BYTES:
            self._refuse(414, "UrlTooLong", f"The URL has more than {MAX_URL_BYTES} bytes.")
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        key = name.decode("latin-1").lower()
        if key in self._headers and key in ("content-length", "transfer-encoding", "content-type", "host"):
            self._refuse(400, "MalformedRequest", f"The header {key} stands twice.")
            raise _Stop
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Check what the headers say before the body comes."""
        self._has_headers = True
        headers = self._headers
        if "content-length" in headers and "transfer-encoding" in headers:
            self._refuse(400, "MalformedRequest", "Content-Length and Transfer-Encoding exclude each other.")
            raise _Stop
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "MalformedRequest", "Content-Length is no number.")
            raise _Stop
        if int(length) > self._limits.body_bytes:
            self._refuse_body()
            raise _Stop
        if headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)
        self._wait(self._limits.body_seconds)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(data)
        if self._size > self._limits.body_bytes:
            self._refuse_body()
            raise _Stop
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Put the whole request in line."""
        self._stop_waiting()
        request = HttpRequest(
            self._parser.get_method().decode("latin-1"),
            self._url.decode("latin-1"),
            self._headers,
            b"".join(self._body),
        )
        self._waiting.append((request, bool(self._parser.should_keep_alive())))
        if len(self._waiting) > MAX_PIPELINE and self._transport is not None:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())
        self._begin()

    # -------------------------------------------------------------- own parts

    def _begin(self, *, is_between: bool = True) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._has_headers = False
        self._is_between = is_between
        self._received = 0

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                request, keep_alive = self._waiting.popleft()
                response = await self._app.answer(request)
                await self._can_write.wait()
                keep_alive = keep_alive and not self._connections.is_draining
                self._write(response, keep_alive=keep_alive, with_body=request.method != "HEAD")
                if not keep_alive:
                    self._close()
                    return
                if self._transport is not None:
                    self._transport.resume_reading()
        finally:
            self._task = None
        if self._is_between:
            self._wait(self._limits.idle_seconds)

    def _write(self, response: HttpResponse, *, keep_alive: bool, with_body: bool = True) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        lines = [
            f"HTTP/1.1 {response.status} {_phrase(response.status)}",
            f"content-type: {response.content_type}",
            f"content-length: {len(response.body)}",
            "x-content-type-options: nosniff",
            *(f"{name}: {value}" for name, value in response.headers.items()),
        ]
        if not keep_alive:
            lines.append("connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self._transport.write(head + response.body if with_body else head)

    def _refuse_body(self) -> None:
        megabytes = self._limits.body_bytes / (1 << 20)
        self._refuse(413, "BodyTooLarge", f"The body has more than {megabytes:g} MiB.")

    def _refuse(self, status: int, reason: str, message: str) -> None:
        if self._is_refusing:
            return
        self._is_refusing = True
        if self._task is None:
            self._write(self._app.problem(status, reason, message), keep_alive=False)
        self._close()

    def _close(self) -> None:
        self._stop_waiting()
        if self._transport is not None:
            self._transport.close()

    def close_if_idle(self) -> None:
        """Close unless an answer is due."""
        if not self.is_busy:
            self._close()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self._loop.call_later(seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.is_busy:
            return
        if self._is_between:
            self._close()
        else:
            self._refuse(408, "RequestTimeout", "The request did not come whole in time.")


class _Stop(Exception):
    """The rest of what a client sends does not matter any more."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


async def listen(
    app: ScoringApp, limits: ServerLimits, *, socket_path: str | None = None, port: int | None = None
) -> tuple[Any, Connections]:
    """Listen on a Unix socket (an old one is replaced) or on a loopback port; return server and connections."""
    connections = Connections()
    loop = asyncio.get_running_loop()

    def connect() -> Connection:
        return Connection(app, limits, connections)

    if socket_path is not None:
        import os

        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket_path)  # noqa: PTH108
        return await loop.create_unix_server(connect, socket_path, backlog=2048), connections
    return await loop.create_server(connect, "127.0.0.1", port or 0, backlog=2048), connections
