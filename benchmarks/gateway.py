"""The way through the gateway, with an access token, beside a pod alone. ``make bench-gateway``.

A platform of its own runs on core 0 as a user has it (Envoy, control plane, MLflow, a pod); model a is logged,
converted and called by ``wrk`` on core 1, and for *same core* on core 0. The pod alone is the same model as
``bench-scoring`` has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.platforms import a_platform

from benchmarks.scoring import LOADS, RESULTS, address, load, rows_of, train
from benchmarks.servers import HOME, MODEL_PACKAGES, SERVERS, body_of, running

TITLES = ["c1", "same core", "c8", "c64", "1,000 rows c1"]
LOG = """
import sys, json, mlflow, mlflow.sklearn, pandas as pd
place, pins = sys.argv[1], json.loads(sys.argv[2])
model = mlflow.sklearn.load_model(place)
signature = mlflow.models.get_model_info(place).signature
example = pd.DataFrame(**json.load(open(f"{place}/serving_input_example.json"))["dataframe_split"])
mlflow.set_experiment("bench")
with mlflow.start_run() as run:
    mlflow.sklearn.log_model(
        model, name="model", signature=signature, input_example=example.head(5), pip_requirements=pins,
        serialization_format="cloudpickle",
    )
print(run.info.run_id)
"""


def through(server: Any, model: Path, seconds: int, **where: Any) -> dict[str, Any]:
    """Load one endpoint."""
    found = {}
    for title in TITLES:
        count, clients = LOADS[title]
        body = HOME / "body.json"
        body.write_bytes(body_of(server, *rows_of(model, count)))
        core = 0 if title == "same core" else 1
        load(body=body, clients=clients, seconds=1, core=core, **where)
        found[title] = load(body=body, clients=clients, seconds=seconds, core=core, **where)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    model = train(["a"], given.seed) / "a"
    server = SERVERS["taxiway"]
    rounds: dict[str, list[Any]] = {"pod alone": [], "through the gateway": []}
    os.sched_setaffinity(0, {0})
    with a_platform() as platform:
        pins = [f"{name}=={version(name)}" for name in MODEL_PACKAGES]
        run = platform.python(LOG, str(model), json.dumps(pins)).splitlines()[-1]
        made = platform.convert(run, "a")
        if made.status != "ON":
            raise SystemExit(f"{made.status}: {made.message}")
        with platform.client() as client:
            token = client.issue_token("a", made.version, caller="bench").token
        for _ in range(given.rounds):
            where = {"path": f"{made.url}/invocations", "token": token}
            rounds["through the gateway"].append(through(server, model, given.seconds, **where))
            with running(server, model):
                where = {"path": address(server)}
                rounds["pod alone"].append(through(server, model, given.seconds, **where))
    text = table(rounds, given)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gateway.md").write_text(f"{text}\n")
    (RESULTS / "gateway.json").write_text(json.dumps(rounds, indent=1))


def table(rounds: dict[str, list[Any]], given: argparse.Namespace) -> str:
    """Return the Markdown: a way a line."""

    def middle(way: str, title: str, figure: str) -> float:
        return statistics.median(found[title][figure] for found in rounds[way])

    lines = [
        (
            f"Model a, {given.rounds} rounds of {given.seconds} s, seed {given.seed}. "
            "The platform, with all that a user has, on one core."
        ),
        "",
        "| way | failed | c1 p50 ms | c1 p99 | same core p50 | c8 /s | c64 /s | c64 p99 | 1,000 rows ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for way, several in rounds.items():
        failed = sum(found[title]["failed"] for found in several for title in TITLES)
        lines.append(
            f"| {way} | {failed:.0f} | {middle(way, 'c1', 'p50'):.2f} | {middle(way, 'c1', 'p99'):.2f} "
            f"| {middle(way, 'same core', 'p50'):.3f} | {middle(way, 'c8', 'rate'):,.0f} "
            f"| {middle(way, 'c64', 'rate'):,.0f} | {middle(way, 'c64', 'p99'):,.0f} "
            f"| {middle(way, '1,000 rows c1', 'p50'):.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
