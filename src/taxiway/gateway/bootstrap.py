"""What Envoy is started with: its administration, where its files lie, and how much it may use. Pure."""

from __future__ import annotations

from pathlib import Path

from taxiway.domain.measurements import BOUNDS_MS
from taxiway.gateway.clusters import pipe, upstream
from taxiway.gateway.limits import GatewayLimits
from taxiway.gateway.listeners import watched
from taxiway.gateway.names import (
    ACTIVATOR_CLUSTER,
    ADMIN_CLUSTER,
    CLUSTERS_FILE,
    CONTROL_CLUSTER,
    LISTENERS_FILE,
    Json,
    extension,
)

_CONTROL_IDLE_SECONDS = 3.0
"""Less than the 5 after which the control plane's server closes a connection that rests."""

_PATTERN_SIZE = 1 << 20
_RUNTIME: Json = {
    # Envoy's default of 100 is meant for patterns of strangers; ours count bytes and list hundreds of token ids.
    "re2.max_program_size.error_level": _PATTERN_SIZE,
    "re2.max_program_size.warn_level": _PATTERN_SIZE,
}


def bootstrap(
    directory: Path, *, admin_socket: Path, control_socket: Path, activator_socket: Path, limits: GatewayLimits
) -> Json:
    """Return the bootstrap; ``directory`` has the files that Envoy watches."""
    return {
        "node": {"id": "taxiway", "cluster": "taxiway"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": watched(directory / LISTENERS_FILE),
            "cds_config": watched(directory / CLUSTERS_FILE),
        },
        "static_resources": {
            "clusters": [
                _fixed(CONTROL_CLUSTER, control_socket, idle_seconds=_CONTROL_IDLE_SECONDS),
                _fixed(ADMIN_CLUSTER, admin_socket, idle_seconds=_CONTROL_IDLE_SECONDS),
                _fixed(ACTIVATOR_CLUSTER, activator_socket, idle_seconds=_CONTROL_IDLE_SECONDS),
            ]
        },
        "overload_manager": _overload(limits),
        # Nothing is added up while nobody asks; latencies are those up to the question before.
        "stats_flush_on_admin": True,
        # Of requests to pods alone: by default Envoy's own buckets would hold all fast ones in one.
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": list(BOUNDS_MS)}]
        },
        "layered_runtime": {"layers": [{"name": "taxiway", "static_layer": _RUNTIME}]},
        "application_log_config": {
            "log_format": {
                "json_format": {"time": "%Y-%m-%dT%T.%fZ", "level": "%l", "logger": "%n", "event": "%j"},
            }
        },
    }


def _fixed(name: str, socket: Path, *, idle_seconds: float) -> Json:
    endpoint = {"endpoint": {"address": pipe(socket)}}
    return upstream(idle_seconds=idle_seconds) | {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _overload(limits: GatewayLimits) -> Json:
    """Refuse requests before memory runs out, and connections beyond a count."""
    heap = "envoy.resource_monitors.fixed_heap"
    count = "envoy.resource_monitors.global_downstream_max_connections"

    def at(share: float, action: str) -> Json:
        return {
            "name": f"envoy.overload_actions.{action}",
            "triggers": [{"name": heap, "threshold": {"value": share}}],
        }

    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            extension(
                heap,
                "extensions/resource_monitors.fixed_heap.v3.FixedHeapConfig",
                {"max_heap_size_bytes": limits.heap_bytes},
            ),
            extension(
                count,
                "extensions/resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                {"max_active_downstream_connections": limits.connections},
            ),
        ],
        "actions": [
            at(0.9, "shrink_heap"),
            at(0.95, "stop_accepting_requests"),
            at(0.98, "stop_accepting_connections"),
        ],
    }
