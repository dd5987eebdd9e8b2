"""What customers used, added up, and what that costs by the rate of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from taxiway.domain.errors import InvalidInput
from taxiway.store import usage
from taxiway.store.database import Database

SECONDS_OF_AN_HOUR = 3600
MOST_DAYS = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """What one deployment used in some days."""

    name: str
    customer: str
    requests: int
    rows: int
    client_errors: int
    server_errors: int
    cpu_hours: float
    pod_hours: float
    cost: float


class UsageReports:
    """Adds up days."""

    def __init__(self, *, database: Database, cost_per_pod_hour: float = 0.0) -> None:
        """The cost is in a currency of the reader's own."""
        self._database = database
        self._cost_per_pod_hour = cost_per_pod_hour

    async def between(self, since: date, until: date, *, customer: str | None = None) -> Sequence[UsageSum]:
        """Add up the days from ``since`` to ``until``, both included. Raises InvalidInput for more than a year."""
        if not 0 <= (until - since).days < MOST_DAYS:
            raise InvalidInput(
                f"Usage is added up over 1 to {MOST_DAYS} days.", hint="Give an earlier first day.", field="/since"
            )
        async with self._database.read() as tx:
            days = await usage.between(tx, since, until, customer=customer)
        by: dict[tuple[str, str], list[usage.Usage]] = {}
        for day in days:
            by.setdefault((day.name, day.customer), []).append(day)
        return [self._sum(name, whom, found) for (name, whom), found in sorted(by.items())]

    def _sum(self, name: str, customer: str, days: Sequence[usage.Usage]) -> UsageSum:
        cpu = sum(day.cpu_seconds for day in days) / SECONDS_OF_AN_HOUR
        pods = sum(day.pod_seconds for day in days) / SECONDS_OF_AN_HOUR
        return UsageSum(
            name=name,
            customer=customer,
            requests=sum(day.requests for day in days),
            rows=sum(day.rows for day in days),
            client_errors=sum(day.client_errors for day in days),
            server_errors=sum(day.server_errors for day in days),
            cpu_hours=cpu,
            pod_hours=pods,
            cost=pods * self._cost_per_pod_hour,
        )
