"""One customer floods at ten times its quota: what becomes of its excess, and of others. ``make bench-flood``.

A platform of its own as a user has it. Both loads are open loops: a request goes out when it is due, whatever became of
those before, and its time counts from then. Rounds alternate without and with the flood, so that what else the machine
does falls on both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.load import Report, Target, open_loop
from tests.platforms import a_platform

from benchmarks.gateway import LOG
from benchmarks.scoring import RESULTS, rows_of, train
from benchmarks.servers import MODEL_PACKAGES, SERVERS, body_of
from taxiway.wire.production import PromotionIn

QUOTA = 20.0
TIMES = 10
RATE = 50.0
"""What the others ask for in a second."""
SETTLES_SECONDS = 15
"""What a new deployment has to do besides serving is done by then."""
STARTS_SECONDS = 1.0
"""What the process of the one who floods takes to import."""
AHEAD_SECONDS = 2.0
"""How long the flood has gone on when it begins to count; its burst is used up."""


Answers = list[tuple[int, float]]
"""Each answer's status (0 for none) and its milliseconds since it was due."""


def answers_of(report: Report) -> Answers:
    """Take the outcomes apart."""
    return [(outcome.status or 0, outcome.seconds * 1000) for outcome in report.outcomes]


def flood(target: Target, seconds: float) -> None:
    """Be the one who floods; print what it got. In a process of its own, so that it holds up no other client."""
    with open_loop(target, rate=QUOTA * TIMES) as report:
        time.sleep(AHEAD_SECONDS)
        begin = time.monotonic()
        time.sleep(seconds)
    report.outcomes = [outcome for outcome in report.outcomes if outcome.due >= begin]
    print(json.dumps(answers_of(report)))


def a_round(other: Target, flooding: Target | None, seconds: float) -> dict[str, Answers]:
    """Measure the other for some seconds, with or without somebody who floods."""
    child = None
    if flooding is not None:
        command = [sys.executable, __file__, "--flood", str(seconds)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin is not None
        json.dump(asdict(flooding) | {"body": flooding.body.decode()}, child.stdin)
        child.stdin.close()
        child.stdin = None
        time.sleep(STARTS_SECONDS + AHEAD_SECONDS)
    with open_loop(other, rate=RATE) as report:
        time.sleep(seconds)
    found = {"other": answers_of(report)}
    if child is not None:
        found["flood"] = json.loads(child.communicate()[0].splitlines()[-1])
    return found


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--flood", type=float)
    given = parser.parse_args()
    if given.flood is not None:
        told = json.load(sys.stdin)
        flood(Target(**told | {"body": told["body"].encode()}), given.flood)
        return
    model = train(["a"], 7) / "a"
    rounds: dict[str, list[dict[str, Answers]]] = {"alone": [], "flooded": []}
    with a_platform() as platform:
        pins = [f"{name}=={version(name)}" for name in MODEL_PACKAGES]
        run = platform.python(LOG, str(model), json.dumps(pins)).splitlines()[-1]
        made = platform.convert(run, "a")
        body = body_of(SERVERS["taxiway"], *rows_of(model, 1))
        with platform.client() as client:
            targets = {}
            for name in ("flooded", "quiet"):
                wanted = PromotionIn(
                    project=made.project, model="a", version=made.version, name=name, customer=name,
                    reason="A benchmark.", cpus="0.5", quota_per_second=QUOTA if name == "flooded" else None,
                )  # fmt: skip
                client.promote(wanted)
                seen = client.wait_production(name)
                if seen.status != "ON":
                    raise SystemExit(f"{seen.status}: {seen.message}")
                token = client.issue_production_token(name, caller="bench").token
                path = f"/production/{name}/invocations"
                targets[name] = Target(port=platform.port, path=path, token=token, body=body)
        time.sleep(SETTLES_SECONDS)
        a_round(targets["quiet"], None, 2)
        for _ in range(given.rounds):
            rounds["alone"].append(a_round(targets["quiet"], None, given.seconds))
            rounds["flooded"].append(a_round(targets["quiet"], targets["flooded"], given.seconds))
    text = table(rounds, given)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "flood.md").write_text(f"{text}\n")


def table(rounds: dict[str, list[dict[str, Answers]]], given: argparse.Namespace) -> str:
    """Return the Markdown."""

    def of(kind: str, who: str) -> list[Answers]:
        return [one[who] for one in rounds[kind]]

    def figures(answers: list[Answers], *, refused: bool) -> str:
        each = [[ms for status, ms in found if (status == 429) is refused] for found in answers]
        tops = [p99(values) for values in each if len(values) > 1]
        middles = [statistics.median(values) for values in each if values]
        count = sum(map(len, each))
        if not tops:
            return f"| {count} | | | |"
        middle, top = statistics.median(middles), statistics.median(tops)
        return f"| {count} | {middle:.1f} | {top:.1f} | {min(tops):.1f}-{max(tops):.1f} |"

    quiet, loud = of("alone", "other"), of("flooded", "other")
    lines = [
        (
            f"Model a, {given.rounds} rounds of {given.seconds:g} s each way. A quota of {QUOTA:g} requests a second, "
            f"asked for {TIMES} times; the other customer asks {RATE:g} times a second."
        ),
        "",
        "| requests | count | p50 ms | p99 ms, median of rounds | p99, rounds |",
        "|---|---|---|---|---|",
        f"| of the other customer, alone {figures(quiet, refused=False)}",
        f"| of the other customer, beside the flood {figures(loud, refused=False)}",
        f"| of the one who floods, answered {figures(of('flooded', 'flood'), refused=False)}",
        f"| of the one who floods, refused with 429 {figures(of('flooded', 'flood'), refused=True)}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
