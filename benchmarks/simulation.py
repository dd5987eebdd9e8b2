"""A policy simulated, and then felt: three shapes of load, two models. ``make bench-simulation``.

First each model is measured in staging, as ``taxiway model size`` does it: how long one request takes when there is no
other, and what a new pod takes to start. Then each shape is run for real, with the policy that a user would have, and
simulated with the same policy, the same arrivals' law and those measurements. Nothing is fitted to what came out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.platforms import Platform, a_platform

from benchmarks.gateway import LOG
from benchmarks.scoring import RESULTS, rows_of, train
from benchmarks.servers import MODEL_PACKAGES, SERVERS, body_of
from taxiway.api.policies import policy_in
from taxiway.client import Client
from taxiway.client.loading import Answer, Endpoint, load
from taxiway.domain.autoscaling import AutoscalingPolicy
from taxiway.domain.resources import Scale
from taxiway.domain.simulation import Pod, Shape, arrivals, flips, rate_of, simulate
from taxiway.wire.production import PolicyIn, ProductionConfigurationIn, PromotionIn

CPUS = 0.3
MOST = 4
TRIES = 200
SEEDS = range(5)
SETTLES_SECONDS = 12


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was learnt of a model before, seconds: of predictions, of a start, and of the way there and back."""

    services: list[float]
    overhead_seconds: float
    start_seconds: float


@dataclass(frozen=True, kw_only=True)
class Felt:
    """What came of a real run."""

    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    pod_hours: float
    most_pods: int
    flips: int
    late_ms: float


def alone(endpoint: Endpoint, status: int = 200) -> list[float]:
    """Send requests one after the other, with pauses; return what each took, without the first ones."""
    took = []
    for _ in range(TRIES):
        [answer] = asyncio.run(load(endpoint, [0.0]))
        assert answer.status == status, answer
        took.append(answer.took)
        time.sleep(0.03)
    return took[TRIES // 10 :]


def starting(client: Client, name: str) -> float:
    """Let a second pod come and go; return the seconds from the wish to its being ready, at the median."""
    took = []
    for _ in range(3):
        client.configure_production(name, ProductionConfigurationIn(min_pods=2))
        began = time.monotonic()
        wait_for_pods(client, name, 2)
        took.append(time.monotonic() - began)
        client.configure_production(name, ProductionConfigurationIn(min_pods=1))
        wait_for_pods(client, name, 1)
    return statistics.median(took)


def wait_for_pods(client: Client, name: str, pods: int) -> None:
    """Wait until so many are ready."""
    until = time.monotonic() + 60
    while client.production_deployment(name).pods_ready != pods:
        if time.monotonic() > until:
            raise SystemExit(f"{name} did not get {pods} pods")
        time.sleep(0.05)


def felt(client: Client, name: str, endpoint: Endpoint, shape: Shape, peak: float, seconds: float, seed: int) -> Felt:
    """Run a shape for real. Pods are those that were wanted, as the simulation counts them, by the markers' times."""
    began = datetime.now().astimezone()
    answers: list[Answer] = asyncio.run(
        load(endpoint, arrivals(rate_of(shape, peak, seconds), seconds, random.Random(seed)))
    )
    ended = began + timedelta(seconds=seconds)
    markers = client.production_measurements(name, minutes=int(seconds // 60) + 2).markers
    changes = [
        (marker.at, int(marker.message.split(" -> ")[1].split(":")[0]))
        for marker in markers
        if marker.reason in ("ScaledUp", "ScaledDown") and began <= marker.at <= ended
    ]
    counts = [1, *(pods for _, pods in changes)]
    times = [began, *(at for at, _ in changes), ended]
    pod_seconds = sum(
        pods * (until - since).total_seconds() for pods, (since, until) in zip(counts, pairwise(times), strict=True)
    )
    took = sorted(answer.took * 1000 for answer in answers if answer.is_good)
    late = sorted(answer.late * 1000 for answer in answers)
    return Felt(
        requests=len(answers), errors=sum(not answer.is_good for answer in answers), p50_ms=took[len(took) // 2],
        p99_ms=took[int(0.99 * len(took))], pod_hours=pod_seconds / 3600, most_pods=max(counts), flips=flips(counts),
        late_ms=late[int(0.99 * len(late))],
    )  # fmt: skip


def told(policy: AutoscalingPolicy, known: Measured, shape: Shape, peak: float, seconds: float, cores: float) -> Any:
    """Simulate it with some seeds, and return the medians."""
    pod = Pod(cpus=CPUS, start_seconds=known.start_seconds, overhead_seconds=known.overhead_seconds)
    found = [
        simulate(
            policy, Scale(minimum=1, maximum=MOST), rate_of(shape, peak, seconds), duration=seconds,
            service_seconds=known.services, pod=pod, cores=cores, seed=seed,
        )
        for seed in SEEDS
    ]  # fmt: skip
    return {
        name: statistics.median(getattr(each, name) for each in found)
        for name in ("requests", "errors", "p50_ms", "p99_ms", "pod_hours", "most_pods", "flips_per_hour")
    }


def ready(platform: Platform, letter: str, model: Path) -> int:
    """Log and convert a model that MLflow's own code answers for."""
    pins = [f"{name}=={version(name)}" for name in MODEL_PACKAGES]
    run = platform.python(LOG if letter == "a" else LOG_B, str(model), json.dumps(pins)).splitlines()[-1]
    made = platform.convert(run, letter, serving="pyfunc", cpus=str(CPUS))
    if made.status != "ON":
        raise SystemExit(f"{made.status}: {made.message}")
    return made.version


LOG_B = (
    LOG.replace("mlflow.sklearn.load_model", "mlflow.lightgbm.load_model")
    .replace(
        """    mlflow.sklearn.log_model(
        model, name="model", signature=signature, input_example=example.head(5), pip_requirements=pins,
        serialization_format="cloudpickle",
    )""",
        """    mlflow.lightgbm.log_model(
        model, name="model", signature=signature, input_example=example.head(5), pip_requirements=pins,
    )""",
    )
    .replace("mlflow.sklearn, pandas", "mlflow.lightgbm, pandas")
)


def main() -> None:
    """Measure, run, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--models", default="a,b")
    parser.add_argument("--shapes", default="steady,spike,day")
    parser.add_argument("--cores", type=float, default=0.0, help="Cores left for pods; 0: all of this host.")
    parser.add_argument("--again", action="store_true", help="Simulate anew what was felt in earlier runs.")
    given = parser.parse_args()
    if given.again:
        again(given)
        return
    letters, seconds = given.models.split(","), given.minutes * 60
    models = train(letters, 7)
    RESULTS.mkdir(exist_ok=True)
    with a_platform() as platform, platform.client() as client:
        for letter in letters:
            number = ready(platform, letter, models / letter)
            body = body_of(SERVERS["taxiway"], *rows_of(models / letter, 1))
            of_model(client, letter, number, body, [Shape(each) for each in given.shapes.split(",")], seconds, given)
    show()


def show() -> None:
    """Print the table. A run of one model keeps what an earlier one found of the other."""
    known = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("simulation-*.json"))]
    text = table([row for rows in known for row in rows])
    print(text)
    (RESULTS / "simulation.md").write_text(f"{text}\n")


def again(given: Any) -> None:
    """Simulate by what was measured before the earlier runs; what was felt in them stays."""
    for file in RESULTS.glob("simulation-*.json"):
        rows = json.loads(file.read_text())
        for row in rows:
            known = Measured(
                services=row["services"], overhead_seconds=row["way_ms"] / 1000, start_seconds=row["start"]
            )
            cores = given.cores or float(os.cpu_count() or 1)
            row["told"] = told(policy_of(row["target"]), known, Shape(row["shape"]), row["peak"], row["seconds"], cores)
        file.write_text(json.dumps(rows))
    show()


def wish(target: float) -> PolicyIn:
    """Return the policy that a user would have."""
    return PolicyIn(metric="requests", target=target, over_seconds=10, down_window_seconds=30)


def policy_of(target: float) -> AutoscalingPolicy:
    """Return it as the autoscaler has it."""
    policy = policy_in(wish(target))
    assert isinstance(policy, AutoscalingPolicy)
    return policy


def of_model(
    client: Client, letter: str, number: int, body: bytes, shapes: list[Shape], seconds: float, given: Any
) -> None:
    """Measure a model, and run and simulate each shape."""
    seen = client.model(letter, number)
    headers = {"Content-Type": "application/json"}
    token = client.issue_token(letter, number, caller="bench").token
    staging = Endpoint(url=f"{seen.url}/invocations", body=body, headers=headers | {"Authorization": f"Bearer {token}"})
    # What a pod refuses at once takes the way alone; it is no work of the model's.
    overhead = statistics.median(alone(replace(staging, body=b"{}"), 400))
    services = [max(took - overhead, 1e-4) for took in alone(staging)]
    client.switch_off(letter, number)
    lone = statistics.fmean(services)
    # What one pod's share of CPU serves; it is to have 60 % of that, and four are to be enough.
    capacity = CPUS / lone
    wanted = wish(float(f"{0.6 * capacity:.2g}"))
    peak = 3.2 * wanted.target
    name = f"bench-{letter}"
    client.promote(
        PromotionIn(
            project=seen.project, model=letter, version=number, name=name, customer="bench", reason="A benchmark.",
            cpus=str(CPUS), min_pods=1, max_pods=MOST,
        )
    )  # fmt: skip
    deployed = client.wait_production(name)
    known = Measured(services=services, overhead_seconds=overhead, start_seconds=starting(client, name))
    client.configure_production(name, ProductionConfigurationIn(autoscaling=wanted))
    client.wait_production(name)
    token = client.issue_production_token(name, caller="bench").token
    endpoint = Endpoint(
        url=f"{deployed.url}/invocations", body=body, headers=headers | {"Authorization": f"Bearer {token}"}
    )
    policy = policy_of(wanted.target)
    rows = []
    for place, shape in enumerate(shapes):
        wait_for_pods(client, name, 1)
        time.sleep(SETTLES_SECONDS)
        real = felt(client, name, endpoint, shape, peak, seconds, 100 + place)
        cores = given.cores or float(os.cpu_count() or 1)
        simulated = told(policy, known, shape, peak, seconds, cores)
        row = {
            "model": letter,
            "shape": str(shape),
            "peak": peak,
            "target": wanted.target,
            "lone_ms": lone * 1000,
            "way_ms": overhead * 1000,
        }
        rows.append(
            row
            | {
                "start": known.start_seconds,
                "felt": asdict(real),
                "seconds": seconds,
                "told": simulated,
                "services": services,
            }
        )
        print(
            f"{letter} {shape}: {real}\n  {simulated}, start {known.start_seconds:.2f} s", file=sys.stderr, flush=True
        )
    (RESULTS / f"simulation-{letter}.json").write_text(json.dumps(rows))
    client.delete_production(name)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown: what was simulated before what was felt."""
    lines = [
        (
            f"{rows[0]['seconds'] / 60:g} minutes each, 1 to {MOST} pods of {CPUS:g} CPUs; the policy looks at 10 s "
            "and lets pods go after 30 s. Simulated / felt; simulated is the median of five seeds."
        ),
        "",
        "| model | load | requests | not answered | p50 ms | p99 ms | pod hours | pods at most | turns |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        real, sim = row["felt"], row["told"]
        off = (sim["p99_ms"] / real["p99_ms"] - 1, sim["pod_hours"] / real["pod_hours"] - 1)
        turns = sim["flips_per_hour"] * row["seconds"] / 3600
        lines.append(
            f"| {row['model']} | {row['shape']}, {row['peak']:.0f}/s at most "
            f"| {sim['requests']:.0f} / {real['requests']} | {sim['errors']:.0f} / {real['errors']} "
            f"| {sim['p50_ms']:.1f} / {real['p50_ms']:.1f} "
            f"| {sim['p99_ms']:,.0f} / {real['p99_ms']:,.0f} ({off[0]:+.0%}) "
            f"| {sim['pod_hours']:.3f} / {real['pod_hours']:.3f} ({off[1]:+.0%}) "
            f"| {sim['most_pods']:.0f} / {real['most_pods']} | {turns:.0f} / {real['flips']} |"
        )
    for letter in dict.fromkeys(row["model"] for row in rows):
        row = next(each for each in rows if each["model"] == letter)
        lines += [
            "",
            (
                f"Model {letter}, measured before: {row['lone_ms']:.1f} ms a prediction and "
                f"{row['way_ms']:.1f} ms the way there and back, {row['start']:.1f} s until a pod "
                f"is ready; target {row['target']:g} requests per second and pod."
            ),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
