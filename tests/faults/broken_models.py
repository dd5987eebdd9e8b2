"""Models that fail in ways that have names, logged with MLflow's own client."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from tests.platforms import Platform

SMALL = ("mlflow-skinny==3.17.2", "pandas>=2.2", "numpy>=2")
"""Requirements that are quick to build and shared by all models here: one model environment."""


@dataclass(frozen=True, kw_only=True)
class PyModel:
    """A custom Python model: statements for the module, for loading and for predicting."""

    module: str = ""
    load: str = "pass"
    predict: str = "return [len(model_input)] * len(model_input)"
    requirements: tuple[str, ...] = SMALL
    has_signature: bool = True
    files: dict[str, str] = field(default_factory=dict)
    """Files of the logged model to write over (or, with '', to delete) before they are uploaded."""
    ballast_bytes: int = 0
    """Size of a file that only takes room."""


LOG = """
import json, os, pathlib, sys, tempfile, textwrap
import mlflow, pandas as pd
from mlflow.models import infer_signature

spec = json.loads(sys.argv[1])
home = pathlib.Path(tempfile.mkdtemp())
indent = lambda text: textwrap.indent(text, "        ")
(home / "model_code.py").write_text(
    "import os, sys, time\\nimport mlflow\\n" + spec["module"] + "\\n"
    "class Model(mlflow.pyfunc.PythonModel):\\n"
    "    def load_context(self, context):\\n" + indent(spec["load"]) + "\\n"
    "    def predict(self, context, model_input, params=None):\\n" + indent(spec["predict"]) + "\\n"
    "mlflow.models.set_model(Model())\\n"
)
example = pd.DataFrame({"amount": [1.0, 2.0], "country": ["DE", "FR"]})
kept = {"signature": infer_signature(example, [1, 2])} if spec["has_signature"] else {}
from mlflow.models.model import Model as MLmodel
mlflow_model = MLmodel(**kept)
path = home / "model"
os.environ["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"
mlflow.pyfunc.save_model(
    str(path), python_model=str(home / "model_code.py"), pip_requirements=list(spec["requirements"]),
    mlflow_model=mlflow_model,
)
saved = MLmodel.load(str(path))
example.to_json(path / "input_example.json", orient="split", index=False)
split = json.loads(example.to_json(orient="split", index=False))
(path / "serving_input_example.json").write_text(json.dumps({"dataframe_split": split}))
saved.saved_input_example_info = {
    "artifact_path": "input_example.json", "pandas_orient": "split", "type": "dataframe",
    "serving_input_path": "serving_input_example.json",
}
saved.save(str(path / "MLmodel"))
for name, text in spec["files"].items():
    (path / name).write_text(text) if text else (path / name).unlink()
if spec["ballast_bytes"]:
    (path / "ballast.bin").write_bytes(os.urandom(spec["ballast_bytes"]))
mlflow.set_experiment("broken")
with mlflow.start_run() as run:
    mlflow.log_artifacts(str(path), "model")
print(run.info.run_id)
"""


def log_model(platform: Platform, model: PyModel) -> str:
    """Log the model as a folder of a run's artifacts, as MLflow 2 did; return the run's id."""
    return platform.python(LOG, json.dumps(asdict(model))).splitlines()[-1]
