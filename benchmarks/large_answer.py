"""Answers a million rows once, to a client in a process of its own; prints what that took. Part of ``bulk.py``."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet  # noqa: F401 - measured is the answer, not an import

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bulk import ANSWER_ROWS
from taxiway_scoring.app import Identity, Limits, ScoringApp
from taxiway_scoring.contract import compile_signature
from taxiway_scoring.payload import Request
from taxiway_scoring.server import ServerLimits, listen
from taxiway_scoring.workers import bind

BODY = b'{"inputs": {"x": [1.0]}}'


class Constant:
    """A predictor that returns the same whatever it is asked."""

    mlflow_version, is_typed = "", False

    def __init__(self, predictions: Any) -> None:
        self._predictions = predictions

    def predict(self, _: Request) -> Any:
        """Return the predictions."""
        return self._predictions


def megabytes(key: str) -> float:
    """Return a line of this process's status, in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{key}:")[2].split()[0]) / 1024


def ask(path: str, wanted: str) -> dict[str, float]:
    """Read the answer in pieces, keeping none."""
    lines = ["POST /invocations HTTP/1.1", "Host: x", "Connection: close", "Content-Type: application/json"]
    head = "\r\n".join([*lines, f"Accept: {wanted}", f"Content-Length: {len(BODY)}", "", ""]).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        began = time.perf_counter()
        client.sendall(head + BODY)
        sent = first = 0.0
        while piece := client.recv(1 << 16):
            first = first or time.perf_counter() - began
            sent += len(piece)
    return {"sent": sent / 1e6, "first": first * 1000, "all": (time.perf_counter() - began) * 1000}


async def serve(kind: str, wanted: str, path: str) -> dict[str, float]:
    """Serve until the client has its answer; return what it and this process saw."""
    contract = compile_signature({"inputs": '[{"name": "x", "type": "double"}]'})
    app = ScoringApp(identity=Identity("p", "r", "m", "1"), contract=contract, limits=Limits())
    values = np.random.default_rng(1).random(ANSWER_ROWS)
    makers = {"array": lambda: values, "list": values.tolist, "frame": lambda: pd.DataFrame({"y": values})}
    app.install(Constant(makers[kind]()))
    await listen(app, ServerLimits(), bind(socket_path=path))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak until here
    before = megabytes("VmRSS")
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.write(tell, json.dumps(ask(path, wanted)).encode())
        os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):  # noqa: ASYNC222 - it does not wait
        await asyncio.sleep(0.01)
    return json.loads(os.read(told, 1 << 16)) | {"peak": megabytes("VmHWM") - before}  # type: ignore[no-any-return]


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(asyncio.run(serve(sys.argv[1], sys.argv[2], f"{home}/s"))))


if __name__ == "__main__":
    main()
