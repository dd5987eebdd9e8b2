"""The mount at ``/mlflow`` on a loopback port, with tokens known by heart; and MLflow's client as a process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import uvicorn
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from taxiway.api.auth import Identity, read_token
from taxiway.api.guard import FACTS, RequestFacts
from taxiway.api.mlflow import MLflowMount
from taxiway.domain.errors import NotSignedIn
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Principal
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.proxy import MLflowProxy
from tests.integration.registry.conftest import RunningMLflow


class Tokens:
    """Stands for the authenticator."""

    def __init__(self, known: Mapping[str, Principal]) -> None:
        self.known = known

    async def identify(self, headers: Headers, *, takes_basic: bool = False) -> Identity | None:
        token = read_token(headers, takes_basic=takes_basic)
        if token is None:
            return None
        if token not in self.known:
            raise NotSignedIn("The API token does not count.")
        return Identity(principal=self.known[token], by_cookie=False)


@dataclass
class Writer:
    """Stands for the audit log; keeps what it was told."""

    done: list[dict[str, Any]] = field(default_factory=list)
    denied: list[dict[str, Any]] = field(default_factory=list)

    async def begin(self, _asking: object, **told: object) -> None:
        self.done.append(told)

    async def deny(self, _asking: object, **told: object) -> None:
        self.denied.append(told)


class Ready:
    """Projects whose workspaces are all there."""

    async def require_workspace(self, name: ProjectName) -> None:
        """Have nothing to do."""


@dataclass
class Doors:
    """A running mount. ``calls`` are the templates that were met, ``refused`` what was not on the list."""

    url: str
    written: Writer
    calls: set[tuple[str, str]] = field(default_factory=set)
    refused: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def open_doors(
    mlflow: RunningMLflow, tokens: Mapping[str, Principal], *, upload_limit: int = 64 << 20
) -> Iterator[Doors]:
    """Serve the mount in a thread of its own."""
    written = Writer()
    doors = Doors(url="", written=written)
    connections: list[MLflowConnection] = []
    mounts: list[MLflowMount] = []
    app = SimpleNamespace(state=SimpleNamespace(guard=SimpleNamespace(authenticator=Tokens(tokens))))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not mounts:
            connections.append(MLflowConnection.over(mlflow.socket))
            proxy = MLflowProxy(connections[0], upload_limit=upload_limit)
            mount = MLflowMount(proxy, projects=Ready(), audit=written, changes=written)  # type: ignore[arg-type]
            mounts.append(mount)
        scope["app"], scope[FACTS] = app, RequestFacts(request_id="r", source="127.0.0.1")
        await mounts[0](scope, receive, send)
        route = scope[FACTS].route
        if route == "/mlflow":
            doors.refused.append((scope["method"], scope["path"]))
        else:
            doors.calls.add((scope["method"], route.removeprefix("/mlflow")))

    server = uvicorn.Server(uvicorn.Config(serve, port=0, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(_run(server, connections)))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        doors.url = f"http://127.0.0.1:{port}/mlflow"
        yield doors
    finally:
        server.should_exit = True
        thread.join()


async def _run(server: uvicorn.Server, connections: list[MLflowConnection]) -> None:
    await server.serve()
    for connection in connections:
        await connection.close()


def python(code: str, doors: Doors, *arguments: str, **environment: str) -> str:
    """Run MLflow's own client in a process of its own; returns the last line that it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={
            "PATH": os.defpath,
            "HOME": os.environ.get("HOME", "/"),
            "MLFLOW_TRACKING_URI": doors.url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "GIT_PYTHON_REFRESH": "quiet",
            **environment,
        },
        # MLflow takes the requirements of a uv project for the model's when it is run within one.
        cwd="/tmp",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]
