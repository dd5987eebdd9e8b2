"""ScoringApp: routes, problems, limits, deadlines; no server and no model inside."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from taxiway_scoring import app as app_module
from taxiway_scoring.app import Job, Limits
from taxiway_scoring.payload import Request
from taxiway_scoring.refusals import Refused
from tests.scoring.apps import FakePredictor, X, a_contract, an_app, ask, predict

INPUT = {"inputs": [1.5]}


@contextmanager
def a_held_model() -> Iterator[tuple[Callable[[object], Any], threading.Event]]:
    """A model that answers when it is let go."""
    begun, may_end = threading.Event(), threading.Event()

    def hold(_request: object) -> list[float]:
        begun.set()
        may_end.wait(10)
        return [1.0]

    try:
        yield hold, begun
    finally:
        may_end.set()


async def test_predictions_and_who_made_them() -> None:
    response = await ask(an_app(lambda r: r.value), "POST", "/invocations", b'{"inputs": [1, 2.5]}')
    assert (response.status, response.rows) == (200, 2)
    assert json.loads(response.body) == {"predictions": [1, 2.5]}
    assert response.headers["X-Taxiway-Revision"] == "revision-1"
    assert response.headers["X-Taxiway-Pod"] == "pod-1"


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ("abc-1.2:3_4", True),
        ("", False),
        ("a b", False),
        ("a\r\nSet-Cookie: x", False),
        ("x" * 81, False),
        ("ä", False),
    ],
)
async def test_request_ids_are_kept_when_they_are_safe(given: str, *, is_kept: bool) -> None:
    response = await ask(an_app(), path="/nowhere", x_request_id=given)
    found = response.headers["X-Request-Id"]
    assert (found == given) is is_kept
    assert found in json.loads(response.body)["instance"]


async def test_routes() -> None:
    app = an_app()
    for path in ("/ping", "/health", "/ready", "/v2/health/live", "/v2/health/ready"):
        assert (await ask(app, path=path)).status == 200
        assert (await ask(app, "HEAD", path)).status == 200
    assert (await ask(app, path="/version")).body == b"3.0"
    assert b"<table" in (await ask(app, path="/docs")).body
    for method, path, status in (
        ("GET", "/", 404), ("GET", "/invocations", 405), ("PUT", "/invocations", 405), ("POST", "/ping", 405),
        ("GET", "/ping/", 404), ("GET", "//ping", 404), ("GET", "/%70ing", 404),
    ):  # fmt: skip
        response = await ask(app, method, path)
        assert response.status == status, path
        assert response.content_type == "application/problem+json"
        assert ("Allow" in response.headers) is (status == 405)


async def test_live_is_not_ready_and_draining_still_answers() -> None:
    app = an_app()
    app.is_ready = False
    assert (await ask(app, path="/health")).status == 200
    response = await ask(app, path="/ready")
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (await predict(app, INPUT))[0] == 200, "a draining pod answers what still reaches it"


async def test_problems_have_the_names_of_mlflow_too() -> None:
    status, problem = await predict(an_app(), {"inputs": ["secret-value"]})
    assert status == 422
    assert problem["error_code"] == "INVALID_PARAMETER_VALUE"
    assert problem["message"] == problem["detail"] == "Row 0, column 'x' must be a number."
    assert (problem["row"], problem["column"], problem["reason"]) == (0, "x", "ContractViolation")
    assert "secret" not in json.dumps(problem)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_a_body_may_come_as_gzip(encoding: str) -> None:
    packed = gzip.compress(json.dumps(INPUT).encode())
    assert await predict(an_app(), packed, content_encoding=encoding) == (200, {"predictions": [1.0]})
    for broken in (packed[:-1], packed + b"x", packed[:5], b"", b"{}"):
        status, problem = await predict(an_app(), broken, content_encoding=encoding)
        assert (status, "gzip" in problem["detail"]) == (400, True)


async def test_a_small_body_that_becomes_a_large_one_is_refused() -> None:
    app = an_app(limits=Limits(body_bytes=1 << 20))
    bomb = gzip.compress(b" " * (200 << 20))
    status, problem = await predict(app, bomb, content_encoding="gzip")
    assert (status, problem["detail"]) == (413, "The body has more than 1 MiB when it is unpacked.")


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, identity"])
async def test_other_encodings_are_refused(encoding: str) -> None:
    assert (await predict(an_app(), INPUT, content_encoding=encoding))[0] == 415
    assert (await predict(an_app(), INPUT, content_encoding="identity"))[0] == 200


async def test_a_model_that_fails_says_what_it_raised_and_nothing_of_the_data() -> None:
    def fail(_request: object) -> None:
        raise KeyError("secret-value")

    status, problem = await predict(an_app(fail), INPUT)
    assert (status, problem["reason"], problem["error_code"]) == (500, "PredictionFailed", "INTERNAL_ERROR")
    assert "KeyError" in problem["message"]
    assert "secret" not in json.dumps(problem)


async def test_no_rows_are_the_callers_trouble_when_the_model_cannot_predict_none() -> None:
    def fail(_request: object) -> None:
        raise ValueError("Found array with 0 samples")

    status, problem = await predict(an_app(fail), {"dataframe_records": []}, content_type="application/json")
    assert (status, problem["reason"]) == (422, "ContractViolation")
    status, problem = await predict(an_app(fail), b"x\n", content_type="text/csv")
    assert status == 422
    assert (await predict(an_app(lambda _: []), {"inputs": []})) == (200, {"predictions": []})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"dataframe_split": {"columns": ["x"], "data": [[1.5], [None]]}}, "application/json"),
        ({"dataframe_records": [{"x": 1.5}, {"x": None}]}, "application/json"),
        ({"instances": [{"x": 1.5}, {"x": None}]}, "application/json"),
        ({"inputs": {"x": [1.5, None]}}, "application/json"),
        ({"inputs": [1.5, None]}, "application/json"),
        (b"x\n1.5\nNA\n", "text/csv"),
        (b"x\n1.5\n-inf\n", "text/csv"),
    ],
)
async def test_a_value_that_is_missing_is_named_where_the_model_fails(body: object, kind: str) -> None:
    """Or callers would be told to come again, and the gateway would leave the pod for a while."""

    def fail(_request: object) -> None:
        raise ValueError("Input X contains NaN of secret-value")

    status, problem = await predict(an_app(fail, contract=X), body, content_type=kind)
    what = "is infinite" if b"inf" in str(body).encode() else "has no value"
    assert (status, problem["reason"], problem["row"], problem["column"]) == (422, "ContractViolation", 1, "x")
    assert f"The model raised ValueError, and row 1, column 'x' {what}" in problem["detail"]
    assert "secret" not in json.dumps(problem)


@pytest.mark.parametrize("value", [object(), [1j], {1: object()}])
async def test_answers_that_json_does_not_have(value: object) -> None:
    status, problem = await predict(an_app(lambda _: value), INPUT)
    assert (status, problem["reason"]) == (500, "PredictionFailed")


async def test_an_answer_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert (await predict(an_app(lambda _: endless), INPUT))[1]["reason"] == "PredictionFailed"


OUTPUTS = [{"type": "double", "required": True}]


@pytest.mark.parametrize(
    ("outputs", "answer", "is_kept"),
    [
        (OUTPUTS, [1.0, 2], True),
        (OUTPUTS, ["x"], False),
        ([{"type": "long", "name": "n"}, {"type": "string", "name": "s"}], [{"n": 1, "s": "x"}], True),
        ([{"type": "long", "name": "n"}, {"type": "string", "name": "s"}], [{"n": 1.5, "s": "x"}], False),
        ([{"type": "long", "name": "n"}], [{"other": 1}], False),
        ([{"type": "long", "name": "n", "required": False}], [{}], True),
    ],
)
async def test_answers_are_compared_with_the_models_own_promise(
    outputs: list[dict[str, Any]], answer: Any, *, is_kept: bool
) -> None:
    contract = a_contract(("x", "double"), outputs=outputs)
    lenient = an_app(lambda _: answer, contract=contract)
    assert (await predict(lenient, INPUT))[0] == 200
    assert lenient.telemetry.output_mismatches == (0 if is_kept else 1)
    strict = an_app(lambda _: answer, contract=contract, limits=Limits(refuse_mismatch=True))
    status, problem = await predict(strict, INPUT)
    assert status == (200 if is_kept else 500)
    assert is_kept or problem["reason"] == "OutputMismatch"


async def test_the_queue_is_bounded() -> None:
    with a_held_model() as (hold, begun):
        app = an_app(hold, limits=Limits(queue=2))
        waiting = [asyncio.create_task(predict(app, INPUT)) for _ in range(3)]
        await asyncio.to_thread(begun.wait)
        response = await ask(app, "POST", "/invocations", b'{"inputs": [1]}')
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert json.loads(response.body)["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert (await ask(app)).status == 200, "liveness does not queue"
    assert {status for status, _ in await asyncio.gather(*waiting)} == {200}
    assert app.telemetry.in_flight == 0


async def test_what_could_not_be_answered_in_time_is_refused_at_once() -> None:
    """Two wait behind predictions that took 20 s of late: the limit of 30 s would pass before their turn."""
    with a_held_model() as (hold, begun):
        app = an_app(hold, limits=Limits(timeout_seconds=30))
        app._typical = 20.0
        waiting = [asyncio.create_task(predict(app, INPUT)) for _ in range(2)]
        await asyncio.to_thread(begun.wait)
        assert (await predict(app, INPUT))[0] == 429
    assert {status for status, _ in await asyncio.gather(*waiting)} == {200}


async def test_one_slow_prediction_turns_nobody_away() -> None:
    app = an_app()
    for _ in range(5):
        await predict(app, INPUT)
    app._lately.append(1000.0)
    await predict(app, INPUT)
    assert app._typical < 1


async def test_a_prediction_over_its_time_limit() -> None:
    with a_held_model() as (hold, _):
        app = an_app(hold, limits=Limits(timeout_seconds=0.01))
        status, problem = await predict(app, INPUT)
        assert (status, problem["reason"], problem["error_code"]) == (504, "PredictionTimedOut", "DEADLINE_EXCEEDED")


async def test_a_stuck_prediction_ends_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "STUCK_GRACE_SECONDS", 0.0)
    told = asyncio.Event()
    with a_held_model() as (hold, begun):
        app = an_app(hold, limits=Limits(timeout_seconds=0.02), on_stuck=told.set)
        assert (await predict(app, INPUT))[0] == 504
        assert begun.is_set()
        behind = asyncio.create_task(predict(app, INPUT))
        await told.wait()
        status, problem = await behind
        assert status in (503, 504)
        assert not app.is_ready
        status, problem = await predict(app, INPUT)
        assert (status, problem["reason"]) == (503, "NotReady")


async def test_a_prediction_that_ends_late_is_not_stuck() -> None:
    told: list[int] = []
    with a_held_model() as (hold, _):
        app = an_app(hold, limits=Limits(timeout_seconds=0.01), on_stuck=lambda: told.append(1))
        assert (await predict(app, INPUT))[0] == 504
    app._limits = Limits()
    assert (await predict(app, INPUT))[0] == 200
    ended = Job(FakePredictor(lambda _: [1.0]), b"", "", 0.0)
    ended.future.set_result((b"", 0))
    app._look_at(ended)
    assert not told
    app._look_at(Job(FakePredictor(lambda _: [1.0]), b"", "", 0.0))
    assert told


async def test_a_client_that_leaves_does_not_hide_a_stuck_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "STUCK_GRACE_SECONDS", 0.0)
    told = asyncio.Event()
    with a_held_model() as (hold, begun):
        app = an_app(hold, limits=Limits(timeout_seconds=0.05), on_stuck=told.set)
        asking = asyncio.create_task(predict(app, INPUT))
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        await asyncio.wait([asking])
        await told.wait()


async def test_a_schemas_refusal_is_passed_on() -> None:
    def refuse(_request: object) -> None:
        raise Refused(422, "ContractViolation", "It does not fit.")

    assert (await predict(an_app(refuse), INPUT))[0] == 422


async def test_metrics_are_valid_and_true() -> None:
    app = an_app()
    app.telemetry.load_seconds = 2.5
    await predict(app, INPUT)
    await predict(app, INPUT)
    await predict(app, b"{")
    response = await ask(app, path="/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.body.decode())}
    requests = {s.labels["code"]: s.value for s in families["taxiway_pod_requests"].samples}
    assert requests == {"200": 2, "400": 1}
    assert families["taxiway_pod_rows"].samples[0].value == 2
    assert families["taxiway_pod_load_seconds"].samples[0].value == 2.5
    histogram = families["taxiway_pod_request_seconds"].samples
    buckets = [sample.value for sample in histogram if sample.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 3 == next(s.value for s in histogram if s.name.endswith("_count"))
    assert families["taxiway_pod_memory_bytes"].samples[0].value > 1_000_000
    assert all(family.documentation for family in families.values())


async def test_the_document_has_the_example() -> None:
    document = json.loads((await ask(an_app(example=b'{"inputs": [1.5]}'), path="/openapi.json")).body)
    assert document["openapi"] == "3.1.0"
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert content["application/json"]["example"] == {"inputs": [1.5]}


async def test_a_model_that_cannot_do_without_an_optional_column_is_no_failure_of_ours() -> None:
    def fails(_: Request) -> Any:
        raise ValueError

    app = an_app(fails, contract=a_contract(("x", "double"), ("y", "double"), optional=("y",)))
    status, problem = await predict(app, {"dataframe_records": [{"x": 1}]})
    assert (status, problem["column"]) == (422, "y")
    assert "without column 'y'" in problem["detail"]
    assert (await predict(app, {"dataframe_records": [{"x": 1, "y": 2}]}))[0] == 500
