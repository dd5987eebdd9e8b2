"""How fast the console is, in a real browser on a real platform. ``make bench-console``.

Times are taken in the page by its own clock, from the key or click to the second frame after the change stood in the
document: by then it is painted. The first screen has a new browser, so nothing is cached.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2
from tests.browser import a_browser
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform, a_platform

from benchmarks.console_data import fill_curve, fill_log, fill_runs
from taxiway.wire.models import ConfigurationIn

RESULTS = Path(__file__).parent / "results"
WATCH = """
window.painted = (holds) => new Promise((done) => {
  const look = () => holds()
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : requestAnimationFrame(look);
  look();
});
window.reads = (place, part) => (document.querySelector(place)?.innerText ?? '').includes(part);
window.filtered = async (text, wanted) => {
  const field = document.querySelector('[aria-label=Filter]');
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, text);
  const began = performance.now();
  field.dispatchEvent(new Event('input', {bubbles: true}));
  return await window.painted(() => {
    const first = document.querySelector('.grid-table [aria-rowindex="1"]');
    return first && first.innerText.includes(wanted);
  }) - began;
};
window.went = (title) => {
  let began = 0;
  addEventListener('click', () => { began = performance.now(); }, {capture: true, once: true});
  window.arrived = window.painted(() => began && document.querySelector('h1')?.innerText.trim() === title)
    .then((at) => at - began);
};
"""
LARGE = """
import mlflow
mlflow.set_experiment("large")
with mlflow.start_run() as run:
    mlflow.log_param("kind", "long")
print(run.info.run_id, run.info.experiment_id)
"""
ROWS = 15
"""So many the console asks for first, in the window that these times are taken in."""
PAUSE_MS = 900
"""Between two filters: the rows further down come meanwhile."""
PLACES = ("Experiments", "Models", "Production", "Monitoring", "Administration", "Home")


def first_screen(platform: Platform, times: int) -> list[float]:
    """Sign-in, with nothing cached, until a name can be typed; in milliseconds."""
    found = []
    for _ in range(times):
        with a_browser(platform.url) as browser:
            began = time.monotonic()
            browser.go("/")
            browser.page.get_by_label("Name").fill("a")
            found.append((time.monotonic() - began) * 1000)
    return found


def home(platform: Platform, times: int) -> list[float]:
    """Home of who is signed in, with nothing cached."""
    found = []
    for _ in range(times):
        with a_browser(platform.url) as browser:
            browser.sign_in("admin", PASSWORD)
            session = browser.page.context.new_cdp_session(browser.page)
            session.send("Network.enable")
            session.send("Network.clearBrowserCache")
            began = time.monotonic()
            browser.go("/")
            browser.page.get_by_role("heading", level=1, name="Home").wait_for()
            found.append((time.monotonic() - began) * 1000)
    return found


def routes(page: Any, url: str, rounds: int) -> list[float]:
    """From the click on a section to its heading; the first round loads the pages' code and is counted too."""
    page.goto(url)
    page.get_by_role("heading", level=1, name="Home").wait_for()
    page.evaluate(WATCH)
    sections, found = page.get_by_role("navigation", name="Sections"), []
    for _ in range(rounds):
        for name in PLACES:
            page.evaluate("name => { went(name) }", name)
            sections.get_by_role("link", name=name, exact=True).click()
            found.append(page.evaluate("window.arrived"))
    return found


def filters(page: Any, platform: Platform, experiment: str, times: int, seed: int) -> tuple[list[float], list[float]]:
    """From the key to the rows, each filter another; what must be seen first is asked of the API beforehand.

    The second list is how long MLflow alone takes to answer the same questions.
    """
    page.goto(f"{platform.url}/experiments/{platform.project}/{experiment}")
    page.locator(".grid-table").wait_for()
    page.evaluate(WATCH)
    found, alone, last = [], [], ""
    with platform.client() as client:
        for number in range(times):
            metric = (seed + number) % 50
            where = f"metrics.metric_{metric:02} > 0.{500 + (37 * number) % 480}"
            if number % 3 == 2:
                where = f"params.param_{metric:02} = '{(41 * number) % 1000}' and {where}"
            rows = client.runs(experiment=experiment, where=where, limit=1).items
            if not rows or rows[0].name == last:
                continue
            last = rows[0].name
            found.append(page.evaluate("([text, wanted]) => filtered(text, wanted)", [where, last]))
            page.wait_for_timeout(PAUSE_MS)
            asked = {"experiment_ids": [experiment], "filter": where, "max_results": ROWS}
            alone.append(mlflow_alone(platform, "POST", "runs/search", json=asked))
    return found, alone


def mlflow_alone(platform: Platform, method: str, call: str, **asked: Any) -> float:
    """Ask MLflow as its own clients do, through the gateway; in milliseconds until all of the answer is there."""
    url = f"{platform.url}/mlflow/api/2.0/mlflow/{call}"
    began = time.monotonic()
    answer = httpx2.request(method, url, headers={"Authorization": f"Bearer {platform.token}"}, timeout=60, **asked)
    answer.raise_for_status()
    return (time.monotonic() - began) * 1000


def states(page: Any, platform: Platform, times: int) -> list[float]:
    """From the API's answer, by which the change is committed, to the word on the page."""
    page.goto(f"{platform.url}/models?project={platform.project}")
    page.get_by_text("bench", exact=True).first.wait_for()
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    found = []
    with platform.client() as client:
        for number in range(times):
            size = f"{600 + number}Mi"
            page.evaluate("size => { window.seen = painted(() => reads('main', size)).then(() => Date.now()) }", size)
            client.configure("bench", 1, ConfigurationIn(memory=size))
            began = time.time() * 1000
            found.append(max(0.0, page.evaluate("window.seen") - began))
            page.wait_for_timeout(2000)  # each starts a pod anew
    return found


def curve(page: Any, platform: Platform, run: str) -> dict[str, float]:
    """Until a long curve is drawn, the frames while a pointer moves over it, and until its middle is drawn finer."""
    began = time.monotonic()
    page.goto(f"{platform.url}/runs/{platform.project}/{run}?tab=curves")
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(50)
    drawn = (time.monotonic() - began) * 1000
    with page.expect_response(lambda answer: "from_step" in answer.url) as finer:
        found = frames(page, lambda: sweep(page))
        began = time.monotonic()
    assert len(finer.value.json()["items"]) > 1000
    took = (time.monotonic() - began) * 1000
    asked = {"run_ids": run, "metric_key": "loss", "max_results": 2000}
    alone = mlflow_alone(platform, "GET", "metrics/get-history-bulk-interval", params=asked)
    return {"drawn ms": drawn, "by MLflow alone ms": alone, **found, "finer ms": took}


def sweep(page: Any) -> None:
    """Move over the chart, and zoom into its middle."""
    box = page.locator("canvas").first.bounding_box()
    for at in range(20):
        page.mouse.move(box["x"] + box["width"] * (0.1 + at * 0.04), box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()


def frames(page: Any, act: Callable[[], None]) -> dict[str, float]:
    """Return how long frames took while something was done."""
    page.evaluate(
        "() => { window.frames_ = []; window.stop_ = false; let last = performance.now();"
        " const look = (now) => { window.frames_.push(now - last); last = now;"
        " if (!window.stop_) requestAnimationFrame(look) }; requestAnimationFrame(look) }"
    )
    act()
    took: list[float] = page.evaluate("() => { window.stop_ = true; return window.frames_.slice(1) }")
    return {"frame p50 ms": statistics.median(took), "frame p95 ms": percentile(took, 95)}


def log(page: Any, platform: Platform, pod: str, lines: int) -> dict[str, float]:
    """A long log: open it, see its end, read all of it, and search."""
    path = f"{platform.url}/models/{platform.project}/bench/1?tab=logs&pod={pod}"
    last = f"request {lines - 1:06}"
    began = time.monotonic()
    page.goto(path)
    page.get_by_role("log").get_by_text(last).wait_for()
    opened = time.monotonic()
    page.get_by_role("button", name="Show all of the log").click()
    page.get_by_text(f"{lines} lines").wait_for(timeout=60_000)
    whole = time.monotonic()
    scrolling = frames(page, lambda: page.evaluate(
        "async () => { const log = document.querySelector('[role=log]'); for (let at = 0; at <= 20; at++) {"
        " log.scrollTop = log.scrollHeight * at / 20; await new Promise(requestAnimationFrame) } }"
    ))  # fmt: skip
    searched = time.monotonic()
    page.get_by_label("Only lines with").fill(f"request {lines // 2:06}")
    page.locator("mark").first.wait_for(timeout=60_000)
    return {
        "end seen ms": (opened - began) * 1000,
        "all read ms": (whole - opened) * 1000,
        **scrolling,
        "found ms": (time.monotonic() - searched) * 1000,
    }


def percentile(values: Sequence[float], of: int) -> float:
    """Return the value that so many in a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * of // 100)]


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Bring a platform up, fill it, and look."""
    with a_platform() as platform:
        run, experiment = platform.python(LARGE).splitlines()[-1].split()
        platform.convert(platform.python(SKLEARN).splitlines()[-1], "bench")
        database = platform.data / "mlflow" / "mlflow.db"
        fill_runs(database, experiment, runs=given.runs, columns=given.columns, seed=given.seed)
        fill_curve(database, run, "loss", points=given.points, seed=given.seed)
        pod = fill_log(platform.data / "logs" / "pods", revision_of(platform), lines=given.lines)
        found: dict[str, Any] = {
            "first screen": first_screen(platform, given.times // 3),
            "home": home(platform, given.times // 3),
        }
        with a_browser(platform.url) as browser:
            browser.sign_in("admin", PASSWORD)
            page = browser.page
            found["route"] = routes(page, platform.url, max(1, given.times // 6))
            found["filter"], found["mlflow"] = filters(page, platform, experiment, given.times, given.seed)
            found["curve"] = curve(page, platform, run)
            found["log"] = log(page, platform, pod, given.lines)
            # Last, for each change starts a pod anew.
            found["state"] = states(page, platform, given.times)
            found["complaints"] = browser.complaints
    return found


def revision_of(platform: Platform) -> str:
    """Return the id of the model's revision: its living pod's note has it."""
    from taxiway.stub import children

    for pod in sorted((platform.data / "pods").iterdir()):
        status = children.status(pod)
        if status is not None and "revision" in status.labels:
            return status.labels["revision"]
    raise LookupError("no pod lives")


def table(found: dict[str, Any], given: argparse.Namespace) -> str:
    """Say it as a page does."""
    names = {
        "first screen": ("first screen, nothing cached, until a name can be typed", "1,000"),
        "home": ("home of who is signed in, nothing cached", "1,000"),
        "route": ("from one section to another", "200"),
        "filter": (f"filter over {given.runs:,} runs of {given.columns} columns, from the key", "300"),
        "mlflow": ("the same asked of MLflow alone, from request to answer", "none"),
        "state": ("a change is seen, from its commit", "1,000"),
    }
    lines = ["| what | n | p50 ms | p95 ms | aim |", "|---|---|---|---|---|"]
    for key, (said, aim) in names.items():
        values = found[key]
        middle, high = statistics.median(values), percentile(values, 95)
        lines.append(f"| {said} | {len(values)} | {middle:,.0f} | {high:,.0f} | {aim} |")
    lines += ["", "| what | figures |", "|---|---|"]
    for key, said in (
        ("curve", f"a curve of {given.points:,} values, two thousand of them drawn"),
        ("log", f"a log of {given.lines:,} lines"),
    ):
        lines.append(f"| {said} | {', '.join(f'{name} {value:,.0f}' for name, value in found[key].items())} |")
    return "\n".join(lines) + "\n"


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("runs", 10_000), ("columns", 100), ("points", 1_000_000), ("lines", 100_000), ("times", 36), ("seed", 7),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(words)


def main() -> None:
    """Measure, print and keep."""
    given = options()
    found = measure(given)
    text = table(found, given)
    (RESULTS / "console.md").write_text(text)
    (RESULTS / "console.json").write_text(json.dumps({"options": vars(given), **found}, indent=1) + "\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
