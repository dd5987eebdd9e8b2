"""Many rows in one request, as JSON, Arrow and Parquet; and the memory that a large answer takes. ``make bench-bulk``.

A pod that serves model a by its plan is asked for 1,000, 10,000 and 100,000 rows on a kept connection, one request at a
time, in turns. Its answers are compared with each other first. The native ``predict`` of so many rows, which no server
can be without, is measured beside it.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scoring import RESULTS, rows_of, train
from benchmarks.servers import PORT, SERVERS, body_of, quiet, running

JSON, ARROW, PARQUET = "application/json", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
COUNTS = (1_000, 10_000, 100_000)
WAYS = {
    "JSON → JSON": (JSON, JSON), "Arrow → JSON": (ARROW, JSON), "Arrow → Arrow": (ARROW, ARROW),
    "Parquet → JSON": (PARQUET, JSON), "Parquet → Parquet": (PARQUET, PARQUET),
}  # fmt: skip
ANSWER_ROWS = 1_000_000


def bodies_of(model: Path, count: int) -> dict[str, bytes]:
    """Return the same rows by content type. Each has other numbers, for equal ones pack too well."""
    names, rows = rows_of(model, count)
    rows = [
        [cell + at * 1e-9 if isinstance(cell, float) else cell for cell in row] for at, row in enumerate(rows)
    ]  # fmt: skip
    table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)})
    stream, file = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pyarrow.parquet.write_table(table, file)
    return {JSON: body_of(SERVERS["taxiway"], names, rows), ARROW: stream.getvalue(), PARQUET: file.getvalue()}


def ask(connection: http.client.HTTPConnection, body: bytes, sent: str, wanted: str) -> tuple[float, bytes]:
    """Return the milliseconds until the whole answer was there, and the answer."""
    began = time.perf_counter()
    connection.request("POST", "/invocations", body, {"Content-Type": sent, "Accept": wanted})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(text[:500].decode("utf-8", "replace"))
    return (time.perf_counter() - began) * 1000, text


def read(answer: bytes, kind: str) -> list[Any]:
    """Return an answer's predictions."""
    if kind == JSON:
        return json.loads(answer)["predictions"]  # type: ignore[no-any-return]
    source = pa.BufferReader(answer)
    table = pyarrow.parquet.read_table(source) if kind == PARQUET else pa.ipc.open_stream(source).read_all()
    columns = [column.to_pylist() for column in table.columns]
    return columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]


def measure(model: Path, count: int, times: int) -> dict[str, dict[str, float]]:
    """Return milliseconds (median, least, greatest) and bytes of each way."""
    bodies = bodies_of(model, count)
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    expected = read(ask(connection, bodies[JSON], JSON, JSON)[1], JSON)
    seen: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(times + 1):
        for name, (sent, wanted) in WAYS.items():
            spent, answer = ask(connection, bodies[sent], sent, wanted)
            if not number and read(answer, wanted) != expected:
                raise RuntimeError(f"{name} gives something else")
            if number:
                seen[name].append(spent)
    connection.close()
    return {
        name: {
            "ms": statistics.median(spent), "least": min(spent), "greatest": max(spent),
            "bytes": len(bodies[WAYS[name][0]]),
        }
        for name, spent in seen.items()
    }  # fmt: skip


def native(model: Path) -> float:
    """Return the milliseconds of the booster's own ``predict`` for 1,000 rows."""
    program = Path(__file__).parent / "native.py"
    command = ["taskset", "-c", "0", sys.executable, "-W", "ignore", str(program), str(model)]
    found = subprocess.run(command, env=quiet(), capture_output=True, text=True, check=True).stdout
    return float(json.loads(found)["1,000 rows"])


def large_answer(kind: str, wanted: str) -> dict[str, float]:
    """Answer a million rows to a client of another process; return the peak of memory over that before, in MB."""
    program = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "large_answer.py"), kind, wanted]
    environment = quiet() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout
    return json.loads(found)  # type: ignore[no-any-return]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    model = train(["a"], given.seed) / "a"
    alone = native(model)
    os.sched_setaffinity(0, {1})
    with running(SERVERS["taxiway"], model):
        found = {count: measure(model, count, given.times) for count in COUNTS}
    os.sched_setaffinity(0, {0, 1})
    answers = {
        (kind, wanted): large_answer(kind, wanted)
        for kind, wanted in (("array", JSON), ("list", JSON), ("frame", JSON), ("array", ARROW), ("array", PARQUET))
    }
    text = report(found, answers, alone, given.times, given.seed)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bulk.md").write_text(text)
    (RESULTS / "bulk.json").write_text(json.dumps({str(count): ways for count, ways in found.items()}, indent=1))


def report(
    found: dict[int, dict[str, dict[str, float]]],
    answers: dict[tuple[str, str], dict[str, float]],
    alone: float,
    times: int,
    seed: int,
) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"Model a, seed {seed}, medians of {times} requests in ms; in brackets how many times as fast as JSON.",
        f"The model's own `predict` takes {alone:.1f} ms for 1,000 rows, which is part of every figure.",
        "",
        "| way | " + " | ".join(f"{count:,} rows" for count in found) + " | bytes a row |",
        "|---|" + "---|" * (len(found) + 1),
    ]
    for way in WAYS:
        cells = []
        for ways in found.values():
            cells.append(f"{ways[way]['ms']:.1f} ({ways['JSON → JSON']['ms'] / ways[way]['ms']:.2f})")
        largest = max(found)
        lines.append(f"| {way} | {' | '.join(cells)} | {found[largest][way]['bytes'] / largest:.0f} |")
    lines += [
        "",
        f"An answer of {ANSWER_ROWS:,} random float64 over a Unix socket; memory at its peak, above that before.",
        "",
        "| what the model returned | answer | MB sent | peak MB | first byte ms | all ms |",
        "|---|---|---|---|---|---|",
    ]
    for (kind, wanted), one in answers.items():
        name = {JSON: "JSON", ARROW: "Arrow", PARQUET: "Parquet"}[wanted]
        figures = " | ".join(f"{one[key]:.0f}" for key in ("sent", "peak", "first", "all"))
        lines.append(f"| {kind} | {name} | {figures} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
