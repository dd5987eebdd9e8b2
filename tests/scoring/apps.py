"""A scoring app around a function, and a connection fed with bytes: no socket, no model, no MLflow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from taxiway_scoring.app import HttpRequest, HttpResponse, Identity, Limits, ScoringApp
from taxiway_scoring.contract import Contract, compile_signature
from taxiway_scoring.payload import Request
from taxiway_scoring.server import Connection, Connections, ServerLimits
from taxiway_scoring.spool import Spool
from taxiway_scoring.tables import Columns


def a_contract(*columns: tuple[str | None, Any], optional: tuple[str, ...] = (), **more: Any) -> Contract:
    """A contract of (name, type); ``outputs``, ``params`` or ``inputs`` as MLflow's own lists."""
    inputs = [
        {"type": kind} | ({} if name is None else {"name": name}) | {"required": name not in optional}
        if isinstance(kind, str)
        else {**kind, "name": name, "required": name not in optional}
        for name, kind in columns
    ]
    return compile_signature({"inputs": json.dumps(inputs)} | {key: json.dumps(value) for key, value in more.items()})


def a_tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **named}


class ByRows:
    """The part of a plan that is the same for every plan of rows."""

    def predict(self, rows: Any) -> Any:
        raise NotImplementedError

    def predict_columns(self, columns: Columns) -> Any:
        return self.predict(list(zip(*(columns.cells(at) for at in range(len(columns.values))), strict=True)))


class FakePredictor:
    """Predicts with a function of the checked request."""

    mlflow_version = "3.0"

    def __init__(self, function: Callable[[Request], Any], *, is_typed: bool = False) -> None:
        self._function = function
        self.is_typed = is_typed

    def predict(self, request: Request) -> Any:
        return self._function(request)


X = a_contract(("x", "double"))


def an_app(
    function: Callable[[Request], Any] = lambda _: [1.0],
    *,
    contract: Contract = X,
    limits: Limits | None = None,
    on_stuck: Callable[[], None] = lambda: None,
    is_typed: bool = False,
    example: bytes | None = None,
    spool: Spool | None = None,
) -> ScoringApp:
    identity = Identity("pod-1", "revision-1", "m", "3")
    app = ScoringApp(
        identity=identity,
        contract=contract,
        limits=limits or Limits(),
        on_stuck=on_stuck,
        example=example,
        spool=spool,
    )
    app.install(FakePredictor(function, is_typed=is_typed))
    app.is_ready = True
    return app


async def ask(
    app: ScoringApp, method: str = "GET", path: str = "/ping", body: bytes = b"", **headers: str
) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await app.answer(HttpRequest(method, path, named, body))


async def predict(app: ScoringApp, body: object, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await ask(app, "POST", "/invocations", data, **headers)
    return response.status, json.loads(response.body)


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False
        self.was_aborted = False
        self.has_ended = False
        self.is_paused = False
        self.unwritten = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        assert not self.has_ended
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.was_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_ended = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return self.unwritten


class Wire:
    """A connection to an app, fed with bytes."""

    def __init__(
        self,
        app: ScoringApp | None = None,
        limits: ServerLimits | None = None,
        connections: Connections | None = None,
    ) -> None:
        self.limits = limits or ServerLimits()
        self.connections = connections or Connections(self.limits)
        self.connection = Connection(app or an_app(), self.limits, self.connections)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)

    def feed(self, data: bytes, *, piece: int = 0) -> None:
        step = piece or max(1, len(data))
        for at in range(0, len(data), step):
            self.connection.data_received(data[at : at + step])

    async def settle(self) -> list[tuple[int, dict[str, str], bytes]]:
        """Wait until all that was asked is answered; return the answers."""
        while (task := self.connection._task) is not None or self.connection._is_taken:
            await (asyncio.sleep(0) if task is None else asyncio.wait([task]))
        await asyncio.sleep(0)
        return self.answers()

    def answers(self) -> list[tuple[int, dict[str, str], bytes]]:
        found, rest = [], self.transport.written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            if headers.get("transfer-encoding") == "chunked":
                body, rest = _unchunked(rest)
            else:
                length = int(headers["content-length"])
                body, rest = rest[:length], rest[length:]
            found.append((int(first.split()[1]), headers, body))
        return found


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    """Return the body of chunks, and what comes behind them."""
    parts = []
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        parts.append(data[:length])
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]
        if not length:
            return b"".join(parts), data


def a_post(body: bytes, *headers: str, path: str = "/invocations") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
