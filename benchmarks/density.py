"""Many small models on one machine: what they take, and what one does to the others. ``make bench-density COUNT=200``.

A platform of its own as a user has it. Three small models, in as many model environments at most, are converted until
there are COUNT deployments; each must be ON and answer. Then memory is the proportional set size of every process that
belongs to the platform, and the others are called at random by an open loop: alone, while the pod of one is killed
again and again, and while one is flooded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.load import Target
from tests.platforms import Platform, a_platform

from benchmarks.scoring import RESULTS
from taxiway.client import Client
from taxiway.client.loading import Answer, Endpoint, load
from taxiway.domain.simulation import Shape, arrivals, rate_of
from taxiway.wire.models import ConversionIn, ModelVersionDetailOut

PINS = {
    "logistic": ("scikit-learn", "numpy", "scipy", "pandas", "mlflow"),
    "tree": ("scikit-learn", "numpy", "scipy", "pandas", "mlflow"),
    "boosted": ("lightgbm", "scikit-learn", "numpy", "scipy", "pandas", "mlflow"),
}
SMALL = """
import sys, json, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
kind, pins = sys.argv[1], json.loads(sys.argv[2])
rng = np.random.default_rng(2)
X = pd.DataFrame(rng.normal(size=(400, 5)), columns=list("abcde"))
y = (X["a"] * X["b"] > 0).astype(int)
mlflow.set_experiment("small")
about = {"name": "model", "input_example": X.head(1), "pip_requirements": pins}
with mlflow.start_run() as run:
    if kind == "boosted":
        import lightgbm as lgb
        booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lgb.Dataset(X, y), 20)
        mlflow.lightgbm.log_model(booster, signature=infer_signature(X, booster.predict(X)), **about)
    else:
        from sklearn.linear_model import LogisticRegression
        from sklearn.tree import DecisionTreeClassifier
        model = (LogisticRegression() if kind == "logistic" else DecisionTreeClassifier(max_depth=4)).fit(X, y)
        mlflow.sklearn.log_model(
            model, signature=infer_signature(X, model.predict(X)), serialization_format="cloudpickle", **about
        )
print(run.info.run_id)
"""
BODY = json.dumps({"dataframe_split": {"columns": list("abcde"), "data": [[0.1, 0.2, 0.3, 0.4, 0.5]]}}).encode()
KEEPS_STARTING = 4
"""So many start at a time: more would only wait for the same cores."""
RATE = 40.0
FLOOD_STARTS_SECONDS = 3.0
MIB = 1 << 20


def fill(platform: Platform, client: Client, count: int) -> list[ModelVersionDetailOut]:
    """Convert until there are so many, each in its turn; return what became of them."""
    runs = {
        kind: platform.python(SMALL, kind, json.dumps([f"{name}=={version(name)}" for name in names])).splitlines()[-1]
        for kind, names in PINS.items()
    }
    waiting: list[ModelVersionDetailOut] = []
    settled: list[ModelVersionDetailOut] = []
    for number in range(count):
        kind = list(PINS)[number % len(PINS)]
        wanted = ConversionIn(model=f"{kind}-{number}", cpus="0.1", memory="256Mi", needs_token=False)
        waiting.append(client.convert(runs[kind], wanted))
        if len(waiting) >= KEEPS_STARTING:
            settled.append(settle(client, waiting.pop(0)))
    settled += [settle(client, each) for each in waiting]
    return settled


def settle(client: Client, made: ModelVersionDetailOut) -> ModelVersionDetailOut:
    """Wait until it is ON."""
    seen = client.wait(made.model, made.version, timeout_seconds=300)
    if seen.status != "ON":
        raise SystemExit(f"{made.model}: {seen.status}: {seen.message}")
    return seen


# ---------------------------------------------------------------- processes


def processes_of(platform: Platform) -> dict[int, str]:
    """Return each process of the platform and what it is: those whose command names its data, and all below them."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                commands[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    mine = {pid for pid, command in commands.items() if str(platform.data) in command}
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= more
        grew = bool(more)
    return {pid: _kind(commands[pid], commands.get(parents[pid], "")) for pid in mine}


def _kind(command: str, parent: str) -> str:
    if "bwrap" in command.split(" ")[0]:
        return "sandboxes"
    if "stub.py" in command:
        return "stubs" if "stub.py" not in parent else "guards"
    if "envoy" in command.split(" ")[0]:
        return "gateway"
    if "taxiway.registry" in command:
        return "MLflow"
    return "control plane" if "taxiway.app" in command else "pods"


def memory_of(kinds: dict[int, str]) -> dict[str, float]:
    """Return MiB of proportional set size by kind."""
    found: Counter[str] = Counter()
    for pid, kind in kinds.items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        found[kind] += int(match[1]) / 1024 if match else 0.0
    return dict(found)


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU seconds that these processes have used."""
    ticks = 0
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def reconciles(platform: Platform) -> dict[str, tuple[float, float]]:
    """Return seconds and number of reconciles by noun since the start."""
    text = httpx2.get(f"http://127.0.0.1:{platform.port + 1}/metrics", trust_env=False).text
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        match = re.match(r'taxiway_reconcile_seconds_(sum|count)\{noun="(\w+)"\} (\S+)', line)
        if match:
            found.setdefault(match[2], [0.0, 0.0])[match[1] == "count"] = float(match[3])
    return {noun: (seconds, count) for noun, (seconds, count) in found.items()}


def idle(platform: Platform, seconds: float) -> dict[str, object]:
    """Leave the platform alone, and return what each kind of process used of a core meanwhile, and reconciles."""
    kinds = processes_of(platform)
    by_kind = {kind: [pid for pid, each in kinds.items() if each == kind] for kind in set(kinds.values())}
    before, was = {kind: cpu_seconds(pids) for kind, pids in by_kind.items()}, reconciles(platform)
    time.sleep(seconds)
    used = {kind: (cpu_seconds(pids) - before[kind]) / seconds for kind, pids in by_kind.items()}
    spent = {
        noun: (total - was.get(noun, (0, 0))[0], count - was.get(noun, (0, 0))[1])
        for noun, (total, count) in reconciles(platform).items()
    }
    return {"cpu": used, "reconciles": spent}


def api_times(client: Client, seen: list[ModelVersionDetailOut]) -> list[float]:
    """Ask for lists and single ones in turn; return milliseconds."""
    took = []
    for number in range(200):
        each = seen[number % len(seen)]
        begin = time.perf_counter()
        if number % 2:
            client.models(limit=100)
        else:
            client.model(each.model, each.version)
        took.append((time.perf_counter() - begin) * 1000)
    return took


# ---------------------------------------------------------------- load


async def call_all(seen: list[ModelVersionDetailOut], seconds: float, seed: int) -> list[Answer]:
    """Call these at random, ``RATE`` times a second altogether."""
    chance = random.Random(seed)
    due: dict[str, list[float]] = {}
    for at in arrivals(rate_of(Shape.STEADY, RATE, seconds), seconds, chance):
        due.setdefault(chance.choice(seen).url, []).append(at)
    headers = {"Content-Type": "application/json"}
    loads = [load(Endpoint(url=f"{url}/invocations", body=BODY, headers=headers), times) for url, times in due.items()]
    return [answer for answers in await asyncio.gather(*loads) for answer in answers]


def measured(answers: list[Answer]) -> dict[str, float]:
    """Sum up."""
    took = [answer.took * 1000 for answer in answers]
    return {
        "requests": len(took), "failed": sum(not answer.is_good for answer in answers),
        "p50": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98],
    }  # fmt: skip


async def while_killing(
    platform: Platform, victim: ModelVersionDetailOut, others: list, seconds: float
) -> list[Answer]:
    """Call the others while the pod of one is killed every five seconds."""
    calling, killed = asyncio.create_task(call_all(others, seconds, 3)), 0
    for _ in range(int(seconds / 5)):
        await asyncio.sleep(5)
        pod = victim.revisions[-1].pods[0].id
        for pid, kind in processes_of(platform).items():
            command = Path(f"/proc/{pid}/cmdline")
            if kind == "pods" and command.exists() and pod in command.read_text():
                os.kill(pid, signal.SIGKILL)
                killed += 1
    if not killed:
        raise SystemExit("no pod was killed")
    return await calling


def while_flooding(platform: Platform, victim: ModelVersionDetailOut, others: list, seconds: float) -> list[Answer]:
    """Call the others while one gets 200 requests a second from another process."""
    path = httpx2.URL(f"{victim.url}/invocations").path
    target = Target(port=platform.port, path=path, token="", body=BODY)
    command = [sys.executable, str(Path(__file__).with_name("flood.py")), "--flood", str(seconds + 2)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert child.stdin is not None
    json.dump(asdict(target) | {"body": BODY.decode()}, child.stdin)
    child.stdin.close()
    time.sleep(FLOOD_STARTS_SECONDS)
    answers = asyncio.run(call_all(others, seconds, 4))
    child.wait()
    return answers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    settings = {
        "TAXIWAY_LIMITS__DEPLOYMENTS_PER_USER": "1000", "TAXIWAY_LIMITS__REQUESTS_PER_SECOND": "1000",
    }  # fmt: skip
    with a_platform(**settings) as platform, platform.client() as client:
        began = time.monotonic()
        seen = fill(platform, client, given.count)
        filled = time.monotonic() - began
        time.sleep(5)
        answered = asyncio.run(call_once(seen))
        kinds = processes_of(platform)
        found = {
            "filled": filled, "answered": answered, "memory": memory_of(kinds), "processes": Counter(kinds.values()),
            "environments": len(list((platform.data / "environments").glob("*/bin/python"))),
            "idle": idle(platform, 30), "api": api_times(client, seen),
        }  # fmt: skip
        victim, others = seen[0], seen[1:]
        asyncio.run(call_all(others, 5, 1))
        for name in ("alone", "killed", "alone again", "flooded"):
            if name == "killed":
                answers = asyncio.run(while_killing(platform, victim, others, given.seconds))
            elif name == "flooded":
                answers = while_flooding(platform, victim, others, given.seconds)
            else:
                answers = asyncio.run(call_all(others, given.seconds, 2))
            found[name] = measured(answers)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "density.json").write_text(json.dumps(found | {"count": given.count}, indent=1))
    text = table(found, given)
    print(text)
    (RESULTS / "density.md").write_text(f"{text}\n")


async def call_once(seen: list[ModelVersionDetailOut]) -> int:
    """Ask each once; return how many answered with 200."""
    headers = {"Content-Type": "application/json"}
    answered = 0
    for each in seen:
        [answer] = await load(Endpoint(url=f"{each.url}/invocations", body=BODY, headers=headers), [0.0])
        answered += answer.status == 200
    return answered


def table(found: dict, given: argparse.Namespace) -> str:
    """Return the Markdown."""
    memory, counts, used = found["memory"], found["processes"], found["idle"]["cpu"]
    api = statistics.quantiles(found["api"], n=100)
    lines = [
        (
            f"{given.count} deployments, all ON after {found['filled']:.0f} s, {found['answered']} answered; "
            f"{found['environments']} model environments."
        ),
        "",
        "| processes | number | proportional set size, MiB | each | idle CPU, % of a core |",
        "|---|---|---|---|---|",
    ]
    for kind, mib in sorted(memory.items(), key=lambda each: -each[1]):
        lines.append(
            f"| {kind} | {counts[kind]} | {mib:,.0f} | {mib / counts[kind]:.1f} | {100 * used.get(kind, 0):.1f} |"
        )
    total = sum(memory.values())
    lines += [
        (
            f"| all | {sum(counts.values())} | {total:,.0f} | {total / given.count:.1f} by deployment | "
            f"{100 * sum(used.values()):.1f} |"
        ),
        "",
        f"The API: p50 {api[49]:.0f} ms, p99 {api[98]:.0f} ms. Reconciles, in the 30 idle seconds: "
        + ", ".join(
            f"{noun} {1000 * seconds / count:.1f} ms ({count:.0f} times)"
            for noun, (seconds, count) in sorted(found["idle"]["reconciles"].items())
            if count
        )
        + ".",
        "",
        "| calls of the others | count | failed | p50 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    for name in ("alone", "killed", "alone again", "flooded"):
        each = found[name]
        title = {"killed": "while the pod of one is killed", "flooded": "while one is flooded"}.get(name, name)
        lines.append(f"| {title} | {each['requests']} | {each['failed']} | {each['p50']:.1f} | {each['p99']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
