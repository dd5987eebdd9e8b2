"""Open-loop load: requests are sent when they are due, whatever became of those before; nothing is sent twice.

Half go over kept connections, half over new ones. Latency counts from the intended time of sending.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KEPT = 4
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is called."""

    port: int
    path: str
    token: str
    body: bytes

    def request(self, *, keeps: bool) -> bytes:
        """Return the whole request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Length: {len(self.body)}\r\n"
            f"Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one request: its status, or what went wrong instead."""

    due: float
    seconds: float
    status: int | None
    error: str = ""
    retry_after: str = ""
    was_kept: bool = False


@dataclass
class Report:
    """All outcomes of one run."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> list[Outcome]:
        """Those that were not answered with 200."""
        return [outcome for outcome in self.outcomes if outcome.status != 200]

    def describe(self) -> str:
        """Return counts by outcome, for a failing assertion."""
        kinds = Counter(str(outcome.status or outcome.error) for outcome in self.outcomes)
        return ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))

    def seconds_without(self) -> float:
        """Return the longest time between two good answers' due times."""
        times = sorted(outcome.due for outcome in self.outcomes if outcome.status == 200)
        return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Generator:
    def __init__(self, target: Target, rate: float, report: Report) -> None:
        self._target = target
        self._rate = rate
        self._report = report
        self._idle: asyncio.Queue[Connection | None] = asyncio.Queue()

    async def run(self, stop: threading.Event) -> None:
        for _ in range(KEPT):
            self._idle.put_nowait(None)
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                due = began + number / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(self._send(due, is_kept=number % 2 == 0))
                number += 1
        while not self._idle.empty():
            kept = self._idle.get_nowait()
            if kept is not None:
                kept[1].close()

    async def _send(self, due: float, *, is_kept: bool) -> None:
        status, retry_after, error = None, "", ""
        try:
            async with asyncio.timeout(PATIENCE):
                status, retry_after = await (self._over_kept() if is_kept else self._over_new())
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError) as failure:
            error = type(failure).__name__
        self._report.outcomes.append(
            Outcome(
                due=due,
                seconds=time.monotonic() - due,
                status=status,
                error=error,
                retry_after=retry_after,
                was_kept=is_kept,
            )
        )

    async def _over_new(self) -> tuple[int, str]:
        connection = await asyncio.open_connection("127.0.0.1", self._target.port)
        try:
            return (await self._exchange(connection, keeps=False))[:2]
        finally:
            connection[1].close()

    async def _over_kept(self) -> tuple[int, str]:
        connection, is_good = await self._idle.get(), False
        try:
            # A client sees that a connection was closed while it was idle, and opens another.
            if connection is not None and connection[0].at_eof():
                connection[1].close()
            if connection is None or connection[1].is_closing():
                connection = await asyncio.open_connection("127.0.0.1", self._target.port)
            status, retry_after, is_good = await self._exchange(connection, keeps=True)
            return status, retry_after
        finally:
            if connection is not None and not is_good:
                connection[1].close()
            self._idle.put_nowait(connection if is_good else None)

    async def _exchange(self, connection: Connection, *, keeps: bool) -> tuple[int, str, bool]:
        reader, writer = connection
        writer.write(self._target.request(keeps=keeps))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
        if "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        is_good = keeps and headers.get("connection", "").lower() != "close"
        return int(head[0].split(" ")[1]), headers.get("retry-after", ""), is_good


@contextmanager
def open_loop(target: Target, *, rate: float) -> Iterator[Report]:
    """Send ``rate`` requests a second while the block runs; the report is whole when it ended."""
    report, stop = Report(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_Generator(target, rate, report).run(stop)), daemon=True)
    thread.start()
    try:
        yield report
    finally:
        stop.set()
        thread.join(PATIENCE + 5)
