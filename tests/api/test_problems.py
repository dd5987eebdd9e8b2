"""Refusals: the table, the shape, and that nothing that was sent comes back."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from taxiway.api import problems
from taxiway.api.cursors import read_cursor, write_cursor
from taxiway.api.problems import PROBLEMS, render
from taxiway.domain import errors, sign_in
from taxiway.domain.errors import InvalidInput, TaxiwayError, TooManyRequests
from taxiway.wire.problems import ProblemOut
from tests.api.world import RUN, VERSION, World

CANARY = "zx9canary"
CONVERT = f"{RUN}/conversions"


def all_errors() -> list[type[TaxiwayError]]:
    return [
        value
        for module in (errors, sign_in, problems)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, TaxiwayError)
    ]


def test_every_reason_has_a_status() -> None:
    assert {error.reason for error in all_errors()} == set(PROBLEMS)


def test_statuses_are_those_of_http() -> None:
    assert all(400 <= status < 600 and title for status, title in PROBLEMS.values())


def test_an_error_whose_reason_is_not_in_the_table_says_nothing() -> None:
    class Odd(TaxiwayError):
        reason = "Odd"

    answer = render(Odd("something private"), request_id="q")

    assert answer.status_code == 500
    assert b"private" not in answer.body


def test_waiting_is_said_in_seconds() -> None:
    answer = render(TooManyRequests("Too many.", retry_after_seconds=7), request_id="q")

    assert answer.headers["retry-after"] == "7"
    assert answer.media_type == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/model"),
        ({"model": 5}, "/model"),
        ({"model": "a" * 201 + CANARY}, "/model"),
        ({"model": f"{CANARY}!"}, "/model"),
        ({"model": "a", CANARY: 1}, ""),
        ({"model": "a", "tags": {CANARY: 5}}, "/tags"),
        ({"model": "a", "tags": {"k": CANARY * 100}}, "/tags"),
        ({"model": "a", "memory": f"1{CANARY}"}, "/memory"),
        ({"model": "a", "memory": "1e9"}, "/memory"),
        ({"model": "a", "cpus": "NaN"}, "/cpus"),
        ({"model": "a", "cpus": "-1"}, "/cpus"),
        ({"model": "a", "timeout_seconds": CANARY}, "/timeout_seconds"),
        ({"model": "a", "timeout_seconds": 301}, "/timeout_seconds"),
        ({"model": "a", "on_output_mismatch": CANARY}, "/on_output_mismatch"),
        ({"model": "a", "method": CANARY}, "/method"),
        ({"model": "a", "logged_model": CANARY}, "/logged_model"),
        ([CANARY], ""),
        (CANARY, ""),
    ],
)
async def test_a_bad_value_is_named_and_never_repeated(world: World, body: Any, pointer: str) -> None:
    answer = await world.speak_as("member").post(CONVERT, json=body)

    problem = ProblemOut.model_validate(answer.json())
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.reason == "InvalidInput"
    assert pointer in [error.pointer for error in problem.errors], answer.text
    # A model's name that is refused is answered with the nearest one that would do: that is its hint.
    assert CANARY not in answer.text.replace(problem.hint if pointer == "/model" else "", "")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"model": "a", "timeout_seconds": NaN}',
        b'{"model": "a", "timeout_seconds": 1e999}',
        b'{"model": "a\\u0000"}',
        b'{"model": "\\ud800"}',
        b'{"model": "' + CANARY.encode() + b'", }',
    ],
)
async def test_a_body_that_is_no_json_of_ours_is_refused(world: World, content: bytes) -> None:
    answer = await world.speak_as("member").post(CONVERT, content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert CANARY not in answer.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_only_json_is_taken(world: World, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await world.speak_as("member").post(CONVERT, content=b'{"model": "a"}', headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidInput")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v1/projects/{CANARY}", 404),
        (f"/api/v1/projects/..%2f{CANARY}/runs", 404),
        (f"/api/v1/projects/%F0%9F%98%80{CANARY}/runs", 404),
        (f"/api/v1/projects/fraud/models/{CANARY}_/versions/1", 404),
        (f"/api/v1/projects/fraud/models/{CANARY}%0d%0a/versions/1", 404),
        (f"/api/v1/projects/fraud/models/a/versions/{CANARY}", 400),
        ("/api/v1/projects/fraud/models/a/versions/99999999999999999999", 400),
        ("/api/v1/projects/fraud/models/a/versions/0", 400),
        (f"/api/v1/projects/fraud/models/a%00{CANARY}/versions/1", 400),
        (f"/api/v1/models?status={CANARY}", 400),
        (f"/api/v1/models?limit={CANARY}", 400),
        ("/api/v1/models?limit=0", 400),
        ("/api/v1/models?limit=1001", 400),
        (f"/api/v1/models?tag={CANARY}", 400),
        (f"/api/v1/models?contains=%00{CANARY}", 400),
        (f"/api/v1/models?cursor={CANARY}", 400),
        (f"/api/v1/audit?since={CANARY}", 400),
        ("/api/v1/audit?since=0001-01-01T00:00:00%2B14:00", 200),
        (f"/api/v1/users/{CANARY}", 404),
        (f"/api/v1/platform/logs/{CANARY}", 400),
        (f"{RUN}/artifacts?path=../{CANARY}", 400),
        (f"{RUN}/artifacts?path=/{CANARY}", 400),
        (f"{RUN}/artifacts?path=a//{CANARY}", 400),
        (f"{RUN}/artifacts?path=a%5c{CANARY}", 400),
        (f"{RUN}/artifacts/content?path={CANARY}", 404),
        (f"{VERSION}/logs/{CANARY}", 400),
        (f"{VERSION}/logs/pod?pod={CANARY}", 404),
        (f"{VERSION}/logs/pod?after=1&tail=1", 400),
        (f"/api/v1/{CANARY}", 404),
    ],
)
async def test_urls_are_refused_without_repeating_them(world: World, path: str, status: int) -> None:
    answer = await world.speak_as("admin").get(path)

    assert answer.status_code == status, answer.text
    assert CANARY not in answer.text
    if status >= 400:
        ProblemOut.model_validate(answer.json())


@pytest.mark.parametrize("key", ["", "a" * 121, "with space", "späß"])
async def test_an_idempotency_key_is_1_to_120_printable_characters(world: World, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = await world.speak_as("member").post(CONVERT, json={"model": "a"}, headers=headers)

    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("position", ["a", "", "é…", 17, "x" * 500])
def test_a_cursor_gives_back_its_position(position: str | int) -> None:
    assert read_cursor("models", write_cursor("models", position)) == str(position)


def test_a_cursor_that_was_changed_or_is_of_another_list_is_refused() -> None:
    cursor = write_cursor("models", "d-1")
    for changed in (cursor[:-1], cursor + "A", cursor.swapcase(), "", "=", "é", cursor + "=", " " + cursor):
        with pytest.raises(InvalidInput):
            read_cursor("models", changed)
    with pytest.raises(InvalidInput):
        read_cursor("users", cursor)
