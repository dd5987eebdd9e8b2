"""A real Envoy under its stub, its files, and what a test publishes to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.ids import AccessTokenId, DeploymentId, RevisionId, UserId
from taxiway.domain.quotas import Quota
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway import EnvoyGateway, GatewayLimits, envoy_child, write_bootstrap
from taxiway.keys import FileSigner
from taxiway.stub import children
from tests.integration.gateway.pods import Answer, Server
from tests.integration.runtimes.programs import short_directory, wait_for

PREFIX = "/staging/fraud/scores/1/"
DEPLOYMENT = DeploymentId("0000dep1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Gate:
    """One Envoy. ``child`` is its stub's directory."""

    root: Path
    port: int
    metrics_port: int
    signer: FileSigner
    servers: list[Server] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "gateway"

    @property
    def child(self) -> Path:
        return self.root / "children" / "envoy"

    @property
    def admin_socket(self) -> Path:
        return self.root / "envoy.sock"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def activator_socket(self) -> Path:
        return self.root / "activator.sock"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self, limits: GatewayLimits | None = None) -> None:
        write_bootstrap(
            self.home,
            host="127.0.0.1",
            port=self.port,
            metrics_port=self.metrics_port,
            admin_socket=self.admin_socket,
            control_socket=self.control_socket,
            activator_socket=self.activator_socket,
            public_keys=self.signer.public_keys(),
            limits=limits,
        )

    def start(self) -> None:
        children.start(self.child, envoy_child(self.home, admin_socket=self.admin_socket))
        wait_for(lambda: self._phase() == "ready", seconds=20)

    def envoy_pid(self) -> int:
        status = children.status(self.child)
        assert status is not None
        assert status.child_pid is not None
        return status.child_pid

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as caller:
            caller.sendall(b"GET /staging/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return caller.recv(12) == b"HTTP/1.1 404"
        return False

    def _phase(self) -> str:
        status = children.status(self.child)
        return "" if status is None else str(status.phase)

    def token(
        self, *, deployment: str = DEPLOYMENT, key: str = "token1", life: timedelta = timedelta(hours=1),
        caller: str = "shop",
    ) -> str:  # fmt: skip
        now = datetime.now(tz=UTC)
        token = AccessToken(
            id=AccessTokenId(key), deployment=DeploymentId(deployment), caller=caller, created_by=UserId("u"),
            created_at=now - timedelta(hours=2), expires_at=now + life,
        )  # fmt: skip
        return self.signer.sign(token.claims())


@contextlib.contextmanager
def a_gate(limits: GatewayLimits | None = None) -> Iterator[Gate]:
    with short_directory() as root:
        gate = Gate(root=root, port=free_port(), metrics_port=free_port(), signer=FileSigner(root / "keys"))
        gate.prepare(limits)
        gate.start()
        yield gate


class Scene:
    """What one test does with a gate: servers, a gateway of its own, a client. ``close`` lets go of all."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.gateway = EnvoyGateway(gate.home, admin_socket=gate.admin_socket, child=gate.child)
        self.client = httpx2.AsyncClient(
            base_url=gate.url, timeout=15, trust_env=False, limits=httpx2.Limits(max_connections=256)
        )
        self.metrics = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{gate.metrics_port}", timeout=5, trust_env=False)
        self._servers: list[Server] = []

    async def pod(self, name: str = "p1", answer: Answer | None = None) -> Server:
        server = await Server(self.gate.root / f"{name}.sock", name, answer).start()
        self._servers.append(server)
        return server

    async def control(self, answer: Answer | None = None) -> Server:
        server = await Server(self.gate.control_socket, "control", answer).start()
        self._servers.append(server)
        return server

    async def publish(self, *routes: EndpointRoute, revoked: tuple[str, ...] = ()) -> RoutingTable:
        """Publish a table and wait until it is in force."""
        table = RoutingTable(routes=routes, revoked=frozenset(AccessTokenId(key) for key in revoked))
        await self.gateway.publish(table)
        await self.in_force(table)
        return table

    async def in_force(self, table: RoutingTable, *, seconds: float = 5) -> float:
        began = time.monotonic()
        while await self.gateway.accepted() != table.version:
            assert time.monotonic() < began + seconds, "the table was never accepted"
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def close(self) -> None:
        await self.client.aclose()
        await self.metrics.aclose()
        await self.gateway.close()
        for server in self._servers:
            await server.die(leaves_socket=False)


def a_route(
    *pods: Server | str,
    prefix: str = PREFIX,
    deployment: str = DEPLOYMENT,
    revision: str = "0000rev1",
    needs_token: bool = False,
    timeout_seconds: float = 5.0,
    quota: Quota | None = None,
) -> EndpointRoute:
    addresses = tuple(pod if isinstance(pod, str) else pod.address for pod in pods)
    return EndpointRoute(
        prefix=prefix,
        deployment=DeploymentId(deployment),
        backends=(Backend(revision=RevisionId(revision), addresses=addresses),),
        needs_token=needs_token,
        quota=quota,
        timeout_seconds=timeout_seconds,
    )
