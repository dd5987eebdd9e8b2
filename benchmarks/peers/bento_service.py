"""BentoML: the model behind ``mlflow.pyfunc``, one request at a time, and with adaptive batching."""

import os
from typing import Any

import bentoml
import mlflow
import pandas as pd


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 1000})
class Scores:
    """Two routes of one model."""

    def __init__(self) -> None:
        self.model = mlflow.pyfunc.load_model(os.environ["MODEL"])

    @bentoml.api(route="/invocations")
    def invocations(self, dataframe_split: dict[str, Any]) -> dict[str, Any]:
        """Answer MLflow's request."""
        frame = pd.DataFrame(dataframe_split["data"], columns=dataframe_split["columns"])
        return {"predictions": self.model.predict(frame).tolist()}

    @bentoml.api(route="/batched", batchable=True, max_batch_size=1000, max_latency_ms=20000)
    def batched(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Answer rows of several requests together."""
        return self.model.predict(pd.DataFrame(rows)).tolist()
