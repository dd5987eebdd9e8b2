"""Reads every kept snapshot again, now and then and at a bounded rate, and tells whose files are damaged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from taxiway.domain.errors import LeaseLost, StoreRefused, StoreUnavailable, TaxiwayError
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.ids import SnapshotId, new_id
from taxiway.domain.models import Environment
from taxiway.domain.scrubs import Damage, Found, Scrub
from taxiway.ports import BundleStore, Clock, SnapshotStore
from taxiway.store import events, promotions, scrubs, snapshots
from taxiway.store.database import Database, Transaction

log = structlog.get_logger()

DAMAGED, MENDED, WHOLE = "SnapshotDamaged", "SnapshotMended", "SnapshotWhole"
Told = Callable[[Scrub], None]


class Ended(Exception):
    """The scrub was stopped while a thread read for it."""


class Throttle:
    """Lets bytes through at a rate, in the threads that read them; counts them."""

    def __init__(self, bytes_per_second: int, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._rate = bytes_per_second
        self._elapsed = elapsed
        self._began = elapsed()
        self._stop = threading.Event()
        self.count = 0

    def __call__(self, count: int) -> None:
        """Count bytes, and wait where they came too fast. Raises Ended once it was stopped."""
        self.count += count
        early = self.count / self._rate - (self._elapsed() - self._began)
        if self._stop.wait(max(0.0, early)):
            raise Ended

    def stop(self) -> None:
        """Stop whoever reads, at the next piece."""
        self._stop.set()


class Scrubber:
    """Runs the scrub that was asked for, or the next one when it is due; else it only looks into the database."""

    def __init__(
        self,
        *,
        database: Database,
        stores: Mapping[Environment, SnapshotStore],
        bundles: BundleStore,
        now: Clock,
        period: timedelta,
        bytes_per_second: int,
        told: Told = lambda _scrub: None,
    ) -> None:
        """``told`` hears of the newest scrub that ended, also of one that ended before this process began."""
        self._database = database
        self._stores = stores
        self._bundles = bundles
        self._now = now
        self._period = period
        self._bytes_per_second = bytes_per_second
        self._told = told
        self._has_told = False

    async def look(self) -> None:
        """Look once whether a scrub is to run, and run it to its end. Cancelled, it is left to whoever looks next."""
        async with self._database.read() as tx:
            known = await scrubs.newest(tx)
            ended = await scrubs.newest(tx, only_ended=True)
        before = ended[0] if ended else None
        if before is not None and not self._has_told:
            self._told(before)
        self._has_told = True
        scrub = known[0] if known else None
        if scrub is None or scrub.is_over_for(self._now(), self._period):
            scrub = Scrub(id=new_id(), asked_at=self._now(), asked_by=CONTROL)
            async with self._database.write() as tx:
                await scrubs.insert_scrub(tx, scrub)
        elif scrub.ended_at is not None:
            return
        await self._run(scrub, before)

    async def _run(self, scrub: Scrub, before: Scrub | None) -> None:
        scrub = replace(scrub, began_at=self._now(), snapshots=0, bytes_read=0, damages=(), trouble="")
        await self._record(scrub)
        throttle = Throttle(self._bytes_per_second)
        try:
            for environment in self._stores:
                scrub = await self._scrub_store(scrub, environment, before, throttle)
            scrub = await self._scrub_bundles(scrub, before)
        finally:
            throttle.stop()
        scrub = replace(scrub, ended_at=self._now())
        await self._end(scrub, before)
        log.info("scrubbed", snapshots=scrub.snapshots, bytes=scrub.bytes_read, damages=len(scrub.damages))
        self._told(scrub)

    async def _scrub_store(
        self, scrub: Scrub, environment: Environment, before: Scrub | None, throttle: Throttle
    ) -> Scrub:
        async with self._database.read() as tx:
            kept = await snapshots.kept(tx, environment)
        for number, digest in enumerate(kept):
            try:
                damages = await self._scrub(environment, digest, throttle)
            except (StoreUnavailable, StoreRefused) as error:
                # Not to be read is not to be damaged; the rest of this store cannot be read either.
                log.warning("scrub cannot read", reason=error.reason, message=error.message)
                unread = kept[number:]
                known = [d for d in _unmended(before) if d.environment is environment and d.snapshot in unread]
                return _carry(scrub, known, error.message)
            except LeaseLost:
                raise
            except (TaxiwayError, OSError) as error:
                # What could not be read or mended here says nothing of the others. The disk may be full.
                log.warning("scrub cannot mend", snapshot=digest, error=type(error).__name__)
                known = [d for d in _unmended(before) if d.environment is environment and d.snapshot == digest]
                scrub = _carry(scrub, known, f"snapshot {digest[:12]}: {_said(error)}")
                continue
            scrub = replace(
                scrub,
                snapshots=scrub.snapshots + 1,
                bytes_read=throttle.count,
                damages=(*scrub.damages, *damages),
            )
            await self._record(scrub)
        return scrub

    async def _scrub(self, environment: Environment, digest: SnapshotId, throttle: Throttle) -> list[Damage]:
        found = await self._stores[environment].scrub(digest, throttle)
        if not found:
            return []
        async with self._database.read() as tx:
            if digest not in await snapshots.kept(tx, environment):
                return []  # deleted while it was read
        return _damages(environment, digest, found)

    async def _scrub_bundles(self, scrub: Scrub, before: Scrub | None) -> Scrub:
        async with self._database.read() as tx:
            kept = await promotions.kept(tx)
        for number, (key, digest) in enumerate(kept):
            try:
                found = await self._bundles.scrub(key)
            except LeaseLost:
                raise
            except (TaxiwayError, OSError) as error:
                log.warning("scrub cannot read", bundle=key, error=type(error).__name__)
                unread = {f"{key}.json" for key, _ in kept[number:]}
                return _carry(scrub, [d for d in _unmended(before) if d.path in unread], _said(error))
            if found:
                async with self._database.read() as tx:
                    is_kept = (key, digest) in await promotions.kept(tx)
                damages = _damages(Environment.PRODUCTION, digest, found) if is_kept else []
                scrub = replace(scrub, damages=(*scrub.damages, *damages))
        return scrub

    async def _record(self, scrub: Scrub) -> None:
        async with self._database.write() as tx:
            await scrubs.record(tx, scrub)

    async def _end(self, scrub: Scrub, before: Scrub | None) -> None:
        """Write down that it ended, and what it found that was not known, for every deployment that it befalls."""
        known = {damage.key: damage for damage in _unmended(before)}
        async with self._database.write() as tx:
            await scrubs.record(tx, scrub)
            for damage in scrub.damages:
                if damage.is_mended:
                    await self._tell(tx, damage, MENDED)
                elif damage.key not in known:
                    await self._tell(tx, damage, DAMAGED)
            gone = known.keys() - {damage.key for damage in scrub.damages}
            for key in sorted(gone):
                await self._tell(tx, known[key], WHOLE)

    async def _tell(self, tx: Transaction, damage: Damage, reason: str) -> None:
        message = damage.say()
        if reason == WHOLE:
            message = f"Snapshot {damage.snapshot[:12]} ({damage.place}) is whole again: {damage.path} is as it was."
        for project, deployment in await snapshots.holders(tx, damage.snapshot, damage.environment):
            await events.append(
                tx,
                Event(
                    at=self._now(),
                    actor=CONTROL,
                    project=project,
                    subject_kind=SubjectKind.DEPLOYMENT,
                    subject=deployment,
                    topic=Topic.SNAPSHOT,
                    reason=reason,
                    message=message,
                ),
            )


def _unmended(before: Scrub | None) -> Sequence[Damage]:
    return () if before is None else before.unmended


def _carry(scrub: Scrub, known: Sequence[Damage], trouble: str) -> Scrub:
    """Say why not everything was read; what is known of the rest stays known."""
    found = {damage.key for damage in scrub.damages}
    carried = (damage for damage in known if damage.key not in found)
    return replace(scrub, trouble=trouble, damages=(*scrub.damages, *carried))


def _said(error: TaxiwayError | OSError) -> str:
    return error.message if isinstance(error, TaxiwayError) else f"{error.strerror or type(error).__name__}."


def _damages(environment: Environment, digest: SnapshotId, found: Sequence[Found]) -> list[Damage]:
    for each in found:
        log.error("damage found", snapshot=digest, path=each.path, place=str(each.place), mended=each.is_mended)
    return [
        Damage(
            environment=environment,
            snapshot=digest,
            path=each.path,
            place=each.place,
            message=each.message,
            is_mended=each.is_mended,
        )
        for each in found
    ]
