"""The routing table as Envoy's route configurations, for the public listener and the one for metrics. Pure."""

from __future__ import annotations

from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway.access import revoked_demands, route_demands
from taxiway.gateway.clusters import cluster_name
from taxiway.gateway.holding import CLUSTER_HEADER, HELD_SECONDS, activator_demands
from taxiway.gateway.names import ADMIN_CLUSTER, CONTROL_CLUSTER, METRICS, PUBLIC, Json, seconds, typed
from taxiway.gateway.quotas import quota_demands

MARGIN_SECONDS = 1.0
"""What the gateway waits longer than the pod, whose own answer at the time limit says more."""
MOST_URL_BYTES = 8192
_TO_PODS_NOT = ("authorization", "cookie", "proxy-authorization", CLUSTER_HEADER)
"""What callers show to us is no business of a model's code."""
_FROM_PODS_NOT = (
    "set-cookie",
    "clear-site-data",
    "strict-transport-security",
    "alt-svc",
    "x-envoy-upstream-service-time",
)
"""A model's code must not speak for the whole host that it shares with the console."""
_SANDBOX = {
    "content-security-policy": "sandbox",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
_ROUTES = "config/route.v3.RouteConfiguration"


def public_routes(table: RoutingTable) -> Json:
    """Return the routes of the public listener."""
    routes = [
        _too_long(),
        *(_endpoint(route) for route in sorted(table.routes, key=lambda route: (-len(route.prefix), route.prefix))),
        *(_no_such(path) for path in ("/staging", "/production", "/metrics")),
        _to_control("/"),
    ]
    host: Json = {"name": "taxiway", "domains": ["*"], "routes": routes}
    demands = revoked_demands(table.revoked)
    if demands:
        host["typed_per_filter_config"] = demands
    return typed(_ROUTES, {"name": PUBLIC, "virtual_hosts": [host]})


def metrics_routes(table: RoutingTable) -> Json:
    """Return the routes of the metrics listener: what Prometheus reads, and nothing else of the administration.

    Pods are reached by revision where it has one; of several, none could be told from another.
    """
    backends = {
        backend.revision: backend for route in table.routes for backend in route.backends if len(backend.addresses) == 1
    }
    routes = [
        _metrics("/metrics", CONTROL_CLUSTER, "/metrics"),
        _metrics("/metrics/gateway", ADMIN_CLUSTER, "/stats/prometheus"),
        *(_metrics(f"/metrics/pods/{key}", cluster_name(backends[key]), "/metrics") for key in sorted(backends)),
    ]
    # Names of this host only: a page that resolves its own name to it gets nothing.
    host = {"name": "taxiway", "domains": ["localhost", "127.0.0.1", "[::1]"], "routes": routes}
    return typed(_ROUTES, {"name": METRICS, "virtual_hosts": [host]})


def _endpoint(route: EndpointRoute) -> Json:
    fields: Json = {"name": route.deployment, "match": {"prefix": route.prefix}}
    demands = route_demands(route.deployment) if route.needs_token else {}
    if route.quota is not None:
        demands |= quota_demands(route.quota)
    if route.holds:
        demands |= activator_demands()
    if demands:
        fields["typed_per_filter_config"] = demands
    backends = [backend for backend in route.backends if backend.addresses and backend.weight > 0]
    if not backends and not route.holds:
        return fields | {"direct_response": {"status": 503}}
    # The timeout counts from when the request is whole; one that stops arriving is ended as idle. There is no bound
    # on the whole stream: with one, Envoy ignores the timeout.
    limit = route.timeout_seconds + MARGIN_SECONDS
    idle = limit + MARGIN_SECONDS + (HELD_SECONDS if route.holds else 0)
    action: Json = {
        "prefix_rewrite": "/",
        "timeout": seconds(limit),
        "idle_timeout": seconds(idle),
        "retry_policy": _retries(),
    }
    if route.holds:
        action["cluster_header"] = CLUSTER_HEADER
    else:
        action["weighted_clusters"] = {"clusters": [_weighted(backend) for backend in backends]}
    return fields | {
        "route": action,
        "request_headers_to_remove": list(_TO_PODS_NOT),
        "response_headers_to_remove": list(_FROM_PODS_NOT),
        "response_headers_to_add": [_header(name, value) for name, value in _SANDBOX.items()],
    }


def _weighted(backend: Backend) -> Json:
    return {
        "name": cluster_name(backend),
        "weight": backend.weight,
        "response_headers_to_add": [_header("x-taxiway-revision", backend.revision)],
    }


def _to_control(prefix: str) -> Json:
    """Pass on without a time limit: uploads of gigabytes and event streams end by being idle."""
    return {
        "name": CONTROL_CLUSTER,
        "match": {"prefix": prefix},
        "route": {"cluster": CONTROL_CLUSTER, "timeout": "0s", "retry_policy": _retries()},
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
    }


def _retries() -> Json:
    """Try again only what cannot have reached a pod, at once: a model may not be asked twice."""
    return {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.025s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed("extensions/retry.host.previous_hosts.v3.PreviousHostsPredicate", {}),
            }
        ],
        # Of two pods each choice is one in two, so few tries would often end at the dead one.
        "host_selection_retry_max_attempts": 16,
    }


def _too_long() -> Json:
    # RE2 repeats at most a thousand times; \C is any byte.
    thousands, rest = divmod(MOST_URL_BYTES + 1, 1000)
    pattern = r"\C{1000}" * thousands + rf"\C{{{rest}}}\C*"
    header = {"name": ":path", "string_match": {"safe_regex": {"regex": pattern}}}
    return {"name": "too-long", "match": {"prefix": "/", "headers": [header]}, "direct_response": {"status": 414}}


def _no_such(path: str) -> Json:
    return {"name": "no-such", "match": {"path_separated_prefix": path}, "direct_response": {"status": 404}}


def _metrics(path: str, cluster: str, target: str) -> Json:
    only_get = {"name": ":method", "string_match": {"exact": "GET"}}
    return {
        "match": {"path": path, "headers": [only_get]},
        "route": {"cluster": cluster, "prefix_rewrite": target, "timeout": "10s"},
    }


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
