"""The activator: answers Envoy when a request that waits may go on, and to which pods. An ASGI application.

Envoy holds the request itself and asks here, over a Unix socket, with the request's path and without its body. The
answer is 200 with the cluster once the table in force has pods for it; 503 where there are none in time, too many wait,
or the endpoint is gone. That somebody waits is told to whoever decides how many pods there are.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from taxiway.domain.ids import DeploymentId
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway.clusters import cluster_name
from taxiway.gateway.holding import CLUSTER_HEADER, HELD_SECONDS, REVISION_HEADER

MOST_HELD = 500
"""Requests of one deployment that wait; more are refused."""
MOST_HELD_IN_ALL = 1000
"""Fewer than Envoy opens connections to us."""
PATIENCE_SECONDS = HELD_SECONDS - 5


class Activator:
    """Knows who waits. ``look`` is called whenever another table is in force."""

    def __init__(
        self,
        *,
        table: Callable[[], RoutingTable | None],
        wake: Callable[[DeploymentId], None],
        patience: float = PATIENCE_SECONDS,
        most_held: int = MOST_HELD,
    ) -> None:
        """Take what tells the table in force, and what is told of each deployment that a request waits for."""
        self._table = table
        self._wake = wake
        self._patience = patience
        self._most_held = most_held
        self._held: Counter[DeploymentId] = Counter()
        self._changed = asyncio.Event()

    def waiting(self, deployment: DeploymentId) -> int:
        """Return how many requests wait for a pod of the deployment."""
        return self._held[deployment]

    def is_busy(self) -> bool:
        """Tell whether any request waits."""
        return bool(self._held)

    def look(self) -> None:
        """Let all who wait look at the table again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when there is something to answer; not at all once Envoy has gone away."""
        if scope["type"] != "http":
            return
        held = asyncio.create_task(self._hold(scope["path"]))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((held, gone), return_when=asyncio.FIRST_COMPLETED)
            if held.done():
                await _answer(send, held.result())
        finally:
            for task in (held, gone):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _hold(self, path: str) -> Backend | None:
        """Return whose pods the request may go to; None where it is to be refused."""
        deadline, counted = asyncio.get_running_loop().time() + self._patience, None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    while True:
                        changed, table = self._changed, self._table()
                        route = None if table is None else _route_of(table, path)
                        if table is not None and (route is None or not route.holds):
                            return None if route is None else _choose(route)
                        if route is not None and counted is None:
                            if (
                                self._held[route.deployment] >= self._most_held
                                or self._held.total() >= MOST_HELD_IN_ALL
                            ):
                                return None
                            counted = route.deployment
                            self._held[counted] += 1
                            self._wake(counted)
                        await changed.wait()
            return None
        finally:
            if counted is not None:
                self._held[counted] -= 1
                self._held += Counter()


def _route_of(table: RoutingTable, path: str) -> EndpointRoute | None:
    return next((route for route in table.routes if path.startswith(route.prefix)), None)


def _choose(route: EndpointRoute) -> Backend | None:
    """Take one of those that get requests, each as often as its share says."""
    able = [backend for backend in route.backends if backend.addresses and backend.weight > 0]
    return random.choices(able, [backend.weight for backend in able])[0] if able else None  # noqa: S311 - no secret


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, backend: Backend | None) -> None:
    headers = [(b"content-length", b"0")]
    if backend is not None:
        headers += [
            (CLUSTER_HEADER.encode(), cluster_name(backend).encode()),
            (REVISION_HEADER.encode(), backend.revision.encode()),
        ]
    await send({"type": "http.response.start", "status": 503 if backend is None else 200, "headers": headers})
    await send({"type": "http.response.body"})
