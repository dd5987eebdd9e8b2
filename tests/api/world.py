"""The control API over real services, SQLite and fakes of everything outside; no sockets."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import argon2
import httpx2
from fastapi import FastAPI

from taxiway.api.application import create_api, equip
from taxiway.api.limits import RateLimiter
from taxiway.api.services import ApiServices
from taxiway.domain.gates import FormatPolicy
from taxiway.domain.ids import EnvironmentId, ModelVersionId, ProjectName, RevisionId
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.people import Asking, Permission, Principal, Role
from taxiway.domain.platform import EngineFacts, PlatformFacts
from taxiway.domain.resources import Capacity, Resources
from taxiway.domain.revisions import ScoringOptions
from taxiway.domain.tracking import MetricPoint
from taxiway.services import approvals
from taxiway.services.access_tokens import AccessTokens
from taxiway.services.api_tokens import ApiTokens
from taxiway.services.approvals import PromotionRequest
from taxiway.services.audit import AuditLog
from taxiway.services.conversions import ConversionRequest, Conversions
from taxiway.services.deployments import DeploymentName, Deployments, ProductionName
from taxiway.services.events import Events
from taxiway.services.measurements import MeasurementHistory
from taxiway.services.passwords import PasswordHasher
from taxiway.services.projects import Projects
from taxiway.services.promotions import Promotions
from taxiway.services.rollouts import Rollouts
from taxiway.services.runs import Runs
from taxiway.services.scrubs import Scrubs
from taxiway.services.served import ServedHistory
from taxiway.services.sessions import Sessions
from taxiway.services.sign_in import Provider, SignIn
from taxiway.services.thresholds import Thresholds
from taxiway.services.tracking_changes import TrackingChanges
from taxiway.services.usage import UsageReports
from taxiway.services.users import Users
from taxiway.store import history, revisions, snapshots
from taxiway.store.database import Database
from taxiway.store.migrate import migrate
from taxiway.telemetry.metrics import ControlMetrics
from tests.builders import (
    MODEL,
    NOW,
    PROJECT,
    RUN_ID,
    a_logged_model,
    a_pod,
    a_run,
    a_stored_snapshot,
    an_experiment,
    some_phases,
)
from tests.fakes import (
    FakeBuilder,
    FakeClock,
    FakeLogStore,
    FakeMeasurements,
    FakeNudge,
    FakePods,
    FakeProver,
    FakeRegistry,
    FakeSigner,
    FakeTracking,
)
from tests.sqlite import open_quickly

QUICK = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=16, time_cost=1, memory_cost=8, parallelism=1
)
URL = "http://localhost:8080"
PASSWORD = "correct horse battery"
POD = "p1"
OTHER = ProjectName("other")
VERSION = f"/api/v1/projects/{PROJECT}/models/{MODEL}/versions/1"
RUN = f"/api/v1/projects/{PROJECT}/runs/{RUN_ID}"


@dataclass
class Secrets:
    """What the people of the template show: API tokens by name, and sessions' cookies by user."""

    tokens: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def cookie(self, name: str) -> dict[str, str]:
        return {"Cookie": f"taxiway-session={self.cookies[name]}"}


class World:
    """One application over a database file and fakes."""

    def __init__(self, file: Path, secrets: Secrets, **limits: Any) -> None:
        self.file = file
        self.secrets = secrets
        self.clock = FakeClock(NOW + timedelta(hours=1))
        self.database: Database = open_quickly(file)
        self.tracking = FakeTracking()
        self.registry = FakeRegistry()
        self.logs = FakeLogStore(self.clock)
        self.nudge = FakeNudge()
        self.metrics = ControlMetrics()
        self.builder = FakeBuilder(clock=self.clock)
        self.pods: dict[RevisionId, tuple[Any, ...]] = {}
        self.measurements = FakeMeasurements()
        self.provider: Provider | None = None
        self.takes_passwords = True
        self.services = self._services()
        self.http = self.client()
        self.limits: dict[str, Any] = {"rate": 1e6, "burst": 1_000_000, "clock": self.clock.elapsed} | limits

    @property
    def app(self) -> FastAPI:
        """The one application of all worlds, with this world's services in it."""
        app = _shared_app(self.services)
        if app.state.services is not self.services:
            limiter = RateLimiter(**self.limits)
            equip(app, self.services, metrics=self.metrics, is_secure=False, limiter=limiter)
        return app

    def _services(self) -> ApiServices:
        database, now = self.database, self.clock
        hasher = PasswordHasher(QUICK)
        sessions = Sessions(database=database, hasher=hasher, now=now)

        async def platform() -> PlatformFacts:
            return PlatformFacts(
                version="0.1.0",
                public_url=URL,
                default_resources=Resources(),
                capacity=Resources(memory_bytes=8 << 30, cpus=4),
                engines=(EngineFacts(name="mlflow", is_alive=True, phase="ready", restarts=3, message="It died."),),
                isolation="landlock",
            )

        return ApiServices(
            users=Users(database=database, hasher=hasher, takes_passwords=self.takes_passwords, now=now),
            sessions=sessions,
            sign_in=SignIn(
                database=database,
                sessions=sessions,
                provider=self.provider,
                takes_passwords=self.takes_passwords,
                now=now,
            ),
            api_tokens=ApiTokens(database=database, now=now),
            projects=Projects(database=database, tracking=self.tracking, now=now),
            audit=AuditLog(database=database, now=now),
            events=Events(database=database),
            runs=Runs(
                database=database,
                tracking=self.tracking,
                registry=self.registry,
                changes=TrackingChanges(database=database, now=self.clock),
            ),
            conversions=Conversions(
                database=database,
                registry=self.registry,
                builder=self.builder,
                capacity=Capacity(memory_bytes=8 << 30, cpus=4),
                deployments_per_user=20,
                nudge=self.nudge,
                now=now,
            ),
            deployments=Deployments(
                database=database, capacity=Capacity(memory_bytes=8 << 30, cpus=4), nudge=self.nudge, now=now
            ),
            promotions=Promotions(
                database=database,
                capacity=Capacity(memory_bytes=8 << 30, cpus=4),
                policy=FormatPolicy.WARN,
                is_isolated=lambda: True,
                needs_approval=False,
                prover=FakeProver(clock=FakeClock()),
                nudge=self.nudge,
                now=now,
            ),
            thresholds=Thresholds(database=database, now=now),
            rollouts=Rollouts(database=database, nudge=self.nudge, now=now),
            served=ServedHistory(database=database),
            usage=UsageReports(database=database, cost_per_pod_hour=1.0),
            scrubs=Scrubs(database=database, now=now),
            access_tokens=AccessTokens(database=database, signer=FakeSigner(), nudge=self.nudge, now=now),
            measurements=MeasurementHistory(
                database=database, history_database=database, live=self.measurements, now=now
            ),
            logs=self.logs,
            pods=FakePods(),
            pods_of=lambda revision: self.pods.get(revision, ()),
            platform=platform,
            version="0.1.0",
            public_url=URL,
            default_resources=Resources(),
            default_options=ScoringOptions(),
        )

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def client(self, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self._answer, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url=URL, headers=headers or {}, trust_env=False)

    def speak_as(self, name: str) -> httpx2.AsyncClient:
        """Open a client with somebody's API token."""
        return self.client(self.secrets.bearer(name))

    async def reset(self, template: Path) -> None:
        """Put the database back to what it was."""
        await self.database.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{self.file}{suffix}").unlink(missing_ok=True)
        shutil.copy(template, self.file)

    def fill_fakes(self) -> None:
        """Put what the template's database speaks of into the fakes."""
        self.tracking.workspaces |= {PROJECT, OTHER}
        self.tracking.experiments_of[PROJECT] = [an_experiment(), an_experiment(id="2", name="loans")]
        self.tracking.runs_of[PROJECT] = [a_run()]
        self.tracking.points[RUN_ID, "val/auc"] = [
            MetricPoint(value=value, step=step, at=NOW) for step, value in enumerate((0.5, float("nan"), 0.9))
        ]
        self.tracking.files[RUN_ID, "model/MLmodel"] = b"flavors: {}\n"
        self.tracking.files[RUN_ID, "report.html"] = b"<script>alert(1)</script>"
        self.registry.logged[RUN_ID] = [a_logged_model()]
        revision = RevisionId(self.secrets.ids.get("revision", "r"))
        self.pods[revision] = (a_pod(revision=revision),)
        pod = LogName(kind=LogKind.POD, id=POD)
        build = LogName(kind=LogKind.BUILD, id=self.secrets.ids.get("environment", EnvironmentId("e")))
        for text in ("starting", "loaded in 1.2 s", "ready"):
            self.logs.write(pod, text)
        self.logs.write(build, "Resolved 41 packages")
        self.logs.belongs(revision, POD)


_apps: list[FastAPI] = []


def _shared_app(services: ApiServices) -> FastAPI:
    # Making one takes longer than most tests.
    if not _apps:
        _apps.append(create_api(services, metrics=ControlMetrics(), allowed_hosts=("localhost", "127.0.0.1")))
    return _apps[0]


async def make_template(file: Path) -> Secrets:
    """Fill a database: two projects, people with tokens and sessions, one model version. Returns what they show."""
    secrets = Secrets()
    world = World(file, secrets)
    world.fill_fakes()
    await migrate(world.database)
    await history.prepare(world.database)
    services, clock = world.services, world.clock
    clock.now = NOW
    await services.users.ensure_first_administrator(PASSWORD)
    root = await _principal_of(world, "admin")
    asking = Asking(principal=root)
    for project in (PROJECT, OTHER):
        await services.projects.create(asking, name=project, description="")
    for name in ("member", "stranger", "disabled", "newcomer"):
        await services.users.create(
            asking,
            name=name,
            role=Role.DATA_SCIENTIST,
            password=PASSWORD,
            must_change_password=name == "newcomer",
        )
    for home, name in ((PROJECT, "member"), (PROJECT, "disabled"), (PROJECT, "newcomer"), (OTHER, "stranger")):
        await services.projects.add_member(asking, home, name)
    await _issue(world, "member", "expired", life=timedelta(minutes=1))
    clock.now = NOW + timedelta(hours=1)
    for name in ("admin", "member", "stranger", "disabled", "newcomer"):
        await _issue(world, name, name)
        await _log_in(world, name)
    await _issue(world, "member", "narrow", scopes=frozenset({Permission.MODEL_READ}))
    await _issue(world, "member", "spare")
    await _issue(world, "member", "revoked")
    member = await _principal_of(world, "member")
    known = {token.name: token.id for token in await services.api_tokens.list_own(Asking(principal=member))}
    await services.api_tokens.revoke(Asking(principal=member), known["revoked"])
    secrets.ids |= {"token": known["spare"], "session": str(member.session)}
    version = await services.conversions.convert_run(
        Asking(principal=member), ConversionRequest(project=PROJECT, run=RUN_ID, model=MODEL, tags={"team": "risk"})
    )
    secrets.ids |= {"version": version.id, "revision": f"r-{version.id}-1"}
    access_token, _ = await services.access_tokens.issue(
        Asking(principal=member),
        DeploymentName(project=PROJECT, model=MODEL, version=1),
        caller="till 7",
        life=timedelta(days=1),
    )
    secrets.ids["access_token"] = access_token.id
    await _promote(world, Asking(principal=root), version.id)
    secrets.ids["environment"] = world.builder.check(version.facts).id
    await services.users.change(Asking(principal=root), "disabled", is_disabled=True)
    # A token's first use is written down; after it, looking changes nothing for a minute.
    for text in secrets.tokens.values():
        await services.api_tokens.identify(text)
    async with world.database.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        await connection.rollback()
    await world.database.close()
    return secrets


async def _promote(world: World, root: Asking, version: ModelVersionId) -> None:
    """Let the model version be seen ON, and promote it."""
    async with world.database.write() as tx:
        (revision,) = await revisions.living(tx)
        await revisions.record(tx, replace(revision, phases=some_phases()), if_generation=revision.generation)
        await snapshots.record(tx, a_stored_snapshot(model_version=version))
    source = DeploymentName(project=PROJECT, model=MODEL, version=1)
    await world.services.promotions.promote(
        root, PromotionRequest(source=source, name="scorer-acme", customer="Acme", reason="They asked for it.")
    )
    name = ProductionName(name="scorer-acme")
    issued, _ = await world.services.access_tokens.issue(root, name, caller="till 7", life=timedelta(days=1))
    world.secrets.ids["production_token"] = issued.id
    await world.services.users.create(
        root, name="another", role=Role.ADMINISTRATOR, password=PASSWORD, must_change_password=False
    )
    another = replace(root, principal=await _principal_of(world, "another"))
    await _issue(world, "another", "another")
    wanted = PromotionRequest(source=source, name="scorer-zeta", customer="Zeta", reason="They want it too.")
    after = (await world.services.deployments.detail(name)).deployment
    async with world.database.write() as tx:
        digest = (await snapshots.get(tx, version)).digest
        assert digest is not None
        asked = await approvals.ask(tx, another, wanted, digest, after, at=after.changed_at)
    world.secrets.ids["request"] = asked.id


async def _log_in(world: World, name: str) -> Principal:
    _, secret, _ = await world.services.sessions.log_in(
        name=name, password=PASSWORD, source="192.0.2.7", user_agent="tests", request_id="q"
    )
    world.secrets.cookies[name] = secret
    return await _principal_of(world, name)


async def _principal_of(world: World, name: str) -> Principal:
    if name not in world.secrets.cookies:
        return await _log_in(world, name)
    principal = await world.services.sessions.identify(world.secrets.cookies[name])
    assert principal is not None
    return principal


async def _issue(
    world: World,
    user: str,
    name: str,
    *,
    life: timedelta = timedelta(days=30),
    scopes: frozenset[Permission] | None = None,
) -> None:
    asking = Asking(principal=await _principal_of(world, user))
    _, world.secrets.tokens[name] = await world.services.api_tokens.issue(
        asking, name=name, project=None, scopes=scopes, life=life
    )
