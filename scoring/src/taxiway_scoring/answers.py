"""Predictions → response body: what ``mlflow models serve`` answers, except that what is missing is null.

NaN, infinities, NaT and NA have no JSON; all else becomes what MLflow's encoder makes of it.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import date, datetime, time
from typing import Any

import msgspec

_write = msgspec.json.Encoder().encode


def plain(value: Any) -> Any:
    """Turn what a model returned into what JSON has. Raises TypeError for what it has not."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (datetime, date, time)):
        return None if value != value else value.isoformat()  # NaT is a datetime that differs from itself
    return _plain_foreign(value)


def _key(key: Any) -> str:
    """Return an object's key as ``json`` writes it."""
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    return str(key)


def _plain_foreign(value: Any) -> Any:
    """Turn NumPy and pandas values and pydantic models, known by what they offer, not by import."""
    kind, package = type(value).__name__, type(value).__module__.partition(".")[0]
    if package == "numpy" and hasattr(value, "tolist"):
        turned = value.tolist()
        if type(turned) is type(value):  # extended precision, which Python has not
            turned = float(value)
        return plain(turned)
    if kind in ("NAType", "NaTType"):
        return None
    if package == "pandas" and kind == "Series":
        value, kind = value.to_frame(), "DataFrame"
    if package == "pandas" and kind == "DataFrame":
        return [plain(row) for row in value.to_dict(orient="records")]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "dict") and hasattr(value, "__fields__"):
        return plain(value.dict())
    if package == "scipy" and hasattr(value, "toarray"):
        return plain(value.toarray())
    raise TypeError(f"{kind} is not known to JSON")


def write_predictions(predictions: Any) -> bytes:
    """Return ``{"predictions": …}`` as JSON bytes, of what ``plain`` made."""
    document = {"predictions": predictions}
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has not but an escape has
        return json.dumps(document, allow_nan=False).encode("ascii")


def write_array(values: Any) -> bytes | None:
    """Return the same of a NumPy array of 1 or 2 dimensions (float32 widened, as ``plain`` does it).

    None for arrays of anything but numbers, truths and texts; those go through ``plain``.
    """
    kind = values.dtype.kind
    if kind not in "fiubOU" or (kind == "f" and values.dtype.itemsize > 8):
        return None
    rows = values.tolist()
    if kind == "O" and not all(type(row) is str for row in rows):
        return None
    try:
        return b'{"predictions": ' + _write(rows) + b"}"  # msgspec writes null for what is not finite
    except UnicodeEncodeError:  # lone surrogates
        return None
