"""Conversions, model versions, access tokens: what goes in and comes out."""

from __future__ import annotations

import pytest

from tests.api.world import RUN, URL, VERSION, World
from tests.builders import PROJECT


async def test_a_model_version_is_shown_with_all_that_belongs_to_it(world: World) -> None:
    async with world.speak_as("member") as client:
        answer = await client.get(VERSION)

    seen = answer.json()
    assert answer.status_code == 200, seen
    assert answer.headers["etag"] == '"1"'
    assert seen["url"] == f"{URL}/staging/fraud/scorer/1"
    assert seen["owner"] == "member"
    assert seen["model_path"] == "models:/m-1"
    assert seen["facts"]["signature"]["inputs"] == [{"type": "double", "name": "amount", "required": True}]
    assert [pod["id"] for pod in seen["revisions"][0]["pods"]] == ["p1"]
    assert seen["actions"]["off"] == {"allowed": True, "reason": ""}


async def test_convert_answers_once_it_is_registered_and_the_same_key_makes_no_second(world: World) -> None:
    body = {"model": "second", "memory": "512Mi", "cpus": "0.5", "timeout_seconds": 5}
    async with world.speak_as("member") as client:
        first = await client.post(f"{RUN}/conversions", json=body, headers={"Idempotency-Key": "k1"})
        again = await client.post(f"{RUN}/conversions", json=body, headers={"Idempotency-Key": "k1"})
        other = await client.post(f"{RUN}/conversions", json={"model": "third"}, headers={"Idempotency-Key": "k1"})

    assert first.status_code == 202, first.text
    made = first.json()
    assert (made["model"], made["version"], made["resources"]["memory"], made["resources"]["cpus"]) == (
        "second", 1, "512Mi", "0.5",
    )  # fmt: skip
    assert made["options"]["timeout_seconds"] == 5
    assert first.headers["location"] == "/api/v1/projects/fraud/models/second/versions/1"
    assert again.json()["version"] == 1
    assert (other.status_code, other.json()["reason"]) == (409, "Conflict")


async def test_preflight_changes_nothing(world: World) -> None:
    async with world.speak_as("member") as client:
        answer = await client.post(f"{RUN}/conversions/preflight", json={"model": "second"})
        listed = await client.get("/api/v1/models", params={"model": "second"})

    assert answer.status_code == 200
    assert answer.json()["python"] == "3.11"
    assert listed.json()["items"] == []


async def test_a_bad_quantity_is_named_by_its_pointer(world: World) -> None:
    async with world.speak_as("member") as client:
        answer = await client.post(f"{RUN}/conversions", json={"model": "second", "memory": "\u0661Gi"})

    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (400, "InvalidInput")
    assert problem["errors"][0]["pointer"] == "/memory"
    assert "\u0661" not in answer.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 1),
        ({"project": "fraud"}, 1),
        ({"model": "scorer"}, 1),
        ({"model": "none"}, 0),
        ({"status": "Queued"}, 1),
        ({"status": "ON"}, 0),
        ({"owner": "member"}, 1),
        ({"owner": "stranger"}, 0),
        ({"owner": "nobody at all"}, 0),
        ({"contains": "cor"}, 1),
        ({"contains": "%"}, 0),
        ({"tag": "team=risk"}, 1),
        ({"tag": "team=other"}, 0),
    ],
)
async def test_lists_are_filtered(world: World, query: dict[str, str], found: int) -> None:
    async with world.speak_as("member") as client:
        answer = await client.get("/api/v1/models", params=query)

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == found


async def test_a_list_shows_only_the_projects_that_one_sees(world: World) -> None:
    async with world.speak_as("stranger") as client:
        everything = await client.get("/api/v1/models")
        named = await client.get("/api/v1/models", params={"project": PROJECT})

    assert everything.json() == {"items": [], "next_cursor": None}
    assert named.status_code == 404


async def test_pages_follow_each_other(world: World) -> None:
    async with world.speak_as("member") as client:
        for name in ("a", "b", "c"):
            await client.post(f"{RUN}/conversions", json={"model": name})
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(10):
            page = (await client.get("/api/v1/models", params={"limit": "2", **cursor})).json()
            seen += [item["model"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}

    assert seen == ["c", "b", "a", "scorer"]


async def test_configure_keeps_what_is_left_out_and_makes_the_change(world: World) -> None:
    async with world.speak_as("member") as client:
        answer = await client.patch(VERSION, json={"memory": "2Gi"})
        seen = (await client.get(VERSION)).json()

    assert answer.status_code == 200, answer.text
    assert seen["resources"]["memory"] == "2Gi"
    assert seen["resources"]["cpus"] == "1"
    assert [revision["number"] for revision in seen["revisions"]] == [1, 2]


@pytest.mark.parametrize(("match", "status"), [('"1"', 200), ("1", 200), ('"7"', 412), ("x", 400), ("*", 400)])
async def test_if_match_names_the_generation(world: World, match: str, status: int) -> None:
    async with world.speak_as("member") as client:
        answer = await client.patch(VERSION, json={"needs_token": False}, headers={"If-Match": match})

    assert answer.status_code == status, answer.text


async def test_off_on_delete(world: World) -> None:
    async with world.speak_as("member") as client:
        off = await client.post(f"{VERSION}/off")
        on = await client.post(f"{VERSION}/on")
        gone = await client.delete(VERSION)
        refused = await client.post(f"{VERSION}/on")

    assert (off.json()["wanted"], on.json()["wanted"], gone.status_code) == ("off", "on", 204)
    assert off.json()["url"] == on.json()["url"]
    assert (refused.status_code, refused.json()["reason"]) == (409, "Conflict")


async def test_access_tokens_are_shown_once_and_revoked(world: World) -> None:
    async with world.speak_as("member") as client:
        issued = await client.post(f"{VERSION}/access-tokens", json={"caller": "till 8"})
        made = issued.json()
        revoked = await client.delete(f"{VERSION}/access-tokens/{made['id']}")
        listed = await client.get(f"{VERSION}/access-tokens")

    assert issued.status_code == 201
    assert made["token"].startswith("fake.")
    assert made["created_by"] == "member"
    assert revoked.json()["revoked_at"] is not None
    shown = [(token["caller"], token["revoked_at"] is None, "token" in token) for token in listed.json()["items"]]
    assert shown == [("till 8", False, False), ("till 7", True, False)]


async def test_mlflow_that_is_down_is_503_with_retry_after(world: World) -> None:
    world.registry.is_down = True
    async with world.speak_as("member") as client:
        answer = await client.post(f"{RUN}/conversions", json={"model": "second"})

    assert (answer.status_code, answer.json()["reason"]) == (503, "TrackingUnavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_contracts_are_compared(world: World) -> None:
    async with world.speak_as("member") as client:
        first = await client.get(f"{VERSION}/contract-changes")
        missing = await client.get(f"{VERSION}/contract-changes", params={"since": 7})
        wrong = await client.get(f"{VERSION}/contract-changes", params={"since": 0})

    assert first.json() == {"since": None, "is_compatible": True, "changes": []}
    assert (missing.status_code, missing.json()["reason"]) == (404, "NotFound")
    assert wrong.status_code == 400
