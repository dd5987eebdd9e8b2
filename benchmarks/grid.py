"""Is any model ever slower than with ``mlflow models serve``? 1 to 10,000 rows, 1 to 64 clients. ``make bench-grid``.

One core for the server, in turns. A cell tells how many times as many requests with a good answer ours gives.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scoring import RESULTS, address, load, rows_of, train
from benchmarks.servers import HOME, SERVERS, body_of, proof_of, running

ROWS = {1: (1, 1), 100: (1, 1), 1_000: (2, 6), 10_000: (4, 16)}
"""Of a request; and how many times as long few clients ask, and many: only what is answered by the end counts."""
CLIENTS = (1, 8, 64)
MODELS = ("a", "b", "xgboost-class", "catboost-texts", "own-function", "isotonic")


def cells(name: str, model: Path, seconds: int) -> dict[str, float]:
    """Return good answers a second for each cell."""
    server, found = SERVERS[name], {}
    with running(server, model):
        for rows, (few, many) in ROWS.items():
            body = HOME / "body.json"
            body.write_bytes(body_of(server, *rows_of(model, rows)))
            load(address(server), body, 1, 1, 1)
            for clients in CLIENTS:
                lasting = seconds * (many if clients == max(CLIENTS) else few)
                found[f"{rows:,} c{clients}"] = load(address(server), body, clients, lasting, 1)["good"]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    names = given.only.split(",")
    home = train(names, given.seed)
    found: dict[str, Any] = {}
    for name in names:
        model = home / name
        path = proof_of(model)["path"]
        ways = {path: "taxiway" if path == "plan" else f"taxiway, {path}"}
        if name in ("a", "b"):  # what a model gets of which nothing is known
            ways["pyfunc"] = "taxiway, pyfunc"
        theirs = cells("mlflow", model, given.seconds)
        for path, ours in ways.items():
            seen = cells(ours, model, given.seconds)
            found[f"{name}, {path}"] = {cell: seen[cell] / max(theirs[cell], 1e-9) for cell in theirs}
            print(
                name, path, *(f"{each:.1f}" for each in found[f"{name}, {path}"].values()), file=sys.stderr, flush=True
            )
    titles = list(next(iter(found.values())))
    worst = min((ratio, name, cell) for name, ratios in found.items() for cell, ratio in ratios.items())
    text = "\n".join(
        [
            (
                "Good answers a second, times those of `mlflow models serve`; "
                f"{given.seconds} s a load, seed {given.seed}, one core."
            ),
            "",
            "| model, path | " + " | ".join(titles) + " |",
            "|---|" + "---|" * len(titles),
            *(
                f"| {name} | " + " | ".join(f"{ratios[title]:,.1f}" for title in titles) + " |"
                for name, ratios in found.items()
            ),
            "",
            f"The least: {worst[0]:.2f} ({worst[1]}, {worst[2]}).",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "grid.md").write_text(f"{text}\n")
    (RESULTS / "grid.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
