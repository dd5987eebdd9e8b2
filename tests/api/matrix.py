"""Who gets what from which route: the reviewed table. A route without a row fails the tests, and so does a row without.

The columns of a row, each the status of the same request:

| column        | who asks                                                         |
| ------------- | ---------------------------------------------------------------- |
| nobody        | whoever shows no token and no cookie                             |
| stranger      | a data scientist who is no member of the project                 |
| member        | a data scientist who is a member, and owns what is looked at     |
| narrow        | the member's token that may only ``model:read``                  |
| administrator | an administrator who is no member                                |

The rest follows by rule: a token that expired, was revoked, or whose user is disabled is nobody's; a cookie
gets what its user's token gets; a cookie and a token of different users get 400; a change by cookie from another
site 403; who must change the password 403 everywhere but in ``OPEN_TO_NEWCOMERS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

M = "/api/v1/projects/{project}/models/{model}"
V = f"{M}/versions/{{version}}"
R = "/api/v1/projects/{project}/runs/{run}"
P = "/api/v1/projects/{project}"
D = "/api/v1/production/deployments"


@dataclass(frozen=True, slots=True)
class Row:
    """One route's expected answers, and what is sent to it."""

    route: str
    nobody: int
    stranger: int
    member: int
    narrow: int
    administrator: int
    body: dict[str, Any] | None = None
    query: str = ""
    changes: bool = True
    """Whether a success of an unsafe method writes an audit entry."""
    fill: tuple[tuple[str, str], ...] = ()
    """Path parameters that differ from the usual ones."""


SECTIONS = ("experiments", "runs", "models", "deployments", "monitoring", "administration", "account", "sign-in")
PASSWORDS = {"old": "correct horse battery", "new": "staple and some more"}

# fmt: off
ROWS = (
    #                                            nobody stranger member narrow administrator
    *(
        Row(f"GET /{section}{rest}", 200, 200, 200, 200, 200, fill=(("rest", "x"),))
        for section in SECTIONS
        for rest in ("", "/{rest:path}")
    ),
    Row("GET /assets/{name}",                       404, 404, 404, 404, 404, fill=(("name", "none.js"),)),
    Row("GET /",                                    200, 200, 200, 200, 200),
    Row("GET /mlflow",                              200, 200, 200, 200, 200),
    Row("GET /mlflow/",                             200, 200, 200, 200, 200),
    Row("GET /metrics",                             200, 200, 200, 200, 200),
    Row("GET /api/v1/health",                       200, 200, 200, 200, 200),
    Row("GET /api/v1/openapi.json",                 200, 200, 200, 200, 200),
    Row("GET /api/v1/platform",                     401, 200, 200, 403, 200),
    Row("GET /api/v1/platform/logs/{engine}",       401, 403, 403, 403, 200),
    Row("GET /api/v1/sign-in",                      200, 200, 200, 200, 200),
    Row("GET /api/v1/sign-in/provider",             303, 303, 303, 303, 303),
    Row("GET /api/v1/sign-in/callback",             303, 303, 303, 303, 303),
    Row("POST /api/v1/session",                     200, 200, 200, 200, 200,
        body={"name": "member", "password": "correct horse battery"}),
    Row("GET /api/v1/session",                      401, 200, 200, 403, 200),
    Row("DELETE /api/v1/session",                   401, 204, 204, 403, 204, changes=False),
    Row("PUT /api/v1/session/password",             401, 204, 204, 403, 204, body=PASSWORDS),
    Row("GET /api/v1/sessions",                     401, 200, 200, 403, 200),
    Row("DELETE /api/v1/sessions/{session}",        401, 404, 204, 403, 404),
    Row("GET /api/v1/tokens",                       401, 200, 200, 403, 200),
    Row("POST /api/v1/tokens",                      401, 201, 201, 403, 201, body={"name": "new"}),
    Row("DELETE /api/v1/tokens/{token}",            401, 404, 200, 403, 404),
    Row("GET /api/v1/users",                        401, 403, 403, 403, 200),
    Row("POST /api/v1/users",                       401, 403, 403, 403, 201,
        body={"name": "new", "password": "long enough"}),
    Row("GET /api/v1/users/{name}",                 401, 403, 403, 403, 200),
    Row("PATCH /api/v1/users/{name}",               401, 403, 403, 403, 200, body={"is_disabled": True}),
    Row("PUT /api/v1/users/{name}/password",        401, 403, 403, 403, 204, body={"password": "long enough"}),
    Row("DELETE /api/v1/users/{name}",              401, 403, 403, 403, 204, fill=(("name", "stranger"),)),
    Row("GET /api/v1/projects",                     401, 200, 200, 403, 200),
    Row("POST /api/v1/projects",                    401, 403, 403, 403, 201, body={"name": "new"}),
    Row(f"GET {P}",                                 401, 404, 200, 403, 200),
    Row(f"PATCH {P}",                               401, 404, 403, 403, 200, body={"description": "new"}),
    Row(f"DELETE {P}",                              401, 404, 403, 403, 409),
    Row(f"GET {P}/members",                         401, 404, 200, 403, 200),
    Row(f"PUT {P}/members/{{user}}",                401, 404, 403, 403, 204, fill=(("user", "stranger"),)),
    Row(f"DELETE {P}/members/{{user}}",             401, 404, 403, 403, 204),
    Row("GET /api/v1/audit",                        401, 403, 403, 403, 200),
    Row("GET /api/v1/audit/verify",                 401, 403, 403, 403, 200),
    Row("GET /api/v1/audit/export",                 401, 403, 403, 403, 200),
    Row("GET /api/v1/events",                       401, 200, 200, 200, 200),
    Row(f"GET {P}/experiments",                     401, 404, 200, 403, 200),
    Row(f"GET {P}/runs",                            401, 404, 200, 403, 200),
    Row(f"GET {R}",                                 401, 404, 200, 403, 200),
    Row(f"PATCH {R}",                               401, 404, 200, 403, 200, body={"tags": {"team": "risk"}}),
    Row(f"DELETE {R}",                              401, 404, 204, 403, 204),
    Row(f"POST {R}/restore",                        401, 404, 200, 403, 200),
    Row(f"GET {R}/metrics/{{key:path}}",            401, 404, 200, 403, 200),
    Row(f"GET {R}/artifacts",                       401, 404, 200, 403, 200),
    Row(f"GET {R}/artifacts/content",               401, 404, 200, 403, 200, query="path=report.html"),
    Row(f"GET {R}/logged-models",                   401, 404, 200, 403, 200),
    Row(f"POST {R}/conversions/preflight",          401, 404, 200, 403, 200, body={"model": "new"}, changes=False),
    Row(f"POST {R}/conversions",                    401, 404, 202, 403, 202, body={"model": "new"}),
    Row("GET /api/v1/models",                       401, 200, 200, 200, 200),
    Row(f"GET {V}",                                 401, 404, 200, 200, 200),
    Row(f"GET {V}/contract-changes",                401, 404, 200, 200, 200),
    Row(f"PATCH {V}",                               401, 404, 200, 403, 200, body={"memory": "2Gi"}),
    Row(f"DELETE {V}",                              401, 404, 204, 403, 204),
    Row(f"POST {V}/on",                             401, 404, 200, 403, 200, changes=False),
    Row(f"POST {V}/off",                            401, 404, 200, 403, 200),
    Row(f"GET {V}/access-tokens",                   401, 404, 200, 200, 200),
    Row(f"POST {V}/access-tokens",                  401, 404, 201, 403, 201, body={"caller": "till 8"}),
    Row(f"DELETE {V}/access-tokens/{{token}}",      401, 404, 200, 403, 200, fill=(("token", "access_token"),)),
    Row("POST /api/v1/production/promotions",       401, 403, 403, 403, 202, body={
        "project": "fraud", "model": "scorer", "version": 1, "name": "scorer-other", "customer": "Other",
        "reason": "They asked for it."}),
    Row("GET /api/v1/production/usage",             401, 403, 403, 403, 200),
    Row("GET /api/v1/production/served",            401, 403, 403, 403, 200),
    Row(f"GET {D}",                                 401, 403, 403, 403, 200),
    Row(f"GET {D}/{{deployment}}",                        401, 403, 403, 403, 200),
    Row(f"PATCH {D}/{{deployment}}",                      401, 403, 403, 403, 200, body={"min_pods": 2}),
    Row(f"DELETE {D}/{{deployment}}",                     401, 403, 403, 403, 204),
    Row(f"POST {D}/{{deployment}}/on",                    401, 403, 403, 403, 200, changes=False),
    Row(f"POST {D}/{{deployment}}/off",                   401, 403, 403, 403, 200),
    Row(f"GET {D}/{{deployment}}/pods",                   401, 403, 403, 403, 200),
    Row(f"GET {D}/{{deployment}}/logs/{{kind}}",          401, 403, 403, 403, 200),
    Row(f"PATCH {D}/{{deployment}}/rollout",              401, 403, 403, 403, 404, body={"wanted": "pause"}),
    Row(f"POST {D}/{{deployment}}/rollback",              401, 403, 403, 403, 409, body={"reason": "It was slow."}),
    Row(f"GET {D}/{{deployment}}/access-tokens",          401, 403, 403, 403, 200),
    Row(f"POST {D}/{{deployment}}/access-tokens",         401, 403, 403, 403, 201, body={"caller": "till 8"}),
    Row(f"DELETE {D}/{{deployment}}/access-tokens/{{token}}", 401, 403, 403, 403, 200,
        fill=(("token", "production_token"),)),
    Row("GET /api/v1/stream",                       401, 200, 200, 200, 200, query="seconds=0"),
    Row(f"POST {V}/invocations",                    401, 404, 200, 403, 200, body={"inputs": [1]}, changes=False),
    Row(f"GET {V}/endpoint",                        401, 404, 200, 403, 200),
    Row(f"POST {D}/{{deployment}}/invocations",     401, 403, 403, 403, 503, body={"inputs": [1]}, changes=False),
    Row(f"GET {D}/{{deployment}}/endpoint",         401, 403, 403, 403, 503),
    Row(f"GET {V}/measurements",                    401, 404, 200, 200, 200),
    Row(f"GET {D}/{{deployment}}/measurements",     401, 403, 403, 403, 200),
    Row("GET /api/v1/measurements",                 401, 403, 403, 403, 200),
    Row("GET /api/v1/production/requests",          401, 403, 403, 403, 200),
    Row("POST /api/v1/production/requests/{request}", 401, 403, 403, 403, 200, body={"decision": "approved"}),
    Row(f"GET {M}/thresholds",                      401, 404, 200, 200, 200),
    Row(f"PUT {M}/thresholds",                      401, 404, 200, 403, 200, body={"thresholds": [
        {"metric": "auc", "bound": ">=", "value": 0.9}]}),
    Row("GET /api/v1/production/scrubs",            401, 403, 403, 403, 200),
    Row("POST /api/v1/production/scrubs",           401, 403, 403, 403, 202),
    Row(f"GET {V}/pods",                            401, 404, 200, 200, 200),
    Row(f"GET {V}/logs/{{kind}}",                   401, 404, 200, 200, 200),
    Row(f"GET {V}/logs/{{kind}}/stream",            401, 404, 200, 200, 200),
)
# fmt: on

OPEN_TO_NEWCOMERS = frozenset({"GET /api/v1/session", "DELETE /api/v1/session", "PUT /api/v1/session/password"})
