"""What customers used, by production deployment, day (UTC) and customer; stays when the deployment is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update

from taxiway.domain.ids import DeploymentId
from taxiway.store import schema
from taxiway.store.database import Transaction

T = schema.usage
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used on one day: requests, predictions returned, errors, CPU seconds, and how long pods were there."""

    deployment: DeploymentId
    day: date
    name: str
    customer: str
    requests: int
    rows: int
    client_errors: int
    server_errors: int
    cpu_seconds: float
    pod_seconds: float


def _usage(row: Row[Any]) -> Usage:
    return Usage(
        deployment=DeploymentId(row.deployment),
        day=EPOCH + timedelta(days=row.day),
        name=row.name,
        customer=row.customer,
        requests=row.requests,
        rows=row.rows,
        client_errors=row.client_errors,
        server_errors=row.server_errors,
        cpu_seconds=row.cpu_seconds,
        pod_seconds=row.pod_seconds,
    )


async def add(tx: Transaction, more: Usage) -> None:
    """Add what was used since the last time."""
    day = (more.day - EPOCH).days
    counted = ("requests", "rows", "client_errors", "server_errors", "cpu_seconds", "pod_seconds")
    changed = await tx.execute(
        update(T)
        .where(T.c.deployment == more.deployment, T.c.day == day, T.c.customer == more.customer)
        .values({name: T.c[name] + getattr(more, name) for name in counted})
    )
    if changed.rowcount == 0:
        values = {name: getattr(more, name) for name in (*counted, "deployment", "name", "customer")}
        await tx.execute(insert(T).values(day=day, **values))


async def between(tx: Transaction, since: date, until: date, *, customer: str | None = None) -> Sequence[Usage]:
    """List what was used on the days from ``since`` to ``until``, both included, by name and day."""
    query = select(T).where(T.c.day >= (since - EPOCH).days, T.c.day <= (until - EPOCH).days)
    if customer is not None:
        query = query.where(T.c.customer == customer)
    return [_usage(row) for row in (await tx.execute(query.order_by(T.c.name, T.c.day))).all()]
