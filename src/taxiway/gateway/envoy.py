"""EnvoyGateway: the port Gateway over files that Envoy watches.

A table takes effect in steps, so that no request meets a route without its pods: clusters of the new and the old
table together; then, once Envoy has those, the routes; then, when the routes have been in force for a while, the
new table's clusters alone. Nothing is kept but in the files: what a crash interrupts, the next whole table repairs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.ids import RevisionId
from taxiway.domain.measurements import Traffic
from taxiway.domain.routing import RoutingTable, RoutingVersion
from taxiway.gateway.admin import Admin, Taken
from taxiway.gateway.clusters import version_of
from taxiway.gateway.delivery import deliver, read
from taxiway.gateway.names import CLUSTERS_FILE, ROUTES_FILE, TABLE_FILES
from taxiway.gateway.tables import TableFiles, clusters_file, files_of, read_clusters, read_version
from taxiway.stub import children

_CLUSTERS_PATIENCE_SECONDS = 2.0
_CLUSTERS_LOOK_SECONDS = 0.004
_OLD_CLUSTERS_SECONDS = 5.0
"""How long clusters outlive the routes to them: what they answered last is counted by who looks every two seconds.

Requests that are under way finish in any case.
"""
_LOOK_EVERY_SECONDS = 1.0
"""How often Envoy is asked while nothing is to change. Each question costs both sides a millisecond."""
_COUNT_EVERY_SECONDS = 5.0
_LOOKS_FOR_ONE_COUNT = 10
_WORDS_LOOKS = 5
_WORDS_LOOK_SECONDS = 0.05
_MOST_WORDS = 300
_REFUSED = "config update "
_REFUSALS = ("Filesystem config update rejected:", "Filesystem config update failure:")


class EnvoyGateway:
    """Publishes routing tables to the Envoy whose files lie in ``home``."""

    def __init__(
        self,
        home: Path,
        *,
        admin_socket: Path,
        child: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take Envoy's child directory as ``child``: its log has the reason when Envoy refuses a table."""
        self._home = home
        self._admin = Admin(admin_socket)
        self._child = child
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._published: TableFiles | None = None
        self._clusters_version: str | None = None
        self._good: Mapping[str, bytes] | None = None
        """The files of the table that was accepted last; they are put back when a newer one is refused."""
        self._refusal: GatewayRejected | None = None
        self._refusals: int | None = None
        self._count_at = 0.0
        self._accepted_at: float | None = None
        self._settled_until = 0.0
        """Until when nobody asks: all of the table that was published last was in force a moment ago."""
        self._log_read = 0

    async def publish(self, table: RoutingTable) -> None:
        """Ask for this table. Returns when it is written, not when it is in force. Twice is once.

        Waits up to two seconds for Envoy to have the clusters; without Envoy it does not wait. Raises OutOfDisk.
        """
        async with self._lock:
            try:
                files = files_of(table)
            except GatewayRejected as refusal:
                self._refuse(refusal)
                return
            await self._publish(files)

    async def accepted(self) -> RoutingVersion | None:
        """Return the version of the table that is in force; None before the first or when that cannot be told.

        At most a second old while the table that was published last is in force. Raises GatewayRejected, once for
        each published table, when Envoy refused it; the last good one is put back.
        """
        async with self._lock:
            if self._published is not None and self._monotonic() < self._settled_until:
                return RoutingVersion(self._published.version)
            taken = await self._admin.taken()
            if taken is None:
                self._refusals = None
                self._accepted_at = None
                self._raise_refusal()
                return None
            await self._look_for_refusals(taken)
            self._raise_refusal()
            if self._published is not None and taken.routes == self._published.version:
                if self._accepted_at is None and taken.clusters != self._clusters_version:
                    return None
                if await self._settle(self._published):
                    self._settled_until = self._monotonic() + _LOOK_EVERY_SECONDS
            return RoutingVersion(taken.routes) if taken.routes else None

    async def traffic(self) -> Mapping[RevisionId, Traffic] | None:
        """Tell what was counted of each revision since Envoy was started; None when it does not answer."""
        return await self._admin.traffic()

    async def close(self) -> None:
        """Let go of Envoy's administration; Envoy goes on."""
        await self._admin.close()

    # -- publishing -------------------------------------------------------------------------------------------

    async def _publish(self, files: TableFiles) -> None:
        before = await self._admin.taken()
        await self._remember_good(before)
        self._refusals = None if before is None else await self._admin.refusals()
        self._log_read = await self._end_of_log()
        self._published, self._refusal, self._accepted_at = files, None, None
        self._settled_until = 0.0
        old = read_clusters(await self._read(CLUSTERS_FILE))
        both = {**old, **files.clusters}
        self._clusters_version = version_of(both)
        again = before is not None and before.clusters != self._clusters_version
        wrote = await self._deliver({CLUSTERS_FILE: clusters_file(both)}, again=again)
        if wrote and before is not None and not await self._clusters_in_force():
            return
        contents = files.contents
        del contents[CLUSTERS_FILE]
        await self._deliver(contents, again=before is not None and before.routes != files.version)

    async def _remember_good(self, before: Taken | None) -> None:
        """Take the table before for good when it is in force; after a restart of ours, what lies there."""
        if before is None:
            return
        if self._published is not None and before.routes == self._published.version:
            self._good = self._published.contents
        if self._good is not None:
            return
        found = {name: await self._read(name) for name in TABLE_FILES}
        if read_version(found[ROUTES_FILE]) == before.routes:
            self._good = {name: content for name, content in found.items() if content is not None}

    async def _clusters_in_force(self) -> bool:
        """Wait until Envoy has the clusters; False when it refused them, and then the old ones are put back."""
        deadline = self._monotonic() + _CLUSTERS_PATIENCE_SECONDS
        looks = 0
        while self._monotonic() < deadline:
            taken = await self._admin.taken()
            if taken is None or taken.clusters == self._clusters_version:
                return True
            looks += 1
            if looks % _LOOKS_FOR_ONE_COUNT == 0 and await self._has_refused():
                return False
            await asyncio.sleep(_CLUSTERS_LOOK_SECONDS)
        return True

    async def _settle(self, files: TableFiles) -> bool:
        """Remember what is in force as good, and in time drop the clusters that only the table before needed.

        True when nothing is left to do.
        """
        now = self._monotonic()
        if self._accepted_at is None:
            self._accepted_at = now
            self._good = files.contents
        wanted = version_of(files.clusters)
        if self._clusters_version == wanted:
            return True
        if now >= self._accepted_at + _OLD_CLUSTERS_SECONDS:
            await self._deliver({CLUSTERS_FILE: clusters_file(files.clusters)})
            self._clusters_version = wanted
        return False

    # -- refusals ---------------------------------------------------------------------------------------------

    async def _look_for_refusals(self, taken: Taken) -> None:
        """Look whether Envoy refused a file since the last look: at once while a table waits, else now and then."""
        waits = self._published is not None and taken.routes != self._published.version
        now = self._monotonic()
        if not waits and now < self._count_at:
            return
        self._count_at = now + _COUNT_EVERY_SECONDS
        if self._refusals is None:
            # Another Envoy than at the last look. What it refused counts if a table of ours is not in force.
            self._refusals = 0 if waits else await self._admin.refusals()
        await self._has_refused()

    async def _has_refused(self) -> bool:
        """Tell whether Envoy refused a file since the last count; if so, put the last good ones back."""
        count = await self._admin.refusals()
        if count is None:
            return False
        known = self._refusals if self._refusals is not None and self._refusals <= count else 0
        self._refusals = count
        if count == known:
            return False
        self._refuse(await self._rejection())
        await self._put_back()
        return True

    def _refuse(self, refusal: GatewayRejected) -> None:
        self._refusal = refusal
        self._published = None

    def _raise_refusal(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal

    async def _put_back(self) -> None:
        """Let the files be those of the last good table again: an Envoy that starts anew reads them."""
        if self._good is None:
            return
        await self._deliver(self._good)
        self._clusters_version = version_of(read_clusters(self._good[CLUSTERS_FILE]))

    async def _rejection(self) -> GatewayRejected:
        words = await self._words()
        return GatewayRejected(
            f"Envoy refused the routing table: {words}" if words else "Envoy refused the routing table.",
            hint="The table before stays in force. See the gateway's log for more.",
        )

    async def _words(self) -> str:
        """Return Envoy's reason, for which its log is looked at more than once: it comes after the statistics."""
        if self._child is None:
            return ""
        for _ in range(_WORDS_LOOKS):
            words = await asyncio.to_thread(envoys_words, self._child, after=self._log_read)
            if words:
                return words
            await asyncio.sleep(_WORDS_LOOK_SECONDS)
        return ""

    async def _end_of_log(self) -> int:
        """Return up to where Envoy's log was written before the table that is being published."""
        if self._child is None:
            return 0
        page = await asyncio.to_thread(children.tail_log, self._child, limit=1)
        return page.next_sequence

    # -- files ------------------------------------------------------------------------------------------------

    async def _read(self, name: str) -> bytes | None:
        return await asyncio.to_thread(read, self._home / name)

    async def _deliver(self, contents: Mapping[str, bytes], *, again: bool = False) -> bool:
        """Put files into place in their order; True when one of them changed."""

        def deliver_all() -> bool:
            changed = [deliver(self._home / name, content, again=again) for name, content in contents.items()]
            return any(changed)

        return await asyncio.to_thread(deliver_all)


def envoys_words(child: Path, *, after: int) -> str:
    """Return why Envoy refused a file last, shortened, from its log; '' where that is not to be found."""
    lines = children.read_log(child, after=after, contains=_REFUSED).lines
    for line in reversed(lines):
        try:
            event = str(json.loads(line.text)["event"])
        except (ValueError, TypeError, KeyError):
            continue
        if event.startswith(_REFUSALS):
            words = " ".join(event.partition(":")[2].split())
            return words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS - 1] + "…"
    return ""
