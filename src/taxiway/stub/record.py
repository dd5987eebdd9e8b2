"""``status.json``: what a stub tells about itself and its child, replaced whole on each change.

``status.py`` reads it. Runs inside the stub.
"""

from __future__ import annotations

import json
import os
import time

from taxiway.stub import identity
from taxiway.stub.decisions import HISTORY

VERSION = 1


class Record:
    """The status as it stands. Change ``data``, then ``write``; a full disk delays it, nothing more."""

    def __init__(self, directory: str, spec: dict[str, object]) -> None:
        self._path = f"{directory}/status.json"
        self._was_written = True
        before = self._load()
        lost = _lost_run(before)
        pid = os.getpid()
        self.data: dict[str, object] = {
            "version": VERSION,
            "stub": {
                "pid": pid,
                "start_ticks": identity.start_ticks(pid),
                "boot_id": identity.boot_id(),
                "started_at": time.time(),
            },
            "nonce": spec["nonce"],
            "labels": spec["labels"],
            "phase": "pending",
            "child": None,
            "reports": [],
            "trouble": None,
            "restarts": _count(before.get("restarts")) + (1 if lost else 0),
            "restart_at": None,
            "exits": [*_history(before.get("exits")), *lost][-HISTORY:],
            "memory_bytes": None,
            "memory_peak_bytes": None,
            "cpu_seconds": None,
            "rows": _count(before.get("rows")),
            "isolation": None,
            "enforcement": {},
        }

    def add_exit(self, item: dict[str, object]) -> None:
        """Remember one more end of the child, and forget the oldest when there are too many."""
        exits = self.data["exits"]
        assert isinstance(exits, list)  # noqa: S101
        exits.append(item)
        del exits[:-HISTORY]

    def write(self) -> bool:
        """Replace the file; False when that failed. Readers see the old or the new one, never a part."""
        self.data["written_at"] = time.time()
        temporary = f"{self._path}.new"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                data = json.dumps(self.data).encode()
                if os.write(fd, data) != len(data):
                    raise OSError("short write")
            finally:
                os.close(fd)
            os.replace(temporary, self._path)  # noqa: PTH105
        except OSError:
            self._was_written = False
        else:
            self._was_written = True
        return self._was_written

    def write_again(self) -> None:
        """Write if the last attempt failed."""
        if not self._was_written:
            self.write()

    def _load(self) -> dict[str, object]:
        """Return what an earlier stub of this directory wrote; empty when there is nothing to be read."""
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                data = json.loads(file.read())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}


def _lost_run(before: dict[str, object]) -> list[dict[str, object]]:
    """Return the end of a run that an earlier stub could not write down, for it was killed as well."""
    child, stub = before.get("child"), before.get("stub")
    if not isinstance(child, dict) or not isinstance(stub, dict):
        return []
    if stub.get("boot_id") == identity.boot_id():
        reason, message = "StubGone", "The process that kept the program was killed, and the program with it."
    else:
        reason, message = "HostRestarted", "The host was started anew."
    return [
        {
            "at": before.get("written_at", time.time()),
            "started_at": child.get("started_at", time.time()),
            "code": None,
            "signal": 9,
            "was_ready": before.get("phase") in ("ready", "unready"),
            "trouble": {"reason": reason, "message": message, "hint": "", "retryable": True, "lines": []},
        }
    ]


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _history(value: object) -> list[object]:
    return list(value[-HISTORY:]) if isinstance(value, list) else []
