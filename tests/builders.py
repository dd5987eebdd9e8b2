"""Domain values for tests: every field has a default, so that a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.conditions import Failure, Phase, PhaseName
from taxiway.domain.conversions import Conversion
from taxiway.domain.deployments import Deployment, DeploymentWanted, Status, Verdict
from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.ids import (
    AccessTokenId,
    ApiTokenId,
    DeploymentId,
    ExperimentId,
    ModelName,
    ModelVersionId,
    PodId,
    ProjectName,
    RevisionId,
    RunId,
    SessionId,
    SnapshotId,
    UserId,
)
from taxiway.domain.models import Environment, FileFormat, LoggedModel, LoggedModelRef, ModelFacts, ModelVersion
from taxiway.domain.people import ApiToken, Asking, AuthMethod, Principal, Project, Role, Session, User
from taxiway.domain.pods import PodObservation, PodPhase, ReportedPhase
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import Revision, RevisionState, RevisionWanted, ScoringOptions
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.domain.snapshots import CopyProgress, CopyState, SnapshotCopy, SnapshotState, SnapshotWanted
from taxiway.domain.tracking import Experiment, Run

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""When tests happen, where they do not say otherwise."""

PROJECT = ProjectName("fraud")
MODEL = ModelName("scorer")
VERSION_ID = ModelVersionId("v1")
DEPLOYMENT_ID = DeploymentId("d-v1")
REVISION_ID = RevisionId("r-v1-1")
RUN_ID = RunId("0" * 32)
EXPERIMENT_ID = ExperimentId("1")
USER_ID = UserId("u-ada")
DIGEST = SnapshotId("ab" * 32)

# ------------------------------------------------------------------ people


def a_user(**changes: Any) -> User:
    user = User(
        id=USER_ID,
        name="ada",
        role=Role.DATA_SCIENTIST,
        is_disabled=False,
        must_change_password=False,
        created_at=NOW,
    )
    return replace(user, **changes)


def a_project(**changes: Any) -> Project:
    project = Project(
        name=PROJECT,
        description="Finds fraud.",
        created_at=NOW,
        created_by=USER_ID,
        workspace_is_ready=True,
    )
    return replace(project, **changes)


def a_principal(**changes: Any) -> Principal:
    """A data scientist, member of one project, signed in with a browser."""
    principal = Principal(
        user=USER_ID,
        name="ada",
        role=Role.DATA_SCIENTIST,
        projects=frozenset({PROJECT}),
        method=AuthMethod.SESSION,
        session=SessionId("s1"),
    )
    return replace(principal, **changes)


def an_administrator(**changes: Any) -> Principal:
    return a_principal(
        **({"user": UserId("u-root"), "name": "root", "role": Role.ADMINISTRATOR, "projects": frozenset()} | changes)
    )


def an_asking(principal: Principal | None = None, **changes: Any) -> Asking:
    return replace(Asking(principal=principal or a_principal(), source="192.0.2.1", request_id="q1"), **changes)


def a_session(**changes: Any) -> Session:
    session = Session(
        id=SessionId("s1"),
        user=USER_ID,
        created_at=NOW,
        seen_at=NOW,
        expires_at=NOW + timedelta(days=7),
        source="192.0.2.1",
        user_agent="tests",
    )
    return replace(session, **changes)


def an_api_token(**changes: Any) -> ApiToken:
    token = ApiToken(
        id=ApiTokenId("t1"),
        user=USER_ID,
        name="notebook",
        project=PROJECT,
        scopes=None,
        created_at=NOW,
        expires_at=NOW + timedelta(days=30),
        used_at=None,
    )
    return replace(token, **changes)


def an_access_token(**changes: Any) -> AccessToken:
    token = AccessToken(
        id=AccessTokenId("a1"),
        deployment=DEPLOYMENT_ID,
        caller="shop",
        created_by=USER_ID,
        created_at=NOW,
        expires_at=NOW + timedelta(days=30),
    )
    return replace(token, **changes)


# ------------------------------------------------------------------ runs and models


def an_experiment(**changes: Any) -> Experiment:
    experiment = Experiment(id=EXPERIMENT_ID, name="cards", is_deleted=False, created_at=NOW, updated_at=NOW)
    return replace(experiment, **changes)


def a_run(**changes: Any) -> Run:
    run = Run(
        id=RUN_ID,
        experiment_id=EXPERIMENT_ID,
        name="first",
        status="FINISHED",
        is_deleted=False,
        user="ada",
        started_at=NOW,
        ended_at=NOW + timedelta(minutes=1),
        has_logged_model=True,
    )
    return replace(run, **changes)


def a_ref(**changes: Any) -> LoggedModelRef:
    """A model as MLflow 3 logs it."""
    return replace(LoggedModelRef(run_id=RUN_ID, name="model", model_id="m-1"), **changes)


def some_facts(**changes: Any) -> ModelFacts:
    facts = ModelFacts(
        flavors=("python_function", "sklearn"),
        signature={
            "inputs": '[{"type": "double", "name": "amount", "required": true}]',
            "outputs": '[{"type": "long", "required": true}]',
        },
        python_version="3.11.2",
        mlflow_version="3.17.2",
        requirements=("mlflow==3.17.2", "scikit-learn==1.9.0"),
        has_input_example=True,
        size_bytes=2_000_000,
        file_count=6,
        file_format=FileFormat.UNSAFE,
        unsafe_files=("model.pkl",),
    )
    return replace(facts, **changes)


def a_logged_model(**changes: Any) -> LoggedModel:
    logged = LoggedModel(
        ref=a_ref(), experiment_id=EXPERIMENT_ID, created_at=NOW, flavors=("python_function", "sklearn")
    )
    return replace(logged, **changes)


def a_version(**changes: Any) -> ModelVersion:
    version = ModelVersion(
        id=VERSION_ID,
        project=PROJECT,
        model=MODEL,
        version=1,
        source=a_ref(),
        facts=some_facts(),
        owner=USER_ID,
        created_at=NOW,
    )
    return replace(version, **changes)


def a_request(**changes: Any) -> EnvironmentRequest:
    request = EnvironmentRequest(
        python="3.11",
        requirements=("mlflow==3.17.2", "scikit-learn==1.9.0"),
        scoring_requirements=("httptools==0.8.0",),
        mlflow_version="3.17.2",
        platform="linux-x86_64",
    )
    return replace(request, **changes)


def a_conversion(**changes: Any) -> Conversion:
    conversion = Conversion(
        id=VERSION_ID,
        project=PROJECT,
        model=MODEL,
        source=a_ref(),
        facts=some_facts(),
        request=a_request(),
        resources=Resources(),
        options=ScoringOptions(),
        needs_token=True,
        asking=an_asking(),
    )
    return replace(conversion, **changes)


# ------------------------------------------------------------------ deployments, revisions, pods


def a_deployment(**changes: Any) -> Deployment:
    """A deployment that was just asked for."""
    deployment = Deployment(
        id=DEPLOYMENT_ID,
        environment=Environment.STAGING,
        project=PROJECT,
        model=MODEL,
        version=1,
        model_version=VERSION_ID,
        owner=USER_ID,
        wanted=DeploymentWanted.ON,
        resources=Resources(),
        options=ScoringOptions(),
        needs_token=True,
        generation=1,
        created_at=NOW,
        changed_at=NOW,
    )
    return replace(deployment, **changes)


def a_verdict(**changes: Any) -> Verdict:
    return replace(Verdict(status=Status.ON, reason="Serving", message="The endpoint answers."), **changes)


def a_revision(**changes: Any) -> Revision:
    """A revision that was just asked for: Queued."""
    revision = Revision(
        id=REVISION_ID,
        deployment=DEPLOYMENT_ID,
        number=1,
        project=PROJECT,
        model=MODEL,
        version=1,
        model_version=VERSION_ID,
        request=a_request(),
        resources=Resources(),
        options=ScoringOptions(),
        created_at=NOW,
        wanted=RevisionWanted.SERVE,
        generation=1,
    )
    return replace(revision, **changes)


def some_phases(last: PhaseName = PhaseName.ROUTE, *, began_at: datetime = NOW) -> tuple[Phase, ...]:
    """The phases up to and with ``last``, a second each; all ended but ``last``, which runs."""
    names = list(PhaseName)[: list(PhaseName).index(last) + 1]
    seconds = [began_at + timedelta(seconds=number) for number in range(len(names) + 1)]
    return tuple(
        Phase(name=name, began_at=seconds[n], ended_at=None if name is last else seconds[n + 1])
        for n, name in enumerate(names)
    )


def a_ready_revision(**changes: Any) -> Revision:
    """A revision that is Ready and whose route went live at ``NOW``."""
    began = NOW - timedelta(seconds=7)
    phases = tuple(replace(phase, ended_at=phase.ended_at or NOW) for phase in some_phases(began_at=began))
    ready: dict[str, Any] = {"state": RevisionState.READY, "observed_generation": 1, "phases": phases}
    return a_revision(**(ready | {"created_at": began} | changes))


def a_failure(**changes: Any) -> Failure:
    return replace(Failure(reason="Exited", message="It exited with code 1.", hint="See its container log."), **changes)


def a_snapshot(**changes: Any) -> SnapshotCopy:
    """A snapshot that is asked for and not begun."""
    copy = SnapshotCopy(
        model_version=VERSION_ID,
        wanted=SnapshotWanted.KEEP,
        state=SnapshotState.PENDING,
        digest=None,
        began_at=None,
    )
    return replace(copy, **changes)


def a_stored_snapshot(**changes: Any) -> SnapshotCopy:
    stored: dict[str, Any] = {"state": SnapshotState.READY, "digest": DIGEST, "began_at": NOW}
    return a_snapshot(**(stored | changes))


def a_copy(state: CopyState = CopyState.RUNNING, **changes: Any) -> CopyProgress:
    """How a copy stands; DONE has a digest, FAILED a failure."""
    done = state is CopyState.DONE
    copy = CopyProgress(
        state=state,
        bytes_done=2_000_000 if done else 1_000_000,
        bytes_total=2_000_000,
        digest=DIGEST if done else None,
        file_count=6 if done else 0,
        failure=a_failure(reason="TrackingUnavailable") if state is CopyState.FAILED else None,
    )
    return replace(copy, **changes)


def a_build(state: BuildState = BuildState.INSTALLING, **changes: Any) -> BuildProgress:
    """How a build stands; FAILED has a failure."""
    build = BuildProgress(
        state=state,
        packages_done=40 if state is BuildState.READY else 10,
        packages_total=40,
        detail=str(state),
        failure=a_failure(reason="EnvironmentFailed") if state is BuildState.FAILED else None,
    )
    return replace(build, **changes)


REPORTS = tuple(ReportedPhase(name=name, seconds=0.5) for name in ("verified", "loaded", "example", "ready"))
"""All that a scoring server reports until it is ready."""


def a_pod(phase: PodPhase = PodPhase.READY, **changes: Any) -> PodObservation:
    """A pod; a READY one has reported everything, its example included."""
    pod = PodObservation(
        id=PodId("p1"),
        revision=REVISION_ID,
        phase=phase,
        address="unix:/run/p/p1/s",
        created_at=NOW,
        started_at=NOW,
        phases=REPORTS if phase is PodPhase.READY else (),
    )
    return replace(pod, **changes)


# ------------------------------------------------------------------ routes


def a_route(**changes: Any) -> EndpointRoute:
    route = EndpointRoute(
        prefix=f"/staging/{PROJECT}/{MODEL}/1/",
        deployment=DEPLOYMENT_ID,
        backends=(Backend(revision=REVISION_ID, addresses=("unix:/run/p/p1/s",)),),
    )
    return replace(route, **changes)


def a_table(*routes: EndpointRoute, **changes: Any) -> RoutingTable:
    return replace(RoutingTable(routes=routes or (a_route(),)), **changes)
