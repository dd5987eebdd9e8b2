"""What people can ask of a rollout: pause, go on, finish, abort, stay at a share. Promotions and changes begin one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.errors import Conflict, InvalidInput, NotFound
from taxiway.domain.events import Event, SubjectKind, Topic
from taxiway.domain.ids import new_id
from taxiway.domain.people import Asking
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, newest_wanted
from taxiway.domain.rollouts import Rollout, RolloutWanted, Served, Strategy
from taxiway.ports import Clock, Nudge
from taxiway.store import audit, deployments, events, rollouts
from taxiway.store.database import Database, Transaction

LAST_PERCENT = 99


class Rollouts:
    """Intentions about rollouts."""

    def __init__(self, *, database: Database, nudge: Nudge, now: Clock) -> None:
        self._database = database
        self._nudge = nudge
        self._now = now

    async def newest(self, name: str) -> Rollout | None:
        """Return the newest rollout of a production deployment, active or not. Raises NotFound."""
        async with self._database.read() as tx:
            return await rollouts.newest_of(tx, (await deployments.get_of_production(tx, name)).id)

    async def change(
        self,
        asking: Asking,
        name: str,
        wanted: RolloutWanted,
        *,
        percent: int | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> Rollout:
        """Say what is wanted of the active rollout; ``percent`` with a pause alone. Raises NotFound, InvalidInput."""
        if percent is not None and (wanted is not RolloutWanted.PAUSE or not 0 <= percent <= LAST_PERCENT):
            raise InvalidInput(
                f"A share to stay at is a whole percent from 0 to {LAST_PERCENT}, and comes with a pause.",
                hint="To give the new revision all requests, finish the rollout.",
                field="/percent",
            )
        async with self._database.write(dry_run=dry_run) as tx:
            deployment = await deployments.get_of_production(tx, name)
            before = await rollouts.active_of(tx, deployment.id)
            if before is None:
                raise NotFound(
                    f"No rollout of {name} is under way.", hint="Promote or configure with a strategy to begin one."
                )
            after = await change_rollout(tx, asking, deployment, before, wanted, percent, reason, self._now)
        if not dry_run:
            self._nudge("rollout", deployment.id)
        return after


async def change_rollout(
    tx: Transaction,
    asking: Asking,
    deployment: Deployment,
    before: Rollout,
    wanted: RolloutWanted,
    percent: int | None,
    reason: str,
    now: Clock,
) -> Rollout:
    """Write what is wanted of a rollout, with its event and its audit entry."""
    after = replace(before, wanted=wanted, wanted_percent=percent, generation=before.generation + 1)
    await rollouts.want(tx, after)
    share = "" if percent is None else f" at {percent} %"
    await events.append(
        tx,
        Event(
            at=now(),
            actor=asking.principal.name,
            project=deployment.project,
            subject_kind=SubjectKind.DEPLOYMENT,
            subject=deployment.id,
            topic=Topic.REQUEST,
            was=str(before.wanted),
            became=str(wanted),
            reason="RolloutChanged",
            message=f"{_SAID[wanted]}{share}.{' ' + reason if reason else ''}",
        ),
    )
    await audit.append(
        tx,
        at=now(),
        asking=asking,
        action=f"rollout.{wanted}",
        object_kind=SubjectKind.DEPLOYMENT,
        object=deployment.path.strip("/"),
        project=deployment.project,
        before={"wanted": str(before.wanted), "state": str(before.state), "percent": before.percent},
        after={"wanted": str(wanted), "percent": percent, "reason": reason},
    )
    return after


_SAID = {
    RolloutWanted.RUN: "The rollout was asked to go on",
    RolloutWanted.PAUSE: "The rollout was asked to stay",
    RolloutWanted.FINISH: "The rollout was asked to finish",
    RolloutWanted.ABORT: "The rollout was asked to end",
}


async def refuse_during_rollout(tx: Transaction, deployment: Deployment) -> None:
    """Raise Conflict while requests move from one revision to another."""
    if await rollouts.active_of(tx, deployment.id) is not None:
        raise Conflict(
            f"A rollout of {deployment.name} is under way.",
            hint=f"Finish or abort it first: `taxiway production rollout {deployment.name} --finish` or `--abort`.",
        )


async def begin_rollout(
    tx: Transaction,
    asking: Asking,
    strategy: Strategy,
    *,
    before: Deployment | None,
    known: Sequence[Revision],
    new: Revision,
    now: Clock,
) -> Rollout:
    """Let a new revision get its requests step by step. Raises Conflict where none serves to compare it with."""
    serves = newest_wanted(known) if known else None
    if (
        before is None
        or before.wanted is not DeploymentWanted.ON
        or serves is None
        or serves.wanted is not RevisionWanted.SERVE
        or serves.state is not RevisionState.READY
    ):
        raise Conflict(
            "A rollout needs a revision that serves, to go from and to compare with; there is none.",
            hint="Leave the rollout out: the new revision then gets all requests when it is ready.",
        )
    rollout = Rollout(
        id=new_id(),
        deployment=before.id,
        old=serves.id,
        new=new.id,
        before=Served(
            project=before.project,
            model=before.model,
            version=before.version,
            model_version=before.model_version,
            resources=before.resources,
            options=before.options,
        ),
        strategy=strategy,
        by=asking.principal.name,
        created_at=now(),
    )
    await rollouts.insert_rollout(tx, rollout)
    return rollout


def told(strategy: Strategy | None) -> dict[str, object]:
    """Return what the audit log keeps of a strategy."""
    if strategy is None:
        return {}
    limits = strategy.limits
    return {
        "rollout": {
            "steps": list(strategy.steps),
            "step_seconds": strategy.step.total_seconds(),
            "max_error_rate_rise": limits.error_rate_rise,
            "max_latency_ratio": limits.latency_ratio,
            "min_requests": limits.requests,
        }
    }
