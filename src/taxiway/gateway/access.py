"""How Envoy checks access tokens by itself: keys in the listener, claims in the routes. Pure.

The listener holds the public keys and never changes with a new table. A route names the requirement, its own
deployment and, above all routes, the tokens that no longer count; so revoking one changes routes only.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

from taxiway.domain.access_tokens import ISSUER
from taxiway.domain.ids import AccessTokenId, DeploymentId
from taxiway.gateway.names import DEPLOYMENT_FILTER, JWT_FILTER, REVOKED_FILTER, TOKEN, Json, extension, typed

_CLOCK_SKEW_SECONDS = 1
"""Envoy's own default lets a token live a minute longer than it says."""
_CACHED_TOKENS = 2000
"""Checked tokens that Envoy remembers: checking an Ed25519 signature costs as much as the rest of a request."""
_IDS_PER_PATTERN = 500
_RBAC = "extensions/filters.http.rbac.v3.RBAC"
_RBAC_PER_ROUTE = "extensions/filters.http.rbac.v3.RBACPerRoute"
_DENY, _ALLOW = "DENY", "ALLOW"


def access_filters(public_keys: Mapping[str, bytes]) -> list[Json]:
    """Return the listener's filters. Without words of a route they let everything through."""
    provider: Json = {
        "issuer": ISSUER,
        "local_jwks": {"inline_string": json_web_keys(public_keys)},
        # Named, because by default a token in the query would do too, and queries end up in logs.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": False,
        "require_expiration": True,
        "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
        "payload_in_metadata": TOKEN,
        "jwt_cache_config": {"jwt_cache_size": _CACHED_TOKENS},
    }
    fields: Json = {"providers": {TOKEN: provider}, "requirement_map": {TOKEN: {"provider_name": TOKEN}}}
    return [
        extension(JWT_FILTER, "extensions/filters.http.jwt_authn.v3.JwtAuthentication", fields),
        extension(REVOKED_FILTER, _RBAC, {}),
        extension(DEPLOYMENT_FILTER, _RBAC, {}),
    ]


def json_web_keys(public_keys: Mapping[str, bytes]) -> str:
    """Write public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    keys = [
        {
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key,
            "x": base64.urlsafe_b64encode(public_keys[key]).rstrip(b"=").decode("ascii"),
        }
        for key in sorted(public_keys)
    ]  # fmt: skip
    return json.dumps({"keys": keys})


def route_demands(deployment: DeploymentId) -> Json:
    """Return what a route demands: a token that counts, and one for this deployment."""
    principal = _claim("dep", {"exact": deployment})
    return {
        JWT_FILTER: typed("extensions/filters.http.jwt_authn.v3.PerRouteConfig", {"requirement_name": TOKEN}),
        DEPLOYMENT_FILTER: _rules(_ALLOW, "own-deployment", [principal]),
    }


def revoked_demands(revoked: frozenset[AccessTokenId]) -> Json:
    """Return what holds for all routes: none of these tokens."""
    if not revoked:
        return {}
    # Patterns rather than one comparison a token: a pattern takes the same time for one and for hundreds.
    ids = [re.escape(token) for token in sorted(revoked)]
    chunks = [ids[at : at + _IDS_PER_PATTERN] for at in range(0, len(ids), _IDS_PER_PATTERN)]
    principals = [_claim("jti", {"safe_regex": {"regex": "|".join(chunk)}}) for chunk in chunks]
    return {REVOKED_FILTER: _rules(_DENY, "revoked", principals)}


def _claim(name: str, value: Json) -> Json:
    """Match a claim of the token that was verified."""
    path = [{"key": TOKEN}, {"key": name}]
    matcher = {"filter": JWT_FILTER, "path": path, "value": {"string_match": value}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _rules(action: str, name: str, principals: list[Json]) -> Json:
    policy = {"permissions": [{"any": True}], "principals": principals}
    return typed(_RBAC_PER_ROUTE, {"rbac": {"rules": {"action": action, "policies": {name: policy}}}})
