"""Random tables with what real ones have: categories, missing values, skewed amounts, whole numbers, truths, dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MERCHANTS = ("grocery", "fuel", "travel", "online", "café", "", "A:B", "unknown")
COUNTRIES = ("de", "fr", "us", "jp", "br")


@dataclass(frozen=True)
class Table:
    """Columns by kind, and three targets of the same rows."""

    frame: pd.DataFrame
    texts: list[str]
    doubles: list[str]
    longs: list[str]
    binary: np.ndarray[Any, Any]
    several: np.ndarray[Any, Any]
    amount: np.ndarray[Any, Any]

    @property
    def numbers(self) -> list[str]:
        """The columns of doubles and longs."""
        return self.doubles + self.longs


def make_table(seed: int, *, rows: int = 1_500, doubles: int = 6, longs: int = 2, missing: bool = False) -> Table:
    """Return a table of two text columns, doubles and longs; ``missing`` leaves gaps in texts and doubles."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "merchant": rng.choice(np.array(MERCHANTS, dtype=object), rows),
        "country": rng.choice(np.array(COUNTRIES, dtype=object), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
    }
    for at in range(doubles):
        columns[f"x{at}"] = rng.lognormal(size=rows) if at % 3 == 0 else rng.normal(size=rows)
    for at in range(longs):
        columns[f"n{at}"] = rng.integers(0, 40, rows)
    frame = pd.DataFrame(columns)
    names = [f"x{at}" for at in range(doubles)]
    score = frame["x0"] - frame["x1"] + (frame["merchant"] == "online") + frame["n0"] / 20 + rng.normal(size=rows)
    if missing:
        for name in names[::2]:
            frame.loc[rng.random(rows) < 0.1, name] = np.nan
        frame.loc[rng.random(rows) < 0.1, "merchant"] = None
    binary = (score > score.median()).astype(int).to_numpy()
    several = np.digitize(score, np.quantile(score, [0.3, 0.7]))
    return Table(
        frame, ["merchant", "country"], names, [f"n{at}" for at in range(longs)], binary, several, score.to_numpy()
    )
