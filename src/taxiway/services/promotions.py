"""What administrators can ask of production: promote a model version, look at how its gates stand, roll back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from taxiway.domain.approvals import Decision
from taxiway.domain.autoscaling import check_zero
from taxiway.domain.compatibility import Change, compare
from taxiway.domain.deployments import Deployment, DeploymentWanted
from taxiway.domain.errors import Conflict, InvalidInput, NotFound
from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.examinations import Examination
from taxiway.domain.gates import FormatPolicy, GateResult, PromotionView, check, evaluate
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, RevisionId, SnapshotId, new_id
from taxiway.domain.models import Environment, ModelVersion
from taxiway.domain.names import SLUG_RULE, is_slug, propose_slug
from taxiway.domain.people import Asking
from taxiway.domain.promotions import Promotion
from taxiway.domain.resources import Capacity, format_memory
from taxiway.domain.revisions import Revision, RevisionWanted, choose_rollback, newest_wanted
from taxiway.domain.rollouts import RolloutWanted
from taxiway.domain.snapshots import SnapshotCopy, SnapshotState, SnapshotWanted
from taxiway.ports import Clock, Nudge, Prover
from taxiway.services import approvals
from taxiway.services.approvals import PromotionAsked, PromotionRequest
from taxiway.services.deployments import Unchanged, promised, shown_policy
from taxiway.services.rollouts import begin_rollout, change_rollout, refuse_during_rollout, told
from taxiway.store import audit, deployments, events, models, promotions, revisions, rollouts, snapshots
from taxiway.store.database import Database, Transaction
from taxiway_scoring.contract import compile_signature

MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What lies outside of the database."""

    is_isolated: bool
    examination: Examination | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPlan:
    """How the gates stand, and what a promotion would do."""

    gates: tuple[GateResult, ...]
    changes: tuple[Change, ...]
    """Of the contract, against what the deployment serves now."""
    before: Deployment | None
    after: Deployment
    version: ModelVersion
    promoted: ModelVersion
    request: Revision
    """Of staging: its model environment is used as it is, and not resolved again."""
    waits_as: str = ""
    """The id of the request that another administrator has to approve; empty where none has to."""


class Promotions:
    """Intentions about production. A promotion moves the model, never the settings of staging, unless it is asked."""

    def __init__(
        self,
        *,
        database: Database,
        capacity: Capacity,
        policy: FormatPolicy,
        is_isolated: Callable[[], bool],
        needs_approval: bool,
        prover: Prover,
        nudge: Nudge,
        now: Clock,
    ) -> None:
        """``is_isolated`` tells whether pods of staging are kept from production's files; it may take a second."""
        self._database = database
        self._capacity = capacity
        self._policy = policy
        self._is_isolated = is_isolated
        self._needs_approval = needs_approval
        self._prover = prover
        self._nudge = nudge
        self._now = now

    async def plan(self, asking: Asking, wanted: PromotionRequest) -> PromotionPlan:
        """Tell how the gates stand and what would be done; change nothing. Raises InvalidInput, NotFound."""
        check_request(wanted)
        seen = await self._look(wanted)
        async with self._database.read() as tx:
            return await self._plan(tx, asking, wanted, seen)

    async def promote(self, asking: Asking, wanted: PromotionRequest) -> PromotionPlan:
        """Do it, in one transaction; the controllers copy the files and bring the pods up.

        Where another administrator has to approve, it waits for that: see ``decide``.

        Raises GatesFailed with every gate that does not hold, InvalidInput, NotFound, Conflict.
        """
        check_request(wanted)
        seen = await self._look(wanted)
        async with self._database.write() as tx:
            plan = await self._plan(tx, asking, wanted, seen)
            check(plan.gates)
            if plan.before is not None:
                await refuse_during_rollout(tx, plan.before)
            if not all(gate.holds for gate in plan.gates):
                digest = await self._digest(tx, plan.version)
                asked = await approvals.ask(tx, asking, wanted, digest, plan.after, at=self._now())
                return replace(plan, waits_as=asked.id)
            revision = await self._write(tx, asking, wanted, plan)
        self._nudge_all(plan.after.id, revision)
        return plan

    async def requests(self) -> Sequence[PromotionAsked]:
        """List the promotions that wait for approval, then what was decided last."""
        async with self._database.read() as tx:
            return await approvals.listed(tx)

    async def decide(self, acting: Asking, key: str, decision: Decision, *, reason: str = "") -> PromotionAsked:
        """Approve, reject or withdraw a promotion that waits.

        Approved, it is done as a promotion of who asked, after looking at all gates again. Raises as ``promote``
        does, NotFound, NotAllowed where the wrong one decides, and Conflict where it waits no more or other files are
        in staging by now.
        """
        if reason:
            check_texts(reason=reason)
        async with self._database.read() as tx:
            asked = await approvals.find(tx, key)
        if decision is Decision.APPROVED:
            await self._promote_approved(acting, asked)
        else:
            async with self._database.write() as tx:
                await approvals.decide(tx, acting, key, decision, reason, at=self._now())
        async with self._database.read() as tx:
            return await approvals.find(tx, key)

    async def _promote_approved(self, acting: Asking, asked: PromotionAsked) -> None:
        seen = await self._look(asked.wanted)
        async with self._database.write() as tx:
            await approvals.decide(tx, acting, asked.id, Decision.APPROVED, "", at=self._now())
            plan = await self._plan(tx, asked.asking, asked.wanted, seen, approved_by=acting.principal.name)
            check(plan.gates)
            if await self._digest(tx, plan.version) != asked.digest:
                raise Conflict(
                    "The model version's files are not those that were asked for.", hint="Ask for the promotion again."
                )
            if plan.before is not None:
                await refuse_during_rollout(tx, plan.before)
            revision = await self._write(tx, asked.asking, asked.wanted, plan, acting=acting)
        self._nudge_all(plan.after.id, revision)

    def _nudge_all(self, deployment: DeploymentId, revision: RevisionId) -> None:
        self._nudge("deployment", deployment)
        self._nudge("revision", revision)
        self._nudge("rollout", deployment)
        self._nudge("autoscaling", deployment)

    async def roll_back(
        self, asking: Asking, name: str, *, reason: str, to: int | None = None, dry_run: bool = False
    ) -> Deployment:
        """Serve again as an earlier revision did: its model version, resources and options, as a new revision.

        Without ``to`` that is the newest earlier one that was ready and differs. Nothing is copied or built. Raises
        NotFound, Conflict, InvalidInput, LimitReached.
        """
        check_texts(reason=reason)
        async with self._database.write(dry_run=dry_run) as tx:
            before = await deployments.get_of_production(tx, name)
            if before.wanted is DeploymentWanted.DELETED:
                raise Conflict("That production deployment is being deleted.")
            rollout = await rollouts.active_of(tx, before.id)
            if rollout is not None and to is None:
                # The revision before still serves: nothing is quicker than to give it all requests again.
                await change_rollout(tx, asking, before, rollout, RolloutWanted.ABORT, None, reason, self._now)
                if not dry_run:
                    self._nudge("rollout", before.id)
                return before
            await refuse_during_rollout(tx, before)
            known = await revisions.of_deployment(tx, before.id)
            target = choose_rollback(known, to, aborted=await rollouts.aborted_of(tx, before.id))
            version = await models.get_version_by_id(tx, target.model_version)
            if version is None:
                raise AssertionError(f"revision {target.id} has no model version")
            now = self._now()
            after = replace(
                before, project=target.project, model=target.model, version=target.version,
                model_version=target.model_version, resources=target.resources, options=target.options,
                wanted=DeploymentWanted.ON, generation=before.generation + 1, changed_at=now,
            )  # fmt: skip
            others = await deployments.in_production(tx)
            self._capacity.check_promised(promised(others, but=name), after.resources, after.scale.minimum)
            await deployments.want(tx, after)
            newest = known[-1].renewed(now, by=asking.principal.name, why=reason)
            revision = replace(
                newest, project=target.project, model=target.model, version=target.version,
                model_version=target.model_version, request=target.request, resources=target.resources,
                options=target.options, pods=newest_wanted(known).pods,
            )  # fmt: skip
            await revisions.insert_revision(tx, revision)
            message = f"Revision {revision.number} serves as revision {target.number} did: {reason}"
            await self._tell(tx, asking, before, after, "RolledBack", message)
            await audit.append(
                tx,
                at=now,
                asking=asking,
                action="production.rollback",
                object_kind=SubjectKind.DEPLOYMENT,
                object=after.path.strip("/"),
                project=after.project,
                before=shown(before),
                after=shown(after) | {"reason": reason, "revision": target.number},
            )
        if not dry_run:
            self._nudge("deployment", after.id)
            self._nudge("revision", revision.id)
        return after

    async def _tell(
        self, tx: Transaction, asking: Asking, before: Deployment | None, after: Deployment, reason: str, message: str
    ) -> None:
        await events.append(
            tx,
            Event(
                at=after.changed_at,
                actor=asking.principal.name,
                project=after.project,
                subject_kind=SubjectKind.DEPLOYMENT,
                subject=after.id,
                was="" if before is None else str(before.verdict.status),
                became=str(after.verdict.status),
                reason=reason,
                message=message,
            ),
        )

    async def history(self, name: str) -> Sequence[tuple[Promotion, ModelVersion | None]]:
        """List a production deployment's promotions, newest first, with what was promoted. Raises NotFound."""
        async with self._database.read() as tx:
            deployment = await deployments.get_of_production(tx, name)
            known = await promotions.of_deployment(tx, deployment.id)
            return [(each, await models.get_version_by_id(tx, each.model_version)) for each in reversed(known)]

    async def search(self, *, customer: str | None = None) -> Sequence[Deployment]:
        """List production deployments by name."""
        async with self._database.read() as tx:
            return await deployments.in_production(tx, customer=customer)

    async def counts(self) -> Counter[tuple[ProjectName, ModelName, int]]:
        """Count the production deployments that serve each model version."""
        async with self._database.read() as tx:
            known = await deployments.in_production(tx)
        return Counter((each.project, each.model, each.version) for each in known)

    # -------------------------------------------------------------- what would be done

    async def _look(self, wanted: PromotionRequest) -> Seen:
        """Look at what lies outside of the database, before a transaction begins."""
        is_isolated = await asyncio.to_thread(self._is_isolated)
        source = wanted.source
        async with self._database.read() as tx:
            staging = await deployments.get_of_version(tx, source.project, source.model, source.version)
            known = await revisions.of_deployment(tx, staging.id)
            copy = await snapshots.get(tx, staging.model_version)
        examined = None if copy.digest is None else await self._prover.examination(known[-1].spec(copy.digest))
        return Seen(is_isolated=is_isolated, examination=examined)

    async def _plan(
        self, tx: Transaction, asking: Asking, wanted: PromotionRequest, seen: Seen, *, approved_by: str = ""
    ) -> PromotionPlan:
        source = wanted.source
        staging = await deployments.get_of_version(tx, source.project, source.model, source.version)
        version = await models.get_version(tx, source.project, source.model, source.version)
        known = await revisions.of_deployment(tx, staging.id)
        snapshot = await snapshots.get(tx, version.id)
        others = await deployments.in_production(tx)
        before = next((each for each in others if each.name == wanted.name), None)
        if before is not None and before.wanted is DeploymentWanted.DELETED:
            raise Conflict("That production deployment is being deleted.", hint="Wait a moment, or use another name.")
        if before is None and not wanted.customer:
            raise InvalidInput(
                "A new production deployment needs a customer.",
                hint="Name whom it serves; your own company is one too.",
                field="/customer",
            )
        promoted = replace(
            version, id=ModelVersionId(new_id()), environment=Environment.PRODUCTION, owner=asking.principal.user,
            created_at=self._now(), deployment=None, tags={},
        )  # fmt: skip
        after = self._after(asking, wanted, staging, before, promoted)
        changes = None if before is None else await self._changes(tx, before, version)
        view = PromotionView(
            facts=version.facts,
            snapshot=snapshot,
            revisions=known,
            changes=changes,
            accepts_breaking=wanted.accepts_breaking,
            reason=wanted.reason,
            policy=self._policy,
            is_isolated=seen.is_isolated,
            capacity=self._capacity,
            promised=promised(others, but=wanted.name),
            resources=after.resources,
            scale=after.scale,
            metrics=version.metrics,
            thresholds=await models.thresholds_of(tx, version.project, version.model),
            examination=seen.examination,
            needs_approval=self._needs_approval,
            approved_by=approved_by,
        )
        return PromotionPlan(
            gates=evaluate(view), changes=changes or (), before=before, after=after, version=version,
            promoted=promoted, request=known[-1],
        )  # fmt: skip

    async def _changes(self, tx: Transaction, before: Deployment, version: ModelVersion) -> tuple[Change, ...]:
        now = await models.get_version_by_id(tx, before.model_version)
        if now is None:
            raise NotFound("What it serves now is not known any more.")
        old, new = (compile_signature(each.facts.signature or {}) for each in (now, version))
        return compare(old, new)

    def _after(
        self,
        asking: Asking,
        wanted: PromotionRequest,
        staging: Deployment,
        before: Deployment | None,
        promoted: ModelVersion,
    ) -> Deployment:
        now = self._now()
        base = before or Deployment(
            id=DeploymentId(f"p-{promoted.id}"),
            environment=Environment.PRODUCTION,
            project=staging.project,
            model=staging.model,
            version=staging.version,
            model_version=promoted.id,
            owner=asking.principal.user,
            wanted=DeploymentWanted.ON,
            resources=staging.resources,
            options=staging.options,
            needs_token=True,
            generation=0,
            created_at=now,
            changed_at=now,
            name=wanted.name,
        )
        after = replace(
            base,
            project=staging.project,
            model=staging.model,
            version=staging.version,
            model_version=promoted.id,
            customer=base.customer if wanted.customer is None else wanted.customer,
            wanted=DeploymentWanted.ON,
            resources=wanted.resources or base.resources,
            scale=wanted.scale or base.scale,
            autoscaling=base.autoscaling if isinstance(wanted.autoscaling, Unchanged) else wanted.autoscaling,
            quota=base.quota if isinstance(wanted.quota, Unchanged) else wanted.quota,
            needs_token=base.needs_token if wanted.needs_token is None else wanted.needs_token,
            generation=base.generation + 1,
            changed_at=now,
        )
        check_zero(after.autoscaling, after.scale)
        return after

    # -------------------------------------------------------------- doing it

    async def _write(
        self,
        tx: Transaction,
        asking: Asking,
        wanted: PromotionRequest,
        plan: PromotionPlan,
        *,
        acting: Asking | None = None,
    ) -> RevisionId:
        """Write the promotion of ``asking``; ``acting`` is who approved it, where that was needed."""
        now, after, before = self._now(), plan.after, plan.before
        digest = await self._digest(tx, plan.version)
        copy = SnapshotCopy(
            model_version=plan.promoted.id, wanted=SnapshotWanted.KEEP, state=SnapshotState.PENDING, digest=None,
            began_at=None,
        )  # fmt: skip
        await models.insert_version(tx, plan.promoted)
        if before is None:
            await deployments.insert_deployment(tx, after)
        else:
            await deployments.want(tx, after)
        known = await revisions.of_deployment(tx, after.id)
        number = known[-1].number + 1 if known else 1
        revision = replace(
            plan.request.renewed(now, by=asking.principal.name, why=wanted.reason),
            id=RevisionId(f"r-{after.id}-{number}"),
            deployment=after.id,
            number=number,
            model_version=plan.promoted.id,
            resources=after.resources,
            options=after.options,
            environment=Environment.PRODUCTION,
            wanted=RevisionWanted.SERVE,
            # As many as serve now, so that it stands the same load at once; of a rollout the least.
            pods=(newest_wanted(known).pods or None) if known and wanted.strategy is None else None,
        )
        await snapshots.insert_copy(
            tx, copy, project=after.project, source=plan.version.source, environment=Environment.PRODUCTION
        )
        await revisions.insert_revision(tx, revision)
        if wanted.strategy is not None:
            await begin_rollout(tx, asking, wanted.strategy, before=before, known=known, new=revision, now=self._now)
        promotion = Promotion(
            model_version=plan.promoted.id, deployment=after.id, digest=digest, gates=plan.gates,
            reason=wanted.reason, promoted_by=asking.principal.name, promoted_at=now,
        )  # fmt: skip
        await promotions.insert_promotion(tx, promotion)
        what = f"{after.model} version {after.version}"
        await self._tell(
            tx, asking, before, after, "Promoted", f"{what} was promoted to {after.path} as revision {number}."
        )
        await audit.append(
            tx,
            at=now,
            asking=acting or asking,
            action="production.promote",
            object_kind=SubjectKind.DEPLOYMENT,
            object=after.path.strip("/"),
            project=after.project,
            before={} if before is None else shown(before),
            after=shown(after)
            | {"reason": wanted.reason, "snapshot": digest, "customer": after.customer}
            | told(wanted.strategy)
            | ({} if acting is None else {"asked_by": asking.principal.name}),
        )
        return revision.id

    async def _digest(self, tx: Transaction, version: ModelVersion) -> SnapshotId:
        copy = await snapshots.get(tx, version.id)
        if copy.digest is None:  # a gate looked at it in this transaction
            raise AssertionError("a model version without files passed its gates")
        return copy.digest


def check_request(wanted: PromotionRequest) -> None:
    """Raise InvalidInput for what can be no name, customer or reason."""
    if not is_slug(wanted.name):
        raise InvalidInput(
            f"A production deployment's name is {SLUG_RULE}.", hint=f"Try '{propose_slug(wanted.name)}'.", field="/name"
        )
    check_texts(customer=wanted.customer, reason=wanted.reason)


def check_texts(*, reason: str, customer: str | None = None) -> None:
    """Raise InvalidInput for what can be no customer or no reason."""
    for field, text, most in (("customer", customer, 80), ("reason", reason, MAX_REASON)):
        if text is not None and not (1 <= len(text) <= most and text.isprintable()):
            raise InvalidInput(
                f"The {field} has 1 to {most} printable characters.", hint="Say it in one line.", field=f"/{field}"
            )


def shown(deployment: Deployment) -> dict[str, object]:
    """Return what the audit log keeps of a production deployment."""
    return {
        "model": f"{deployment.project}/{deployment.model}/{deployment.version}",
        "memory": format_memory(deployment.resources.memory_bytes),
        "cpus": deployment.resources.cpus,
        "pods": [deployment.scale.minimum, deployment.scale.maximum],
        "autoscaling": shown_policy(deployment.autoscaling),
        "quota_per_second": None if deployment.quota is None else deployment.quota.per_second,
        "needs_access": deployment.needs_token,
    }
