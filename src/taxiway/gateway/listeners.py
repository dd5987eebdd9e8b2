"""The two listeners: the one that everybody sees, and the one for Prometheus on loopback. Pure.

Nothing in them depends on the routing table: a listener that changes drains its connections.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from taxiway.domain.errors import InvalidInput
from taxiway.gateway.access import access_filters
from taxiway.gateway.answers import local_replies
from taxiway.gateway.holding import activator_filter
from taxiway.gateway.limits import GatewayLimits
from taxiway.gateway.names import (
    JWT_FILTER,
    METRICS,
    METRICS_ROUTES_FILE,
    PUBLIC,
    ROUTES_FILE,
    TOKEN,
    Json,
    extension,
    seconds,
    typed,
)
from taxiway.gateway.quotas import quota_filter

_NOBODY: Json = {"address_prefix": "255.255.255.255", "prefix_len": 32}
_HTTP2_STREAM_WINDOW = 64 << 10
_HTTP2_CONNECTION_WINDOW = 1 << 20
_FROM_CALLERS_NOT = (
    {"prefix": "x-taxiway-", "ignore_case": True},
    {"prefix": "x-envoy-", "ignore_case": True},
    {"prefix": "x-forwarded-", "ignore_case": True},
    {"exact": "forwarded", "ignore_case": True},
)
"""Headers by which we or proxies speak to each other; whoever calls could say anything in them."""


def listeners(
    directory: Path,
    *,
    host: str,
    port: int,
    metrics_port: int,
    public_keys: Mapping[str, bytes],
    limits: GatewayLimits,
) -> list[Json]:
    """Return both listeners; ``directory`` has the files with their routes."""
    filters = [*access_filters(public_keys), quota_filter(), activator_filter()]
    public = _connections(PUBLIC, directory / ROUTES_FILE, limits, filters) | {
        "local_reply_config": local_replies(),
        "access_log": [_access_log()],
    }
    metrics = _connections(METRICS, directory / METRICS_ROUTES_FILE, limits, []) | {"strip_any_host_port": True}
    return [
        _listener(PUBLIC, _ip(host), port, public, limits),
        _listener(METRICS, "127.0.0.1", metrics_port, metrics, limits),
    ]


def _listener(name: str, address: str, port: int, manager: Json, limits: GatewayLimits) -> Json:
    socket_address: Json = {"address": address, "port_value": port}
    if address == "::":
        socket_address["ipv4_compat"] = True
    connection_manager = extension(
        "envoy.filters.network.http_connection_manager",
        "extensions/filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )
    return typed(
        "config/listener.v3.Listener",
        {
            "name": name,
            "address": {"socket_address": socket_address},
            "per_connection_buffer_limit_bytes": limits.buffer_bytes,
            # With it, a second gateway could listen on the same port and silently take half of the connections.
            "enable_reuse_port": False,
            "filter_chains": [{"filters": [connection_manager]}],
        },
    )


def _connections(name: str, routes: Path, limits: GatewayLimits, filters: list[Json]) -> Json:
    mutations = [{"remove_on_match": {"key_matcher": matcher}} for matcher in _FROM_CALLERS_NOT]
    return {
        "stat_prefix": name,
        "codec_type": "AUTO",
        "rds": {"route_config_name": name, "config_source": watched(routes)},
        "http_filters": [
            *filters,
            extension("envoy.filters.http.router", "extensions/filters.http.router.v3.Router", {}),
        ],
        "early_header_mutation_extensions": [
            extension(
                "envoy.http.early_header_mutation.header_mutation",
                "extensions/http.early_header_mutation.header_mutation.v3.HeaderMutation",
                {"mutations": mutations},
            )
        ],
        "use_remote_address": True,
        # Who calls is said by x-envoy-external-address alone; for a caller on loopback the other one would be wrong.
        "skip_xff_append": True,
        # Nobody is trusted for being near. An empty list would trust loopback and all private networks.
        "internal_address_config": {"cidr_ranges": [_NOBODY]},
        "server_header_transformation": "OVERWRITE",
        "server_name": "taxiway",
        "normalize_path": True,
        "merge_slashes": True,
        # MLflow's clients send none in a path; in a query they are left alone.
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": typed(
                "extensions/request_id.uuid.v3.UuidRequestIdConfig",
                {"pack_trace_reason": False, "use_request_id_for_trace_sampling": False},
            )
        },
        "max_request_headers_kb": limits.header_kib,
        "request_headers_timeout": seconds(limits.header_seconds),
        "stream_idle_timeout": seconds(limits.idle_seconds),
        "common_http_protocol_options": {
            "idle_timeout": seconds(limits.idle_seconds),
            "max_headers_count": limits.headers,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": limits.streams,
            "initial_stream_window_size": _HTTP2_STREAM_WINDOW,
            "initial_connection_window_size": _HTTP2_CONNECTION_WINDOW,
        },
    }


def watched(path: Path) -> Json:
    """Return the source of what stands in a file that is moved into place."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _access_log() -> Json:
    """Write a line a request, as JSON. Queries, headers and bodies are not in it: they may hold secrets and data."""
    line: Json = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "event": "request",
        "method": "%REQ(:METHOD):20%",
        "path": "%PATH(NQ:ORIG_OR_PATH):500%",
        "status": "%RESPONSE_CODE%",
        "duration_ms": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "request_id": "%REQ(X-REQUEST-ID):100%",
        "deployment": "%ROUTE_NAME%",
        "revision": "%RESP(X-TAXIWAY-REVISION)%",
        "caller": f"%DYNAMIC_METADATA({JWT_FILTER}:{TOKEN}:sub)%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
    }
    return extension(
        "envoy.access_loggers.stdout",
        "extensions/access_loggers.stream.v3.StdoutAccessLog",
        {"log_format": {"json_format": line}},
    )


def _ip(host: str) -> str:
    try:
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]")))
    except ValueError:
        raise InvalidInput(
            f"The gateway cannot listen on '{host}': it is no IP address.",
            hint="Set server.host to an address of this host, 0.0.0.0 or ::.",
        ) from None
