"""A pod's program: verify the snapshot, load the model, score its example, serve, drain on SIGTERM; or do a job.

``python -I <directory with this package> --config pod.json``. Phases and failures are told as JSON lines on the file
descriptor in ``TAXIWAY_REPORT_FD``. Exit codes: 0 drained, 3 a failure that was reported, 4 a stuck prediction.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

# All that the server needs is imported before the model is, so that no module of a model's can take its place.
from taxiway_scoring import manifest
from taxiway_scoring.app import STUCK_GRACE_SECONDS, Identity, Limits, ScoringApp
from taxiway_scoring.contract import Contract, ContractError, compile_signature
from taxiway_scoring.deadlines import Deadline
from taxiway_scoring.failures import LoadFailed
from taxiway_scoring.jobs import ProofRun, run_check
from taxiway_scoring.methods import PREDICT
from taxiway_scoring.predictor import Predictor, find_example
from taxiway_scoring.proof import Proof, read_proof
from taxiway_scoring.refusals import Refused
from taxiway_scoring.server import Connections, ServerLimits, listen, receive
from taxiway_scoring.serving import Loaded, Served, choose, serve_by_pyfunc
from taxiway_scoring.spool import Spool
from taxiway_scoring.telemetry import Board
from taxiway_scoring.workers import ACCEPT_SECONDS, BEAT_SECONDS, READY, Died, Parent, bind, can_fork

try:
    import uvloop
except ImportError:  # pragma: no cover
    uvloop = None

SWITCH_SECONDS = 0.00005
"""How long the worker thread keeps the interpreter while the event loop wants it; Python's own 5 ms are as long as a
prediction, and each request needs both."""
FAILED_EXIT = 3
STUCK_EXIT = 4
LAST_WORDS_SECONDS = 0.2
"""How long a process that gives up lets its last answers go out."""
QUIET_SECONDS = 1.0
"""How long a draining pod waits for another request on kept connections before it closes them."""
PROOF_PATIENCE_SECONDS = 150.0
"""A proof takes at most 90 s, and may have to wait for others."""
PROOF_LOOK_SECONDS = 0.02
_POOLS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "POLARS_MAX_THREADS",
)  # fmt: skip
_ALONE = "TAXIWAY_ONE_PROCESS"
"""Set where a model was found to have threads, which cannot be forked."""
log = logging.getLogger("taxiway")


class Failed(Exception):
    """The pod cannot serve; ``document`` is what is reported."""

    def __init__(self, reason: str, message: str, hint: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.document = {"reason": reason, "message": message, "hint": hint, "retryable": retryable}


class Reports:
    """Tells the stub, where there is one."""

    def __init__(self) -> None:
        number = os.environ.pop("TAXIWAY_REPORT_FD", "")
        self._fd = int(number) if number.isdigit() else None
        self._rows = 0
        if self._fd is not None:
            os.set_inheritable(self._fd, False)

    def hand_over(self) -> None:
        """Leave the way to the stub to the program that takes this one's place."""
        if self._fd is not None:
            os.set_inheritable(self._fd, True)
            os.environ["TAXIWAY_REPORT_FD"] = str(self._fd)

    def send(self, document: dict[str, Any]) -> None:
        """Write one line; a stub that is gone is no error."""
        if self._fd is None:
            return
        try:
            os.write(self._fd, json.dumps(document).encode() + b"\n")
        except OSError:
            self._fd = None

    def phase(self, name: str, seconds: float, /, **detail: object) -> None:
        """Tell that a phase is over and how long it took."""
        self.send({"phase": name, "seconds": round(seconds, 6), "detail": detail})

    def rows(self, board: Board) -> None:
        """Tell how many predictions were returned in all, if there are more of them than were told."""
        rows = int(board.sum("rows"))
        if rows != self._rows:
            self._rows = rows
            self.send({"rows": rows})


def read_config(argv: list[str] | None = None) -> dict[str, Any]:
    """Read the pod's configuration."""
    arguments = argparse.ArgumentParser(prog="taxiway-scoring", description="Serve one model.")
    arguments.add_argument("--config", type=Path, required=True, help="pod.json")
    config = json.loads(arguments.parse_args(argv).config.read_text())
    if not isinstance(config, dict):
        raise SystemExit("The configuration is not a JSON object.")
    return config


def worker_count(config: dict[str, Any]) -> int:
    """Return by how many processes the model is to be served."""
    return 1 if _ALONE in os.environ else max(1, int(config.get("workers", 1)))


def thread_count(config: dict[str, Any]) -> int:
    """Return how many threads a process may use: what is forked must not have any besides its own."""
    return 1 if worker_count(config) > 1 else int(config.get("threads", 1))


def set_threads(count: int) -> None:
    """Bound the threads of the numeric libraries; must run before they are imported."""
    os.environ.update(dict.fromkeys(_POOLS, str(count)))
    if count == 1:  # PyArrow, which pandas imports, would start a thread that only gives memory back
        os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")


def verify(config: dict[str, Any]) -> Path:
    """Check every file of the snapshot; return the directory of the model's files."""
    snapshot = Path(config["snapshot"])
    try:
        manifest.verify(snapshot, config["manifest_digest"])
    except manifest.ManifestError as error:
        raise Failed(
            "ArtifactDigestMismatch",
            f"The model's files are not those that were copied: {error.message}",
            "Convert the run again; find out who changed the snapshot.",
        ) from error
    return snapshot / "files"


def read_model(files: Path) -> tuple[dict[str, Any], Contract]:
    """Read ``MLmodel`` and compile the contract."""
    import yaml

    try:
        metadata = yaml.safe_load((files / "MLmodel").read_text("utf-8"))
        return metadata, compile_signature(metadata.get("signature") or {})
    except (OSError, ValueError, AttributeError, yaml.YAMLError, ContractError) as error:
        raise Failed("MalformedModel", f"MLmodel cannot be understood: {error}", "Log the model again.") from error


def load(
    files: Path, metadata: dict[str, Any], contract: Contract, config: dict[str, Any]
) -> tuple[Served, bytes | None]:
    """Load the model and its input example; turns what went wrong into a reported failure."""
    independent, method = config.get("rows_are_independent"), str(config.get("method", PREDICT))
    try:
        if config.get("serving") == "pyfunc":
            served = serve_by_pyfunc(
                files, contract, "the model's owner wants it", rows_are_independent=independent, method=method
            )
        elif thread_count(config) > 1:  # sums of several threads may have other last bits
            served = serve_by_pyfunc(
                files, contract, "it is proven for one thread only", rows_are_independent=independent, method=method
            )
        else:
            loaded = Loaded.of(files, metadata, contract, method)
            served = choose(loaded, wait_for_proof(config), rows_are_independent=independent)
        return served, find_example(files, metadata)
    except LoadFailed as error:
        raise Failed(error.reason, error.message, error.hint, retryable=error.retryable) from error


def wait_for_proof(config: dict[str, Any]) -> Proof | None:
    """Return what was proven of the model; None where nobody proves anything, or that failed or takes too long."""
    file = config.get("proof_file")
    until = time.monotonic() + PROOF_PATIENCE_SECONDS
    while file is not None and time.monotonic() < until:
        try:
            return read_proof(json.loads(Path(file).read_text("utf-8")))
        except (OSError, ValueError):  # noqa: PERF203
            time.sleep(PROOF_LOOK_SECONDS)
    return None


def spool_of(config: dict[str, Any]) -> Spool | None:
    """Return where requests are kept for comparison; None where none are."""
    spool = config.get("spool")
    return None if spool is None else Spool(Path(spool["directory"]), int(spool["every"]))


def score_example(app: ScoringApp, predictor: Predictor, example: bytes | None) -> float | None:
    """Score the model's own input example; None where it has none."""
    if example is None:
        return None
    began = time.monotonic()
    try:
        app.score(predictor, example, "application/json")
        app.warm(example)
    except Refused as refusal:
        raise Failed(
            "ExampleFailed",
            f"The model's own input example could not be scored: {refusal.message}",
            "See the container log; log the model again with an example that it can predict.",
        ) from refusal
    except MemoryError as error:
        raise Failed(
            "OutOfMemory", "The memory was not enough to score the input example.", "Give it more memory."
        ) from error
    return time.monotonic() - began


def server_limits(config: dict[str, Any]) -> ServerLimits:
    """Return what the HTTP server bounds."""
    limits = config.get("limits", {})
    return ServerLimits(
        body_bytes=int(limits.get("body_bytes", 16 << 20)),
        receiving_bytes=ServerLimits.receiving_bytes // worker_count(config),
        room_seconds=timeout_seconds(config),
        header_seconds=float(limits.get("header_seconds", 10)),
        body_seconds=float(limits.get("body_seconds", 60)),
        idle_seconds=float(limits.get("idle_seconds", 300)),
    )


async def serve(app: ScoringApp, config: dict[str, Any], listener: socket.socket, reports: Reports) -> None:
    """Serve alone until SIGTERM, then finish what is in flight within the drain time."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app.is_ready = True
    server, connections = await listen(app, server_limits(config), listener)
    reports.phase("ready", 0.0)

    def tell() -> None:
        reports.rows(app.telemetry.board)
        loop.call_later(BEAT_SECONDS, tell)

    tell()
    await stop.wait()
    app.is_ready = False
    reports.phase("draining", 0.0, text=f"{connections.busy} requests in flight")
    forget_socket(config)
    await asyncio.sleep(ACCEPT_SECONDS)
    server.close()
    await drain(connections, drain_seconds(config))
    reports.rows(app.telemetry.board)


async def work(app: ScoringApp, config: dict[str, Any], channel: socket.socket) -> None:
    """Serve the connections that the parent hands over until it ends, then finish what is in flight."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def beat() -> None:
        app.telemetry.beat = time.monotonic()
        loop.call_later(BEAT_SECONDS, beat)

    beat()
    app.is_ready = True
    connections = receive(app, server_limits(config), channel, stop.set)
    channel.send(READY)
    await stop.wait()
    app.is_ready = False
    await drain(connections, drain_seconds(config))


def serve_together(
    app: ScoringApp, config: dict[str, Any], listener: socket.socket, board: Board, reports: Reports
) -> None:
    """Serve by several workers until SIGTERM."""

    def be_worker(channel: socket.socket, slot: int) -> int:
        app.telemetry.take_slot(slot)
        app.guard = Deadline(timeout_seconds(config)).call
        loop_run(work(app, config, channel))
        return 0

    def end() -> None:
        reports.phase("draining", 0.0, text=f"{board.sum('in_flight'):g} requests in flight")
        forget_socket(config)

    parent = Parent(
        listener,
        board,
        be_worker,
        stuck_exit=STUCK_EXIT,
        stuck_seconds=timeout_seconds(config) + 2 * STUCK_GRACE_SECONDS,
        drain_seconds=drain_seconds(config),
    )
    try:
        parent.run(on_ready=lambda: reports.phase("ready", 0.0), on_beat=lambda: reports.rows(board), on_end=end)
    except Died as error:
        if error.status == STUCK_EXIT:
            reports.send(_STUCK)
        _end_alike(error.status)


def forget_socket(config: dict[str, Any]) -> None:
    """Take the socket's name away, so that nobody new connects."""
    if config.get("socket") is not None:
        Path(config["socket"]).unlink(missing_ok=True)


def drain_seconds(config: dict[str, Any]) -> float:
    """Return how long what is in flight may take when the pod ends."""
    return float(config.get("limits", {}).get("drain_seconds", 30))


def timeout_seconds(config: dict[str, Any]) -> float:
    """Return how long a prediction may take."""
    return float(config.get("limits", {}).get("timeout_seconds", 30))


async def drain(connections: Connections, seconds: float) -> None:
    """Answer what comes on kept connections and close each after it, the quiet ones after a moment."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    connections.is_draining = True
    while connections.open and loop.time() < began + seconds:
        if loop.time() >= began + QUIET_SECONDS:
            connections.close_idle()
        await asyncio.sleep(0.02)
    connections.abort()


def run(config: dict[str, Any], reports: Reports) -> None:
    """Go through the phases and serve."""
    began = time.monotonic()
    files = verify(config)
    reports.phase("verified", time.monotonic() - began)

    began = time.monotonic()
    metadata, contract = read_model(files)
    served, example = load(files, metadata, contract, config)
    predictor = served.predictor
    load_seconds = time.monotonic() - began
    log.info("serves by %s (%s)%s", served.path, served.name, f": {served.reason}" if served.reason else "")
    reports.phase("loaded", load_seconds, text=f"MLflow {predictor.mlflow_version}", path=served.path)

    limits = config.get("limits", {})
    workers = worker_count(config)
    board = Board(1 if workers == 1 else workers + 1)
    app = ScoringApp(
        identity=Identity(config["pod"], config["revision"], str(config["model"]), str(config["version"])),
        contract=served.contract,
        limits=Limits(
            timeout_seconds=timeout_seconds(config),
            concurrency=int(limits.get("concurrency", 1)),
            queue=int(limits.get("queue", Limits.queue)),
            body_bytes=int(limits.get("body_bytes", Limits.body_bytes)),
            refuse_mismatch=config.get("on_output_mismatch") == "refuse",
        ),
        example=example,
        on_stuck=lambda: _end_stuck(reports, is_worker=workers > 1),
        spool=None if served.path == "pyfunc" else spool_of(config),
        board=board,
    )
    app.telemetry.load_seconds = load_seconds
    app.telemetry.path = served.path, served.name
    app.install(predictor, served.rows)
    seconds = score_example(app, predictor, example)
    app.telemetry.example_seconds = seconds or 0.0
    text = "the model has no input example; nothing was scored" if seconds is None else f"{seconds * 1000:.0f} ms"
    reports.phase("example", seconds or 0.0, text=text)
    gc.collect()
    gc.freeze()
    if workers > 1 and not can_fork():
        begin_alone(reports)
    listener = bind(socket_path=config.get("socket"), port=config.get("port"))
    if config.get("socket") is None:
        log.info("listening on port %s", listener.getsockname()[1])
    if workers > 1:
        serve_together(app, config, listener, board, reports)
    else:
        app.guard = Deadline(timeout_seconds(config)).call
        loop_run(serve(app, config, listener, reports))


def begin_alone(reports: Reports) -> None:
    """Begin anew as one process that has all the threads: those that the model's libraries have cannot be forked."""
    log.info("the model's libraries have threads of their own: one process serves it, with as many as it has CPUs")
    os.environ[_ALONE] = "1"
    reports.hand_over()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def loop_run(main: Coroutine[Any, Any, None]) -> None:
    """Run an event loop."""
    (asyncio if uvloop is None else uvloop).run(main)


def run_job(config: dict[str, Any], reports: Reports) -> None:
    """Do what ends by itself; the result is a report of its own."""
    if config["job"] not in ("prove", "check"):
        raise Failed("UnknownJob", "The configuration names a job that this version does not know.", "Update Taxiway.")
    began = time.monotonic()
    files = verify(config)
    metadata, contract = read_model(files)
    reports.phase("verified", time.monotonic() - began)
    began = time.monotonic()
    try:
        if config["job"] == "check":
            reports.phase("checked", time.monotonic() - began, **run_check(files, contract, config).to_dict())
            return
        run = ProofRun(files, metadata, contract, config)
        reports.phase("proven", time.monotonic() - began, **run.prove().to_dict())
        began = time.monotonic()
        reports.phase("examined", time.monotonic() - began, **run.examine())
    except LoadFailed as error:
        raise Failed(error.reason, error.message, error.hint, retryable=error.retryable) from error


_STUCK = {
    "failed": {
        "reason": "PredictionStuck",
        "message": "A prediction went on after its deadline; the scoring server is started anew.",
        "hint": "Raise the prediction's time limit, or find out what the model waits for.",
        "retryable": True,
    }
}


def _end_stuck(reports: Reports, *, is_worker: bool) -> None:
    """End the process, for a thread that is stuck in a prediction cannot be ended."""
    log.error(_STUCK["failed"]["message"])
    if not is_worker:  # others serve on, and the parent starts another
        reports.send(_STUCK)
    asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, _end, STUCK_EXIT)


def _end_alike(status: int) -> None:
    """End as a worker did, so that the reason is told that it had: by its exit code, or by its signal."""
    if status < 0:
        sys.stderr.flush()
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    _end(status or FAILED_EXIT)


def _end(code: int) -> None:
    """End at once: a model's own threads must not hold it up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(argv: list[str] | None = None) -> None:
    """Run a pod."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Nothing may be added to a snapshot, also where its directory could be written.
    sys.dont_write_bytecode = True
    sys.setswitchinterval(SWITCH_SECONDS)
    config = read_config(argv)
    set_threads(thread_count(config))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    reports = Reports()
    try:
        (run_job if "job" in config else run)(config, reports)
    except Failed as error:
        log.error("%s", error)  # noqa: TRY400
        reports.send({"failed": error.document})
        _end(FAILED_EXIT)
    _end(0)


if __name__ == "__main__":
    main()
