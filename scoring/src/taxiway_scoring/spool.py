"""Live requests, one in many, kept to be compared with ``mlflow.pyfunc``: callers have other rows than proofs.

A pod writes what it was asked and what it answered to a directory, never more than a bounded amount. A short-lived
process reads it, asks pyfunc the same, counts what differs, and deletes it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from taxiway_scoring.contract import Contract
from taxiway_scoring.payload import read_request
from taxiway_scoring.predictor import Predictor
from taxiway_scoring.proof import outcome, same
from taxiway_scoring.refusals import Refused

MAX_FILES = 64
MAX_FILE_BYTES = 1 << 20
MAX_BYTES = 16 << 20
log = logging.getLogger("taxiway")


class Spool:
    """Keeps one of ``every`` answered requests in a directory; none while it is full."""

    def __init__(self, directory: Path, every: int) -> None:
        self._directory = directory
        self._every = every
        self._until_next = 1
        self._number = 0

    def is_due(self) -> bool:
        """Count a request; tell whether it is one to keep."""
        self._until_next -= 1
        if self._until_next > 0:
            return False
        self._until_next = self._every
        return True

    def keep(self, body: bytes, kind: str, answer: bytes) -> bool:
        """Write a request and its answer, if there is room. What cannot be written is no error."""
        document = {
            "body": base64.b64encode(body).decode(),
            "type": kind,
            "answer": base64.b64encode(answer).decode(),
        }
        text = json.dumps(document)
        if len(text) > MAX_FILE_BYTES:
            return False
        try:
            sizes = [entry.stat().st_size for entry in os.scandir(self._directory)]
            if len(sizes) >= MAX_FILES or sum(sizes) + len(text) > MAX_BYTES:
                return False
            self._number += 1
            place = self._directory / f"{os.getpid()}-{self._number}"
            with open(place, "x", opener=_for_owner) as file:
                file.write(text)
            place.rename(place.with_suffix(".json"))
        except OSError as error:
            log.warning("a request could not be kept for comparison: %s", type(error).__name__)
            return False
        return True


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@dataclass(frozen=True)
class Check:
    """How many requests and rows were compared, how many requests differ, and where the first does, without values."""

    requests: int
    rows: int
    differences: int
    where: str

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return asdict(self)


def check(predictor: Predictor, contract: Contract, directory: Path) -> Check:
    """Ask pyfunc what the pods were asked; delete what was compared."""
    requests, compared, where = 0, 0, []
    for place, body, kind, answer in _kept(directory):
        rows, difference = _compare(predictor, contract, body, kind, answer)
        place.unlink(missing_ok=True)
        requests += 1
        compared += rows
        if difference:
            where.append(difference)
    return Check(requests, compared, len(where), where[0] if where else "")


def _kept(directory: Path) -> Iterator[tuple[Path, bytes, str, Any]]:
    """Yield what was kept; what is not whole or not ours is passed over."""
    for place in sorted(directory.glob("*.json"))[:MAX_FILES]:
        try:
            if place.is_symlink() or place.stat().st_size > MAX_FILE_BYTES:
                continue
            document = json.loads(place.read_text("ascii"))
            answer = json.loads(base64.b64decode(document["answer"]))["predictions"]
            yield place, base64.b64decode(document["body"]), str(document["type"]), answer
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a kept request cannot be read: %s", type(error).__name__)


def _compare(predictor: Predictor, contract: Contract, body: bytes, kind: str, answer: Any) -> tuple[int, str]:
    try:
        request = read_request(contract, body, kind, is_typed=predictor.is_typed)
    except Refused:
        return 0, "a request was answered that must be refused"
    rows = request.rows or 0
    expected = outcome(lambda _: predictor.predict(request), [])
    if expected is None:
        return rows, f"pyfunc fails on a request of {rows} rows that was answered"
    if same(expected, answer):
        return rows, ""
    if isinstance(expected, list) and isinstance(answer, list) and len(expected) == len(answer):
        row = next((at for at, (one, other) in enumerate(zip(expected, answer)) if not same(one, other)), 0)
        return rows, f"row {row} of a request of {rows} rows differs"
    return rows, "an answer has another shape than pyfunc's"
