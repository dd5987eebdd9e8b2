"""What the control API takes and returns about models, deployments, access tokens and logs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from taxiway.domain.deployments import Status
from taxiway.wire import In, Out
from taxiway.wire.measurements import LoadOut

Tags = Annotated[dict[str, str], Field(max_length=50)]


MethodName = Literal["predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform"]


class ConversionIn(In):
    """Convert to model."""

    model: str = Field(max_length=200, description="A new or an existing model of the project.")
    logged_model: str | None = Field(
        None, max_length=1000, description="Name, folder or MLflow id; needed where the run logged several."
    )
    memory: str | None = Field(None, max_length=30, examples=["512Mi", "2Gi"])
    cpus: str | None = Field(None, max_length=20, examples=["0.5", "500m", "2"])
    timeout_seconds: float | None = Field(None, ge=1, le=300)
    start_deadline_seconds: float | None = Field(None, ge=5, le=3600)
    on_output_mismatch: Literal["pass", "refuse"] | None = None
    serving: Literal["auto", "pyfunc"] | None = Field(
        None, description="auto: the fastest path that is proven equal to mlflow.pyfunc."
    )
    rows_are_independent: Literal["as-proven", "yes", "no"] | None = Field(
        None, description="Whether rows of several requests may be predicted together."
    )
    method: MethodName | None = Field(
        None, description="Which of the model's methods answers; predict: as the model was logged."
    )
    needs_token: bool = True
    tags: Tags = Field(default_factory=dict)


class ConfigurationIn(In):
    """Changes of a deployment's configuration; what is left out stays."""

    memory: str | None = Field(None, max_length=30)
    cpus: str | None = Field(None, max_length=20)
    timeout_seconds: float | None = Field(None, ge=1, le=300)
    start_deadline_seconds: float | None = Field(None, ge=5, le=3600)
    on_output_mismatch: Literal["pass", "refuse"] | None = None
    serving: Literal["auto", "pyfunc"] | None = Field(
        None, description="auto: the fastest path that is proven equal to mlflow.pyfunc."
    )
    rows_are_independent: Literal["as-proven", "yes", "no"] | None = Field(
        None, description="Whether rows of several requests may be predicted together."
    )
    method: MethodName | None = Field(
        None, description="Which of the model's methods answers; predict: as the model was logged."
    )
    needs_token: bool | None = None
    tags: Tags | None = None


class AccessTokenIn(In):
    """Issue an access token."""

    caller: str = Field(max_length=80, description="The program or person that will call.")
    days: float = Field(90, gt=0, le=366)


class SignatureOut(Out):
    """MLflow's own JSON of the signature, parsed."""

    inputs: Any = None
    outputs: Any = None
    params: Any = None


class ThresholdIn(In):
    """What a run's metric must reach before its model goes to production."""

    metric: str = Field(max_length=250)
    bound: Literal[">=", "<="] = Field(description="On which side of the value the metric must be.")
    value: float


class ThresholdsIn(In):
    """All thresholds of a model."""

    thresholds: list[ThresholdIn] = Field(max_length=50)


class ThresholdList(Out):
    """All thresholds of a model."""

    items: list[ThresholdIn]


class FactsOut(Out):
    """What the files beside a model say of it."""

    flavors: list[str]
    python_version: str
    mlflow_version: str | None
    requirements: list[str]
    has_input_example: bool
    size_bytes: int
    file_count: int
    file_format: str
    unsafe_files: list[str]
    signature: SignatureOut | None


class ContractChangeOut(Out):
    """One difference between two contracts."""

    side: Literal["input", "output", "param"]
    name: str = Field(description="The column, with the way into it where it is nested: order.lines[].price.")
    was: str = Field(description="Its type before; empty where it was not there.")
    becomes: str = Field(description="Its type now; empty where it is gone.")
    is_breaking: bool = Field(description="Whether callers of the other version may feel it.")
    why: str


class ContractChangesOut(Out):
    """How a model version's contract differs from another version's."""

    since: int | None = Field(description="The version that it was compared with; null where there is none before.")
    is_compatible: bool
    changes: list[ContractChangeOut]


class ResourcesOut(Out):
    """What one pod may use."""

    memory: str
    memory_bytes: int
    cpus: str


class OptionsOut(Out):
    """How the scoring server treats requests."""

    timeout_seconds: float
    body_bytes: int
    start_deadline_seconds: float
    on_output_mismatch: str
    serving: str
    rows_are_independent: str
    method: str


class PhaseOut(Out):
    """One step on the way to a live route."""

    name: str
    began_at: datetime
    ended_at: datetime | None
    seconds: float | None
    detail: str
    progress: float | None


class FailureOut(Out):
    """Why something ended badly."""

    reason: str
    message: str
    hint: str
    lines: list[str]


class ConditionOut(Out):
    """One named fact."""

    name: str
    status: str
    reason: str
    message: str
    since: datetime


class PodOut(Out):
    """One running scoring server."""

    id: str
    phase: str
    created_at: datetime
    started_at: datetime | None
    restarts: int
    restart_at: datetime | None
    failure: FailureOut | None
    memory_bytes: int | None
    memory_peak_bytes: int | None
    cpu_seconds: float | None
    isolation: str | None
    memory_is_enforced: bool
    cpus_are_enforced: bool


class RevisionOut(Out):
    """One revision."""

    id: str
    number: int
    state: str
    wanted: str
    created_at: datetime
    resources: ResourcesOut
    options: OptionsOut
    environment_id: str
    phases: list[PhaseOut]
    conditions: list[ConditionOut]
    failure: FailureOut | None
    pods: list[PodOut]


class SnapshotOut(Out):
    """The copy of the model's files."""

    state: str
    digest: str | None
    bytes_done: int
    bytes_total: int | None


class ActionOut(Out):
    """Whether the asker may do something now, and if not, why."""

    allowed: bool
    reason: str = ""


class ModelVersionOut(Out):
    """One model version and its staging deployment, as lists show it."""

    project: str
    model: str
    version: int
    uri: str
    status: Status
    reason: str
    message: str
    hint: str
    url: str
    is_available: bool
    wanted: str
    owner: str
    created_at: datetime
    changed_at: datetime
    resources: ResourcesOut
    needs_token: bool
    generation: int
    observed_generation: int
    deployment: str
    load: LoadOut | None = Field(None, description="Of the last minute, in lists; null where nothing was measured.")
    production_count: int | None = Field(
        None, description="Production deployments that serve this version, in lists; for administrators."
    )


class ModelVersionDetailOut(ModelVersionOut):
    """One model version with all that belongs to it."""

    run_id: str
    logged_model: str
    model_path: str
    tags: dict[str, str]
    facts: FactsOut
    options: OptionsOut
    snapshot: SnapshotOut
    phases: list[PhaseOut]
    revisions: list[RevisionOut]
    actions: dict[str, ActionOut]


class ModelVersionPage(Out):
    """Some model versions, newest first."""

    items: list[ModelVersionOut]
    next_cursor: str | None


class TryOut(Out):
    """What a pod answered to somebody who tried the model."""

    status: int
    milliseconds: float
    revision: int
    pod: str
    content_type: str
    body: str


class PreflightOut(Out):
    """What a conversion would make; every check passed."""

    model: str
    logged_model: str
    python: str
    environment_id: str
    facts: FactsOut


class AccessTokenOut(Out):
    """An access token, without its text."""

    id: str
    caller: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class IssuedAccessTokenOut(AccessTokenOut):
    """An access token with its text, which is shown this once."""

    token: str


class AccessTokenList(Out):
    """A deployment's access tokens, newest first."""

    items: list[AccessTokenOut]


class LogLineOut(Out):
    """One line of a log."""

    sequence: int
    at: datetime
    stream: str
    text: str


class LogPageOut(Out):
    """Lines of a log; ask again with ``after=next_sequence`` to follow."""

    log: str
    lines: list[LogLineOut]
    next_sequence: int
    is_complete: bool
