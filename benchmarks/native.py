"""How long the model's library itself takes to predict for a ready matrix: the floor of all servers. Prints JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import yaml


def main() -> None:
    """Time ``booster.predict`` on an array of 1,000 rows: the median of 30."""
    from taxiway_scoring.plans.loading import load_native

    files = Path(sys.argv[1])
    native = load_native(files, yaml.safe_load((files / "MLmodel").read_text()))
    model = native.model
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    booster = getattr(last, "booster_", last)
    rows = np.random.default_rng(1).normal(size=(1_000, booster.num_feature()))
    seen = []
    for _ in range(30):
        began = time.perf_counter()
        booster.predict(rows)
        seen.append((time.perf_counter() - began) * 1000)
    print(json.dumps({"1,000 rows": sorted(seen)[len(seen) // 2]}))


if __name__ == "__main__":
    main()
