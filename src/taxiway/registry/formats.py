"""Whether loading a model's files can run code that lies in them: one table by the end of the name.

| format  | what loading does                                                                |
| ------- | -------------------------------------------------------------------------------- |
| SAFE    | reads data: text, tables, and the native formats of tree libraries and ONNX      |
| UNSAFE  | runs what the file says: pickles in all their names, archives of them, code      |
| UNKNOWN | not known, or it depends: skops asks for types to trust, Keras may hold lambdas  |

A model is as safe as its least safe file. This is information for people, never a reason to load something here.
"""

from __future__ import annotations

from collections.abc import Iterable

from taxiway.domain.models import FileFormat

_SAFE = {
    "cb": "CatBoost", "cbm": "CatBoost", "csv": "table", "json": "data", "lgb": "LightGBM's text", "md": "text",
    "onnx": "ONNX", "parquet": "table", "safetensors": "tensors", "tsv": "table", "txt": "text", "ubj": "XGBoost",
    "xgb": "XGBoost", "yaml": "data", "yml": "data",
}  # fmt: skip
_UNSAFE = {
    "bin": "PyTorch's pickle", "ckpt": "PyTorch's pickle", "cloudpickle": "pickle", "dill": "pickle",
    "egg": "code", "jar": "code", "joblib": "pickle", "pckl": "pickle", "pickle": "pickle", "pkl": "pickle",
    "pt": "PyTorch's pickle", "pth": "PyTorch's pickle", "py": "code", "pyc": "code", "rds": "R's pickle",
    "sav": "pickle", "so": "code", "whl": "code",
}  # fmt: skip
_SAFE_NAMES = frozenset({"MLmodel", "LICENSE", "NOTICE", "README"})
MOST_NAMED = 100


def format_of(path: str) -> FileFormat:
    """Return the format of one file by its name."""
    name = path.rpartition("/")[2]
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending in _UNSAFE:
        return FileFormat.UNSAFE
    if ending in _SAFE or name in _SAFE_NAMES:
        return FileFormat.SAFE
    return FileFormat.UNKNOWN


def judge_files(paths: Iterable[str], *, loader_module: str) -> tuple[FileFormat, tuple[str, ...]]:
    """Return a model's format and the files that make it unsafe, at most a hundred of them.

    A loader that is not MLflow's own is code that nobody has looked at: such a model is never SAFE.
    """
    formats = {path: format_of(path) for path in paths}
    unsafe = sorted(path for path, found in formats.items() if found is FileFormat.UNSAFE)
    if unsafe:
        return FileFormat.UNSAFE, tuple(unsafe[:MOST_NAMED])
    if FileFormat.UNKNOWN in formats.values() or not loader_module.startswith("mlflow."):
        return FileFormat.UNKNOWN, ()
    return FileFormat.SAFE, ()
