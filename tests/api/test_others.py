"""Tracking, projects, users, audit, events, the platform."""

from __future__ import annotations

import json

import pytest

from taxiway.domain.ids import ProjectName
from taxiway.domain.tracking import Artifact
from tests.api.world import RUN, VERSION, World


async def test_experiments_and_runs_are_shown_in_pages(world: World) -> None:
    async with world.speak_as("member") as client:
        first = (await client.get("/api/v1/projects/fraud/experiments?limit=1")).json()
        second = (await client.get(f"/api/v1/projects/fraud/experiments?limit=1&cursor={first['next_cursor']}")).json()
        runs = (await client.get("/api/v1/projects/fraud/runs?experiment=cards")).json()
        none = await client.get("/api/v1/projects/fraud/runs?experiment=none")
        refused = await client.get("/api/v1/projects/fraud/runs?filter=what?")

    assert [page["items"][0]["name"] for page in (first, second)] == ["cards", "loans"]
    assert second["next_cursor"] is None
    assert [run["name"] for run in runs["items"]] == ["first"]
    assert (none.status_code, refused.status_code) == (404, 400)
    assert [(e["location"], e["pointer"], e["begins"], e["ends"]) for e in refused.json()["errors"]] == [
        ("query", "/filter", 4, 5)
    ]


async def test_tags_are_set_and_taken_away_and_mlflows_own_stay(world: World) -> None:
    async with world.speak_as("member") as client:
        changed = (await client.patch(RUN, json={"tags": {"team": "risk", "mlflow.note.content": "*Good.*"}})).json()
        taken = (await client.patch(RUN, json={"tags": {"team": None, "none": None}})).json()
        own = await client.patch(RUN, json={"tags": {"mlflow.user": "somebody"}})
        blank = await client.patch(RUN, json={"tags": {" ": "x"}})
        long = await client.patch(RUN, json={"tags": {"team": "x" * 8001}})

    assert (changed["tags"]["team"], changed["tags"]["mlflow.note.content"]) == ("risk", "*Good.*")
    assert "team" not in taken["tags"]
    assert taken["tags"]["mlflow.note.content"] == "*Good.*"
    for refused in (own, blank, long):
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/tags")


async def test_a_deleted_run_is_in_no_list_and_comes_back(world: World) -> None:
    async with world.speak_as("member") as client:
        await client.delete(RUN)
        listed = (await client.get("/api/v1/projects/fraud/runs")).json()["items"]
        shown = (await client.get(RUN)).json()
        refused = await client.patch(RUN, json={"tags": {"team": "risk"}})
        restored = (await client.post(f"{RUN}/restore")).json()

    assert (listed, shown["is_deleted"], refused.status_code, restored["is_deleted"]) == ([], True, 400, False)
    [entry] = await world.services.audit.search(action="tracking.delete", limit=10)
    assert entry.object.startswith("delete run_id=")


async def test_a_metric_with_a_slash_and_a_nan_is_shown(world: World) -> None:
    answer = await world.speak_as("member").get(f"{RUN}/metrics/val/auc")

    assert [point["value"] for point in answer.json()["items"]] == [0.5, None, 0.9]


async def test_a_curve_is_chosen_from_as_it_was_asked(world: World) -> None:
    async with world.speak_as("member") as client:
        ends = await client.get(f"{RUN}/metrics/val/auc", params={"sample": 2})
        part = await client.get(f"{RUN}/metrics/val/auc", params={"sample": 2, "from_step": 1, "until_step": 1})
        refused = [
            (await client.get(f"{RUN}/metrics/val/auc", params=wrong)).json()["errors"][0]["pointer"]
            for wrong in ({"from_step": 1, "until_step": 2}, {"sample": 5, "from_step": 1}, {"sample": 1},
                          {"sample": 5, "from_step": 2**63, "until_step": 2**63})
        ]  # fmt: skip

    assert [point["value"] for point in ends.json()["items"]] == [0.5, 0.9]
    assert (len(part.json()["items"]), ends.json()["next_cursor"]) == (1, None)
    assert refused == ["/sample", "/until_step", "/sample", "/from_step"]


async def test_artifacts_are_listed_and_only_ever_downloaded(world: World) -> None:
    async with world.speak_as("member") as client:
        listed = (await client.get(f"{RUN}/artifacts", params={"path": "model"})).json()["items"]
        file = await client.get(f"{RUN}/artifacts/content", params={"path": "report.html"})
        missing = await client.get(f"{RUN}/artifacts/content", params={"path": "none"})

    assert [Artifact(**item).path for item in listed] == ["model/MLmodel"]
    assert file.content == b"<script>alert(1)</script>"
    assert file.headers["content-type"] == "application/octet-stream"
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''report.html"
    assert "sandbox" in file.headers["content-security-policy"]
    assert file.headers["x-content-type-options"] == "nosniff"
    assert missing.status_code == 404


async def test_the_name_of_a_download_cannot_break_out(world: World) -> None:
    name = 'a"; filename=evil.exe; é'
    world.tracking.files[world.tracking.runs_of[ProjectName("fraud")][0].id, name] = b""
    answer = await world.speak_as("member").get(f"{RUN}/artifacts/content", params={"path": name})

    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''a%22%3B%20filename%3Devil.exe%3B%20%C3%A9"
    )


async def test_logged_models_name_what_was_made_of_them(world: World) -> None:
    answer = (await world.speak_as("member").get(f"{RUN}/logged-models")).json()

    assert [model["model_id"] for model in answer["items"]] == ["m-1"]
    assert answer["versions"] == ["scorer/1"]


async def test_tracking_of_a_project_that_is_not_there_is_404(world: World) -> None:
    answer = await world.speak_as("admin").get("/api/v1/projects/nothing/runs")

    assert answer.status_code == 404


async def test_not_there_and_not_visible_are_the_same_answer(world: World) -> None:
    async with world.speak_as("stranger") as client:
        hidden = (await client.get("/api/v1/projects/fraud/runs")).json()
        missing = (await client.get("/api/v1/projects/nothing/runs")).json()

    assert {**hidden, "instance": ""} == {**missing, "instance": ""}


async def test_a_project_is_made_peopled_and_deleted(world: World) -> None:
    async with world.speak_as("admin") as client:
        made = await client.post("/api/v1/projects", json={"name": "loans", "description": "Loans"})
        twice = await client.post("/api/v1/projects", json={"name": "loans"})
        await client.put("/api/v1/projects/loans/members/stranger")
        members = (await client.get("/api/v1/projects/loans/members")).json()["items"]
        seen = (await world.speak_as("stranger").get("/api/v1/projects")).json()["items"]
        changed = await client.patch("/api/v1/projects/loans", json={"description": "More"})
        await client.delete("/api/v1/projects/loans/members/stranger")
        gone = await client.delete("/api/v1/projects/loans")

    assert (made.status_code, made.json()["workspace_is_ready"], twice.status_code) == (201, True, 409)
    assert [member["name"] for member in members] == ["stranger"]
    assert [project["name"] for project in seen] == ["loans", "other"]
    assert (changed.json()["description"], gone.status_code) == ("More", 204)


async def test_users_are_listed_in_pages_and_changed(world: World) -> None:
    async with world.speak_as("admin") as client:
        names: list[str] = []
        cursor = ""
        while True:
            page = (await client.get(f"/api/v1/users?limit=2{cursor}")).json()
            names += [user["name"] for user in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        made = await client.post("/api/v1/users", json={"name": "ada", "password": "long enough"})
        weak = await client.post("/api/v1/users", json={"name": "bob", "password": "canary1"})
        changed = await client.patch("/api/v1/users/ada", json={"role": "administrator"})
        owner = await client.delete("/api/v1/users/member")

    assert names == ["admin", "another", "disabled", "member", "newcomer", "stranger"]
    assert (made.status_code, made.json()["role"], changed.json()["role"]) == (201, "data-scientist", "administrator")
    assert (weak.status_code, "canary1" in weak.text) == (400, False)
    assert owner.status_code == 409


@pytest.mark.parametrize("field", ["id", "password_hash", "created_at", "name"])
async def test_what_nobody_may_set_is_refused_and_not_ignored(world: World, field: str) -> None:
    answer = await world.speak_as("admin").patch("/api/v1/users/member", json={field: "x"})

    assert answer.status_code == 400


async def test_the_audit_log_is_searched_verified_and_exported(world: World) -> None:
    async with world.speak_as("admin") as client:
        await client.post(f"{VERSION}/off", headers={"X-Request-Id": "my-request"})
        page = (await client.get("/api/v1/audit?action=deployment.off")).json()
        first = (await client.get("/api/v1/audit?limit=2")).json()
        second = (await client.get(f"/api/v1/audit?limit=2&cursor={first['next_cursor']}")).json()
        later = (await client.get("/api/v1/audit?since=2030-01-01")).json()
        verdict = (await client.get("/api/v1/audit/verify")).json()
        exported = (await client.get("/api/v1/audit/export")).text.splitlines()

    (entry,) = page["items"]
    assert (entry["actor"], entry["request_id"], entry["after"]["wanted"]) == ("admin", "my-request", "off")
    numbers = [item["sequence"] for item in first["items"] + second["items"]]
    assert numbers == list(range(verdict["entries"], verdict["entries"] - 4, -1))
    assert later["items"] == []
    assert verdict["is_intact"]
    assert len(exported) == verdict["entries"]
    assert json.loads(exported[-1])["hash"] == verdict["head"]


async def test_events_are_those_of_visible_projects_oldest_first(world: World) -> None:
    async with world.speak_as("member") as client:
        seen = (await client.get(VERSION)).json()
        await client.post(f"{VERSION}/off")
        query = {"subject_kind": "deployment", "subject": seen["deployment"]}
        events = (await client.get("/api/v1/events", params=query)).json()["items"]
        later = (await client.get("/api/v1/events", params=query | {"after": events[0]["sequence"]})).json()["items"]
    hidden = (await world.speak_as("stranger").get("/api/v1/events", params=query)).json()

    assert [event["reason"] for event in events] == ["Converted", "SwitchedOff"]
    assert [event["reason"] for event in later] == ["SwitchedOff"]
    assert hidden["items"] == []


async def test_the_platform_is_shown_in_detail_to_administrators(world: World) -> None:
    plain = (await world.speak_as("member").get("/api/v1/platform")).json()
    full = (await world.speak_as("admin").get("/api/v1/platform")).json()

    assert plain["tracking_uri"] == full["tracking_uri"] == "http://localhost:8080/mlflow"
    assert (plain["capacity"], plain["isolation"], plain["engines"][0]["message"]) == (None, None, None)
    assert (full["capacity"]["cpus"], full["isolation"], full["engines"][0]["restarts"]) == ("4", "landlock", 3)
