"""New columns, computed from a card payment. Pure functions from one data frame to another."""

from __future__ import annotations

import numpy as np
import pandas as pd

NUMERIC = [
    "amount",
    "card_age_days",
    "payments_last_hour",
    "payments_last_day",
    "amount_last_day",
    "minutes_since_last_payment",
]
"""Columns of a payment that a model uses as they are."""

CATEGORICAL = ["merchant_category", "merchant_country", "channel"]
"""Columns of a payment that are one-hot encoded."""

COMPUTED = ["log_amount", "amount_share_of_day", "is_night", "is_abroad", "is_card_new", "burst"]
"""Columns that ``add_columns`` adds."""


def add_columns(payments: pd.DataFrame) -> pd.DataFrame:
    """Return the payments with the computed columns added; nothing is removed."""
    return payments.assign(
        log_amount=np.log1p(payments["amount"]),
        amount_share_of_day=payments["amount"] / (payments["amount"] + payments["amount_last_day"] + 1.0),
        is_night=payments["hour"].isin([0, 1, 2, 3, 4, 5]).astype("float64"),
        is_abroad=(payments["merchant_country"] != payments["card_country"]).astype("float64"),
        is_card_new=(payments["card_age_days"] < 30).astype("float64"),
        burst=payments["payments_last_hour"] / (payments["payments_last_day"] + 1.0),
    )
