"""Where a request comes from: the host it names, the site that sent it, the address it came from. Pure functions."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def host_name(host: str) -> str | None:
    """Return the name in a Host header without its port, in lower case; None for what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.hostname is None or parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname


def is_known_host(headers: Headers, allowed: Collection[str]) -> bool:
    """Tell whether the one Host header names us. That stops DNS rebinding: a foreign name that leads here."""
    hosts = headers.getlist("host")
    return len(hosts) == 1 and host_name(hosts[0]) in allowed


def is_same_site(method: str, headers: Headers) -> bool:
    """Tell whether a browser may have sent this with somebody's cookie only from our own pages.

    As Go's CrossOriginProtection decides, but that a change with neither header needs a token: safe methods pass;
    Sec-Fetch-Site must be same-origin or none; where it is missing (plain http on a network), Origin must name
    the host that was asked.
    """
    if method in SAFE_METHODS:
        return True
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == headers.get("host", "").lower()


def came_by_socket(scope: Scope) -> bool:
    """Tell whether the connection came over our Unix socket, which only the gateway and the stub can open."""
    server: Sequence[object] | None = scope.get("server")
    return server is not None and server[1] is None


def source_of(scope: Scope, headers: Headers) -> str:
    """Return the address that a request came from: what the gateway says, and only if it is the gateway."""
    if not came_by_socket(scope):
        client: Sequence[object] | None = scope.get("client")
        return str(client[0])[:80] if client else ""
    external = headers.get("x-envoy-external-address")
    forwarded = headers.get("x-forwarded-for", "").rsplit(",", 1)[-1]
    for text in (external or "", forwarded):
        try:
            return str(ipaddress.ip_address(text.strip()))
        except ValueError:
            continue
    return ""
