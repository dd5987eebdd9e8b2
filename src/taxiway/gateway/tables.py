"""A whole routing table as the files that Envoy watches. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.gateway.clusters import clusters_of, version_of
from taxiway.gateway.delivery import encode
from taxiway.gateway.names import CLUSTERS_FILE, METRICS_ROUTES_FILE, ROUTES_FILE, Json, discovery
from taxiway.gateway.routes import metrics_routes, public_routes


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles:
    """The files of one table. Clusters of the table before may stand beside its own for a while."""

    version: RoutingVersion
    clusters: Mapping[str, Json]
    routes: bytes
    metrics_routes: bytes

    @property
    def contents(self) -> dict[str, bytes]:
        """All files by name, in the order in which they are put into place."""
        return {
            CLUSTERS_FILE: clusters_file(self.clusters),
            ROUTES_FILE: self.routes,
            METRICS_ROUTES_FILE: self.metrics_routes,
        }


def files_of(table: RoutingTable) -> TableFiles:
    """Translate a table. Raises GatewayRejected for what Envoy could not take."""
    version = table.version
    return TableFiles(
        version=version,
        clusters=clusters_of(table),
        routes=encode(discovery(version, [public_routes(table)])),
        metrics_routes=encode(discovery(version, [metrics_routes(table)])),
    )


def clusters_file(clusters: Mapping[str, Json]) -> bytes:
    """Write a set of clusters."""
    return encode(discovery(version_of(clusters), [clusters[name] for name in sorted(clusters)]))


def read_clusters(content: bytes | None) -> dict[str, Json]:
    """Read the clusters back; none from a file that is missing or damaged."""
    try:
        resources = json.loads(content or b"{}").get("resources", [])
        return {str(cluster["name"]): cluster for cluster in resources}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def read_version(content: bytes | None) -> str:
    """Read a file's version back; '' from one that is missing or damaged."""
    try:
        return str(json.loads(content or b"{}").get("version_info", ""))
    except (ValueError, AttributeError):
        return ""
