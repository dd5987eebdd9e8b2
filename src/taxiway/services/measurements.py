"""What was measured, as people look it up: now, and over the last hours and days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.measurements import Traffic, Window, join
from taxiway.ports import Clock, Measurements
from taxiway.services.deployments import Name, named
from taxiway.store import events, history
from taxiway.store.database import Database
from taxiway.store.history import ALL, COARSE, FINE, FINE_KEPT, HOST, Period

MOST_POINTS = 360
NOW = timedelta(minutes=1)
"""What lists call the present: the last minute."""
MOST_MARKERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Windows by the beginning of their period, oldest first; periods without data are left out."""

    step: timedelta
    since: datetime
    until: datetime
    points: Sequence[tuple[datetime, Window]]
    total: Window | None
    """All points together."""
    host: Sequence[Period] = ()
    markers: Sequence[Event] = ()


class MeasurementHistory:
    """Reads what control measured."""

    def __init__(self, *, database: Database, history_database: Database, live: Measurements, now: Clock) -> None:
        self._database = database
        self._history = history_database
        self._live = live
        self._now = now

    def now(self, deployment: DeploymentId) -> Window | None:
        """Return the last minute of a deployment; None where nothing was measured."""
        return self._live.of_deployment(deployment, over=NOW)

    def of_revision(self, revision: RevisionId) -> Window | None:
        """Return the last minute of a revision; None where nothing was measured."""
        return self._live.of_revision(revision, over=NOW)

    async def of_deployment(self, name: Name, *, last: timedelta) -> Series:
        """Return a deployment's series with its events as markers. Raises NotFound."""
        step, base, since, until = self._grid(last)
        async with self._database.read() as tx:
            deployment = await named(tx, name)
            told = await events.find(
                tx, subject_kind=SubjectKind.DEPLOYMENT, subject=deployment.id, limit=MOST_MARKERS, newest_first=True
            )
        async with self._history.read() as tx:
            periods = await history.of_deployment(tx, deployment.id, step=base, since=since, until=until)
        markers = [event for event in reversed(told) if event.at >= since]
        points = fold(periods, step, since)
        return Series(step=step, since=since, until=until, points=points, total=total_of(points), markers=markers)

    async def of_platform(self, *, last: timedelta) -> Series:
        """Return what all deployments did together, and this host."""
        step, base, since, until = self._grid(last)
        async with self._history.read() as tx:
            periods = await history.of_key(tx, ALL, step=base, since=since, until=until)
            host = await history.of_key(tx, HOST, step=base, since=since, until=until)
        every = max(step // timedelta(seconds=base), 1)
        points = fold(periods, step, since)
        return Series(step=step, since=since, until=until, points=points, total=total_of(points), host=host[::every])

    def _grid(self, last: timedelta) -> tuple[timedelta, int, datetime, datetime]:
        return grid(last, now=self._now())


def grid(last: timedelta, *, now: datetime) -> tuple[timedelta, int, datetime, datetime]:
    """Choose the step of the points, that of the rows below them, and the time from and to: at most 360 points."""
    base = FINE if last <= FINE_KEPT else COARSE
    step = timedelta(seconds=base) * max(-(-(last // timedelta(seconds=base)) // MOST_POINTS), 1)
    until = now + timedelta(seconds=1)
    since = until - last
    return step, base, since - timedelta(seconds=since.timestamp() % step.total_seconds()), until


def fold(periods: Sequence[Period], step: timedelta, since: datetime) -> list[tuple[datetime, Window]]:
    """Put rows of several revisions and of shorter periods together."""
    by_row: dict[datetime, list[Window]] = {}
    for period in periods:
        by_row.setdefault(period.at, []).append(window_of(period))
    by_point: dict[datetime, list[Window]] = {}
    for at, windows in by_row.items():
        together = join(windows)
        if together is not None:
            by_point.setdefault(since + step * ((at - since) // step), []).append(together)
    return [(at, one_after_another(windows)) for at, windows in sorted(by_point.items())]


def total_of(points: Sequence[tuple[datetime, Window]]) -> Window | None:
    """Put all points together; None without any."""
    return one_after_another([window for _, window in points]) if points else None


def one_after_another(windows: Sequence[Window]) -> Window:
    """Add up windows that follow one another; averages are weighed by their seconds."""
    seconds = sum(window.seconds for window in windows)
    traffic = Traffic()
    for window in windows:
        traffic += window.traffic
    cpus = [(window.cpus, window.seconds) for window in windows if window.cpus is not None]
    memory = [window.memory_bytes for window in windows if window.memory_bytes is not None]
    return Window(
        seconds=seconds,
        traffic=traffic,
        concurrency=sum(window.concurrency * window.seconds for window in windows) / seconds,
        pods=sum(window.pods * window.seconds for window in windows) / seconds,
        cpus=sum(value * weight for value, weight in cpus) / sum(weight for _, weight in cpus) if cpus else None,
        memory_bytes=max(memory) if memory else None,
    )


def window_of(period: Period) -> Window:
    """Return a row as the window that it was."""
    return Window(
        seconds=period.seconds,
        traffic=period.traffic,
        concurrency=period.concurrency,
        pods=period.pods,
        cpus=period.cpus,
        memory_bytes=period.memory_bytes,
    )
