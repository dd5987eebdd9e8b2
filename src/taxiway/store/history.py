"""What was measured, kept for a while in a database file of its own: losing it loses graphs and nothing else.

A row is one revision in one period of ``step`` seconds; the key ``ALL`` is all of them together, ``HOST`` this host.
Latencies by bucket are a text ``bucket:count,…`` without the empty ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Row, String, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert

from taxiway.domain.ids import DeploymentId
from taxiway.domain.measurements import BUCKETS, Traffic
from taxiway.store.database import Database, Transaction
from taxiway.store.times import from_microseconds, to_microseconds

FINE, COARSE = 10, 60
"""Seconds of a period."""
FINE_KEPT = timedelta(hours=2)
ALL = "*"
HOST = "host"

metadata = MetaData()
T = Table(
    "measurements",
    metadata,
    Column("key", String(60), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("deployment", String(40), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("client_errors", BigInteger, nullable=False),
    Column("server_errors", BigInteger, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
    Column("latencies", Text, nullable=False),
    Column("concurrency", Float, nullable=False),
    Column("pods", Float, nullable=False),
    Column("cpus", Float),
    Column("memory_bytes", BigInteger),
    Column("disk_bytes", BigInteger),
    Index("ix_measurements_deployment", "deployment", "step", "at"),
    Index("ix_measurements_step", "step", "at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What was measured of one key from ``at`` on for ``step`` seconds, ``seconds`` of which were looked at.

    Of the host, ``cpus`` are cores in use and ``disk_bytes`` what is free of the data directory's disk.
    """

    key: str
    deployment: DeploymentId
    at: datetime
    step: int
    seconds: float
    traffic: Traffic
    concurrency: float
    pods: float
    cpus: float | None
    memory_bytes: int | None
    disk_bytes: int | None = None


async def prepare(database: Database) -> None:
    """Make the table where it is missing."""
    async with database.write() as tx:
        await tx.run_sync(metadata.create_all)


async def insert_periods(tx: Transaction, periods: Sequence[Period]) -> None:
    """Keep what was measured; a period that is there already is written anew."""
    if periods:
        rows = [_row(period) for period in periods]
        await tx.execute(insert(T).prefix_with("OR REPLACE").values(rows[0]), rows)


async def delete_before(tx: Transaction, *, step: int, at: datetime) -> None:
    """Forget periods of a step that began before a moment."""
    await tx.execute(delete(T).where(T.c.step == step, T.c.at < to_microseconds(at)))


async def of_key(tx: Transaction, key: str, *, step: int, since: datetime, until: datetime) -> Sequence[Period]:
    """Return the periods of a revision, of all of them, or of this host, oldest first."""
    return await _periods(tx, T.c.key == key, step, since, until)


async def of_deployment(
    tx: Transaction, deployment: DeploymentId, *, step: int, since: datetime, until: datetime
) -> Sequence[Period]:
    """Return the periods of a deployment's revisions, oldest first."""
    return await _periods(tx, T.c.deployment == deployment, step, since, until)


async def _periods(tx: Transaction, which: Any, step: int, since: datetime, until: datetime) -> Sequence[Period]:
    query = (
        select(T)
        .where(which, T.c.step == step, T.c.at >= to_microseconds(since), T.c.at < to_microseconds(until))
        .order_by(T.c.at, T.c.key)
    )
    return [_period(row) for row in (await tx.execute(query)).all()]


def _row(period: Period) -> dict[str, Any]:
    traffic = period.traffic
    return {
        "key": period.key,
        "step": period.step,
        "at": to_microseconds(period.at),
        "deployment": period.deployment,
        "seconds": period.seconds,
        "requests": traffic.requests,
        "rows": traffic.rows,
        "client_errors": traffic.client_errors,
        "server_errors": traffic.server_errors,
        "milliseconds": traffic.milliseconds,
        "latencies": ",".join(f"{number}:{count}" for number, count in enumerate(traffic.latencies) if count),
        "concurrency": period.concurrency,
        "pods": period.pods,
        "cpus": period.cpus,
        "memory_bytes": period.memory_bytes,
        "disk_bytes": period.disk_bytes,
    }


def _period(row: Row[Any]) -> Period:
    latencies = [0] * BUCKETS
    for pair in filter(None, row.latencies.split(",")):
        number, _, count = pair.partition(":")
        latencies[int(number)] = int(count)
    return Period(
        key=row.key,
        deployment=DeploymentId(row.deployment),
        at=from_microseconds(row.at),
        step=row.step,
        seconds=row.seconds,
        traffic=Traffic(
            requests=row.requests,
            rows=row.rows,
            client_errors=row.client_errors,
            server_errors=row.server_errors,
            milliseconds=row.milliseconds,
            latencies=tuple(latencies),
        ),
        concurrency=row.concurrency,
        pods=row.pods,
        cpus=row.cpus,
        memory_bytes=row.memory_bytes,
        disk_bytes=row.disk_bytes,
    )
