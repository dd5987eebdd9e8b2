"""The routing table: our complete wanted routing, in our words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import NewType

from taxiway.domain.ids import AccessTokenId, DeploymentId, RevisionId
from taxiway.domain.quotas import Quota

RoutingVersion = NewType("RoutingVersion", str)
"""The digest of a routing table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The ready pods of one revision and the whole percents of traffic that they get; weights sum to 100."""

    revision: RevisionId
    addresses: tuple[str, ...]
    weight: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRoute:
    """One endpoint: everything below ``prefix`` (which ends with ``/``) goes to its backends, prefix removed.

    No backend with an address means 503 with Retry-After, in words that say that the deployment has no ready pod;
    where the endpoint wakes, it means that requests wait.
    """

    prefix: str
    deployment: DeploymentId
    backends: tuple[Backend, ...]
    tag: str = ""
    """What names a revision that is reached by this route alone, whatever its share of the endpoint's requests."""
    needs_token: bool = True
    quota: Quota | None = None
    """Of each caller; None: as many requests as they like."""
    timeout_seconds: float = 30.0
    wakes: bool = False
    """Whether a request that finds no pod waits for one instead."""

    @property
    def holds(self) -> bool:
        """Whether requests wait: of the revisions that are to get some, one has no pod."""
        return self.wakes and any(backend.weight > 0 and not backend.addresses for backend in self.backends)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """All endpoints, and the access tokens that no longer count. Order does not matter; equal tables are equal."""

    routes: tuple[EndpointRoute, ...] = ()
    revoked: frozenset[AccessTokenId] = frozenset()

    @property
    def version(self) -> RoutingVersion:
        """The digest of the table's content."""
        routes = sorted((asdict(route) for route in self.routes), key=lambda route: str(route["prefix"]))
        text = json.dumps({"routes": routes, "revoked": sorted(self.revoked)}, sort_keys=True)
        return RoutingVersion(hashlib.sha256(text.encode()).hexdigest())
