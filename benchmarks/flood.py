"""One customer floods at ten times its quota: what becomes of its excess, and of others. ``make bench-flood``.

A platform of its own as a user has it. Both loads are open loops: a request goes out when it is due, whatever became of
those before, and its time counts from then. Rounds alternate without and with the flood, so that what else the machine
does falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.platforms import a_platform

from benchmarks.gateway import LOG
from benchmarks.scoring import RESULTS, rows_of, train
from benchmarks.servers import HOME, MODEL_PACKAGES, SERVERS, body_of
from taxiway.wire.production import PromotionIn

QUOTA = 20.0
TIMES = 10
RATE = 50.0
"""What the others ask for in a second."""
SETTLES_SECONDS = 15
"""What a new deployment has to do besides serving is done by then."""
AHEAD_SECONDS = 2.0
"""How long the flood has gone on when it begins to count; its burst is used up."""


@dataclass(frozen=True)
class Target:
    """Where a load goes, and who sends it."""

    url: str
    token: str


async def send(target: Target, body: bytes, rate: float, seconds: float) -> list[tuple[int, float]]:
    """Send an open load; return each answer's status and its milliseconds since it was due."""
    headers = {"authorization": f"Bearer {target.token}", "content-type": "application/json"}
    found: list[tuple[int, float]] = []
    async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=64), timeout=30) as client:

        async def one(due: float) -> None:
            answer = await client.post(target.url, content=body, headers=headers)
            found.append((answer.status_code, (time.perf_counter() - due) * 1000))

        await asyncio.gather(*[one(time.perf_counter()) for _ in range(4)])  # connections are made before it counts
        found.clear()
        tasks, begin = [], time.perf_counter()
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(due)))
        await asyncio.gather(*tasks)
    return found


def flood(target: Target, body: bytes, seconds: float) -> None:
    """Be the one who floods; print what it got. In a process of its own, so that it holds up no other client."""
    found = asyncio.run(send(target, body, QUOTA * TIMES, AHEAD_SECONDS + seconds))
    print(json.dumps(found[int(QUOTA * TIMES * AHEAD_SECONDS) :]))


async def a_round(others: dict[str, Target], flooding: Target | None, body: Path, seconds: float) -> dict[str, object]:
    """Measure the others for some seconds, with or without somebody who floods."""
    child = None
    if flooding is not None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--flood", flooding.url, flooding.token, str(body), str(seconds),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await asyncio.sleep(AHEAD_SECONDS)
    content = body.read_bytes()
    answers = await asyncio.gather(*[send(other, content, RATE, seconds) for other in others.values()])
    found: dict[str, object] = dict(zip(others, answers, strict=True))
    if child is not None:
        output, _ = await child.communicate()
        found["flood"] = json.loads(output.splitlines()[-1])
    return found


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--flood", nargs=4)
    given = parser.parse_args()
    if given.flood:
        url, token, body, seconds = given.flood
        flood(Target(url, token), Path(body).read_bytes(), float(seconds))
        return
    model = train(["a"], 7) / "a"
    rounds: dict[str, list[dict[str, object]]] = {"alone": [], "flooded": []}
    with a_platform() as platform:
        pins = [f"{name}=={version(name)}" for name in MODEL_PACKAGES]
        run = platform.python(LOG, str(model), json.dumps(pins)).splitlines()[-1]
        made = platform.convert(run, "a")
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
                targets[name] = Target(f"{seen.url}/invocations", token)
        body = HOME / "flood.json"
        body.write_bytes(body_of(SERVERS["taxiway"], *rows_of(model, 1)))
        others = {"another customer": targets["quiet"]}
        time.sleep(SETTLES_SECONDS)
        asyncio.run(a_round(others, None, body, 2))
        for _ in range(given.rounds):
            rounds["alone"].append(asyncio.run(a_round(others, None, body, given.seconds)))
            rounds["flooded"].append(asyncio.run(a_round(others, targets["flooded"], body, given.seconds)))
    text = table(rounds, given)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "flood.md").write_text(f"{text}\n")


def table(rounds: dict[str, list[dict[str, object]]], given: argparse.Namespace) -> str:
    """Return the Markdown."""

    def of(kind: str, who: str) -> list[list[tuple[int, float]]]:
        return [one[who] for one in rounds[kind]]  # type: ignore[misc]

    def figures(answers: list[list[tuple[int, float]]], *, refused: bool) -> str:
        each = [[ms for status, ms in found if (status == 429) is refused] for found in answers]
        tops = [p99(values) for values in each if len(values) > 1]
        middles = [statistics.median(values) for values in each if values]
        count = sum(map(len, each))
        if not tops:
            return f"| {count} | | | |"
        middle, top = statistics.median(middles), statistics.median(tops)
        return f"| {count} | {middle:.1f} | {top:.1f} | {min(tops):.1f}-{max(tops):.1f} |"

    quiet, loud = of("alone", "another customer"), of("flooded", "another customer")
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
