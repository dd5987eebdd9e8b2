"""Routes of scrubs: for administrators only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Query

from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.people import Permission
from taxiway.domain.scrubs import Scrub
from taxiway.wire.scrubs import DamageOut, ScrubList, ScrubOut

router = TaxiwayRouter(tags=["production"])


@router.get("/production/scrubs", permission=Permission.PRODUCTION_READ)
async def list_scrubs(
    services: Services, limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 10
) -> ScrubList:
    """List scrubs, newest first, with the damages that they found."""
    return ScrubList(items=[_scrub_out(scrub) for scrub in await services.scrubs.newest(limit=limit)])


@router.post("/production/scrubs", permission=Permission.PRODUCTION_WRITE, status_code=202)
async def run_scrub(asking: Asker, services: Services) -> ScrubOut:
    """Read every file of every kept snapshot again, soon. One that has not ended is that one."""
    return _scrub_out(await services.scrubs.ask(asking))


def _scrub_out(scrub: Scrub) -> ScrubOut:
    return ScrubOut(
        id=scrub.id,
        asked_at=scrub.asked_at,
        asked_by=scrub.asked_by,
        began_at=scrub.began_at,
        ended_at=scrub.ended_at,
        snapshots=scrub.snapshots,
        bytes_read=scrub.bytes_read,
        damages=[DamageOut.model_validate(asdict(damage)) for damage in scrub.damages],
        trouble=scrub.trouble,
    )
