"""Quotas: how many requests each caller of a deployment may send, so that one that floods leaves the others alone."""

from __future__ import annotations

from dataclasses import dataclass

from taxiway.domain.errors import InvalidInput

MOST_PER_SECOND = 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A lasting rate for each caller, and how many requests above it may come at once.

    Callers are told apart by their access tokens; those of an open endpoint share one quota.
    """

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not 0.01 <= self.per_second <= MOST_PER_SECOND:
            raise InvalidInput(
                "A quota is 0.01 to 1,000,000 requests per second.", hint="Give 0 for none.", field="/quota_per_second"
            )
        if not 1 <= self.burst <= MOST_PER_SECOND:
            raise InvalidInput(
                "A burst is 1 to 1,000,000 requests.", hint="Give as many as may come at once.", field="/quota_burst"
            )
