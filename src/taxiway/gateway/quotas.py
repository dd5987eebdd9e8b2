"""How Envoy holds each caller to its quota: a token bucket a caller, told apart by the verified access token. Pure.

The buckets are Envoy's own and begin full when the routes are taken into force anew.
"""

from __future__ import annotations

import math

from taxiway.domain.quotas import Quota
from taxiway.gateway.names import JWT_FILTER, QUOTA_FILTER, TOKEN, Json, extension, seconds, typed

_TYPE = "extensions/filters.http.local_ratelimit.v3.LocalRateLimit"
_SHORTEST_FILL_SECONDS = 0.05
"""Envoy fills no bucket more often."""
_MOST_CALLERS = 10_000
"""Buckets that are kept; of more callers those that asked longest ago begin anew."""
_OPEN = "anybody"
_NO_BOUND = 4_000_000_000
_ALWAYS: Json = {
    "default_value": {"numerator": 100, "denominator": "HUNDRED"},
    # Demanded, and never set.
    "runtime_key": "taxiway.never",
}


def quota_filter() -> Json:
    """Return the listener's filter; without words of a route it lets everything through."""
    return extension(QUOTA_FILTER, _TYPE, {"stat_prefix": "quota"})


def quota_demands(quota: Quota) -> Json:
    """Return what a route demands of each caller."""
    caller = {
        "descriptor_key": "caller",
        "metadata_key": {"key": JWT_FILTER, "path": [{"key": TOKEN}, {"key": "sub"}]},
        "source": "DYNAMIC",
        "default_value": _OPEN,
    }
    fields: Json = {
        "stat_prefix": "quota",
        "token_bucket": {"max_tokens": _NO_BOUND, "tokens_per_fill": _NO_BOUND, "fill_interval": "1s"},
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "rate_limits": [{"actions": [{"metadata": caller}]}],
        # No value: a bucket for each that comes.
        "descriptors": [{"entries": [{"key": "caller"}], "token_bucket": _bucket(quota)}],
        "max_dynamic_descriptors": _MOST_CALLERS,
        "always_consume_default_token_bucket": False,
    }
    return {QUOTA_FILTER: typed(_TYPE, fields)}


def _bucket(quota: Quota) -> Json:
    """Fill by whole tokens at most twenty times a second, at exactly the rate."""
    tokens = max(math.ceil(quota.per_second * _SHORTEST_FILL_SECONDS), 1)
    return {
        "max_tokens": max(quota.burst, tokens),
        "tokens_per_fill": tokens,
        "fill_interval": seconds(tokens / quota.per_second),
    }
