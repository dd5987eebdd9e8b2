"""Open-loop load on an endpoint: a request goes out when it is due, whatever became of those before.

Latency counts from when a request was due, so that a wait before it was sent is part of it. Requests go over kept
connections, as many as are needed. httpx2 is not used here: it takes more CPU for a request than the gateway and a
small model together, and would be what is measured.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from taxiway.client.connection import Unreachable

PATIENCE_SECONDS = 30.0
MOST_WAITING = 1000
"""So many requests may be unanswered at a time; more are errors at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is called, and what it is sent."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self) -> bytes:
        """Return the whole request."""
        url = urlsplit(self.url)
        lines = [f"POST {url.path or '/'} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one request, all times in seconds since the load began: when it was due, and how long it took.

    ``late`` is how long after its time this program came to send it. ``status`` is None where no answer came.
    """

    due: float
    took: float
    late: float
    status: int | None

    @property
    def is_good(self) -> bool:
        """Tell whether it was answered, and not with an error."""
        return self.status is not None and self.status < 400


async def load(endpoint: Endpoint, due: Iterable[float], *, patience: float = PATIENCE_SECONDS) -> list[Answer]:
    """Send a request at each of these seconds from now, and return what became of all. Raises Unreachable at first."""
    generator = _Generator(endpoint, patience)
    await generator.try_once()
    return await generator.run(due)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Generator:
    def __init__(self, endpoint: Endpoint, patience: float) -> None:
        url = urlsplit(endpoint.url)
        self._where = (url.hostname or "localhost", url.port or (443 if url.scheme == "https" else 80))
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._request = endpoint.request()
        self._patience = patience
        self._idle: list[Connection] = []
        self._waiting = 0
        self._answers: list[Answer] = []

    async def try_once(self) -> None:
        try:
            self._idle.append(await self._open())
        except OSError as error:
            raise Unreachable(f"No answer from {self._where[0]}:{self._where[1]}: {error}.") from error

    async def run(self, due: Iterable[float]) -> list[Answer]:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for at in due:
                pause = began + at - time.perf_counter()
                # Without a pause the answers would wait until the requests are sent that this program is behind with.
                await asyncio.sleep(max(pause, 0.0))
                late = time.perf_counter() - began - at
                if self._waiting >= MOST_WAITING:
                    self._answers.append(Answer(due=at, took=late, late=late, status=None))
                    continue
                self._waiting += 1
                tasks.create_task(self._send(began, at, late))
        for _, writer in self._idle:
            writer.close()
        return self._answers

    async def _send(self, began: float, due: float, late: float) -> None:
        status = None
        try:
            async with asyncio.timeout(self._patience):
                status = await self._exchange()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            self._waiting -= 1
        took = time.perf_counter() - began - due
        self._answers.append(Answer(due=due, took=took, late=late, status=status))

    async def _open(self) -> Connection:
        return await asyncio.open_connection(*self._where, ssl=self._tls)

    async def _exchange(self) -> int:
        connection = None
        while self._idle and connection is None:
            connection = self._idle.pop()
            # A connection that was closed while it was idle is seen to be.
            if connection[0].at_eof() or connection[1].is_closing():
                connection[1].close()
                connection = None
        if connection is None:
            connection = await self._open()
        reader, writer = connection
        keeps = False
        try:
            writer.write(self._request)
            status, keeps = await _read(reader)
            return status
        finally:
            if keeps:
                self._idle.append(connection)
            else:
                writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one answer; return its status, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    status, keeps = int(head[0].split(" ", 2)[1]), headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            await reader.readexactly(size + 2)
        while (await reader.readline()).strip():
            pass
    elif "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    else:
        keeps = False
    return status, keeps
