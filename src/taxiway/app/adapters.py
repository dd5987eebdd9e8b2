"""Makes every adapter of the control plane from settings, with the gates around them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from taxiway.app.gates import Gate, gated
from taxiway.app.places import Places
from taxiway.app.scoring_code import lay_out_scoring
from taxiway.artifacts.bundles import FileBundleStore
from taxiway.artifacts.files import FileSnapshotStore
from taxiway.artifacts.object_bundles import ObjectBundleStore
from taxiway.artifacts.objects import ObjectSnapshotStore
from taxiway.artifacts.s3 import S3Objects, S3Place
from taxiway.domain.logs import LogKind
from taxiway.domain.models import Environment
from taxiway.domain.resources import Resources, parse_cpus, parse_memory
from taxiway.domain.revisions import RevisionSpec, ScoringOptions
from taxiway.environments.builder import UvEnvironmentBuilder
from taxiway.gateway.envoy import EnvoyGateway
from taxiway.keys.signer import BUNDLES, FileSigner
from taxiway.monitoring.logs import FileLogStore, LogPlaces, open_build_log
from taxiway.ports import (
    BundleStore,
    EnvironmentBuilder,
    Gateway,
    LogStore,
    ModelRegistry,
    Prover,
    Runtime,
    Signer,
    SnapshotStore,
    Tracking,
)
from taxiway.registry.connection import MLflowConnection
from taxiway.registry.registry import MLflowRegistry
from taxiway.registry.tracking import MLflowTracking
from taxiway.runtimes.process.proving import ProcessProver
from taxiway.runtimes.process.runtime import PodHome, ProcessRuntime
from taxiway.settings import Settings, parse_store_url
from taxiway.stub.children import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """All that touches the world. The ports pass the gate; the others are what must be opened and closed."""

    runtime: Runtime
    gateway: Gateway
    tracking: Tracking
    registry: ModelRegistry
    snapshots: Mapping[Environment, SnapshotStore]
    bundles: BundleStore
    environments: EnvironmentBuilder
    prover: Prover
    logs: LogStore
    signer: Signer
    log_files: FileLogStore
    connection: MLflowConnection
    clients: MLflowConnection
    """For what MLflow's own clients send; apart, so that their uploads cannot use up ours."""
    builder: UvEnvironmentBuilder
    processes: ProcessRuntime
    proofs: ProcessProver
    envoy: EnvoyGateway

    async def open(self) -> None:
        """Clear away what a crash left half made."""
        await self.builder.open()

    async def close(self) -> None:
        """Close connections and stop builds. Pods and engines go on."""
        await self.builder.close()
        await self.processes.close()
        await self.proofs.close()
        await self.envoy.close()
        await self.connection.close()
        await self.clients.close()


def open_adapters(settings: Settings, places: Places, *, signer: FileSigner, gate: Gate | None) -> Adapters:
    """Make all adapters. Touches directories; starts nothing."""
    log_places = LogPlaces(
        pods=places.pods,
        dead_pods=places.logs / "pods",
        builds=places.logs / "builds",
        platform={
            LogKind.CONTROL: places.control_child,
            LogKind.TRACKING: places.mlflow_child,
            LogKind.GATEWAY: places.envoy_child,
        },
    )
    logs = FileLogStore(log_places)
    keys = FileSigner(places.keys, BUNDLES)
    vault, bundles = open_production_store(settings, places, keys)
    stores = {Environment.STAGING: FileSnapshotStore(places.data / "snapshots"), Environment.PRODUCTION: vault}

    def locate_snapshot(spec: RevisionSpec) -> Path:
        return stores[spec.lives_in].locate(spec.snapshot)

    wanted = settings.environments
    builder = UvEnvironmentBuilder(
        places.data / "environments",
        cache=Path(wanted.cache_dir).expanduser().absolute() if wanted.cache_dir else places.data / "cache",
        open_log=lambda environment: open_build_log(log_places.builds, environment),
        index_url=wanted.index_url,
        wheel_store=Path(wanted.wheel_store).expanduser().absolute() if wanted.wheel_store else None,
        is_offline=wanted.is_offline,
        allow_source_builds=wanted.allow_source_builds,
        build_timeout=timedelta(seconds=wanted.build_timeout_seconds),
        concurrent_builds=wanted.concurrent_builds,
    )
    scoring = lay_out_scoring(places.data / "scoring")
    processes = ProcessRuntime(
        PodHome(
            pods=places.pods,
            sockets=places.pod_sockets,
            dead_logs=log_places.dead_pods,
            scoring=scoring,
        ),
        locate_snapshot=locate_snapshot,
        locate_environment=builder.locate,
        locate_proof=lambda spec: prover.locate(spec),
        level=None if settings.pods.isolation == "strongest" else Level(settings.pods.isolation),
        log_bytes=settings.pods.log_mib << 20,
    )
    prover = ProcessProver(
        places.data / "proofs",
        scoring=scoring,
        locate_snapshot=locate_snapshot,
        locate_environment=builder.locate,
        confine=processes.confine,
        locate_home=lambda pod: places.pods / pod / "home",
    )
    envoy = EnvoyGateway(places.gateway, admin_socket=places.envoy_admin_socket, child=places.envoy_child)
    connection = MLflowConnection.over(places.mlflow_socket)
    return Adapters(
        runtime=gated(processes, "Runtime", gate),
        gateway=gated(envoy, "Gateway", gate),
        tracking=gated(MLflowTracking(connection), "Tracking", gate),
        registry=gated(MLflowRegistry(connection), "ModelRegistry", gate),
        snapshots={environment: gated(store, "SnapshotStore", gate) for environment, store in stores.items()},
        bundles=gated(bundles, "BundleStore", gate),
        environments=gated(builder, "EnvironmentBuilder", gate),
        prover=gated(prover, "Prover", gate),
        logs=gated(logs, "LogStore", gate),
        signer=signer,
        log_files=logs,
        connection=connection,
        clients=MLflowConnection.over(places.mlflow_socket),
        builder=builder,
        processes=processes,
        proofs=prover,
        envoy=envoy,
    )


def open_production_store(
    settings: Settings, places: Places, keys: FileSigner
) -> tuple[FileSnapshotStore, FileBundleStore]:
    """Make the stores of production's snapshots and bundles. Raises InvalidInput for a URL that cannot be one."""
    wanted = settings.production
    if not wanted.store_url:
        files = FileSnapshotStore(places.vault)
        return files, FileBundleStore(places.bundles, sign=keys.sign_bytes, public_keys=keys.public_keys())
    objects = open_objects(settings)
    bundles = ObjectBundleStore(objects, places.bundles, sign=keys.sign_bytes, public_keys=keys.public_keys())
    return ObjectSnapshotStore(objects, places.vault), bundles


def open_objects(settings: Settings) -> S3Objects:
    """Make what speaks to production's object store; speaks to nobody yet."""
    wanted = settings.production
    bucket, prefix = parse_store_url(wanted.store_url)
    return S3Objects(
        S3Place(
            bucket=bucket,
            prefix=prefix,
            endpoint=wanted.store_endpoint,
            access_key_id=wanted.store_access_key_id.get_secret_value(),
            secret_access_key=wanted.store_secret_access_key.get_secret_value(),
        )
    )


def default_resources(settings: Settings) -> Resources:
    """Return what a pod gets where nothing else is asked. Raises InvalidInput that names the setting."""
    return Resources(
        memory_bytes=parse_memory(settings.pods.memory, field="pods.memory"),
        cpus=parse_cpus(settings.pods.cpus, field="pods.cpus"),
    )


def default_options(settings: Settings) -> ScoringOptions:
    """Return how scoring servers treat requests where nothing else is asked."""
    return ScoringOptions(
        timeout_seconds=settings.pods.predict_timeout_seconds,
        body_bytes=settings.pods.body_limit_mib << 20,
        start_deadline_seconds=float(settings.pods.start_deadline_seconds),
    )


def host_capacity() -> Resources:
    """Return the memory and the cores of this host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Resources(memory_bytes=memory, cpus=float(len(os.sched_getaffinity(0))))
