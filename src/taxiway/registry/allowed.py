"""The allow-list: every call that MLflow's clients may make, as one table; everything else does not exist.

Pure. A path is taken apart first, so that no spelling of it (encoded slashes, dot segments, doubled slashes, other
case, another encoding of the encoding) means one thing here and another to MLflow. ``proxy.py`` passes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote_to_bytes

from taxiway.domain.people import Permission

LONGEST_PATH = 8192
MOST_DECODINGS = 5
_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")


class NoSuchCall(Exception):
    """The path and method are not on the list, or the path has more than one reading."""


class Body(StrEnum):
    """How a call's body is treated."""

    NONE = "none"
    """Not read and not passed on."""
    JSON = "json"
    """Read whole, inspected, and written anew."""
    FILE = "file"
    """Streamed, up to the limit of uploads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One line of the table. In ``path``, ``{name}`` stands for one segment and a last ``{path}`` for all the rest."""

    method: str
    path: str
    permission: Permission
    body: Body = Body.NONE
    body_bytes: int = 1 << 20
    is_destructive: bool = False
    """Takes something away that somebody may miss; written to the audit log."""
    answers_file: bool = False
    hides_missing_source: bool = False
    """MLflow answers 500, which its clients repeat for minutes, where it means that the source is not there."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The segments of the path."""
        return tuple(self.path.strip("/").split("/"))


_V2 = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"


def _look(path: str, *, is_file: bool = False) -> Call:
    return Call(method="GET", path=path, permission=Permission.TRACKING_READ, answers_file=is_file)


def _search(path: str) -> Call:
    return Call(method="POST", path=path, permission=Permission.TRACKING_READ, body=Body.JSON)


def _change(method: str, path: str, *, body_bytes: int = 1 << 20) -> Call:
    return Call(method=method, path=path, permission=Permission.TRACKING_WRITE, body=Body.JSON, body_bytes=body_bytes)


def _destroy(method: str, path: str, *, body: Body = Body.JSON) -> Call:
    return Call(method=method, path=path, permission=Permission.TRACKING_WRITE, body=body, is_destructive=True)


CALLS: tuple[Call, ...] = (
    _look("/api/3.0/mlflow/server-info"),
    # Experiments.
    _change("POST", f"{_V2}/experiments/create"),
    _look(f"{_V2}/experiments/search"),
    _search(f"{_V2}/experiments/search"),
    _look(f"{_V2}/experiments/get"),
    _look(f"{_V2}/experiments/get-by-name"),
    _destroy("POST", f"{_V2}/experiments/delete"),
    _change("POST", f"{_V2}/experiments/restore"),
    _change("POST", f"{_V2}/experiments/update"),
    _change("POST", f"{_V2}/experiments/set-experiment-tag"),
    _change("POST", f"{_V2}/experiments/delete-experiment-tag"),
    # Runs.
    _change("POST", f"{_V2}/runs/create"),
    _change("POST", f"{_V2}/runs/update"),
    _destroy("POST", f"{_V2}/runs/delete"),
    _change("POST", f"{_V2}/runs/restore"),
    _look(f"{_V2}/runs/get"),
    _search(f"{_V2}/runs/search"),
    _change("POST", f"{_V2}/runs/log-metric"),
    _change("POST", f"{_V2}/runs/log-parameter"),
    _change("POST", f"{_V2}/runs/log-batch"),
    _change("POST", f"{_V2}/runs/log-model"),
    # A dataset's profile alone may have 16 MiB, its schema 1 MiB.
    _change("POST", f"{_V2}/runs/log-inputs", body_bytes=20 << 20),
    _change("POST", f"{_V2}/runs/outputs"),
    _change("POST", f"{_V2}/runs/set-tag"),
    _change("POST", f"{_V2}/runs/delete-tag"),
    _look(f"{_V2}/metrics/get-history"),
    _look(f"{_V2}/metrics/get-history-bulk-interval"),
    # Artifacts.
    _look(f"{_V2}/artifacts/list"),
    _look(_FILES),
    _look(f"{_FILES}/{{path}}", is_file=True),
    Call(method="PUT", path=f"{_FILES}/{{path}}", permission=Permission.TRACKING_WRITE, body=Body.FILE),
    _destroy("DELETE", f"{_FILES}/{{path}}", body=Body.NONE),
    # Logged models.
    _change("POST", f"{_V2}/logged-models"),
    _search(f"{_V2}/logged-models/search"),
    _look(f"{_V2}/logged-models/{{model_id}}"),
    _change("PATCH", f"{_V2}/logged-models/{{model_id}}"),
    _destroy("DELETE", f"{_V2}/logged-models/{{model_id}}"),
    _look(f"{_V2}/logged-models/{{model_id}}/artifacts/directories"),
    _change("POST", f"{_V2}/logged-models/{{model_id}}/params"),
    _change("PATCH", f"{_V2}/logged-models/{{model_id}}/tags"),
    _change("DELETE", f"{_V2}/logged-models/{{model_id}}/tags/{{tag_key}}"),
    # Registered models.
    _change("POST", f"{_V2}/registered-models/create"),
    _look(f"{_V2}/registered-models/get"),
    _look(f"{_V2}/registered-models/search"),
    _look(f"{_V2}/registered-models/get-latest-versions"),
    _search(f"{_V2}/registered-models/get-latest-versions"),
    _change("PATCH", f"{_V2}/registered-models/update"),
    _destroy("POST", f"{_V2}/registered-models/rename"),
    _destroy("DELETE", f"{_V2}/registered-models/delete"),
    _change("POST", f"{_V2}/registered-models/set-tag"),
    _change("DELETE", f"{_V2}/registered-models/delete-tag"),
    _look(f"{_V2}/registered-models/alias"),
    _change("POST", f"{_V2}/registered-models/alias"),
    _change("DELETE", f"{_V2}/registered-models/alias"),
    # Model versions.
    Call(
        method="POST", path=f"{_V2}/model-versions/create", permission=Permission.TRACKING_WRITE, body=Body.JSON,
        hides_missing_source=True,
    ),
    _look(f"{_V2}/model-versions/get"),
    _look(f"{_V2}/model-versions/search"),
    _look(f"{_V2}/model-versions/get-download-uri"),
    _change("PATCH", f"{_V2}/model-versions/update"),
    _destroy("DELETE", f"{_V2}/model-versions/delete"),
    _change("POST", f"{_V2}/model-versions/transition-stage"),
    _change("POST", f"{_V2}/model-versions/set-tag"),
    _change("DELETE", f"{_V2}/model-versions/delete-tag"),
)  # fmt: skip
"""Two calls that fit the same path are tried in this order: fixed names stand before what stands for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A call that is on the list, with the segments of its path, decoded."""

    call: Call
    segments: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path as it is passed on: each segment encoded once, and no other way."""
        return "/" + "/".join(quote(segment, safe="") for segment in self.segments)

    @property
    def artifact_path(self) -> str | None:
        """What ``{path}`` stands for; None where the call has none."""
        parts = self.call.parts
        return "/".join(self.segments[len(parts) - 1 :]) if parts[-1] == "{path}" else None


def find_call(method: str, raw_path: str) -> Match:
    """Find a call by its method and its path as it was sent, without a query. Raises NoSuchCall."""
    segments = take_apart(raw_path)
    for call in CALLS:
        if call.method == method and _fits(call.parts, segments):
            return Match(call=call, segments=segments)
    raise NoSuchCall


def take_apart(raw_path: str) -> tuple[str, ...]:
    """Return the decoded segments of a path that has only one reading. Raises NoSuchCall for others."""
    if not raw_path.startswith("/") or len(raw_path) > LONGEST_PATH or not raw_path.isascii():
        raise NoSuchCall
    return tuple(_decode(segment) for segment in raw_path[1:].split("/"))


def _decode(segment: str) -> str:
    """Decode a segment once; none of its further decodings may be a name that leaves its place."""
    if _ENCODED.search(segment):
        raise NoSuchCall
    first, *further = readings(segment)
    if not all(is_harmless(reading) for reading in (first, *further)):
        raise NoSuchCall
    return first


def readings(text: str) -> Iterator[str]:
    """Yield what a text becomes when it is decoded once, twice … until it stays. Raises NoSuchCall.

    MLflow decodes what is already decoded, up to many times, before it looks for '..'.
    """
    for _ in range(MOST_DECODINGS):
        try:
            decoded = unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise NoSuchCall from error
        yield decoded
        if decoded == text:
            return
        text = decoded
    raise NoSuchCall


def is_harmless(segment: str) -> bool:
    """Tell whether a decoded segment is one name, and no way up or out."""
    return segment not in ("", ".", "..") and "/" not in segment and "\\" not in segment and segment.isprintable()


def _fits(parts: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if parts[-1] == "{path}":
        head = parts[:-1]
        return len(segments) > len(head) and segments[: len(head)] == head
    return len(parts) == len(segments) and all(
        part == segment or part.startswith("{") for part, segment in zip(parts, segments)
    )
