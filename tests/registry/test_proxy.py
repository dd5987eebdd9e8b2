"""The proxy's core: who may pass, what is passed on, what comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx2
import pytest

from taxiway.domain.errors import (
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    TaxiwayError,
    TooManyRequests,
    TrackingUnavailable,
)
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import AuthMethod, Permission, Principal, Role
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.proxy import Answer, BodyTooLarge, ClientGone, Headers, MLflowProxy, Passage, refusal
from tests.builders import a_principal

V2 = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
FRAUD, CREDIT = ProjectName("fraud"), ProjectName("credit")
JSON = httpx2.Response(200, json={})


def a_member(**changes: Any) -> Principal:
    values = {
        "role": Role.DATA_SCIENTIST,
        "projects": frozenset({FRAUD}),
        "home": FRAUD,
        "method": AuthMethod.API_TOKEN,
    }
    return a_principal(**{**values, **changes})


class Upstream:
    """An MLflow that remembers what it was asked, body and all."""

    def __init__(self, answer: httpx2.Response | Callable[[httpx2.Request], httpx2.Response] = JSON) -> None:
        self.answer = answer
        self.requests: list[httpx2.Request] = []
        self.bodies: list[bytes] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(await request.aread())
        self.requests.append(request)
        answer = self.answer(request) if callable(self.answer) else self.answer
        stream = httpx2.ByteStream(answer.content)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=stream)

    def proxy(self, *, upload_limit: int = 1000) -> MLflowProxy:
        return MLflowProxy(MLflowConnection(httpx2.MockTransport(self)), upload_limit=upload_limit)


def admit(
    path: str,
    *,
    method: str = "GET",
    principal: Principal | None = None,
    query: str = "",
    headers: Headers = (),
) -> Passage:
    return Upstream().proxy().admit(principal or a_member(), method=method, raw_path=path, query=query, headers=headers)


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def pass_on(
    upstream: Upstream,
    path: str,
    *chunks: bytes,
    method: str = "POST",
    headers: Headers = (),
    query: str = "",
    upload_limit: int = 1000,
) -> tuple[Answer, bytes]:
    proxy = upstream.proxy(upload_limit=upload_limit)
    passage = proxy.admit(a_member(), method=method, raw_path=path, query=query, headers=headers)
    sending = await proxy.prepare(passage, headers=headers, body=sent(*chunks))
    async with proxy.forward(sending) as answer:
        return answer, b"".join([chunk async for chunk in answer.body])


def test_the_project_is_the_tokens_home_or_the_one_that_is_named() -> None:
    both = a_member(projects=frozenset({FRAUD, CREDIT}))
    path = f"{V2}/experiments/search"
    assert admit(path).project == FRAUD
    assert admit(path, principal=both, headers=[("X-MLFLOW-WORKSPACE", " credit ")]).project == CREDIT
    assert admit(path, principal=both, headers=[("x-mlflow-workspace", "")]).project == FRAUD
    administrator = a_member(role=Role.ADMINISTRATOR, projects=frozenset())
    assert admit(path, principal=administrator, headers=[("X-MLFLOW-WORKSPACE", "credit")]).project == CREDIT
    for principal, named in (
        (a_member(), "credit"), (a_member(), "default"), (administrator, "default"), (administrator, "../x"),
        (administrator, "mlflow"), (a_member(home=CREDIT), ""), (both, "CREDIT"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            admit(path, principal=principal, headers=[("X-MLFLOW-WORKSPACE", named)])
    with pytest.raises(InvalidInput):
        admit(path, principal=both, headers=[("X-MLFLOW-WORKSPACE", "credit"), ("x-mlflow-workspace", "fraud")])
    with pytest.raises(InvalidInput, match="home project"):
        admit(path, principal=a_member(home=None))
    assert admit("/api/3.0/mlflow/server-info", principal=a_member(home=None)).project is None


def test_a_narrow_token_only_reads() -> None:
    reader = a_member(scopes=frozenset({Permission.TRACKING_READ}))
    assert admit(f"{V2}/runs/get", principal=reader)
    assert admit(f"{V2}/runs/search", method="POST", principal=reader)
    for path, method in ((f"{V2}/runs/create", "POST"), (f"{FILES}/a", "PUT"), (f"{FILES}/a", "DELETE")):
        with pytest.raises(NotAllowed):
            admit(path, method=method, principal=reader)
    with pytest.raises(NotAllowed):
        admit(f"{V2}/runs/get", principal=a_member(scopes=frozenset({Permission.MODEL_READ})))


def test_artifacts_of_other_projects_are_not_there() -> None:
    assert admit(f"{FILES}/workspaces/fraud/1/a").project == FRAUD
    assert admit(f"{FILES}/1/a").project == FRAUD
    for path in (
        "workspaces/credit/1/a",
        "workspaces",
        "Workspaces/fraud/1",
        "%77orkspaces/credit/1",
        "workspaces/fraud2/a",
    ):
        with pytest.raises(NotFound):
            admit(f"{FILES}/{path}")
    with pytest.raises(NotFound):
        admit("/api/3.0/mlflow/workspaces")


async def test_only_what_is_known_reaches_mlflow() -> None:
    upstream = Upstream()
    headers = [
        ("Host", "evil.example"), ("Authorization", "Bearer twy_secret"), ("Cookie", "a=b"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-MLFLOW-WORKSPACE", "fraud"), ("Origin", "http://evil.example"), ("Content-Type", "text/plain"),
        ("Connection", "x-mlflow-workspace"), ("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip"),
        ("X-HTTP-Method-Override", "DELETE"), ("User-Agent", "mlflow-python-client/3.17.2"), ("Accept", "*/*\xff"),
    ]  # fmt: skip
    await pass_on(upstream, f"{V2}/runs/set-tag", b'{"a": 1, "a": ', b"2}", headers=headers, query="run_id=other")
    [request] = upstream.requests
    assert dict(request.headers) == {
        "host": "mlflow.internal", "user-agent": "mlflow-python-client/3.17.2", "x-mlflow-workspace": "fraud",
        "content-type": "application/json", "accept-encoding": "identity", "content-length": "8", "accept": "*/*",
        "connection": "keep-alive",
    }  # fmt: skip
    assert str(request.url) == f"http://mlflow.internal{V2}/runs/set-tag", "a query overrides no body"
    assert upstream.bodies == [b'{"a": 2}'], "two readings of a body are one when it is passed on"


async def test_a_get_takes_its_query_and_no_body() -> None:
    upstream = Upstream()
    await pass_on(upstream, f"{V2}/runs/get", b'{"run_id": "2"}', method="GET", query="run_id=1&x=%C3%BC")
    assert upstream.bodies == [b""]
    assert upstream.requests[0].url.query == b"run_id=1&x=%C3%BC"


async def test_bodies_have_limits() -> None:
    upstream = Upstream()
    mebibyte = b" " * (1 << 20)
    with pytest.raises(BodyTooLarge):
        await pass_on(upstream, f"{V2}/runs/log-batch", mebibyte, b"{}")
    with pytest.raises(BodyTooLarge):
        await pass_on(upstream, f"{V2}/runs/log-batch", headers=[("content-length", str((1 << 20) + 1))])
    assert upstream.requests == []
    await pass_on(upstream, f"{V2}/runs/log-inputs", mebibyte, b"{}")

    await pass_on(upstream, f"{FILES}/a", b"x" * 500, b"x" * 500, method="PUT")
    assert upstream.bodies[-1] == b"x" * 1000
    with pytest.raises(BodyTooLarge):
        await pass_on(upstream, f"{FILES}/a", b"x" * 1000, b"x", method="PUT")
    assert len(upstream.requests) == 2


async def test_a_client_that_went_ends_the_upload() -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientGone

    proxy = Upstream().proxy()
    passage = proxy.admit(a_member(), method="PUT", raw_path=f"{FILES}/a", query="", headers=())
    sending = await proxy.prepare(passage, headers=(), body=half())
    with pytest.raises(ClientGone):
        async with proxy.forward(sending):
            pytest.fail("half a file is no file")


async def test_files_are_attachments_whatever_mlflow_says() -> None:
    page = httpx2.Response(
        200,
        content=b"<script>",
        headers={
            "Content-Type": "text/html", "Content-Disposition": "inline", "Set-Cookie": "a=b", "Server": "uvicorn",
            "Access-Control-Allow-Origin": "*", "ETag": '"1"', "Location": "http://evil.example",
        },
    )  # fmt: skip
    answer, content = await pass_on(Upstream(page), f"{FILES}/a.html", method="GET")
    assert content == b"<script>"
    headers = dict(answer.headers)
    assert headers == {
        "content-type": "text/html", "content-length": "8", "etag": '"1"', "content-disposition": "attachment",
        "content-security-policy": "sandbox", "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }  # fmt: skip


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_mlflows_failures_are_not_repeated(status: int) -> None:
    failing = Upstream(httpx2.Response(status, json={"error_code": "INTERNAL_ERROR", "message": "SELECT S3CR3T"}))
    answer, content = await pass_on(failing, f"{V2}/runs/set-tag", b"{}")
    assert answer.status == (503 if status == 503 else 502)
    assert json.loads(content)["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert b"S3CR3T" not in content


async def test_a_source_that_is_not_there_is_said_once() -> None:
    body = json.dumps({"name": "m", "source": "models:/m-1", "model_id": "m-1"}).encode()
    answer, content = await pass_on(Upstream(httpx2.Response(500, text="x")), f"{V2}/model-versions/create", body)
    assert (answer.status, json.loads(content)["error_code"]) == (400, "INVALID_PARAMETER_VALUE")

    missing = httpx2.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})
    upstream = Upstream(lambda request: missing if request.url.path.endswith("/runs/get") else JSON)
    body = json.dumps({"name": "m", "source": "runs:/1/model", "run_id": "1"}).encode()
    with pytest.raises(InvalidInput):
        await pass_on(upstream, f"{V2}/model-versions/create", body)
    assert [request.url.path for request in upstream.requests] == [f"{V2}/runs/get"]


async def test_a_dead_mlflow_is_unavailable() -> None:
    def dead(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("S3CR3T")

    with pytest.raises(TrackingUnavailable):
        await pass_on(Upstream(dead), f"{V2}/runs/set-tag", b"{}")


ERRORS: Sequence[tuple[TaxiwayError, int, str]] = (
    (InvalidInput("a"), 400, "INVALID_PARAMETER_VALUE"),
    (NotSignedIn("a"), 401, "UNAUTHENTICATED"),
    (NotAllowed("a"), 403, "PERMISSION_DENIED"),
    (NotFound("a"), 404, "RESOURCE_DOES_NOT_EXIST"),
    (BodyTooLarge("a"), 413, "INVALID_PARAMETER_VALUE"),
    (TooManyRequests("a", retry_after_seconds=3), 429, "REQUEST_LIMIT_EXCEEDED"),
    (TrackingUnavailable("a"), 503, "TEMPORARILY_UNAVAILABLE"),
    (TaxiwayError("S3CR3T"), 500, "INTERNAL_ERROR"),
)


@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
async def test_refusals_speak_mlflows_language(error: TaxiwayError, status: int, code: str) -> None:
    answer = refusal(error)
    content = json.loads(b"".join([chunk async for chunk in answer.body]))
    assert (answer.status, content["error_code"]) == (status, code)
    assert "S3CR3T" not in content["message"]
    headers = dict(answer.headers)
    assert ("retry-after" in headers) == (status in (429, 503))
    assert ("www-authenticate" in headers) == (status == 401)


def test_what_destroys_is_marked_and_named() -> None:
    assert admit(f"{V2}/runs/delete", method="POST").call.is_destructive
    assert admit(f"{FILES}/a", method="DELETE").call.is_destructive
    assert not admit(f"{V2}/runs/create", method="POST").call.is_destructive


async def test_what_a_call_is_about_is_told() -> None:
    proxy = Upstream().proxy()
    passage = proxy.admit(a_member(), method="POST", raw_path=f"{V2}/runs/delete", query="", headers=())
    sending = await proxy.prepare(passage, headers=(), body=sent(b'{"run_id": "abc", "value": "S3CR3T"}'))
    assert sending.about == "runs/delete run_id=abc"
    passage = proxy.admit(a_member(), method="DELETE", raw_path=f"{FILES}/a/b%20c", query="", headers=())
    assert (await proxy.prepare(passage, headers=(), body=sent())).about == "artifacts/a/b c"
