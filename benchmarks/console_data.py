"""Much for the console to show: runs and curves put into MLflow's own tables at once, and a pod's long log.

Through its API 10,000 runs of 100 columns would take an hour. Rows have what MLflow itself writes.
"""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from taxiway.stub.logs import LogWriter

START_MS = 1_760_000_000_000
DEAD_POD = "pod_00000000000000000000000000"


def fill_runs(database: Path, experiment: str, *, runs: int, columns: int, seed: int) -> None:
    """Add runs with ``columns`` parameters and metrics, half of each."""
    rng = random.Random(seed)
    metrics = [f"metric_{number:02}" for number in range(columns // 2)]
    params = [f"param_{number:02}" for number in range(columns - len(metrics))]
    ids = [f"{number:032x}" for number in range(1, runs + 1)]
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage,"
            " artifact_uri, experiment_id) VALUES (?, ?, 'LOCAL', 'ada', 'FINISHED', ?, ?, 'active', ?, ?)",
            (
                (run, f"run-{at:05}", START_MS + at * 1000, START_MS + at * 1000 + 900, f"mlflow-artifacts:/{run}",
                 int(experiment))
                for at, run in enumerate(ids)
            ),
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)",
            ((f"run-{at:05}", run) for at, run in enumerate(ids)),
        )
        connection.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            ((name, str(rng.randrange(1000)), run) for run in ids for name in params),
        )
        logged = [(name, rng.random(), run) for run in ids for name in metrics]
        for table in ("metrics", "latest_metrics"):
            connection.executemany(
                f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid)"  # noqa: S608
                " VALUES (?, ?, ?, 0, 0, ?)",
                ((name, value, START_MS, run) for name, value, run in logged),
            )


def fill_curve(database: Path, run: str, name: str, *, points: int, seed: int) -> None:
    """Log one metric of a run at so many steps: a loss that falls, with noise."""
    rng = random.Random(seed)
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, 0, ?)",
            (
                (name, 2.0 / (1 + 20 * step / points) + 0.1 * rng.random(), START_MS + step, step, run)
                for step in range(points)
            ),
        )
        connection.execute(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, 0.1, ?, ?, 0, ?)",
            (name, START_MS + points, points - 1, run),
        )


def fill_log(dead_pods: Path, revision: str, *, lines: int) -> str:
    """Leave the log of a pod of the revision that is no more; returns the pod's id."""
    kept = dead_pods / DEAD_POD
    (kept / "log").mkdir(parents=True)
    log = LogWriter(str(kept / "log"), file_bytes=64 << 20, files=2)
    for number in range(lines):
        log.write("o", f"scored request {number:06} of batch {number // 100:04} in {number % 37} ms")
    log.close()
    (kept / "pod.json").write_text(json.dumps({"pod": DEAD_POD, "revision": revision}))
    return DEAD_POD
