"""The scoring server beside its peers: same model, same rows, one core each, in turns. ``make bench-scoring``.

Each server is started on core 0, ``wrk`` on core 1 (for "same core" on core 0 too), with kept connections, closed loop.
Predictions are compared with ``mlflow.pyfunc`` before anything is timed. Prints a Markdown table of medians over the
rounds, with the least and the greatest of them where they differ much, and keeps it in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.servers import HOME, PORT, SERVERS, Server, ask, body_of, memory_of, quiet, running

RESULTS = Path(__file__).parent / "results"
LOADS = {
    "c1": (1, 1), "same core": (1, 1), "c8": (1, 8), "c64": (1, 64), "100 rows c1": (100, 1),
    "1,000 rows c1": (1_000, 1),
    "1,000 rows c8": (1_000, 8), "10,000 rows c1": (10_000, 1),
}  # fmt: skip
"""Rows of a request, and how many clients ask."""


def train(names: list[str], seed: int) -> Path:
    """Return the directory with the zoo's models, made where they are missing."""
    home = HOME / f"zoo-{seed}"
    missing = [name for name in names if not (home / name / "MLmodel").exists()]
    if missing:
        HOME.mkdir(parents=True, exist_ok=True)
        program = [sys.executable, "-W", "ignore", "-m", "tests.zoo", "--seed", str(seed), "--out", str(home)]
        environment = quiet() | {"PYTHONPATH": str(Path(__file__).parents[1])}
        done = [*program, "--only", ",".join(missing)]
        subprocess.run(
            done, check=True, cwd=HOME, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return home


def rows_of(model: Path, count: int) -> tuple[list[str], list[list[Any]]]:
    """Return columns and so many rows, made of the model's own example."""
    table = json.loads((model / "serving_input_example.json").read_text())["dataframe_split"]
    data = [[None if value != value else value for value in row] for row in table["data"]]
    return table["columns"], [data[at % len(data)] for at in range(count)]


def expected(model: Path, columns: list[str], rows: list[list[Any]]) -> Any:
    """Return what ``mlflow models serve`` would answer."""
    import yaml

    from taxiway_scoring.answers import plain
    from taxiway_scoring.contract import compile_signature
    from taxiway_scoring.payload import Request
    from taxiway_scoring.predictor import load_predictor

    metadata = yaml.safe_load((model / "MLmodel").read_text())
    predictor = load_predictor(model, compile_signature(metadata["signature"]))
    request = Request("dataframe_split", {"columns": columns, "data": rows}, rows=len(rows))
    return plain(predictor.predict(request))


def address(server: Server) -> str:
    """Return where a server that runs takes requests."""
    return f"http://127.0.0.1:{PORT}{server.path}"


def load(path: str, body: Path, clients: int, seconds: int, core: int, token: str = "") -> dict[str, float]:
    """Run wrk on an address and return what it says, as ``read_wrk`` reads it."""
    command = [
        "taskset", "-c", str(core), "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "--latency",
        "-s", str(Path(__file__).parent / "post.lua"), path,
    ]  # fmt: skip
    environment = {"BODY": str(body), "TOKEN": token, "PATH": os.environ["PATH"]}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return read_wrk(text)


def read_wrk(text: str) -> dict[str, float]:
    """Return what wrk says: requests a second, those answered with 2xx, latencies in ms, and how many failed.

    wrk counts answers of any status as requests; socket errors are not among them.
    """

    def milliseconds(percent: str) -> float:
        found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", text)
        return (
            float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}[found[2]] if found else float("nan")
        )

    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    answered = re.search(r"(\d+) requests in", text)
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    of_all = float(rate[1]) if rate else 0.0
    good = of_all * (1 - refused / int(answered[1])) if answered and int(answered[1]) else 0.0
    return {
        "rate": of_all, "good": good, "p50": milliseconds("50"), "p99": milliseconds("99"), "refused": refused,
        "failed": refused + (sum(map(int, errors.groups())) if errors else 0),
    }  # fmt: skip


def measure(name: str, model: Path, loads: list[str], seconds: int) -> dict[str, Any]:
    """Start one server, check what it says, and load it."""
    server = SERVERS[name]
    found: dict[str, Any] = {}
    with running(server, model) as (ready, group):
        found["ready s"] = ready
        columns, rows = rows_of(model, 20)
        if server.serves != "nothing":
            found["equal"] = ask(server, body_of(server, columns, rows)) == expected(model, columns, rows)
        for title in loads:
            count, clients = LOADS[title]
            body = HOME / "body.json"
            body.write_bytes(body_of(server, *rows_of(model, count)))
            core = 0 if title == "same core" else 1
            load(address(server), body, clients, 1, core)
            found[title] = load(address(server), body, clients, seconds, core)
        found["MB"] = memory_of(group)
    return found


def native(model: Path) -> dict[str, float]:
    """Return the milliseconds that the model's own ``booster.predict`` takes for 1,000 rows, on one core."""
    program = Path(__file__).parent / "native.py"
    command = ["taskset", "-c", "0", sys.executable, "-W", "ignore", str(program), str(model)]
    return json.loads(subprocess.run(command, env=quiet(), capture_output=True, text=True, check=True).stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="a,b")
    parser.add_argument("--only", default="", help="servers by name, separated by ;")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    names = given.only.split(";") if given.only else list(SERVERS)
    models = given.models.split(",")
    home = train(models, given.seed)
    found: dict[str, dict[str, list[Any]]] = {model: defaultdict(list) for model in models}
    natives: dict[str, list[float]] = defaultdict(list)
    for number in range(given.rounds):
        for model in models:
            natives[model].append(native(home / model)["1,000 rows"])
            for name in names:
                try:
                    seen = measure(name, home / model, list(LOADS), given.seconds)
                except Exception as error:
                    print(f"round {number + 1}, {model}, {name}: {error}", file=sys.stderr, flush=True)
                    continue
                found[model][name].append(seen)
                print(
                    f"round {number + 1}, {model}, {name}: c64 {seen['c64']['rate']:.0f}/s", file=sys.stderr, flush=True
                )
    text = "\n\n".join(table(model, found[model], natives[model]) for model in models)
    text = f"Seed {given.seed}, {given.rounds} rounds of {given.seconds} s.\n\n{text}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scoring.md").write_text(text)
    (RESULTS / "scoring.json").write_text(json.dumps(found, indent=1))


def table(model: str, found: dict[str, list[Any]], natives: list[float]) -> str:
    """Return the Markdown of one model: a server a line."""
    titles: list[tuple[str, Callable[[Any], float], int]] = [
        ("ready s", lambda r: r["ready s"], 1), ("MB", lambda r: r["MB"], 0),
        ("c1 p50 ms", lambda r: r["c1"]["p50"], 2),
        ("c1 p99", lambda r: r["c1"]["p99"], 2), ("same core p50", lambda r: r["same core"]["p50"], 3),
        ("c8 /s", lambda r: r["c8"]["rate"], 0), ("c64 /s", lambda r: r["c64"]["rate"], 0),
        ("c64 p99", lambda r: r["c64"]["p99"], 0), ("100 rows ms", lambda r: r["100 rows c1"]["p50"], 1),
        ("1,000 rows ms", lambda r: r["1,000 rows c1"]["p50"], 1),
        ("1,000 rows c8 /s", lambda r: r["1,000 rows c8"]["rate"], 1),
        ("10,000 rows ms", lambda r: r["10,000 rows c1"]["p50"], 0),
    ]  # fmt: skip
    lines = [
        f"### Model {model} (native `predict` of 1,000 rows: {statistics.median(natives):.1f} ms)",
        "",
        "| server | equal | failed | " + " | ".join(title for title, _, _ in titles) + " |",
        "|---|---|---|" + "---|" * len(titles),
    ]
    for name, rounds in found.items():
        cells = [f"{spread([get(r) for r in rounds], digits)}" for _, get, digits in titles]
        equal = "-" if "equal" not in rounds[0] else "yes" if all(r["equal"] for r in rounds) else "NO"
        failed = sum(r[title]["failed"] for r in rounds for title in LOADS)
        lines.append(f"| {name} | {equal} | {failed:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: list[float], digits: int) -> str:
    """Return the median, with the least and the greatest where they are further off than a tenth."""
    middle = statistics.median(values)
    said = f"{middle:,.{digits}f}"
    if max(values) > 1.1 * middle or min(values) < 0.9 * middle:
        said += f" ({min(values):,.{digits}f}-{max(values):,.{digits}f})"
    return said


if __name__ == "__main__":
    main()
