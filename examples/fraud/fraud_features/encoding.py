"""Payments as the numbers that a booster takes: computed columns and one column a category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fraud_features.columns import COMPUTED, NUMERIC, add_columns


def encode(payments: pd.DataFrame, categories: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return float columns in a fixed order: numeric, computed, then one per known category.

    A category that training never saw is all zeros. Identifiers are left out.
    """
    full = add_columns(payments)
    columns = {name: full[name].astype("float64") for name in NUMERIC + COMPUTED}
    for column, values in categories.items():
        for value in values:
            columns[f"{column}_{value}"] = (full[column] == value).astype("float64")
    return pd.DataFrame(columns, index=payments.index)
