"""A program: NVIDIA's Triton client talks to our server over TCP; what comes of it is printed as JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from taxiway_scoring.payload import Request
from taxiway_scoring.server import ServerLimits, listen
from taxiway_scoring.workers import bind
from tests.scoring.apps import a_contract, an_app

TABLE = a_contract(("amount", "double"), ("count", "long"), ("kind", "string"))


def score(request: Request) -> Any:
    return np.array([row[0] * row[1] + len(row[2]) for row in request.value["data"]])


def serve(found: list[int], is_up: threading.Event) -> None:
    async def run() -> None:
        server, _ = await listen(an_app(score, contract=TABLE), ServerLimits(), bind())
        found.append(server.sockets[0].getsockname()[1])
        is_up.set()
        await asyncio.Event().wait()

    asyncio.run(run())


def inputs(*, is_binary: bool, rows: int = 3) -> list[triton.InferInput]:
    columns = {
        "amount": ("FP64", np.arange(rows) + 0.5),
        "count": ("INT64", np.arange(rows)),
        "kind": ("BYTES", np.array(["a", "ü", ""] * rows, dtype=object)[:rows]),
    }
    made = []
    for name, (datatype, values) in columns.items():
        item = triton.InferInput(name, [rows], datatype)
        item.set_data_from_numpy(values, binary_data=is_binary)
        made.append(item)
    return made


def main() -> None:
    found: list[int] = []
    is_up = threading.Event()
    threading.Thread(target=serve, args=(found, is_up), daemon=True).start()
    assert is_up.wait(20)
    client = triton.InferenceServerClient(f"127.0.0.1:{found[0]}")
    said: dict[str, Any] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("m", "3"),
        "server": client.get_server_metadata()["name"],
        "inputs": [item["name"] for item in client.get_model_metadata("m")["inputs"]],
    }
    for is_binary in (False, True):
        wanted = [triton.InferRequestedOutput("predictions", binary_data=is_binary)]
        answer = client.infer("m", inputs(is_binary=is_binary), outputs=wanted, request_id="7")
        title = "binary" if is_binary else "json"
        said[title] = [answer.get_response()["id"], answer.as_numpy("predictions").tolist()]
    said["many"] = len(client.infer("m", inputs(is_binary=True, rows=20_000)).as_numpy("predictions"))
    try:
        client.infer("m", inputs(is_binary=True)[:2])
    except InferenceServerException as error:
        said["refused"] = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
