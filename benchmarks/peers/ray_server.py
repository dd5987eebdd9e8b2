"""Ray Serve around ``mlflow.pyfunc``: one replica on one CPU."""

import os
import signal
from typing import Any

import mlflow
import pandas as pd
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Scores:
    """One model."""

    def __init__(self, model: str) -> None:
        self.model = mlflow.pyfunc.load_model(model)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer MLflow's request."""
        if request.method == "GET":
            return {}
        table = (await request.json())["dataframe_split"]
        frame = pd.DataFrame(table["data"], columns=table["columns"])
        return {"predictions": self.model.predict(frame).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])}, logging_config=quiet)
    serve.run(Scores.bind(os.environ["MODEL"]), route_prefix="/")
    signal.pause()
