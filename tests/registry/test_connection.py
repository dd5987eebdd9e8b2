"""MLflow as foreign input: what it answers too late, too large or in another shape counts as unavailable."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from taxiway.domain.errors import InvalidInput, LimitReached, MalformedModel, NotFound, TrackingUnavailable
from taxiway.domain.ids import ProjectName, RunId
from taxiway.domain.models import LoggedModelRef
from taxiway.registry import connection as connections
from taxiway.registry.artifacts import FolderLimits, ModelFile, check_names, is_safe_path, root_of
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.reading import Unreadable, moment, number, read_history, whole
from taxiway.registry.registry import MLflowRegistry
from taxiway.registry.tracking import MLflowTracking, quoted

FRAUD = ProjectName("fraud")
RUN = RunId("a" * 32)
Answering = Callable[[httpx2.Request], httpx2.Response]


def connected(answer: Answering | httpx2.Response, *, patience: float = 2.0) -> MLflowConnection:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return unread(answer(request) if callable(answer) else answer)

    return MLflowConnection(httpx2.MockTransport(handle), patience=timedelta(seconds=patience))


def unread(response: httpx2.Response) -> httpx2.Response:
    """Return a response as it comes from a socket: its body is still to be read."""
    if not response.is_stream_consumed:
        return response
    return httpx2.Response(response.status_code, headers=response.headers, stream=httpx2.ByteStream(response.content))


GARBAGE = {
    "html": httpx2.Response(200, text="<html>"),
    "a list": httpx2.Response(200, json=[]),
    "deep": httpx2.Response(200, text="[" * 100_000),
    "not text": httpx2.Response(200, content=b"\xff\xfe"),
    "another shape": httpx2.Response(200, json={"run": []}),
    "no info": httpx2.Response(200, json={"run": {}}),
    "a number that is none": httpx2.Response(
        200,
        json={"run": {"info": {"run_id": "1", "experiment_id": "1"}, "data": {"metrics": [{"key": "a", "value": {}}]}}},
    ),
    "a traceback": httpx2.Response(500, text="Traceback S3CR3T"),
    "an error without a code": httpx2.Response(400, text="S3CR3T"),
    "too many": httpx2.Response(429, json={"error_code": "REQUEST_LIMIT_EXCEEDED"}),
    "somewhere else": httpx2.Response(302, headers={"location": "http://evil.example"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_is_unavailable(name: str) -> None:
    with pytest.raises(TrackingUnavailable) as refusal:
        await MLflowTracking(connected(GARBAGE[name])).run(FRAUD, RUN)
    assert "S3CR3T" not in refusal.value.message


async def test_late_and_dead_are_unavailable() -> None:
    async def late(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(10)
        return httpx2.Response(200, json={})

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    def dead(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no S3CR3T socket")

    slow = MLflowConnection(httpx2.MockTransport(late), patience=timedelta(seconds=0.01))
    for connection in (slow, connected(httpx2.Response(200, content=endless()), patience=0.05), connected(dead)):
        with pytest.raises(TrackingUnavailable) as refusal:
            await MLflowTracking(connection).run(FRAUD, RUN)
        assert "S3CR3T" not in refusal.value.message


async def test_too_large_an_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_BYTES", 1 << 20)
    read = 0

    async def large() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1 << 16
            yield b" " * (1 << 16)

    with pytest.raises(TrackingUnavailable, match="larger"):
        await MLflowTracking(connected(httpx2.Response(200, content=large()))).run(FRAUD, RUN)
    assert read < 2 << 20


@pytest.mark.parametrize(
    ("code", "error"),
    [("RESOURCE_DOES_NOT_EXIST", NotFound), ("INVALID_PARAMETER_VALUE", InvalidInput), ("BAD_REQUEST", InvalidInput)],
)
async def test_refusals_have_our_words(code: str, error: type[Exception]) -> None:
    answer = httpx2.Response(404, json={"error_code": code, "message": "S3CR3T"})
    with pytest.raises(error) as refusal:
        await MLflowTracking(connected(answer)).run(FRAUD, RUN)
    assert "S3CR3T" not in str(refusal.value)


async def test_every_call_names_the_workspace() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    tracking = MLflowTracking(connected(answer))
    await tracking.experiments(FRAUD, name_contains=None, limit=5, cursor="c")
    assert seen[0].headers["x-mlflow-workspace"] == "fraud"
    assert seen[0].headers["host"] == "mlflow.internal"
    assert json.loads(seen[0].content)["page_token"] == "c"
    assert (await tracking.runs(FRAUD, experiments=(), where="", order_by=(), limit=5, cursor=None)).items == ()


def test_values() -> None:
    assert math.isnan(number("NaN"))
    assert number("-Infinity") == -math.inf
    assert whole("12") == 12
    assert moment(0) is None
    assert moment(10**18) is None
    assert moment(1500) is not None
    wrong: tuple[object, ...] = (True, None, [], "x", "1" * 5000)
    for bad in wrong:
        with pytest.raises(Unreadable):
            whole(bad)
    with pytest.raises(Unreadable):
        number({})


def test_history_is_foreign_too() -> None:
    assert read_history("not json") == {}
    assert read_history('{"a": 1}') == {}
    assert read_history('[1, {"artifact_path": 3}, {"artifact_path": "m/", "flavors": 7, "utc_time_created": 5}]') == {
        "m": ((), None)
    }
    assert read_history("[" * 100_000) == {}


def test_filters_cannot_be_left() -> None:
    assert quoted('a"b') == "'a\"b'"
    assert quoted("a'b") == '"a\'b"'
    with pytest.raises(InvalidInput):
        quoted("a'b\"c")


@pytest.mark.parametrize(
    "uri",
    [
        "", "file:///etc", "s3://b/x", "mlflow-artifacts:/", "mlflow-artifacts:/workspaces/credit/1/r/artifacts",
        "mlflow-artifacts:/workspaces/fraud/../credit", "mlflow-artifacts://host/workspaces/fraud/1",
    ],
)  # fmt: skip
def test_artifacts_elsewhere_are_not_read(uri: str) -> None:
    with pytest.raises(MalformedModel):
        root_of(uri, FRAUD)


def test_names_that_leave_or_collide_are_refused() -> None:
    for path in ("../x", "a/../b", "/etc", "a//b", "a\\b", "a\nb", "", "x" * 256, "\ud800"):
        assert not is_safe_path(path)
        with pytest.raises(MalformedModel):
            check_names([ModelFile(path=path, size_bytes=0)])
    for one, other in (("a.txt", "A.TXT"), ("e\u0301.txt", "\u00e9.txt"), ("Dir/a", "dir/b")):
        with pytest.raises(MalformedModel, match="differ only"):
            check_names([ModelFile(path=one, size_bytes=0), ModelFile(path=other, size_bytes=0)])
    check_names([ModelFile(path="dir/a", size_bytes=0), ModelFile(path="dir/b", size_bytes=0)])


def a_store(files: dict[str, object], content: bytes = b"12345") -> Answering:
    """Answer as MLflow does for one logged model; a dict is a folder, a number a file's size."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if "/logged-models/" in path:
            uri = "mlflow-artifacts:/workspaces/fraud/1/models/m-1/artifacts"
            return httpx2.Response(200, json={"model": {"info": {"artifact_uri": uri}}})
        if path.endswith("/artifacts") and "path" in request.url.params:
            folder: object = files
            for part in request.url.params["path"].split("/")[6:]:
                assert isinstance(folder, dict)
                folder = folder[part]
            assert isinstance(folder, dict)
            listed = [
                {"path": name, "is_dir": True} if isinstance(found, dict) else {"path": name, "file_size": found}
                for name, found in folder.items()
            ]
            return httpx2.Response(200, json={"files": listed})
        return httpx2.Response(200, content=content)

    return answer


MODEL = LoggedModelRef(run_id=RUN, name="m", model_id="m-1")


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"..": 5}, MalformedModel),
        ({"a": {"..": {}}}, MalformedModel),
        ({"a": 5, "A": 5}, MalformedModel),
        ({"a": 4}, MalformedModel),
        ({"a": 6}, MalformedModel),
        ({}, MalformedModel),
        ({str(n): 5 for n in range(20)}, LimitReached),
        ({"a": 10**9}, LimitReached),
        ({"a": "x"}, TrackingUnavailable),
    ],
)
async def test_what_cannot_be_copied_is_not(files: dict[str, object], error: type[Exception], tmp_path: Path) -> None:
    limits = FolderLimits(files=10, total_bytes=1 << 20)
    registry = MLflowRegistry(connected(a_store(files)), limits=limits)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(error):
        await registry.fetch(FRAUD, MODEL, into, lambda _done, _total: None)
    assert {path.name for path in tmp_path.iterdir()} == {"into"}


async def test_a_copy_can_be_cancelled(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"12"
        begun.set()
        await asyncio.sleep(60)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/a"):
            return httpx2.Response(200, content=slowly())
        return a_store({"a": 5})(request)

    registry = MLflowRegistry(connected(answer))
    task = asyncio.create_task(registry.fetch(FRAUD, MODEL, tmp_path, lambda _done, _total: None))
    async with asyncio.timeout(5):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
