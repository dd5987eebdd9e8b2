"""Real pods for tests: ``python -I <directory> --config …``, what they report, and models for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taxiway_scoring import manifest
from tests.integration.scoring.calls import Connection

SLOW = """
import os, sys, time
import mlflow
class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load}
    def predict(self, context, model_input, params=None):
        for value in model_input["x"]:
            time.sleep(max(0.0, value))
            if value < 0:
                raise ValueError(f"a secret {{value}}")
        return [float(value) for value in model_input["x"]]
mlflow.models.set_model(Model())
"""
MLMODEL = """
flavors:
  python_function:
    loader_module: mlflow.pyfunc.model
    model_code_path: model_code.py
    python_model: null
    python_version: 3.11.0
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "double", "required": true}]'
  params: null
"""


@dataclass
class Pod:
    """A running pod and what it reported."""

    process: subprocess.Popen[bytes]
    socket: Path
    reports: list[dict[str, Any]] = field(default_factory=list)
    log: Path = field(default_factory=Path)

    def phases(self) -> list[object]:
        """Return the phases that were reported."""
        return [report["phase"] for report in self.reports if "phase" in report]

    def wait_for_phase(self, name: str, *, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not any(report.get("phase") == name for report in self.reports):
            assert time.monotonic() < end, (self.reports, self.log.read_text())
            assert self.process.poll() is None, (self.reports, self.log.read_text())
            time.sleep(0.01)

    def ended(self, *, seconds: float = 60.0) -> int:
        return self.process.wait(seconds)

    @property
    def failure(self) -> dict[str, Any]:
        return next((report["failed"] for report in self.reports if "failed" in report), {})

    def connect(self, *, timeout: float = 30.0) -> Connection:
        return Connection(self.socket, timeout=timeout)


def a_snapshot(home: Path, files: dict[str, str]) -> Path:
    (home / "files").mkdir(parents=True)
    for name, text in files.items():
        (home / "files" / name).write_text(text)
    (home / "manifest.json").write_bytes(manifest.dump(manifest.build(home / "files")))
    return home


def a_model(load: str = "pass", **more: str) -> dict[str, str]:
    return {"MLmodel": MLMODEL, "model_code.py": SLOW.format(load=load), **more}


@contextmanager
def a_pod(home: Path, program: Path, snapshot: Path, *, workers: int = 1, **limits: object) -> Iterator[Pod]:
    digest = manifest.digest((snapshot / "manifest.json").read_bytes())
    config = {
        "pod": "pod-1", "revision": "revision-1", "project": "p", "model": "m", "version": 3,
        "snapshot": str(snapshot), "manifest_digest": digest, "socket": str(home / "s"),
        "threads": workers, "workers": workers,
        "limits": {"drain_seconds": 10, **limits},
    }  # fmt: skip
    (home / "config.json").write_text(json.dumps(config))
    reading, writing = os.pipe()
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-I", "-W", "ignore", str(program), "--config", str(home / "config.json")],
        env={"PATH": "/usr/bin", "HOME": str(home), "TAXIWAY_REPORT_FD": str(writing)},
        cwd=home, pass_fds=[writing], stdout=log, stderr=log,
    )  # fmt: skip
    os.close(writing)
    log.close()
    pod = Pod(process, home / "s", log=home / "log")

    def read() -> None:
        with os.fdopen(reading) as lines:
            for line in lines:
                pod.reports.append(json.loads(line))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield pod
    finally:
        process.kill()
        process.wait()
        reader.join()
