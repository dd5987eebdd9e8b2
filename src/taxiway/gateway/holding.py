"""How Envoy holds a request whose deployment has no pod: it asks the activator, and waits for the answer. Pure.

The filter is off but for routes that hold. The activator's answer names the cluster that the request then goes to,
for a request keeps the routes that were in force when it came. While the control plane is away Envoy asks again.
"""

from __future__ import annotations

from typing import Final

from taxiway.gateway.names import ACTIVATOR_CLUSTER, ACTIVATOR_FILTER, Json, seconds, typed

HELD_SECONDS: Final = 60.0
"""How long Envoy waits for the activator in all; the activator itself gives up a little earlier."""
CLUSTER_HEADER: Final = "x-taxiway-cluster"
REVISION_HEADER: Final = "x-taxiway-revision"
_RETRIES = 12
_FIRST_RETRY_SECONDS = 0.1


def activator_filter() -> Json:
    """Return the listener's filter, which comes after those that say who may ask, and how often."""
    service: Json = {
        "server_uri": {"uri": "http://activator", "cluster": ACTIVATOR_CLUSTER, "timeout": seconds(HELD_SECONDS)},
        "authorization_response": {
            "allowed_upstream_headers": {"patterns": [{"exact": CLUSTER_HEADER}]},
            "allowed_client_headers_on_success": {"patterns": [{"exact": REVISION_HEADER}]},
        },
        "retry_policy": {
            "retry_on": "connect-failure,reset",
            "num_retries": _RETRIES,
            # Envoy takes the longest pause for the time that one try may last, too.
            "retry_back_off": {
                "base_interval": seconds(_FIRST_RETRY_SECONDS),
                "max_interval": seconds(HELD_SECONDS),
            },
        },
    }
    fields = {
        "http_service": service,
        "clear_route_cache": True,
        "status_on_error": {"code": "ServiceUnavailable"},
        "stat_prefix": "activator",
    }
    config = typed("extensions/filters.http.ext_authz.v3.ExtAuthz", fields)
    return {"name": ACTIVATOR_FILTER, "disabled": True, "typed_config": config}


def activator_demands() -> Json:
    """Return what a route says whose requests wait."""
    return {ACTIVATOR_FILTER: typed("extensions/filters.http.ext_authz.v3.ExtAuthzPerRoute", {"check_settings": {}})}
