"""LitServe around ``mlflow.pyfunc``."""

import os
from typing import Any

import litserve
import mlflow
import pandas as pd


class Scores(litserve.LitAPI):
    """One model, one worker."""

    def setup(self, _device: str) -> None:
        """Load it."""
        self.model = mlflow.pyfunc.load_model(os.environ["MODEL"])

    def decode_request(self, request: dict[str, Any]) -> pd.DataFrame:
        """Read MLflow's request."""
        table = request["dataframe_split"]
        return pd.DataFrame(table["data"], columns=table["columns"])

    def predict(self, x: pd.DataFrame) -> Any:
        """Score it."""
        return self.model.predict(x)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Write MLflow's answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(api_path="/invocations"), accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), num_api_servers=1, generate_client_file=False,
               log_level="warning")  # fmt: skip
