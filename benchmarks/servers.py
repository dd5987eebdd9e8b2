"""How each server is set up, started, asked and looked at. Everything of it lies below ``.make/bench``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".make" / "bench"
PEERS = Path(__file__).parent / "peers"
PORT = 8399
MARK = "TAXIWAY_BENCH"
UV = ROOT / ".make" / "uv" / "bin" / "uv"
MODEL_PACKAGES = ("mlflow", "scikit-learn", "lightgbm", "pandas", "numpy", "scipy", "cloudpickle")


@dataclass(frozen=True)
class Server:
    """A way to serve a model. ``form`` is how it takes rows; ``packages`` None: our own environment."""

    name: str
    command: tuple[str, ...]
    packages: tuple[str, ...] | None = None
    path: str = "/invocations"
    ready: str = "/health"
    form: str = "dataframe_split"
    environment: dict[str, str] = field(default_factory=dict)
    serves: str = "a model"


SERVERS = {
    server.name: server
    for server in (
        Server("mlflow", ("{bin}/mlflow", "models", "serve", "-m", "{model}", "-p", "{port}", "--env-manager", "local",
                          "-w", "1"), ready="/ping"),
        Server("mlserver", ("{bin}/mlserver", "start", "{settings}"), ("mlserver==1.7.1", "mlserver-mlflow==1.7.1"),
               ready="/v2/health/ready"),
        Server("bentoml", ("{bin}/bentoml", "serve", "bento_service:Scores", "--port", "{port}"), ("bentoml==1.4.39",),
               ready="/readyz"),
        Server("bentoml, batching", ("{bin}/bentoml", "serve", "bento_service:Scores", "--port", "{port}"),
               ("bentoml==1.4.39",), path="/batched", ready="/readyz", form="rows"),
        Server("litserve", ("{bin}/python", "{peers}/lit_server.py"), ("litserve==0.2.19",)),
        Server("kserve", ("{bin}/python", "{peers}/kserve_server.py"), ("kserve==0.21.0",),
               path="/v1/models/m:predict", ready="/v2/health/ready", form="instances"),
        Server("ray serve", ("{bin}/python", "{peers}/ray_server.py"), ("ray[serve]==2.60.0",), ready="/health"),
        Server("floor: constant answer, uvicorn", ("{bin}/uvicorn", "floor:app", "--port", "{port}", "--loop", "uvloop",
               "--http", "httptools", "--no-access-log", "--log-level", "warning"),
               ("uvicorn", "uvloop", "httptools"), serves="nothing"),
        Server("taxiway, pyfunc", ("{python}", "-I", "{scoring}", "--config", "{pod}"), ready="/ready"),
        Server("taxiway, joined pyfunc", ("{python}", "-I", "{scoring}", "--config", "{pod}"), ready="/ready"),
        Server("taxiway, frame", ("{python}", "-I", "{scoring}", "--config", "{pod}"), ready="/ready"),
        Server("taxiway", ("{python}", "-I", "{scoring}", "--config", "{pod}"), ready="/ready"),
    )
}  # fmt: skip


def set_up(server: Server) -> Path:
    """Return the ``bin`` of the server's environment, made where it is missing."""
    if server.packages is None:
        return Path(sys.executable).parent
    home = HOME / "environments" / server.name.partition(",")[0].partition(":")[0].replace(" ", "-")
    done = home / "done"
    if not done.exists():
        pins = [f"{name}=={importlib.metadata.version(name)}" for name in MODEL_PACKAGES if server.serves != "nothing"]
        subprocess.run([str(UV), "venv", "-q", "--clear", "--python", sys.executable, str(home)], check=True)
        install = [str(UV), "pip", "install", "-q", "--compile-bytecode", "--python", str(home / "bin" / "python")]
        try:
            subprocess.run([*install, *server.packages, *pins], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError:
            # A peer that has its own opinion of pandas or MLflow gets it.
            rest = [pin for pin in pins if not pin.startswith(("mlflow", "pandas", "numpy"))]
            subprocess.run([*install, *server.packages, "mlflow", *rest], check=True)
        done.touch()
    return home / "bin"


def prepare_ours(model: Path, kind: str) -> tuple[Path, Path]:
    """Return the laid-out scoring code and a pod's configuration for one path: plan, frame, pyfunc or joined pyfunc.

    The last is what an owner gets who says that rows are independent.
    """
    from taxiway.app.scoring_code import lay_out_scoring
    from taxiway_scoring import manifest

    scoring = lay_out_scoring(HOME / "scoring")
    snapshot = HOME / "snapshots" / model.parent.name / model.name
    if not snapshot.exists():
        snapshot.mkdir(parents=True)
        shutil.copytree(model, snapshot / "files")
        (snapshot / "manifest.json").write_bytes(manifest.dump(manifest.build(snapshot / "files")))
    digest = manifest.digest((snapshot / "manifest.json").read_bytes())
    proof = snapshot.with_name(f"{model.name}.proof.json")
    if not proof.exists():
        job = snapshot.with_name(f"{model.name}.job.json")
        job.write_text(json.dumps({"job": "prove", "snapshot": str(snapshot), "manifest_digest": digest, "threads": 1}))
        told, tell = os.pipe()
        os.set_inheritable(tell, True)
        subprocess.run(
            [sys.executable, "-I", str(scoring), "--config", str(job)], check=True, pass_fds=(tell,),
            env=quiet() | {"TAXIWAY_REPORT_FD": str(tell)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(tell)
        with os.fdopen(told) as lines:
            reports = [json.loads(line) for line in lines]
        proof.write_text(json.dumps(next(r["detail"] for r in reports if r.get("phase") == "proven")))
    found = json.loads(proof.read_text())
    if kind != "plan":
        path = kind.removeprefix("joined ")
        changed = {"path": path, "needs_mlflow": path == "pyfunc", "rows_are_independent": kind != "pyfunc"}
        found |= changed
    kept = snapshot.with_name(f"{model.name}.{kind}.json")
    kept.write_text(json.dumps(found))
    pod = snapshot.with_name(f"{model.name}.pod.{kind}.json")
    pod.write_text(
        json.dumps(
            {
                "pod": "pod", "revision": "revision", "project": "bench", "model": model.name, "version": "1",
                "snapshot": str(snapshot), "manifest_digest": digest, "port": PORT, "threads": 1,
                "limits": {"body_bytes": 64 << 20, "timeout_seconds": 60}, "proof_file": str(kept),
                "rows_are_independent": True if kind.startswith("joined") else None,
            }
        )
    )  # fmt: skip
    return scoring, pod


def proof_of(model: Path) -> dict[str, Any]:
    """Return what was proven of a model."""
    prepare_ours(model, "plan")
    return json.loads((HOME / "snapshots" / model.parent.name / f"{model.name}.proof.json").read_text())  # type: ignore[no-any-return]


def quiet() -> dict[str, str]:
    """Return an environment for one core and few words."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(HOME), "LANG": "C.UTF-8", "DO_NOT_TRACK": "1",
        "BENTOML_DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip


@contextlib.contextmanager
def running(server: Server, model: Path, *, core: int = 0) -> Iterator[tuple[float, int]]:
    """Start a server on one core; yield the seconds until it answered a prediction, and its process group."""
    places = {
        "bin": str(set_up(server)),
        "python": sys.executable,
        "model": str(model),
        "port": str(PORT),
        "peers": str(PEERS),
    }
    if server.packages is None:
        kind = server.name.partition(", ")[2] or "plan"
        scoring, pod = prepare_ours(model, kind)
        places |= {"scoring": str(scoring), "pod": str(pod)}
    if server.name == "mlserver":
        settings = HOME / "mlserver" / model.name
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "settings.json").write_text(
            json.dumps({"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2, "parallel_workers": 0})
        )
        one = {"name": "m", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(model)}}
        (settings / "model-settings.json").write_text(json.dumps(one))
        places["settings"] = str(settings)
    command = ["taskset", "-c", str(core), *(part.format(**places) for part in server.command)]
    mark = uuid.uuid4().hex
    environment = quiet() | {
        "MODEL": str(model),
        "PORT": str(PORT),
        "PATH": f"{places['bin']}:{os.environ['PATH']}",
        MARK: mark,
    }
    log = (HOME / f"{server.name.partition(':')[0].replace(' ', '-')}.log").open("wb")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            # Ours would fail to listen, and the other one be measured in its stead.
            raise RuntimeError(f"something listens on port {PORT} already")
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=PEERS, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while True:
            if process.poll() is not None or time.monotonic() - began > 120:
                raise RuntimeError(f"{server.name} does not start; see {log.name}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{server.ready}", timeout=5) as answer:
                    if answer.status == 200:
                        break
            except OSError:
                time.sleep(0.02)
        yield time.monotonic() - began, process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Some (Ray) start processes in sessions of their own; these carry the mark of this start, and no others do.
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        log.close()
        time.sleep(0.5)


def marked(mark: str) -> list[int]:
    """Return the processes that have a mark in the environment they were started with."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def memory_of(group: int) -> float:
    """Return the proportional set size of a process group and its descendants, in MB."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            fields = status.read_text().rpartition(")")[2].split()
            parents[int(status.parent.name)] = (int(fields[1]), int(fields[2]))
    found = {pid for pid, (_, its_group) in parents.items() if its_group == group}
    while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    total = 0
    for pid in found:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def body_of(server: Server, columns: list[str], rows: list[list[Any]]) -> bytes:
    """Return a request in the form that the server takes."""
    if server.form == "dataframe_split":
        return json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()
    return json.dumps({server.form: [dict(zip(columns, row, strict=True)) for row in rows]}).encode()


def ask(server: Server, body: bytes) -> Any:
    """Return a server's predictions."""
    url = f"http://127.0.0.1:{PORT}{server.path}"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        document = json.loads(answer.read())
    return document["predictions"] if isinstance(document, dict) else document
