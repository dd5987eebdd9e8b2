"""Names that the parts of Envoy's configuration use for each other, and the type of a piece of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Json = dict[str, object]
"""A piece of Envoy's configuration, as JSON."""

CONTROL_CLUSTER: Final = "control"
ADMIN_CLUSTER: Final = "admin"
ACTIVATOR_CLUSTER: Final = "activator"
PUBLIC: Final = "public"
METRICS: Final = "metrics"
"""The two listeners; also the names of their route configurations and of their statistics."""

REVOKED_FILTER: Final = "taxiway.revoked"
DEPLOYMENT_FILTER: Final = "taxiway.deployment"
QUOTA_FILTER: Final = "envoy.filters.http.local_ratelimit"
ACTIVATOR_FILTER: Final = "taxiway.activator"
JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
TOKEN: Final = "access-token"  # noqa: S105 - the name of a requirement, no secret

BOOTSTRAP_FILE: Final = "bootstrap.json"
LISTENERS_FILE: Final = "listeners.json"
CLUSTERS_FILE: Final = "clusters.json"
ROUTES_FILE: Final = "routes.json"
METRICS_ROUTES_FILE: Final = "metrics-routes.json"
TABLE_FILES: Final = (CLUSTERS_FILE, ROUTES_FILE, METRICS_ROUTES_FILE)
"""The files that a routing table makes, in the order in which they are put into place."""

_CONFIG = "type.googleapis.com/envoy.config"
_EXTENSIONS = "type.googleapis.com/envoy.extensions"


def typed(name: str, fields: Mapping[str, object]) -> Json:
    """Return a message with its type, for example ``config/cluster.v3.Cluster`` or ``extensions/filters….Rbac``."""
    family, _, rest = name.partition("/")
    return {"@type": f"{_CONFIG if family == 'config' else _EXTENSIONS}.{rest}", **fields}


def extension(name: str, type_: str, fields: Mapping[str, object]) -> Json:
    """Return an extension: its name and its typed configuration."""
    return {"name": name, "typed_config": typed(type_, fields)}


def seconds(value: float) -> str:
    """Write a duration as Envoy reads it."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def discovery(version: str, resources: list[Json]) -> Json:
    """Return what a file holds that Envoy watches."""
    return {"version_info": version, "resources": resources}
