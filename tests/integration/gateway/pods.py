"""Small HTTP servers on Unix sockets that stand for pods and for the control plane."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body_bytes: int = 0


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Asked], Awaitable[Reply]]


class Server:
    """Answers with its name and what it was asked, or as ``answer`` says. Connections are kept."""

    def __init__(self, socket: Path, name: str, answer: Answer | None = None) -> None:
        self.socket = socket
        self.name = name
        self.asked: list[Asked] = []
        self._answer = answer or self._echo
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"unix:{self.socket}"

    async def start(self) -> Server:
        self.socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.socket), limit=1 << 17, backlog=512)
        return self

    async def die(self, *, leaves_socket: bool = True) -> None:
        """End as after kill -9: connections reset, the socket's file left behind (or not)."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        if not leaves_socket:
            self.socket.unlink(missing_ok=True)
        await asyncio.sleep(0)

    async def _echo(self, asked: Asked) -> Reply:
        known = {"pod": self.name, "path": asked.path, "headers": asked.headers, "body_bytes": asked.body_bytes}
        return Reply(body=json.dumps(known).encode(), headers={"Content-Type": "application/json"})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                reply = await self._answer(asked)
                lines = [f"HTTP/1.1 {reply.status} OK", *(f"{k}: {v}" for k, v in reply.headers.items())]
                head = "\r\n".join([*lines, f"Content-Length: {len(reply.body)}", "", ""]).encode()
                writer.write(head + (b"" if asked.method == "HEAD" else reply.body))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if line}
    asked = Asked(method, path, headers)
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int(await reader.readline(), 16):
            await _skip(reader, size + 2)
            asked.body_bytes += size
        await reader.readline()
    else:
        asked.body_bytes = int(headers.get("content-length", "0"))
        await _skip(reader, asked.body_bytes)
    return asked


async def _skip(reader: asyncio.StreamReader, count: int) -> None:
    while count:
        part = await reader.read(min(count, 1 << 16))
        if not part:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(part)
