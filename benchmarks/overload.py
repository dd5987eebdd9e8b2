"""A pod that is asked more than it can answer, or has slow or idle clients. ``make bench-overload``.

Goodput is what is answered with 200, beside the same pod's capacity at 64 clients. wrk's closed loop with a thousand
clients is the overload; each asks again at once when it is refused. A pod has recovered when 64 clients get nine tenths
of what they got in as short a time before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scoring import RESULTS, address, load, rows_of, train
from benchmarks.servers import HOME, PORT, SERVERS, body_of, memory_of, running

IDLE = 10_000
SLOW = 500
WINDOW = 2
"""Seconds of load by which it is seen whether a pod has recovered."""


@contextlib.contextmanager
def idle_clients(count: int) -> Iterator[int]:
    """Hold connections open that never ask; yield how many there are."""
    held = []
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", PORT), timeout=5))
        yield len(held)
    finally:
        for one in held:
            one.close()


@contextlib.contextmanager
def slow_clients(count: int) -> Iterator[int]:
    """Send requests a byte a second each."""
    stop = threading.Event()
    text = (
        b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + b"{" * 1000
    )
    held = [socket.create_connection(("127.0.0.1", PORT), timeout=5) for _ in range(count)]

    def drip() -> None:
        for at in range(len(text)):
            for one in held:
                with contextlib.suppress(OSError):
                    one.send(text[at : at + 1])
            if stop.wait(1):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()
        for one in held:
            one.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * IDLE)), hard))
    model = train(["a"], given.seed) / "a"
    body = HOME / "body.json"
    lines = []

    for name in ("taxiway", "taxiway, pyfunc"):
        server = SERVERS[name]
        body.write_bytes(body_of(server, *rows_of(model, 1)))
        with running(server, model) as (_, group):

            def ask(clients: int, seconds: int = given.seconds, path: str = address(server)) -> dict[str, float]:
                return load(path, body, clients, seconds, 1)

            ask(64, 2)
            capacity = ask(64)["good"]
            # What is under way at a window's end does not count, so a window is compared with windows.
            usual = statistics.median(ask(64, WINDOW)["good"] for _ in range(3))
            overload = ask(1000)
            windows = 0
            while ask(64, WINDOW)["good"] < 0.9 * usual and windows < 15:
                windows += 1
            recovered = windows * WINDOW
            lines.append([name, "1,000 clients at once", capacity, overload["good"], overload["p99"], recovered])
            with slow_clients(SLOW):
                time.sleep(2)
                found = ask(64)
            lines.append([name, f"{SLOW} slow clients beside", capacity, found["good"], found["p99"], None])
            before = memory_of(group)
            with idle_clients(IDLE) as count:
                found = ask(64)
                held = (memory_of(group) - before) / max(count, 1) * 1024
            idle = f"{count:,} idle clients beside ({held:.1f} KB each)"
            lines.append([name, idle, capacity, found["good"], found["p99"], None])
    text = "\n".join(
        [
            f"Model a, one core, {given.seconds} s a load, seed {given.seed}.",
            "",
            "| path | load | capacity /s | goodput /s | of it | p99 ms | recovered after |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {name} | {what} | {capacity:,.0f} | {goodput:,.0f} | {goodput / capacity:.0%} "
                f"| {p99:,.0f} | {'' if recovered is None else 'at once' if not recovered else f'{recovered} s'} |"
                for name, what, capacity, goodput, p99, recovered in lines
            ),
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overload.md").write_text(f"{text}\n")
    (RESULTS / "overload.json").write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
