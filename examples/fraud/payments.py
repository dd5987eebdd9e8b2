"""Card payments, generated: the same seed gives the same payments.

One row is one payment. About one in a hundred is fraud, by four patterns: stolen numbers tried in bursts online,
new cards drained abroad, purchases at night of what is easily sold, and a little that looks like anything else.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

COUNTRIES = ["DE", "FR", "NL", "ES", "IT", "PL", "GB", "US", "TR", "BR"]
CATEGORIES = ["groceries", "fuel", "restaurants", "fashion", "electronics", "travel", "gaming", "gift_cards"]
CHANNELS = ["chip", "contactless", "online", "magstripe"]
TARGET = "is_fraud"


def generate_payments(rows: int = 40_000, *, seed: int = 7) -> pd.DataFrame:
    """Return ``rows`` payments with the column ``is_fraud`` (0 or 1)."""
    random = np.random.default_rng(seed)
    payments = _ordinary_payments(rows, random)
    chance = 1.0 / (1.0 + np.exp(-_log_odds(payments)))
    payments[TARGET] = (random.random(rows) < chance).astype("int64")
    # A card's first payment has none before it; the acquirer leaves the column empty.
    payments.loc[random.random(rows) < 0.03, "minutes_since_last_payment"] = np.nan
    return payments


def split_by_time(payments: pd.DataFrame, *, held_out: float = 0.2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the earlier payments for training and the latest share of them for evaluation."""
    cut = int(len(payments) * (1.0 - held_out))
    return payments.iloc[:cut], payments.iloc[cut:]


def _ordinary_payments(rows: int, random: np.random.Generator) -> pd.DataFrame:
    card_country = random.choice(COUNTRIES, rows, p=[0.3, 0.15, 0.1, 0.1, 0.1, 0.08, 0.07, 0.05, 0.03, 0.02])
    is_abroad = random.random(rows) < 0.12
    merchant_country = np.where(is_abroad, random.choice(COUNTRIES, rows), card_country)
    category = random.choice(CATEGORIES, rows, p=[0.3, 0.12, 0.18, 0.14, 0.08, 0.07, 0.07, 0.04])
    typical = pd.Series(category).map(
        dict(zip(CATEGORIES, [3.3, 3.7, 3.2, 3.9, 5.0, 5.4, 2.8, 3.9], strict=True)),
    )
    amount = np.round(np.exp(typical.to_numpy() + random.normal(0.0, 0.6, rows)), 2)
    per_day = random.poisson(1.6, rows)
    is_burst = random.random(rows) < 0.02
    per_hour = np.where(is_burst, random.integers(3, 12, rows), random.binomial(per_day, 0.15))
    per_day = np.maximum(per_day, per_hour)
    hours = np.arange(24)
    by_hour = 0.25 + np.exp(-((hours - 13) ** 2) / 40.0) + 0.8 * np.exp(-((hours - 19) ** 2) / 12.0)
    return pd.DataFrame(
        {
            "payment_id": [f"p{number:08d}" for number in range(rows)],
            "card_id": [f"c{number:06d}" for number in random.integers(0, 9_000, rows)],
            "amount": amount,
            "merchant_category": category,
            "merchant_country": merchant_country,
            "card_country": card_country,
            "channel": random.choice(CHANNELS, rows, p=[0.34, 0.33, 0.3, 0.03]),
            "hour": random.choice(hours, rows, p=by_hour / by_hour.sum()).astype("int64"),
            "card_age_days": random.gamma(1.5, 500.0, rows).astype("int64"),
            "payments_last_hour": per_hour.astype("int64"),
            "payments_last_day": per_day.astype("int64"),
            "amount_last_day": np.round(per_day * random.gamma(2.0, 22.0, rows), 2),
            "minutes_since_last_payment": np.round(random.exponential(600.0, rows) / (1.0 + per_hour), 1),
        }
    )


def _log_odds(payments: pd.DataFrame) -> np.ndarray:
    is_online = payments["channel"] == "online"
    is_abroad = payments["merchant_country"] != payments["card_country"]
    is_easily_sold = payments["merchant_category"].isin(["gift_cards", "electronics", "gaming"])
    return np.asarray(
        -6.4
        + 5.5 * (is_online & (payments["payments_last_hour"] >= 3))
        + 4.5 * (is_abroad & (payments["card_age_days"] < 90))
        + 3.6 * (is_easily_sold & (payments["hour"] < 6))
        + 2.4 * (payments["channel"] == "magstripe")
        + 1.6 * (is_online & is_abroad)
        + 0.9 * np.log1p(payments["amount"] / 150.0)
    )
