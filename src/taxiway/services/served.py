"""Answers for what customers were served: which model version, on which day, and who put it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from taxiway.domain.deployments import Deployment
from taxiway.domain.events import SubjectKind, Topic
from taxiway.domain.promotions import Promotion
from taxiway.domain.revisions import Revision
from taxiway.domain.served import served_at
from taxiway.store import deployments, events, promotions, revisions, rollouts
from taxiway.store.database import Database, Transaction

_SWITCHES = ("SwitchedOff", "SwitchedOn", "RolledBack", "Promoted")
_MOST_EVENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One revision that answered, and the promotion that its files came by; None where that is not known any more."""

    deployment: Deployment
    revision: Revision
    promotion: Promotion | None


class ServedHistory:
    """Looks back. Deployments that were deleted are in the audit log alone."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def at(self, moment: datetime, *, customer: str | None = None) -> Sequence[Served]:
        """List what answered at a moment, by deployment; of one customer where one is given."""
        found: list[Served] = []
        async with self._database.read() as tx:
            for deployment in await deployments.in_production(tx, customer=customer):
                if await self._was_off(tx, deployment, moment):
                    continue
                known = await revisions.of_deployment(tx, deployment.id)
                moves = await rollouts.of_deployment(tx, deployment.id)
                for revision in served_at(known, moves, moment):
                    promotion = await promotions.find(tx, revision.model_version)
                    found.append(Served(deployment=deployment, revision=revision, promotion=promotion))
        return found

    async def _was_off(self, tx: Transaction, deployment: Deployment, moment: datetime) -> bool:
        told = await events.find(
            tx, subject_kind=SubjectKind.DEPLOYMENT, subject=deployment.id, limit=_MOST_EVENTS, newest_first=True
        )
        switches = (
            event for event in told if event.topic is Topic.REQUEST and event.reason in _SWITCHES and event.at <= moment
        )
        last = next(switches, None)
        return last is not None and last.reason == "SwitchedOff"
