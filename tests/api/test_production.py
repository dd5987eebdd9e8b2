"""What administrators ask of production over HTTP: rehearsals change nothing, requests are decided once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import World

DEPLOYMENTS = "/api/v1/production/deployments"
ACME = f"{DEPLOYMENTS}/scorer-acme"
REQUESTS = "/api/v1/production/requests"
THRESHOLDS = "/api/v1/projects/fraud/models/scorer/thresholds"
WHY = {"reason": "It was slow."}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", ACME, {"memory": "2Gi"}, 200),
        ("PATCH", ACME, {"memory": "999Gi"}, 422),
        ("POST", f"{ACME}/off", None, 200),
        ("POST", f"{ACME}/rollback", WHY, 409),
        ("PATCH", f"{ACME}/rollout", {"wanted": "pause"}, 404),
        ("DELETE", ACME, None, 204),
    ],
)
async def test_a_rehearsal_answers_as_the_act_would_and_changes_nothing(
    world: World, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    admin = world.speak_as("admin")
    before, entries = (await admin.get(ACME)).json(), (await admin.get("/api/v1/audit")).json()
    told = await admin.request(method, path, json=body, params={"dry_run": "true"})
    assert told.status_code == status
    assert (await admin.get(ACME)).json() == before
    assert (await admin.get("/api/v1/audit")).json() == entries
    if told.status_code == 200:
        assert told.json() != {key: before[key] for key in told.json()}
    assert (await admin.request(method, path, json=body)).status_code == status, "the act itself answers alike"


async def test_a_request_is_decided_once_and_by_another(world: World) -> None:
    admin, another = world.speak_as("admin"), world.speak_as("another")
    (waiting,) = (await admin.get(REQUESTS)).json()["items"]
    assert (waiting["decision"], waiting["asked_by"], waiting["name"]) == ("waiting", "another", "scorer-zeta")
    path = f"{REQUESTS}/{waiting['id']}"
    assert (await another.post(path, json={"decision": "approved"})).status_code == 403
    assert (await admin.post(path, json={"decision": "withdrawn"})).status_code == 403
    assert (await admin.get(f"{DEPLOYMENTS}/scorer-zeta")).status_code == 404
    decided = (await admin.post(path, json={"decision": "approved"})).json()
    assert (decided["decision"], decided["decided_by"]) == ("approved", "admin")
    made = (await admin.get(f"{DEPLOYMENTS}/scorer-zeta")).json()
    assert (made["owner"], made["promotions"][0]["promoted_by"]) == ("another", "another")
    again = await admin.post(path, json={"decision": "rejected", "reason": "On second thoughts."})
    assert (again.status_code, again.json()["reason"]) == (409, "Conflict")
    assert (await admin.post(f"{REQUESTS}/nothing", json={"decision": "rejected"})).status_code == 404


async def test_thresholds_are_all_replaced_and_refuse_a_promotion(world: World) -> None:
    admin = world.speak_as("admin")
    wanted = [{"metric": "auc", "bound": ">=", "value": 0.9}, {"metric": "loss", "bound": "<=", "value": 0.2}]
    assert (await admin.put(THRESHOLDS, json={"thresholds": wanted})).json()["items"] == wanted
    promotion = {
        "project": "fraud", "model": "scorer", "version": 1, "name": "scorer-nova", "customer": "Nova",
        "reason": "They asked for it.",
    }  # fmt: skip
    refused = await admin.post("/api/v1/production/promotions", json=promotion)
    assert refused.json()["reason"] == "GatesFailed"
    assert "auc >= 0.9 (it was not logged)" in refused.json()["detail"]
    twice = await admin.put(THRESHOLDS, json={"thresholds": [wanted[0], wanted[0]]})
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (400, "/thresholds")
    assert (await admin.get(THRESHOLDS)).json()["items"] == wanted
    assert (await admin.put(THRESHOLDS, json={"thresholds": []})).json()["items"] == []
    assert (await admin.post("/api/v1/production/promotions", json=promotion)).json()["is_done"]
