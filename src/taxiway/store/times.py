"""Times and durations as the tables hold them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(at: datetime) -> int:
    """Return microseconds since 1970 of an aware time."""
    return (at - EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """Return the UTC time of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=value)


def optional_time(value: int | None) -> datetime | None:
    """Return the UTC time, or None where there is none."""
    return None if value is None else from_microseconds(value)


def optional_microseconds(at: datetime | None) -> int | None:
    """Return microseconds since 1970, or None where there is no time."""
    return None if at is None else to_microseconds(at)
