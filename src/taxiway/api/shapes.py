"""Domain values → what the control API returns, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from taxiway.api.policies import policy_out
from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.compatibility import Change, breaking
from taxiway.domain.conditions import Condition, Failure, Phase
from taxiway.domain.deployments import Deployment, DeploymentWanted, Status
from taxiway.domain.gates import GateResult
from taxiway.domain.ids import RevisionId
from taxiway.domain.logs import LogLine, LogPage
from taxiway.domain.measurements import Window
from taxiway.domain.models import LoggedModel, ModelFacts, ModelVersion
from taxiway.domain.people import Permission, Principal
from taxiway.domain.pods import PodObservation
from taxiway.domain.promotions import Promotion
from taxiway.domain.resources import Resources, format_cpus, format_memory
from taxiway.domain.revisions import (
    Method,
    OnOutputMismatch,
    Revision,
    RevisionState,
    RowsAreIndependent,
    ScoringOptions,
    Serving,
)
from taxiway.domain.rollouts import NEXT, Rollout
from taxiway.domain.snapshots import SnapshotCopy
from taxiway.domain.tracking import Artifact, Experiment, MetricPoint, Run
from taxiway.services.deployments import ContractChanges, DeploymentDetail
from taxiway.services.served import Served
from taxiway.wire.measurements import LoadOut
from taxiway.wire.models import (
    AccessTokenOut,
    ActionOut,
    ConditionOut,
    ConfigurationIn,
    ContractChangeOut,
    ContractChangesOut,
    ConversionIn,
    FactsOut,
    FailureOut,
    LogLineOut,
    LogPageOut,
    ModelVersionDetailOut,
    ModelVersionOut,
    OptionsOut,
    PhaseOut,
    PodOut,
    ResourcesOut,
    RevisionOut,
    SignatureOut,
    SnapshotOut,
)
from taxiway.wire.production import (
    GateOut,
    ProductionDetailOut,
    ProductionOut,
    PromotionRecordOut,
    RevisionRecordOut,
    RolloutOut,
    ServedOut,
)
from taxiway.wire.tracking import ArtifactOut, ExperimentOut, LoggedModelOut, MetricPointOut, RunOut


def resources_out(resources: Resources) -> ResourcesOut:
    """Show resources."""
    return ResourcesOut(
        memory=format_memory(resources.memory_bytes),
        memory_bytes=resources.memory_bytes,
        cpus=format_cpus(resources.cpus),
    )


def options_out(options: ScoringOptions) -> OptionsOut:
    """Show scoring options."""
    return OptionsOut(
        timeout_seconds=options.timeout_seconds,
        body_bytes=options.body_bytes,
        start_deadline_seconds=options.start_deadline_seconds,
        on_output_mismatch=str(options.on_output_mismatch),
        serving=str(options.serving),
        rows_are_independent=str(options.rows_are_independent),
        method=str(options.method),
    )


def contract_changes_out(found: ContractChanges) -> ContractChangesOut:
    """Show what callers may feel."""
    return ContractChangesOut(
        since=found.since,
        is_compatible=not breaking(found.changes),
        changes=[contract_change_out(change) for change in found.changes],
    )


def contract_change_out(change: Change) -> ContractChangeOut:
    """Show one difference."""
    return ContractChangeOut(**asdict(change))


def gate_out(gate: GateResult) -> GateOut:
    """Show how a gate stands."""
    return GateOut(**asdict(gate))


def load_out(window: Window) -> LoadOut:
    """Show what was measured over some time."""
    traffic = window.traffic
    return LoadOut(
        requests_per_second=window.requests_per_second,
        rows_per_second=window.rows_per_second,
        error_rate=window.error_rate,
        client_error_rate=traffic.client_errors / traffic.requests if traffic.requests else 0.0,
        p50_ms=window.latency(0.5),
        p95_ms=window.latency(0.95),
        p99_ms=window.latency(0.99),
        concurrency=window.concurrency,
        pods=window.pods,
        cpus=window.cpus,
        memory_bytes=window.memory_bytes,
    )


def production_out(
    deployment: Deployment, *, public_url: str, owner: str, load: Window | None, pods: tuple[int, int]
) -> ProductionOut:
    """Show a production deployment."""
    fields = _version_fields(deployment, public_url=public_url, owner=owner)
    return ProductionOut(
        name=deployment.name,
        customer=deployment.customer,
        min_pods=deployment.scale.minimum,
        max_pods=deployment.scale.maximum,
        pods_wanted=pods[0],
        pods_ready=pods[1],
        autoscaling=policy_out(deployment.autoscaling),
        quota_per_second=None if deployment.quota is None else deployment.quota.per_second,
        quota_burst=None if deployment.quota is None else deployment.quota.burst,
        load=None if load is None else load_out(load),
        **{key: fields[key] for key in fields.keys() & ProductionOut.model_fields.keys()},
    )


def served_out(found: Served) -> ServedOut:
    """Show what answered."""
    revision, promotion = found.revision, found.promotion
    return ServedOut(
        deployment=found.deployment.name,
        customer=found.deployment.customer,
        revision=revision.number,
        project=revision.project,
        model=revision.model,
        version=revision.version,
        memory=format_memory(revision.resources.memory_bytes),
        cpus=format_cpus(revision.resources.cpus),
        digest="" if promotion is None else promotion.digest,
        promoted_by="" if promotion is None else promotion.promoted_by,
        promoted_at=None if promotion is None else promotion.promoted_at,
        reason="" if promotion is None else promotion.reason,
        made_by=revision.made_by,
        made_at=revision.created_at,
        why=revision.why,
    )


def rollout_out(
    rollout: Rollout, detail: DeploymentDetail, *, public_url: str, loads: Mapping[RevisionId, Window | None]
) -> RolloutOut:
    """Show a rollout."""
    numbers = {revision.id: revision.number for revision in detail.revisions}
    limits = rollout.strategy.limits
    old, new = (None if (load := loads.get(key)) is None else load_out(load) for key in (rollout.old, rollout.new))
    return RolloutOut(
        old_revision=numbers.get(rollout.old, 0),
        new_revision=numbers.get(rollout.new, 0),
        wanted=rollout.wanted,
        state=rollout.state,
        is_active=rollout.is_active,
        steps=list(rollout.strategy.steps),
        step=rollout.step,
        percent=rollout.percent,
        step_seconds=rollout.strategy.step.total_seconds(),
        max_error_rate_rise=limits.error_rate_rise,
        max_latency_ratio=limits.latency_ratio,
        min_requests=limits.requests,
        reason=rollout.reason,
        message=rollout.message,
        begun_by=rollout.by,
        begun_at=rollout.created_at,
        changed_at=rollout.changed_at,
        next_url=f"{public_url}{detail.deployment.path}@{NEXT}" if rollout.is_active else "",
        old_load=old,
        new_load=new,
    )


def production_detail_out(
    shown: ProductionOut,
    detail: DeploymentDetail,
    *,
    pods: Mapping[Any, Sequence[PodObservation]],
    history: Sequence[tuple[Promotion, ModelVersion | None]],
    rollout: RolloutOut | None,
) -> ProductionDetailOut:
    """Show a production deployment with all that belongs to it."""
    return ProductionDetailOut(
        **shown.model_dump(),
        revisions=[
            revision_out(each, pods.get(each.id, ()))
            for each in detail.revisions
            if each.state is not RevisionState.RETIRED
        ],
        snapshot=snapshot_out(detail.snapshot),
        conditions=[condition_out(each) for each in detail.deployment.conditions],
        rollout=rollout,
        history=[_revision_record_out(each) for each in reversed(detail.revisions)],
        promotions=[
            PromotionRecordOut(
                project=version.project,
                model=version.model,
                version=version.version,
                digest=promotion.digest,
                gates=[gate_out(gate) for gate in promotion.gates],
                reason=promotion.reason,
                promoted_by=promotion.promoted_by,
                promoted_at=promotion.promoted_at,
            )
            for promotion, version in history
            if version is not None
        ],
    )


def _revision_record_out(revision: Revision) -> RevisionRecordOut:
    return RevisionRecordOut(
        number=revision.number,
        state=str(revision.state),
        project=revision.project,
        model=revision.model,
        version=revision.version,
        memory=format_memory(revision.resources.memory_bytes),
        cpus=format_cpus(revision.resources.cpus),
        made_by=revision.made_by,
        made_at=revision.created_at,
        why=revision.why,
    )


def facts_out(facts: ModelFacts) -> FactsOut:
    """Show what is known of a model; the signature's JSON is parsed."""
    return FactsOut(
        flavors=list(facts.flavors),
        python_version=facts.python_version,
        mlflow_version=facts.mlflow_version,
        requirements=list(facts.requirements),
        has_input_example=facts.has_input_example,
        size_bytes=facts.size_bytes,
        file_count=facts.file_count,
        file_format=str(facts.file_format),
        unsafe_files=list(facts.unsafe_files),
        signature=signature_out(facts.signature),
    )


def signature_out(signature: Mapping[str, str] | None) -> SignatureOut | None:
    """Parse the three JSON texts of a signature."""
    if signature is None:
        return None
    return SignatureOut(**{key: json.loads(text) for key, text in signature.items() if text})


def phase_out(phase: Phase) -> PhaseOut:
    """Show a phase."""
    return PhaseOut(
        name=str(phase.name),
        began_at=phase.began_at,
        ended_at=phase.ended_at,
        seconds=phase.seconds,
        detail=phase.detail,
        progress=phase.progress,
    )


def failure_out(failure: Failure | None) -> FailureOut | None:
    """Show a failure."""
    if failure is None:
        return None
    return FailureOut(reason=failure.reason, message=failure.message, hint=failure.hint, lines=list(failure.lines))


def condition_out(condition: Condition) -> ConditionOut:
    """Show a condition."""
    return ConditionOut(
        name=condition.name,
        status=str(condition.truth),
        reason=condition.reason,
        message=condition.message,
        since=condition.since,
    )


def pod_out(pod: PodObservation) -> PodOut:
    """Show a pod."""
    return PodOut(
        id=pod.id,
        phase=str(pod.phase),
        created_at=pod.created_at,
        started_at=pod.started_at,
        restarts=pod.restarts,
        restart_at=pod.restart_at,
        failure=failure_out(pod.failure),
        memory_bytes=pod.memory_bytes,
        memory_peak_bytes=pod.memory_peak_bytes,
        cpu_seconds=pod.cpu_seconds,
        isolation=None if pod.isolation is None else str(pod.isolation),
        memory_is_enforced=pod.memory_is_enforced,
        cpus_are_enforced=pod.cpus_are_enforced,
    )


def revision_out(revision: Revision, pods: Sequence[PodObservation]) -> RevisionOut:
    """Show a revision with its pods."""
    return RevisionOut(
        id=revision.id,
        number=revision.number,
        state=str(revision.state),
        wanted=str(revision.wanted),
        created_at=revision.created_at,
        resources=resources_out(revision.resources),
        options=options_out(revision.options),
        environment_id=revision.request.id,
        phases=[phase_out(phase) for phase in revision.phases],
        conditions=[condition_out(condition) for condition in revision.conditions],
        failure=failure_out(revision.failure),
        pods=[pod_out(pod) for pod in pods],
    )


def snapshot_out(snapshot: SnapshotCopy) -> SnapshotOut:
    """Show a snapshot."""
    return SnapshotOut(
        state=str(snapshot.state),
        digest=snapshot.digest,
        bytes_done=snapshot.bytes_done,
        bytes_total=snapshot.bytes_total,
    )


def model_version_out(
    deployment: Deployment, *, public_url: str, owner: str, load: Window | None, production_count: int | None
) -> ModelVersionOut:
    """Show a model version by its staging deployment."""
    return ModelVersionOut(
        **_version_fields(deployment, public_url=public_url, owner=owner),
        load=None if load is None else load_out(load),
        production_count=production_count,
    )


def _version_fields(deployment: Deployment, *, public_url: str, owner: str) -> dict[str, Any]:
    verdict = deployment.verdict
    return {
        "project": deployment.project,
        "model": deployment.model,
        "version": deployment.version,
        "uri": f"models:/{deployment.model}/{deployment.version}",
        "status": verdict.status,
        "reason": verdict.reason,
        "message": verdict.message,
        "hint": verdict.hint,
        "url": public_url + deployment.path.rstrip("/"),
        "is_available": verdict.status in (Status.ON, Status.DEGRADED, Status.UPDATING),
        "wanted": str(deployment.wanted),
        "owner": owner,
        "created_at": deployment.created_at,
        "changed_at": deployment.changed_at,
        "resources": resources_out(deployment.resources),
        "needs_token": deployment.needs_token,
        "generation": deployment.generation,
        "observed_generation": deployment.observed_generation,
        "deployment": deployment.id,
    }


def model_version_detail_out(
    detail: DeploymentDetail,
    *,
    pods: Mapping[Any, Sequence[PodObservation]],
    principal: Principal,
    public_url: str,
    owner: str,
    model_path: str,
) -> ModelVersionDetailOut:
    """Show a model version with all that belongs to it."""
    deployment, version = detail.deployment, detail.version
    shown = [revision for revision in detail.revisions if revision.state is not RevisionState.RETIRED]
    newest = detail.revisions[-1:]
    return ModelVersionDetailOut(
        **_version_fields(deployment, public_url=public_url, owner=owner),
        run_id=version.source.run_id,
        logged_model=version.source.model_id or version.source.path or version.source.name,
        model_path=model_path,
        tags=dict(version.tags),
        facts=facts_out(version.facts),
        options=options_out(deployment.options),
        snapshot=snapshot_out(detail.snapshot),
        phases=[phase_out(phase) for revision in newest for phase in revision.phases],
        revisions=[revision_out(r, pods.get(r.id, ())) for r in (shown or newest)],
        actions=actions_out(deployment, principal),
    )


def actions_out(deployment: Deployment, principal: Principal) -> dict[str, ActionOut]:
    """Say what the principal may do with the deployment now."""
    is_deleted = deployment.wanted is DeploymentWanted.DELETED
    is_failed = deployment.verdict.status is Status.FAILED
    why = {
        "on": "It is ON already." if deployment.wanted is DeploymentWanted.ON and not is_failed else "",
        "off": "It is OFF already." if deployment.wanted is DeploymentWanted.OFF else "",
        "configure": "",
        "delete": "",
        "issue_token": "",
    }
    actions = {}
    for name, reason in why.items():
        permission = Permission.TOKEN_WRITE if name == "issue_token" else Permission.MODEL_WRITE
        if not principal.may(permission, deployment.project):
            reason = "You are not a member of the project."
        elif is_deleted:
            reason = "It is being deleted."
        actions[name] = ActionOut(allowed=not reason, reason=reason)
    return actions


def access_token_out(token: AccessToken, *, created_by: str) -> AccessTokenOut:
    """Show an access token without its text; ``created_by`` is a name, '' for a user who is gone."""
    return AccessTokenOut(
        id=token.id,
        caller=token.caller,
        created_by=created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


def log_page_out(log: str, page: LogPage) -> LogPageOut:
    """Show lines of a log."""
    return LogPageOut(
        log=log,
        lines=[log_line_out(line) for line in page.lines],
        next_sequence=page.next_sequence,
        is_complete=page.is_complete,
    )


def log_line_out(line: LogLine) -> LogLineOut:
    """Show one line."""
    return LogLineOut(sequence=line.sequence, at=line.at, stream=line.stream, text=line.text)


def experiment_out(experiment: Experiment) -> ExperimentOut:
    """Show an experiment."""
    return ExperimentOut(
        id=experiment.id,
        name=experiment.name,
        created_at=experiment.created_at,
        updated_at=experiment.updated_at,
        tags=dict(experiment.tags),
    )


def _number(value: float) -> float | None:
    return value if value - value == 0 else None


def run_out(run: Run) -> RunOut:
    """Show a run."""
    return RunOut(
        id=run.id,
        experiment_id=run.experiment_id,
        name=run.name,
        status=run.status,
        user=run.user,
        started_at=run.started_at,
        ended_at=run.ended_at,
        parameters=dict(run.parameters),
        metrics={key: _number(value) for key, value in run.metrics.items()},
        tags=dict(run.tags),
        has_logged_model=run.has_logged_model,
        is_deleted=run.is_deleted,
    )


def logged_model_out(model: LoggedModel) -> LoggedModelOut:
    """Show a logged model."""
    return LoggedModelOut(
        name=model.ref.name,
        model_id=model.ref.model_id,
        path=model.ref.path,
        flavors=list(model.flavors),
        created_at=model.created_at,
    )


def metric_point_out(point: MetricPoint) -> MetricPointOut:
    """Show one value of a metric."""
    return MetricPointOut(value=_number(point.value), step=point.step, at=point.at)


def artifact_out(artifact: Artifact) -> ArtifactOut:
    """Show a file or folder of a run."""
    return ArtifactOut(path=artifact.path, is_folder=artifact.is_folder, size_bytes=artifact.size_bytes)


def options_in(base: ScoringOptions, wanted: ConversionIn | ConfigurationIn) -> ScoringOptions:
    """Apply what was asked to scoring options."""
    return replace(
        base,
        timeout_seconds=wanted.timeout_seconds or base.timeout_seconds,
        start_deadline_seconds=wanted.start_deadline_seconds or base.start_deadline_seconds,
        on_output_mismatch=(
            OnOutputMismatch(wanted.on_output_mismatch) if wanted.on_output_mismatch else base.on_output_mismatch
        ),
        serving=Serving(wanted.serving) if wanted.serving else base.serving,
        rows_are_independent=(
            RowsAreIndependent(wanted.rows_are_independent)
            if wanted.rows_are_independent
            else base.rows_are_independent
        ),
        method=Method(wanted.method) if wanted.method else base.method,
    )
