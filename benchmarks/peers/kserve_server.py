"""KServe's Python SDK around ``mlflow.pyfunc``."""

import os
from typing import Any

import mlflow
import pandas as pd
from kserve import Model, ModelServer


class Scores(Model):
    """One model under KServe's first protocol."""

    def __init__(self) -> None:
        super().__init__("m")
        self.model = mlflow.pyfunc.load_model(os.environ["MODEL"])
        self.ready = True

    def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Answer rows as objects."""
        return {"predictions": self.model.predict(pd.DataFrame(payload["instances"])).tolist()}


if __name__ == "__main__":
    ModelServer(http_port=int(os.environ["PORT"]), enable_grpc=False, workers=1).start([Scores()])
