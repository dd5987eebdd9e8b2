"""Convert to model → ON, with the time of each phase: new model environment, a known one, one with a proven plan.

Run with ``make bench``. It brings a platform of its own up, builds the model environment from a local
wheel store with no network, and prints a Markdown table of medians. Goals: known environment within 5 s, new
environment from a wheel store within 60 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.journeys.training import SKLEARN
from tests.platforms import Platform, a_platform
from uv import find_uv_bin

from taxiway.wire.models import ModelVersionDetailOut

PHASES = ("queued", "snapshot", "environment", "proof", "pod", "loaded", "example", "route")


def fill_wheel_store(platform: Platform, run_id: str, store: Path) -> None:
    """Download the wheels that the model needs, as an administrator of a closed network would."""
    with platform.client() as client:
        logged = client.logged_models(run_id).items[0]
        from taxiway.wire.models import ConversionIn

        checked = client.preflight(run_id, ConversionIn(model="known", logged_model=logged.model_id))
    listed = store / "requirements.txt"
    scoring = ["httptools", "msgspec", "uvloop"]
    listed.write_text("\n".join([*checked.facts.requirements, *scoring]))
    subprocess.run(
        [find_uv_bin(), "tool", "run", "--from", "pip", "pip", "download", "-q", "-d", str(store), "-r", str(listed)],
        check=True,
    )


def total(seen: ModelVersionDetailOut) -> float:
    """Return the seconds from asking to ON."""
    ends = [phase.ended_at for phase in seen.phases if phase.ended_at is not None]
    return (max(ends) - seen.created_at).total_seconds()


def table(title: str, runs: list[ModelVersionDetailOut]) -> str:
    """Draw the phases of several conversions: median, least and most seconds."""
    lines = [
        f"### {title} ({len(runs)} conversions)",
        "",
        "| phase | median s | min s | max s |",
        "|---|---|---|---|",
    ]
    for name in PHASES:
        values = [p.seconds for seen in runs for p in seen.phases if p.name == name and p.seconds is not None]
        if values:
            lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    totals = [total(seen) for seen in runs]
    lines.append(f"| **to ON** | **{statistics.median(totals):.2f}** | {min(totals):.2f} | {max(totals):.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-n", type=int, default=5, help="conversions with a known environment")
    count = arguments.parse_args().n
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory)
        with a_platform(
            TAXIWAY_ENVIRONMENTS__WHEEL_STORE=str(store),
            TAXIWAY_ENVIRONMENTS__IS_OFFLINE="true",
            TAXIWAY_ENVIRONMENTS__CACHE_DIR="",
        ) as platform:
            run_id = platform.python(SKLEARN).splitlines()[-1]
            fill_wheel_store(platform, run_id, store)
            new = [platform.convert(run_id, "new")]
            runs = [platform.python(SKLEARN).splitlines()[-1] for _ in range(count)]
            known = [platform.convert(run, "known") for run in runs]
            again = [platform.convert(run, "again") for run in runs]
    for seen in (*new, *known, *again):
        if seen.status != "ON":
            raise SystemExit(f"{seen.model}/{seen.version} is {seen.status}: {seen.message}")
    print(table("New model environment, local wheel store, no network", new))
    print()
    print(table("Known model environment", known))
    print()
    print(table("Known model environment, plan proven before", again))


if __name__ == "__main__":
    main()
