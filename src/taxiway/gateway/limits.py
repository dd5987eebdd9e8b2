"""How much the gateway takes: sizes, counts and times. Values only."""

from __future__ import annotations

import resource
from dataclasses import dataclass

OPEN_FILES = 65_536
"""File descriptors that Envoy may have, where the host allows so many."""
_OWN_FILES = 512
_FILES_PER_CONNECTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """What holds for all callers together or for each connection. They stand in the listener and the bootstrap."""

    connections: int = 10_000
    """Open connections of callers; more are closed when they come."""
    heap_bytes: int = 1 << 30
    header_kib: int = 32
    headers: int = 100
    url_bytes: int = 8192
    header_seconds: float = 10.0
    idle_seconds: float = 300.0
    buffer_bytes: int = 32 << 10
    streams: int = 100
    """HTTP/2 streams of one connection."""


def limits_of_host(*, hard_files: int | None = None) -> GatewayLimits:
    """Return the limits, with no more connections than this host has file descriptors for."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard_files is None else hard_files
    files = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    fitting = max(64, (files - _OWN_FILES) // _FILES_PER_CONNECTION)
    return GatewayLimits(connections=min(GatewayLimits().connections, fitting))
