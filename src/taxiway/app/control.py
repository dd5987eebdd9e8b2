"""The control plane as a whole: the composition root. Settings become objects, and objects one running process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp

from taxiway.api.application import create_api
from taxiway.api.mlflow import PREFIX, MLflowMount
from taxiway.api.services import ApiServices
from taxiway.api.sign_in import CALLBACK
from taxiway.app.adapters import Adapters, default_options, default_resources, host_capacity, open_adapters
from taxiway.app.engines import Engine, Engines
from taxiway.app.gates import Gate, GatedDatabase, fault_gate
from taxiway.app.loops import Loops, Nudges
from taxiway.app.places import Places
from taxiway.app.platform import engine_status, places_of
from taxiway.control.lease import Lease
from taxiway.control.measuring import Measuring
from taxiway.control.observed import Observed
from taxiway.domain.gates import FormatPolicy
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Role
from taxiway.domain.platform import EngineFacts, PlatformFacts
from taxiway.domain.resources import Capacity
from taxiway.domain.sign_in import Grant
from taxiway.gateway.activator import Activator
from taxiway.gateway.start import envoy_child, write_bootstrap
from taxiway.keys.signer import FileSigner
from taxiway.monitoring.host import host_use
from taxiway.registry.child import mlflow_child
from taxiway.registry.proxy import MLflowProxy
from taxiway.runtimes.calling import PodCaller
from taxiway.services.access_tokens import AccessTokens
from taxiway.services.api_tokens import ApiTokens
from taxiway.services.audit import AuditLog
from taxiway.services.conversions import Conversions
from taxiway.services.deployments import Deployments
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
from taxiway.settings import Settings
from taxiway.store import history
from taxiway.store.database import Database, open_database
from taxiway.store.migrate import migrate
from taxiway.stub import levels
from taxiway.telemetry.metrics import ControlMetrics

log = structlog.get_logger()

VERSION = metadata.version("taxiway")
KEEP_ALIVE_SECONDS = 90
"""Longer than the gateway keeps an idle connection to us, so that it never sends into one that just closed."""
GRACE_SECONDS = 5
SCRUB_BYTES_PER_SECOND = 20 << 20
"""What a scrub reads at most: little beside what disks and object stores give to others meanwhile."""


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def run(settings: Settings) -> None:
    """Run the control plane until SIGTERM. The engines come first: endpoints need nothing else of this."""
    places = places_of(settings)
    signer = FileSigner(places.keys)
    engines = open_engines(settings, places, signer)
    await engines.start()
    gate = fault_gate()
    database = open_database(settings.database_url)
    await migrate(database)
    if gate is not None:
        database = GatedDatabase(database, gate)
    lease = None if database.is_sqlite else Lease(database=database, holder=_holder(places), now=now)
    history_database = open_database(f"sqlite:///{places.history}")
    await history.prepare(history_database)
    adapters = open_adapters(settings, places, signer=signer, gate=_all_gates(gate, lease))
    await adapters.open()
    try:
        await _serve(
            settings, places, stores=(database, history_database), adapters=adapters, engines=engines, lease=lease
        )
    finally:
        await adapters.close()
        if lease is not None:
            await lease.release()
        await database.close()
        await history_database.close()


async def _serve(
    settings: Settings,
    places: Places,
    *,
    stores: tuple[Database, Database],
    adapters: Adapters,
    engines: Engines,
    lease: Lease | None,
) -> None:
    database, history_database = stores
    metrics, nudges = ControlMetrics(), Nudges()
    observed = Observed(adapters.runtime, adapters.gateway)
    measuring = Measuring(
        database=database,
        history_database=history_database,
        gateway=adapters.gateway,
        observed=observed,
        host=partial(host_use, places.data),
        kept=timedelta(days=settings.monitoring.history_days),
        now=now,
    )
    metrics.measured.totals, metrics.measured.host = measuring.totals, partial(host_use, places.data)
    activator = Activator(table=observed.table, wake=partial(nudges, "autoscaling"))
    observed.is_awaited = activator.is_busy
    services = open_services(
        settings, stores=stores, adapters=adapters, observed=observed, measuring=measuring, nudges=nudges
    )
    loops = Loops(
        database=database,
        adapters=adapters,
        observed=observed,
        measuring=measuring,
        capacity=_capacity(),
        nudges=nudges,
        activator=activator,
        conversions=services.conversions,
        projects=services.projects,
        metrics=metrics,
        scrub_every=timedelta(hours=settings.production.scrub_hours),
        scrub_bytes_per_second=SCRUB_BYTES_PER_SECOND,
        now=now,
    )
    api = create_api(
        services,
        metrics=metrics,
        allowed_hosts=settings.server.allowed_hosts,
        requests_per_second=settings.limits.requests_per_second,
        mounts={
            PREFIX: MLflowMount(
                MLflowProxy(adapters.clients, upload_limit=settings.tracking.upload_limit_gib << 30),
                projects=services.projects,
                audit=services.audit,
                changes=TrackingChanges(database=database, now=now),
            )
        },
    )
    server, waiting_room = _server(api), _server(activator)
    _stop_on_signals(server)
    background = [
        asyncio.create_task(engines.keep(), name="engines"),
        asyncio.create_task(loops.run() if lease is None else lease.run(loops.run), name="loops"),
    ]
    for task in background:
        task.add_done_callback(lambda done: _stop_when_broken(done, server))
    try:
        with _listen(places.activator_socket) as held, _listen(places.control_socket) as listener:
            background.append(asyncio.create_task(waiting_room.serve(sockets=[held]), name="activator"))
            log.info("control plane listens", version=VERSION)
            await server.serve(sockets=[listener])
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await services.sign_in.close()


def open_engines(settings: Settings, places: Places, signer: FileSigner) -> Engines:
    """Describe MLflow and Envoy; writes what Envoy starts with."""
    write_bootstrap(
        places.gateway,
        host=settings.server.host,
        port=settings.server.port,
        metrics_port=settings.metrics_port,
        admin_socket=places.envoy_admin_socket,
        control_socket=places.control_socket,
        activator_socket=places.activator_socket,
        public_keys=signer.public_keys(),
    )
    return Engines(
        (
            Engine(
                name="envoy",
                directory=places.envoy_child,
                spec=envoy_child(places.gateway, admin_socket=places.envoy_admin_socket),
            ),
            Engine(
                name="mlflow",
                directory=places.mlflow_child,
                spec=mlflow_child(
                    places.mlflow,
                    places.mlflow_socket,
                    database_url=settings.tracking.database_url.get_secret_value(),
                    workers=settings.tracking.workers,
                ),
            ),
        )
    )


def open_services(
    settings: Settings,
    *,
    stores: tuple[Database, Database],
    adapters: Adapters,
    observed: Observed,
    measuring: Measuring,
    nudges: Nudges,
) -> ApiServices:
    """Make every service, and what else the API shows."""
    database, history_database = stores
    hasher, capacity = PasswordHasher(), _capacity()
    scrubs = Scrubs(database=database, now=now)
    sessions = Sessions(database=database, hasher=hasher, now=now)
    return ApiServices(
        users=Users(database=database, hasher=hasher, takes_passwords=settings.people.passwords, now=now),
        sessions=sessions,
        sign_in=SignIn(
            database=database,
            sessions=sessions,
            provider=open_provider(settings),
            takes_passwords=settings.people.passwords,
            now=now,
        ),
        api_tokens=ApiTokens(database=database, now=now),
        projects=Projects(database=database, tracking=adapters.tracking, now=now),
        audit=AuditLog(database=database, now=now),
        events=Events(database=database),
        runs=Runs(
            database=database,
            tracking=adapters.tracking,
            registry=adapters.registry,
            changes=TrackingChanges(database=database, now=now),
        ),
        conversions=Conversions(
            database=database,
            registry=adapters.registry,
            builder=adapters.environments,
            capacity=capacity,
            deployments_per_user=settings.limits.deployments_per_user,
            nudge=nudges,
            now=now,
        ),
        deployments=Deployments(database=database, capacity=capacity, nudge=nudges, now=now),
        promotions=Promotions(
            database=database,
            capacity=capacity,
            policy=FormatPolicy(settings.production.file_formats),
            is_isolated=lambda: settings.production.allow_plain_isolation or _isolation_in_force(settings) != "plain",
            needs_approval=settings.production.needs_approval,
            prover=adapters.proofs,
            nudge=nudges,
            now=now,
        ),
        thresholds=Thresholds(database=database, now=now),
        rollouts=Rollouts(database=database, nudge=nudges, now=now),
        served=ServedHistory(database=database),
        usage=UsageReports(
            database=database,
            cost_per_pod_hour=settings.monitoring.cost_per_pod_hour,
        ),
        scrubs=scrubs,
        access_tokens=AccessTokens(database=database, signer=adapters.signer, nudge=nudges, now=now),
        measurements=MeasurementHistory(database=database, history_database=history_database, live=measuring, now=now),
        logs=adapters.logs,
        pods=PodCaller(),
        pods_of=observed.pods,
        platform=PlatformView(settings, observed, scrubs).look,
        public_url=settings.public_url,
        default_resources=default_resources(settings),
        default_options=default_options(settings),
        version=VERSION,
    )


def open_provider(settings: Settings) -> Provider | None:
    """Make what speaks to the identity provider, where there is one; speaks to nobody yet."""
    wanted = settings.people.provider
    if wanted is None:
        return None
    # Its libraries are an extra, which is not installed where there is no provider.
    from taxiway.identity.provider import OpenIdProvider, ProviderPlace

    place = ProviderPlace(
        issuer=wanted.issuer,
        client_id=wanted.client_id,
        client_secret=wanted.client_secret.get_secret_value(),
        groups_claim=wanted.groups_claim,
        scopes=wanted.scopes,
        redirect_uri=f"{settings.public_url}{CALLBACK}",
    )
    grants = {
        group: Grant(role=Role(gives.role), projects=frozenset(map(ProjectName, gives.projects)))
        for group, gives in wanted.groups.items()
    }
    return Provider(name=wanted.name, port=OpenIdProvider(place, now=now), grants=grants)


def _capacity() -> Capacity:
    host = host_capacity()
    return Capacity(memory_bytes=host.memory_bytes, cpus=host.cpus)


class PlatformView:
    """Says how the platform as a whole is."""

    def __init__(self, settings: Settings, observed: Observed, scrubs: Scrubs) -> None:
        self._settings = settings
        self._scrubs = scrubs
        self._observed = observed
        self._isolation = ""

    async def look(self) -> PlatformFacts:
        """Return what the stubs of the engines wrote down, and what this host has."""
        engines = await asyncio.to_thread(engine_status, self._settings)
        if not self._isolation:
            self._isolation = await asyncio.to_thread(_isolation_in_force, self._settings)
        rejection = self._observed.rejection
        refused = [f"The gateway refused the newest routing table: {rejection.message}"] if rejection else []
        return PlatformFacts(
            version=VERSION,
            public_url=self._settings.public_url,
            default_resources=default_resources(self._settings),
            capacity=host_capacity(),
            engines=tuple(
                EngineFacts(
                    name=engine.name,
                    is_alive=engine.is_alive,
                    phase=engine.phase,
                    restarts=engine.restarts,
                    message=engine.message,
                )
                for engine in engines
            ),
            isolation=self._isolation,
            notes=(*refused, *await self._scrubs.notes()),
        )


def _isolation_in_force(settings: Settings) -> str:
    if settings.pods.isolation != "strongest":
        return settings.pods.isolation
    return str(levels.choose_level(None, levels.survey()))


def _all_gates(fault: Gate | None, lease: Lease | None) -> Gate | None:
    gates = [gate for gate in (lease.check if lease is not None else None, fault) if gate is not None]
    if not gates:
        return None

    def pass_all(name: str) -> None:
        for gate in gates:
            gate(name)

    return pass_all


def _holder(places: Places) -> str:
    """Name this data directory on this host: its lock makes sure that only one process ever says so."""
    return f"{socket.gethostname()[:40]}:{hashlib.sha256(os.fsencode(places.data)).hexdigest()[:16]}"


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: it would raise the signal again and end us in the middle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(api: ASGIApp) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            api,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def _stop_on_signals(server: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))


def _stop_when_broken(task: asyncio.Task[None], server: uvicorn.Server) -> None:
    """End the process when a loop ended by itself: its stub starts it anew, and a half-dead one helps nobody."""
    if task.cancelled():
        return
    log.critical("a loop ended", loop=task.get_name(), exc_info=task.exception())
    server.should_exit = True


@contextlib.contextmanager
def _listen(path: Path) -> Iterator[socket.socket]:
    """Listen on a socket that takes the place of the one that a predecessor left; no moment is without."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(temporary))
        temporary.chmod(0o600)
        listener.listen(1024)
        temporary.replace(path)
        yield listener
