"""The platform as a whole on one machine: bring it up, take it down, tell how it is.

Used by the command line. Everything that runs is under a stub of its own, so that nothing here must stay alive.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from taxiway.app.places import Places, clean_environment, clear_run_directory
from taxiway.domain.errors import Conflict, TaxiwayError
from taxiway.domain.logs import LogLine
from taxiway.settings import Settings
from taxiway.stub import children

START_PATIENCE = 120.0
STOP_PATIENCE = timedelta(seconds=40)
ENGINES = ("control", "mlflow", "envoy")
NOT_STARTED = "control plane not started"
"""What the control plane logs, with the reason, when it cannot begin (``__main__.py``)."""
RESTARTS_TO_GIVE_UP = 3
_PORT = "TAXIWAY_SERVER__PORT"


class PortInUse(TaxiwayError):
    """Somebody else listens on the port."""

    reason = "PortInUse"


class NotStarted(TaxiwayError):
    """The platform did not come up in time."""

    reason = "NotStarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """How one of the three engines is."""

    name: str
    is_alive: bool
    phase: str
    restarts: int
    message: str


def places_of(settings: Settings) -> Places:
    """Return the paths that the settings name."""
    return Places(data=settings.data, run=settings.run)


def control_spec(settings: Settings, file: Path | None, *, port: int | None = None) -> children.ChildSpec:
    """Describe the control plane's process, which reads the same settings again."""
    places = places_of(settings)
    given = {"TAXIWAY_DATA_DIR": str(settings.data)} | ({_PORT: str(port)} if port is not None else {})
    environment = clean_environment(given)
    arguments = ("--settings", str(file)) if file is not None else ()
    return children.ChildSpec(
        argv=(sys.executable, "-m", "taxiway.app", *arguments),
        env=environment,
        cwd=settings.data,
        restart=children.Restart.ALWAYS,
        backoff=children.Backoff(
            initial=timedelta(milliseconds=100),
            # Nobody can ask for anything meanwhile, so never long, and at once where it had answered before.
            maximum=timedelta(seconds=1),
            healthy_after=timedelta(milliseconds=500),
        ),
        ready_when=children.ReadyWhen.PROBED,
        probe=children.Probe(
            socket=places.control_socket,
            path="/api/v1/health",
            timeout=timedelta(seconds=5),
            unready_after=2,
            restart_after=0,
        ),
        stop_grace=timedelta(seconds=10),
        descendants=children.Descendants.LIVE,
    )


def check_port(settings: Settings) -> None:
    """Raise PortInUse when the gateway could not listen."""
    for port in (settings.server.port, settings.metrics_port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.server.host if port == settings.server.port else "127.0.0.1", port))
            except OSError as error:
                raise PortInUse(
                    f"Port {port} cannot be listened on: {os.strerror(error.errno or 0)}.",
                    hint=f"Stop what listens there, or start with `taxiway up --port {port + 100}`.",
                ) from None


def engine_status(settings: Settings) -> list[EngineStatus]:
    """Tell how control plane, MLflow and Envoy are, from what their stubs wrote down."""
    places = places_of(settings)
    directories = (places.control_child, places.mlflow_child, places.envoy_child)
    seen = []
    for name, directory in zip(ENGINES, directories, strict=True):
        status = children.status(directory)
        if status is None or not status.is_alive:
            seen.append(
                EngineStatus(name=name, is_alive=False, phase="stopped", restarts=0, message="It does not run.")
            )
            continue
        trouble = status.trouble
        seen.append(
            EngineStatus(
                name=name,
                is_alive=True,
                phase=str(status.phase),
                restarts=status.restarts,
                message=trouble.message if trouble else "",
            )
        )
    return seen


def is_up(settings: Settings) -> bool:
    """Tell whether a control plane's stub runs for this data directory; it need not answer."""
    return any(engine.name == "control" and engine.is_alive for engine in engine_status(settings))


def running_port(settings: Settings) -> int | None:
    """Return the port that `taxiway up --port` gave to the control plane that runs; None where none did."""
    if not is_up(settings):
        return None
    try:
        return given_port((places_of(settings).control_child / "spec.json").read_text())
    except OSError:
        return None


def given_port(spec: str) -> int | None:
    """Read from the specification of a control plane's process which port it was given; None where none was."""
    try:
        return int(json.loads(spec)["env"][_PORT])
    except (ValueError, KeyError, TypeError):
        return None


def gateway_answers(settings: Settings) -> bool:
    """Tell whether the control API answers through the gateway."""
    host = "127.0.0.1" if settings.server.host in ("0.0.0.0", "::") else settings.server.host  # noqa: S104
    try:
        with httpx2.Client(timeout=3, trust_env=False) as client:
            return client.get(f"http://{host}:{settings.server.port}/api/v1/health").status_code == 200
    except httpx2.HTTPError:
        return False


def deployments_by_status(settings: Settings) -> dict[str, int]:
    """Count deployments by status, as the control plane's metrics tell; nothing while they cannot be told."""
    transport = httpx2.HTTPTransport(uds=str(places_of(settings).control_socket))
    try:
        with httpx2.Client(transport=transport, timeout=3, trust_env=False) as client:
            answer = client.get("http://localhost/metrics")
    except httpx2.HTTPError:
        return {}
    return read_deployments(answer.text) if answer.status_code == 200 else {}


def read_deployments(metrics: str) -> dict[str, int]:
    """Read from the control plane's metrics how many deployments have which status."""
    samples = (
        sample
        for family in text_string_to_metric_families(metrics)
        if family.name == "taxiway_deployments"
        for sample in family.samples
    )
    return dict(sorted((sample.labels["status"], int(sample.value)) for sample in samples))


def begin(settings: Settings, file: Path | None, *, port: int | None = None) -> None:
    """Start the control plane, which starts and keeps the other two. Raises Conflict when it runs already."""
    places = places_of(settings)
    if is_up(settings):
        raise Conflict(f"Taxiway runs already with the data directory {settings.data}.", hint="See `taxiway status`.")
    envoy = children.status(places.envoy_child)
    if envoy is None or not envoy.is_alive:
        check_port(settings)
    children.start(places.control_child, control_spec(settings, file, port=port))


def bring_up(settings: Settings, file: Path | None, tell: Callable[[str], None], *, port: int | None = None) -> None:
    """Start the platform and wait until it answers; what was started in vain is taken down again.

    What ran before, such as a gateway that outlived its control plane, goes on in any case. Raises as ``begin`` and
    ``wait_until_up`` do.
    """
    before = frozenset(directory for directory in _directories(places_of(settings)) if _is_alive(directory))
    begin(settings, file, port=port)
    try:
        wait_until_up(settings, tell)
    except BaseException:  # Ctrl-C too
        asyncio.run(take_down(settings, tell, but=before))
        raise


def wait_until_up(settings: Settings, tell: Callable[[str], None]) -> None:
    """Wait until the control API answers through the gateway.

    Raises NotStarted with the reason when one of the three is started again and again, and when it takes too long.
    """
    deadline = time.monotonic() + START_PATIENCE
    restarts = {engine.name: engine.restarts for engine in engine_status(settings)}
    told = ""
    while time.monotonic() < deadline:
        if gateway_answers(settings):
            return
        engines = engine_status(settings)
        now = ", ".join(f"{engine.name} {engine.phase}" for engine in engines)
        if now != told:
            tell(now)
            told = now
        for engine in engines:
            # It may have been started again for long: what counts is whether it helps now.
            fails = engine.restarts - restarts[engine.name] >= RESTARTS_TO_GIVE_UP
            if engine.is_alive and fails and engine.message:
                raise _not_started(settings, engine.name, f"{engine.name}: {engine.message}")
        time.sleep(0.1)
    raise _not_started(settings, "control", f"Taxiway did not answer within {START_PATIENCE:g} s.")


def _not_started(settings: Settings, engine: str, message: str) -> NotStarted:
    directory = settings.data / "children" / engine
    lines = children.tail_log(directory, limit=20).lines
    where = f"Its log: `taxiway platform-log {engine}`, in {directory / 'log'}."
    said = said_reason(lines)
    if said is not None:
        return NotStarted(said[0], hint=f"{said[1]} {where}".lstrip())
    return NotStarted(message, hint="\n  ".join([where, *(line.text for line in lines[-5:])]))


def said_reason(lines: Iterable[LogLine]) -> tuple[str, str] | None:
    """Return message and hint of the newest line with which the control plane said why it cannot begin."""
    for line in reversed(list(lines)):
        try:
            said = json.loads(line.text)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("event") == NOT_STARTED:
            return str(said.get("message", "")), str(said.get("hint") or "")
    return None


def _directories(places: Places) -> list[Path]:
    """List the directories of all children: the three engines and the pods."""
    pods = sorted(path for path in places.pods.glob("*") if path.is_dir())
    return [places.control_child, places.envoy_child, places.mlflow_child, *pods]


def _is_alive(directory: Path) -> bool:
    status = children.status(directory)
    return status is not None and status.is_alive


async def take_down(settings: Settings, tell: Callable[[str], None], *, but: Collection[Path] = ()) -> None:
    """Stop everything in order: control plane, gateway, pods and MLflow. Not running: no error.

    Children whose directories are in ``but`` go on. When none does, the run directory goes too.
    """
    places = places_of(settings)
    for what, directory in (("control plane", places.control_child), ("gateway", places.envoy_child)):
        if directory not in but:
            tell(f"stopping the {what}")
            await children.stop(directory, timeout=STOP_PATIENCE)
    others = [path for path in _directories(places)[2:] if path not in but]
    pods = sum(path != places.mlflow_child for path in others)
    if pods:
        tell(f"stopping {pods} pods")
    await asyncio.gather(*(children.stop(path, timeout=STOP_PATIENCE) for path in others))
    if not any(_is_alive(directory) for directory in _directories(places)):
        clear_run_directory(places)
