"""Compares what pods answer with ``mlflow.pyfunc``, now and then, and turns a path off that differs."""

from __future__ import annotations

from dataclasses import replace

import structlog

from taxiway.control.observed import Observed
from taxiway.domain.events import CONTROL, Event, SubjectKind, Topic
from taxiway.domain.pods import PodPhase
from taxiway.domain.proofs import TURNED_OFF, LiveCheck
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, newest_wanted
from taxiway.ports import Clock, Nudge, Prover
from taxiway.store import events, revisions, rollouts, snapshots
from taxiway.store.database import Database

log = structlog.get_logger()


class LiveChecks:
    """Looks after the requests that pods keep to be compared."""

    def __init__(self, *, database: Database, prover: Prover, observed: Observed, nudge: Nudge, now: Clock) -> None:
        self._database = database
        self._prover = prover
        self._observed = observed
        self._nudge = nudge
        self._now = now

    async def look(self) -> None:
        """Begin to compare what was kept; act on what was found since."""
        async with self._database.read() as tx:
            ready = [one for one in await revisions.living(tx) if one.state is RevisionState.READY]
            digests = await snapshots.digests_by_version(tx)
        for revision in ready:
            digest = digests.get(revision.model_version)
            pods = [pod.id for pod in self._observed.pods(revision.id) if pod.phase is PodPhase.READY]
            if digest is None:
                continue
            found = await self._prover.check(revision.spec(digest), pods)
            if found is not None and found.differences:
                await self._turn_off(revision, found)

    async def _turn_off(self, revision: Revision, found: LiveCheck) -> None:
        log.warning("a serving path differs from pyfunc", revision=revision.id, rows=found.rows, where=found.where)
        event = Event(
            at=self._now(),
            actor=CONTROL,
            project=revision.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=revision.deployment,
            topic=Topic.REVISION,
            was=str(revision.state),
            became=str(revision.state),
            reason=TURNED_OFF,
            message=(
                f"Revision {revision.number}: of {found.rows} rows that callers sent, {found.differences} differ from "
                f"pyfunc ({found.where}); pyfunc serves from now on."
            ),
        )
        async with self._database.write() as tx:
            await events.append(tx, event)
            known = await revisions.of_deployment(tx, revision.deployment)
            newest = newest_wanted(known)
            if newest.id == revision.id and newest.wanted is RevisionWanted.SERVE:
                # Its pods come up beside those that are wrong in some last bits, which is better than none.
                why, number = "A faster path differed from pyfunc.", known[-1].number + 1
                again = newest.renewed(self._now(), by=CONTROL, why=why, number=number)
                await revisions.insert_revision(tx, again)
                rollout = await rollouts.active_of(tx, revision.deployment)
                if rollout is not None and rollout.new == revision.id:
                    await rollouts.want(tx, replace(rollout, new=again.id, generation=rollout.generation + 1))
        self._nudge("deployment", revision.deployment)
