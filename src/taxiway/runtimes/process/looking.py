"""Reads the pods' directories, often and cheaply: what a stub wrote is parsed again only when it wrote anew."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from taxiway.domain.ids import PodId, RevisionId
from taxiway.runtimes.process.pods import PodSeen
from taxiway.stub import children, identity
from taxiway.stub.children import ChildStatus

_POD_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,39}\Z")
_Mark = tuple[int, int, int]
_OF_A_POD = frozenset(["config.json", "home", "lock", "log", "stub.err"])
"""What a pod's directory holds beside the two files that say whose it is."""


class PodDirectories:
    """All pods that have a directory here, wanted or not. To be used in one thread."""

    def __init__(self, home: Path, *, read: Callable[[Path], ChildStatus | None] = children.status) -> None:
        self._home = home
        self._read = read
        self._known: dict[PodId, tuple[_Mark, PodSeen]] = {}
        """Of pods whose stub was proven to live: which status file said so, and what it said."""

    def look(self) -> list[PodSeen]:
        """Look once, oldest pods first."""
        pods = self._names()
        self._known = {pod: self._known[pod] for pod in pods if pod in self._known}
        return [seen for pod in pods if (seen := self._look_at(pod)) is not None]

    def left_over(self) -> list[PodId]:
        """List those that a control plane was killed while making or deleting: no file says whose they are."""
        return [pod for pod in self._names() if pod not in self._known and _is_left_over(f"{self._home}/{pod}")]

    def _names(self) -> list[PodId]:
        try:
            return sorted(PodId(name) for name in os.listdir(self._home) if _POD_ID.match(name))  # noqa: PTH208
        except FileNotFoundError:
            return []

    def _look_at(self, pod: PodId) -> PodSeen | None:
        """Read one pod's directory; None for one that does not say that it is a pod's."""
        directory = f"{self._home}/{pod}"
        # Before it is read: what is written meanwhile is then read again.
        mark = _mark(f"{directory}/status.json")
        known = self._known.pop(pod, None)
        # Whoever takes the lock after this stub writes a status of its own: the same one, and a lock, are its own.
        if known is not None and known[0] == mark and identity.is_locked(f"{directory}/lock"):
            self._known[pod] = known
            return known[1]
        seen = _seen(pod, Path(directory), self._read(Path(directory)))
        if mark is not None and seen is not None and seen.status is not None and seen.status.is_alive:
            self._known[pod] = (mark, seen)
        return seen


def _is_left_over(directory: str) -> bool:
    """Tell a pod's directory without a spec and a status from a stranger's, and from one whose stub still lives."""
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return False
    is_ours = all(name in _OF_A_POD or name.startswith((".config.json.", ".spec.json.")) for name in names)
    return is_ours and not identity.is_locked(f"{directory}/lock")


def _mark(file: str) -> _Mark | None:
    """Tell a file from the one that replaces it."""
    try:
        found = os.stat(file)  # noqa: PTH116
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _seen(pod: PodId, directory: Path, status: ChildStatus | None) -> PodSeen | None:
    labels = status.labels if status is not None else _labels_of(directory / "spec.json")
    if labels.get("kind") != "pod" or labels.get("pod") != pod:
        return None
    try:
        created_at = datetime.fromisoformat(labels["created_at"])
        revision, socket = RevisionId(labels["revision"]), labels["socket"]
    except (KeyError, ValueError):
        return None
    return PodSeen(id=pod, revision=revision, created_at=created_at, socket=socket, status=status)


def _labels_of(spec: Path) -> dict[str, str]:
    """Return the labels of a spec whose stub never wrote a status; empty where there is none."""
    try:
        labels = json.loads(spec.read_bytes())["labels"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return labels if isinstance(labels, dict) else {}
