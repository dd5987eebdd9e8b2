"""Arrow, Parquet and large answers, through Envoy to a scoring server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from taxiway_scoring.payload import Request
from taxiway_scoring.server import ServerLimits, listen
from taxiway_scoring.tables import ARROW_STREAM, PARQUET
from taxiway_scoring.workers import bind
from tests.docs.pages import DOCS, blocks
from tests.integration.gateway.gate import PREFIX, Scene, a_route
from tests.scoring.apps import a_contract, an_app
from tests.scoring.test_declared import a_parquet, a_stream

pytestmark = pytest.mark.integration
ROWS = 300_000


def sums(request: Request) -> Any:
    """Amount and hour of each row together, for a single amount below zero many of them."""
    frame = request.value.frame()
    found = (frame["amount"] + frame["hour"]).to_numpy(dtype=np.float32)
    return np.arange(ROWS, dtype=np.float64) / 7 if found[0] < 0 else found


@pytest.fixture
async def endpoint(scene: Scene) -> AsyncIterator[Scene]:
    socket = scene.gate.root / "scores.sock"
    app = an_app(sums, contract=a_contract(("amount", "double"), ("hour", "double")))
    server, connections = await listen(app, ServerLimits(), bind(socket_path=str(socket)))
    await scene.publish(a_route(f"unix:{socket}"))
    yield scene
    server.close()
    connections.abort()


TABLE = pa.table({"amount": [12.5, 820.0], "hour": [14.0, 3.0]})
MANY = pa.table({"amount": [-9.0], "hour": [0.0]})


async def test_tables_go_in_and_out(endpoint: Scene) -> None:
    for body, sent in ((a_stream(TABLE), ARROW_STREAM), (a_parquet(TABLE), PARQUET)):
        for wanted in (ARROW_STREAM, PARQUET, "application/json"):
            headers = {"Content-Type": sent, "Accept": wanted}
            answer = await endpoint.client.post(f"{PREFIX}invocations", headers=headers, content=body)
            assert (answer.status_code, answer.headers["content-type"]) == (200, wanted), answer.text
            if wanted == "application/json":
                assert answer.json() == {"predictions": [26.5, 823.0]}
                continue
            source = pa.BufferReader(answer.content)
            table = pyarrow.parquet.read_table(source) if wanted == PARQUET else pa.ipc.open_stream(source).read_all()
            assert table.equals(pa.table({"prediction": pa.array([26.5, 823.0], pa.float32())}))
    refused = await endpoint.client.post(f"{PREFIX}invocations", headers={"Accept": "text/html"}, content=b"{}")
    assert (refused.status_code, refused.json()["reason"]) == (406, "NotAcceptable")


async def test_large_answers_come_whole(endpoint: Scene) -> None:
    for wanted in ("application/json", ARROW_STREAM):
        headers = {"Content-Type": ARROW_STREAM, "Accept": wanted}
        answer = await endpoint.client.post(f"{PREFIX}invocations", headers=headers, content=a_stream(MANY))
        assert answer.headers["transfer-encoding"] == "chunked"
        if wanted == ARROW_STREAM:
            found = pa.ipc.open_stream(answer.content).read_all()["prediction"].to_pylist()
        else:
            found = json.loads(answer.content)["predictions"]
        assert found == (np.arange(ROWS) / 7).tolist()


async def test_the_example_of_the_docs_runs(endpoint: Scene) -> None:
    """The block in docs/howto/call-an-endpoint.md, with another URL."""
    page = DOCS / "howto" / "call-an-endpoint.md"
    (block,) = (block for block in blocks(page) if block.title == "arrow")
    shown = "http://localhost:8080/staging/shop/payments/1"
    assert shown in block.text
    program = block.text.replace(shown, f"{endpoint.gate.url}{PREFIX.rstrip('/')}")
    environment = os.environ | {"TAXIWAY_ACCESS_TOKEN": endpoint.gate.token()}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "{'prediction': [26.5, 823.0]}\n", done.stderr
