"""Does an endpoint speak the Open Inference Protocol, and is what it takes checked as strictly as elsewhere?"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from taxiway_scoring.app import HttpResponse, ScoringApp
from taxiway_scoring.payload import Request
from tests.scoring.apps import a_contract, a_tensor, an_app, ask

TABLE = a_contract(("amount", "double"), ("count", "long"), ("kind", "string"))
INFER = "/v2/models/m/infer"
INPUTS: list[dict[str, Any]] = [
    {"name": "amount", "shape": [2], "datatype": "FP64", "data": [1.5, None]},
    {"name": "count", "shape": [2, 1], "datatype": "INT64", "data": [[3], [4]]},
    {"name": "kind", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]},
]


def sums(request: Request) -> Any:
    rows = request.value["data"]
    return np.array([(row[0] or 0) + row[1] for row in rows])


async def infer(app: ScoringApp, document: Any, **headers: str) -> tuple[int, Any, HttpResponse]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    response = await ask(app, "POST", INFER, body, **headers)
    return response.status, json.loads(response.body) if not headers else None, response


async def test_one_tensor_is_one_column() -> None:
    app = an_app(sums, contract=TABLE)
    status, answer, _ = await infer(app, {"id": "42", "inputs": INPUTS})
    assert (status, answer) == (200, {
        "model_name": "m", "model_version": "3", "id": "42",
        "outputs": [{"name": "predictions", "datatype": "FP64", "shape": [2], "data": [4.5, 4.0]}],
    })  # fmt: skip


async def test_the_order_of_tensors_does_not_matter_and_others_are_left_out() -> None:
    more = {"name": "more", "shape": [2], "datatype": "BOOL", "data": [True, False]}
    app = an_app(lambda request: [request.value["columns"]], contract=TABLE)
    _, answer, _ = await infer(app, {"inputs": [more, *INPUTS[::-1]]})
    assert answer["outputs"][0]["data"] == ["amount", "count", "kind"]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"inputs": []}, 400, "a list 'inputs'"),
        ({"inputs": INPUTS[:2]}, 422, "lacks column 'kind'"),
        ({"inputs": [INPUTS[0], INPUTS[0], INPUTS[2]]}, 400, "inputs[1] has the name of one before it"),
        ({"inputs": [{**INPUTS[0], "shape": [3]}, *INPUTS[1:]]}, 400, "has 2 values; its shape wants another number"),
        ({"inputs": [{**INPUTS[0], "shape": [1, 2]}, *INPUTS[1:]]}, 422, "[n] or [n, 1]"),
        ({"inputs": [{**INPUTS[0], "shape": [-1]}, *INPUTS[1:]]}, 400, "'shape' of inputs[0]"),
        ({"inputs": [{**INPUTS[0], "datatype": "FP128"}, *INPUTS[1:]]}, 400, "'datatype' of inputs[0]"),
        ({"inputs": [{**INPUTS[0], "data": "x"}, *INPUTS[1:]]}, 400, "'data' of inputs[0] must be a list"),
        (
            {"inputs": [{**INPUTS[0], "data": ["secret", 1]}, *INPUTS[1:]]},
            422,
            "Row 0, column 'amount' must be a number",
        ),
        ({"inputs": [INPUTS[0], {**INPUTS[1], "data": [[1.7], [2]]}, INPUTS[2]]}, 422, "Row 0, column 'count'"),
        ({"inputs": [INPUTS[0], {**INPUTS[1], "data": [[1], 2]}, INPUTS[2]]}, 400, "not nested as its shape says"),
        ({"inputs": [{**INPUTS[0], "shape": [1], "data": [1]}, *INPUTS[1:]]}, 422, "the same number of rows"),
        ({"inputs": INPUTS, "id": 5}, 400, "'id' must be a text"),
        ({"inputs": INPUTS, "outputs": [{"name": "nothing"}]}, 422, "no output 'nothing'"),
        ({"inputs": INPUTS, "outputs": [5]}, 400, "outputs[0]"),
        (b"{", 400, "not valid JSON"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(change: Any, status: int, said: str) -> None:
    got, problem, response = await infer(an_app(sums, contract=TABLE), change)
    assert (got, said in problem["error"]) == (status, True), problem
    assert "secret" not in response.body.decode()
    assert problem["reason"] in ("MalformedBody", "ContractViolation")


async def test_outputs_are_named_by_what_the_model_returns() -> None:
    rows = [{"score": 0.5, "label": "a"}, {"score": None, "label": "b"}]
    app = an_app(lambda _: rows, contract=TABLE)
    _, answer, _ = await infer(app, {"inputs": INPUTS, "outputs": [{"name": "label"}]})
    assert answer["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]
    _, answer, _ = await infer(app, {"inputs": INPUTS})
    assert answer["outputs"][0] == {"name": "score", "datatype": "FP64", "shape": [2], "data": [0.5, None]}


async def test_probabilities_keep_their_shape() -> None:
    app = an_app(lambda _: np.array([[0.25, 0.75], [1, 0]], dtype=np.float32), contract=TABLE)
    _, answer, _ = await infer(app, {"inputs": INPUTS})
    (output,) = answer["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("FP32", [2, 2], [0.25, 0.75, 1.0, 0.0])


async def test_tensors_come_whole() -> None:
    contract = a_contract(inputs=[a_tensor("float64", -1, 2)])
    app = an_app(lambda request: np.array(request.value).sum(axis=1), contract=contract)
    flat = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
    nested = {**flat, "data": [[1, 2], [3, 4]]}
    for tensor in (flat, nested):
        status, answer, _ = await infer(app, {"inputs": [tensor]})
        assert (status, answer["outputs"][0]["data"]) == (200, [3.0, 7.0])


async def test_binary_data_goes_in_and_out() -> None:
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", "ü".encode()))
    raw = struct.pack("<2d", 1.5, float("nan")) + struct.pack("<2q", 3, 4) + texts
    sizes = (16, 16, len(texts))
    inputs = [
        {key: value for key, value in item.items() if key != "data"} | {"parameters": {"binary_data_size": size}}
        for item, size in zip(INPUTS, sizes, strict=True)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    app = an_app(sums, contract=TABLE)
    status, _, response = await infer(app, head + raw, inference_header_content_length=str(len(head)))
    length = int(response.headers["Inference-Header-Content-Length"])
    (output,) = json.loads(response.body[:length])["outputs"]
    assert (status, response.content_type) == (200, "application/octet-stream")
    assert output == {
        "name": "predictions", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16},
    }  # fmt: skip
    assert struct.unpack("<2d", response.body[length:]) == (4.5, 4.0)
    for wrong in (str(len(head) - 1), "x", str(10**9)):
        status, _, response = await infer(app, head + raw, inference_header_content_length=wrong)
        assert status == 400
    status, _, response = await infer(app, head + raw + b"more", inference_header_content_length=str(len(head)))
    assert (status, "more binary data" in json.loads(response.body)["error"]) == (400, True)


async def test_metadata_and_readiness() -> None:
    app = an_app(contract=TABLE)
    about = json.loads((await ask(app, path="/v2")).body)
    assert (about["name"], about["extensions"]) == ("taxiway", ["binary_tensor_data"])
    for path in ("/v2/models/m", "/v2/models/m/versions/3"):
        model = json.loads((await ask(app, path=path)).body)
        assert (model["name"], model["versions"], model["platform"]) == ("m", ["3"], "mlflow")
        assert model["inputs"][1] == {"name": "count", "datatype": "INT64", "shape": [-1]}
    assert (await ask(app, path="/v2/models/m/versions/3/ready")).status == 200
    app.is_ready = False
    assert (await ask(app, path="/v2/models/m/ready")).status == 503
    for path in ("/v2/models/other", "/v2/models/m/versions/4", "/v2/models/m/explain", "/v2/models/"):
        missing = await ask(app, path=path)
        assert (missing.status, "error" in json.loads(missing.body)) == (404, True)
    assert (await ask(app, "GET", INFER)).status == 405
