"""The one stream of a browser's tab: tells what changed, and nothing of it; who is told looks again.

Hints and not states, as controllers are nudged: one that is lost costs a moment, never correctness.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from taxiway.api.models import visible_projects
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services, Streams
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Permission
from taxiway.wire.people import HintOut

router = TaxiwayRouter(tags=["audit"])

LOOK_EVERY_SECONDS = 0.4
QUIET_SECONDS = 2.0
"""After so long without a change something is said all the same, so that a browser sees a connection that broke."""
LIFE_SECONDS = 600
MOST_AT_ONCE = 200


async def open_hints(
    asking: Asker,
    services: Services,
    streams: Streams,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> AsyncIterator[tuple[tuple[ProjectName, ...] | None, int]]:
    """Take one of the user's streams for as long as the answer lasts; begin after the newest event, or a given one."""
    projects = visible_projects(asking.principal, Permission.MODEL_READ, None)
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal():
        after = int(last_event_id)
    else:
        newest = await services.events.search(projects=projects, limit=1, newest_first=True)
        after = newest[0].sequence if newest else 0
    with streams.hold(asking.principal.user):
        yield projects, after


@router.get("/stream", permission=Permission.MODEL_READ, response_class=EventSourceResponse)
async def stream_hints(
    opened: Annotated[tuple[tuple[ProjectName, ...] | None, int], Depends(open_hints)],
    services: Services,
    seconds: Annotated[float, Query(ge=0, le=LIFE_SECONDS, description="How long it lasts at most.")] = LIFE_SECONDS,
) -> AsyncIterator[HintOut]:
    """Follow what changes as server-sent events: `hint` says which deployment, `alive` that nothing did.

    In the end it ends; an EventSource comes back by itself and goes on where it was.
    """
    projects, after = opened
    began = told = time.monotonic()
    yield ServerSentEvent(data={"after": after}, event="alive", id=str(after))  # type: ignore[misc]
    while time.monotonic() - began < seconds:
        for event in await services.events.search(projects=projects, after=after, limit=MOST_AT_ONCE):
            after, told = event.sequence, time.monotonic()
            hint = HintOut(subject=event.subject, project=event.project, topic=str(event.topic), reason=event.reason)
            yield ServerSentEvent(data=hint, event="hint", id=str(after))  # type: ignore[misc]
        if time.monotonic() - told > QUIET_SECONDS:
            told = time.monotonic()
            yield ServerSentEvent(data={"after": after}, event="alive", id=str(after))  # type: ignore[misc]
        await asyncio.sleep(LOOK_EVERY_SECONDS)
