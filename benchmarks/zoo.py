"""Many pipelines, each by its proven path and by ``mlflow models serve``: a line a model. ``make bench-zoo``."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scoring import RESULTS, measure, train
from benchmarks.servers import SERVERS, Server, proof_of

LOADS = ["c1", "c64", "1,000 rows c1"]
MODELS = (
    "lightgbm-class", "lightgbm-regressor", "xgboost-booster", "xgboost-class", "xgboost-regressor", "catboost-numbers",
    "catboost-texts", "logistic", "logistic-several", "isotonic", "sigmoid", "target-encoded", "ordinal-hist",
    "hist-regressor", "bins", "logged", "own-function", "forest", "forest-regressor", "extra-trees", "tree",
    "gradient-boosting", "isolation", "linear", "polynomial", "quantiles", "voting", "selected", "rare", "union",
    "bayes",
    "network",
)  # fmt: skip


def ours(path: str) -> Server:
    """Return the server that takes a proven path."""
    return SERVERS["taxiway" if path == "plan" else f"taxiway, {path}"]


def line(model: Path, seconds: int) -> dict[str, Any]:
    """Measure one model by both."""
    proof = proof_of(model)
    found = {"model": model.name, "proof": proof}
    found["taxiway"] = measure(ours(proof["path"]).name, model, LOADS, seconds)
    found["mlflow"] = measure("mlflow", model, LOADS, seconds)
    return found


def ratios(found: dict[str, Any]) -> list[float]:
    """Return how many times faster ours is: median at one client, throughput at 64, median of 1,000 rows."""
    us, them = found["taxiway"], found["mlflow"]
    return [
        them["c1"]["p50"] / us["c1"]["p50"],
        us["c64"]["rate"] / them["c64"]["rate"],
        them["1,000 rows c1"]["p50"] / us["1,000 rows c1"]["p50"],
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    names = given.only.split(",")
    home = train(names, given.seed)
    lines = []
    for name in names:
        try:
            lines.append(line(home / name, given.seconds))
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        print(name, lines[-1]["proof"]["path"], *(f"{x:.1f}" for x in ratios(lines[-1])), file=sys.stderr, flush=True)
    rows = [
        f"| {found['model']} | {found['proof']['path']} | {found['proof']['name']} "
        f"| {'yes' if found['taxiway']['equal'] else 'NO'} | "
        + " | ".join(f"{ratio:,.1f}" for ratio in ratios(found))
        + " |"
        for found in lines
    ]
    middles = ", ".join(f"{statistics.median(column):,.1f}" for column in zip(*map(ratios, lines), strict=True))
    text = "\n".join(
        [
            f"Seed {given.seed}, {given.seconds} s a load, one core each. Times as fast as `mlflow models serve`:",
            "",
            "| model | path | what serves | equal | c1 p50 | c64 throughput | 1,000 rows |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Medians: {middles}",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "zoo.md").write_text(f"{text}\n")
    (RESULTS / "zoo.json").write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
