"""The allow-list: every spelling of a path has one reading or none."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.people import Permission
from taxiway.registry.allowed import CALLS, Body, Call, NoSuchCall, find_call, take_apart

GET = "/api/2.0/mlflow/runs/get"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_each_call_is_found_under_its_own_name(call: Call) -> None:
    path = call.path.replace("{path}", "a/b.txt").replace("{model_id}", "m-1").replace("{tag_key}", "k")
    match = find_call(call.method, path)
    assert match.call is call
    assert match.path == path


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_reading_and_writing_are_told_apart(call: Call) -> None:

    if call.method == "GET":
        assert call.permission is Permission.TRACKING_READ
        assert call.body is Body.NONE
    elif not call.path.endswith(("/search", "get-latest-versions")):
        assert call.permission is Permission.TRACKING_WRITE
    if call.path.endswith(("/delete", "/rename")):
        assert call.is_destructive


NOT_THERE = (
    "/", "", "/api", "/api/2.0/mlflow/runs", f"{GET}/", f"/{GET}", f"{GET}/x", GET.upper(), GET.replace("runs", "Runs"),
    GET.replace("/runs", "//runs"), GET.replace("/runs", "/./runs"), GET.replace("/runs", "/x/../runs"),
    GET.replace("/runs", "%2fruns"), GET.replace("/runs", "/%2e/runs"), GET.replace("/runs", "\\runs"), f"{GET}%00",
    f"{GET}%", f"{GET}%2", f"{GET};a=b", f"{GET}#x", "/graphql", "/ajax-api/2.0/mlflow/runs/get", "/v1/traces",
    "/api/3.0/mlflow/workspaces", "/api/2.0/mlflow/webhooks", "/api/3.0/mlflow/scorers/register", "/health", "/version",
    "/api/2.0/mlflow/gateway-proxy", "/ajax-api/3.0/jobs", "/api/3.0/mlflow/jobs", "/api/2.0/mlflow/users/create",
    "/api/3.0/mlflow/datasets/search", "/api/2.0/mlflow/traces", "/get-artifact", "/model-versions/get-artifact",
    "/api/2.0/mlflow/artifacts/presigned-download-url", "/api/2.0/mlflow-artifacts/mpu/create/x", f"/mlflow{GET}",
    FILES + "/", f"{FILES}/../x", f"{FILES}/a/../../b", f"{FILES}/%2e%2e/x", f"{FILES}/%252e%252e/x", f"{FILES}/a%2fb",
    f"{FILES}/a%252fb", f"{FILES}/a%5cb", f"{FILES}/a//b", f"{FILES}/.", f"{FILES}/%25252525252e%25252525252e/x",
    f"{FILES}/a%00", f"{FILES}/a%0ab", f"{FILES}/%ff", f"{FILES}/é",
)  # fmt: skip


@pytest.mark.parametrize("path", NOT_THERE)
def test_everything_else_does_not_exist(path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        with pytest.raises(NoSuchCall):
            find_call(method, path)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "get", "PROPFIND", ""])
def test_other_methods_do_not_exist(method: str) -> None:
    with pytest.raises(NoSuchCall):
        find_call(method, GET)


def test_names_are_passed_on_encoded_once() -> None:
    match = find_call("PUT", f"{FILES}/notes/a%20b+%C3%BC%25%3f.txt")
    assert match.artifact_path == "notes/a b+ü%?.txt"
    assert match.path == f"{FILES}/notes/a%20b%2B%C3%BC%25%3F.txt"
    # Encoded where nothing need be, it is the same call.
    assert find_call("GET", GET.replace("runs", "r%75ns")).path == GET


@given(st.text(alphabet="%25eEfF./\\abc0 \n", max_size=30))
def test_what_is_taken_apart_is_put_together_the_same(text: str) -> None:

    try:
        segments = take_apart(f"/{text}")
    except NoSuchCall:
        return
    assert take_apart("/" + "/".join(quote(segment, safe="") for segment in segments)) == segments
    assert not {"", ".", ".."} & set(segments)
