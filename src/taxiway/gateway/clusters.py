"""Revisions' pods as Envoy's clusters. Pure.

A cluster never changes: its name has the digest of all that it is, so that other addresses make another cluster,
and routes move over. Its addresses stand in it and not in a file of their own (EDS): Envoy takes one inotify
instance for each file that it watches, and ends at the kernel's limit of 128 for a user.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.routing import Backend, RoutingTable
from taxiway.gateway.names import Json, seconds, typed

CONNECT_SECONDS = 1.0
IDLE_SECONDS = 60.0
"""Less than a pod's 300, so that it is Envoy who closes, and no request meets a connection that is being closed."""
_BUFFER_BYTES = 32 << 10
_MOST_AT_ONCE = 1024
_LOCALHOST = "127.0.0.1"


def clusters_of(table: RoutingTable) -> dict[str, Json]:
    """Return the clusters that the table's routes need, by name."""
    found = (cluster_of(backend) for route in table.routes for backend in route.backends if backend.addresses)
    return {str(cluster["name"]): cluster for cluster in found}


def cluster_name(backend: Backend) -> str:
    """Return the name of the backend's cluster, which tells what is in it."""
    return str(cluster_of(backend)["name"])


def cluster_of(backend: Backend) -> Json:
    """Return the cluster of a revision's pods. Raises GatewayRejected for an address that Envoy cannot take."""
    addresses = sorted(set(backend.addresses))
    endpoints = [{"endpoint": {"address": _address(address, backend.revision)}} for address in addresses]
    fields = upstream(idle_seconds=IDLE_SECONDS) | {
        "type": "STATIC",
        # Statistics are the revision's, whatever its addresses are.
        "alt_stat_name": backend.revision,
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": backend.revision, "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if len(addresses) > 1:
        fields["outlier_detection"] = _outliers()
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
    return typed("config/cluster.v3.Cluster", {"name": f"{backend.revision}.{digest}", **fields})


def upstream(*, idle_seconds: float) -> Json:
    """Return what all clusters have in common."""
    most = {
        "max_connections": _MOST_AT_ONCE, "max_pending_requests": _MOST_AT_ONCE, "max_requests": _MOST_AT_ONCE,
        "max_retries": _MOST_AT_ONCE,
    }  # fmt: skip
    options = typed(
        "extensions/upstreams.http.v3.HttpProtocolOptions",
        {
            "explicit_http_config": {"http_protocol_options": {}},
            "common_http_protocol_options": {"idle_timeout": seconds(idle_seconds)},
        },
    )
    return {
        "connect_timeout": seconds(CONNECT_SECONDS),
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "circuit_breakers": {"thresholds": [most]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def pipe(path: object) -> Json:
    """Return the address of a Unix socket."""
    return {"pipe": {"path": str(path)}}


def version_of(names: Iterable[str]) -> str:
    """Return the version of a set of clusters; their names tell all."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _outliers() -> Json:
    """Keep away for a while from one of several pods that cannot be connected to; its own answers do not matter."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "1s",
        "max_ejection_time": "5s",
        "max_ejection_percent": 50,
    }


def _address(address: str, revision: str) -> Json:
    if address.startswith("unix:"):
        return pipe(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    host = _LOCALHOST if host == "localhost" else host.strip("[]")
    try:
        return {"socket_address": {"address": str(ipaddress.ip_address(host)), "port_value": _port(port)}}
    except ValueError:
        raise GatewayRejected(
            f"A pod of revision {revision} has the address {address}, which is no Unix socket and no IP address.",
            hint="Restart the deployment; where that does not help, see the gateway's log.",
        ) from None


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port
