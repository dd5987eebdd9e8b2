"""What a stub decides, as pure functions: delays, what a report changes, why a child ended, whether to restart.

No clock, no process, no file in here. Called by ``program.py``; everything is plain dictionaries, as they stand
in ``status.json``.
"""

from __future__ import annotations

import json
import signal

MAX_REPORTS = 50
MAX_MESSAGE = 2000
MAX_DETAIL = 4096
MAX_LINES = 12
MAX_LINE = 300
MAX_ROWS = 1 << 53
HISTORY = 20
"""How many exits are remembered."""


def backoff_seconds(failures: int, *, initial: float, maximum: float) -> float:
    """Return the delay before the restart that follows so many failures in a row: initial, doubled each time."""
    if failures <= 0:
        return 0.0
    # The exponent is bounded, for a float's is too.
    return float(min(maximum, initial * 2.0 ** min(failures - 1, 60)))


def failures_in_a_row(before: int, *, ready_seconds: float | None, healthy_after: float) -> int:
    """Count an exit. A child that was ready for long enough begins a new count."""
    if ready_seconds is not None and ready_seconds >= healthy_after:
        return 1
    return before + 1


def should_restart(policy: str, *, succeeded: bool, retryable: bool) -> bool:
    """Say whether a child that ended by itself is started again."""
    if not retryable or policy == "never":
        return False
    return policy == "always" or not succeeded


class Reported:
    """What the child reported since it was last started: phases with seconds, and perhaps why it failed."""

    def __init__(self) -> None:
        self.phases: list[dict[str, object]] = []
        self.trouble: dict[str, object] | None = None
        self.is_ready = False
        self.is_draining = False
        self.rows = 0


def fold_report(reported: Reported, line: bytes) -> bool:
    """Add one line of the report pipe; False when it says nothing. The child may write anything: trust nothing.

    Lines are ``{"phase": …, "seconds": …, "detail": {…}}``, ``{"rows": how many in all}`` or ``{"failed": {"reason",
    "message", "hint"}, "retryable": bool}`` (the last one may also stand within ``failed``).
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(data, dict):
        return False
    if isinstance(data.get("failed"), dict):
        reported.trouble = _reported_trouble(data)
        return True
    if "rows" in data:
        return _fold_rows(reported, data["rows"])
    phase, seconds = data.get("phase"), data.get("seconds", 0.0)
    if not isinstance(phase, str) or not phase.isidentifier() or len(phase) > 32:
        return False
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9:
        return False
    detail = data.get("detail")
    if not isinstance(detail, dict) or len(json.dumps(detail)) > MAX_DETAIL:
        detail = {}
    if len(reported.phases) < MAX_REPORTS:
        reported.phases.append({"phase": phase, "seconds": float(seconds), "detail": detail})
    reported.is_ready = reported.is_ready or phase == "ready"
    reported.is_draining = reported.is_draining or phase == "draining"
    return True


def _fold_rows(reported: Reported, rows: object) -> bool:
    """Take the count of rows; it only grows."""
    if isinstance(rows, bool) or not isinstance(rows, int) or not reported.rows < rows <= MAX_ROWS:
        return False
    reported.rows = rows
    return True


def _reported_trouble(data: dict[str, object]) -> dict[str, object]:
    failed = data["failed"]
    assert isinstance(failed, dict)  # noqa: S101
    reason = failed.get("reason")
    is_word = isinstance(reason, str) and reason.isascii() and reason.isalnum() and len(reason) <= 64
    retryable = data.get("retryable", failed.get("retryable", True))
    return {
        "reason": reason if is_word else "Failed",
        "message": str(failed.get("message") or "The program failed without a message.")[:MAX_MESSAGE],
        "hint": str(failed.get("hint") or "")[:MAX_MESSAGE],
        "retryable": retryable is not False,
    }


class End:
    """The facts of one end of a child, as far as the stub knows them."""

    def __init__(
        self,
        *,
        code: int | None = None,
        signal_number: int | None = None,
        cause: str | None = None,
        cannot_start: str | None = None,
        oom_kills: int = 0,
        memory_limit: int | None = None,
        memory_last: int | None = None,
        start_deadline: float | None = None,
        last_phase: str | None = None,
        program: str = "program",
    ) -> None:
        self.code = code
        self.signal_number = signal_number
        self.cause = cause
        """Why the stub itself killed it: StartDeadlineExceeded, ProbeFailed, OutOfMemory, TooManyProcesses, …"""
        self.cannot_start = cannot_start
        """The words of the error that kept the program from being run at all."""
        self.oom_kills = oom_kills
        self.memory_limit = memory_limit
        self.memory_last = memory_last
        self.start_deadline = start_deadline
        self.last_phase = last_phase
        self.program = program


def why_it_ended(end: End, reported: dict[str, object] | None) -> dict[str, object]:
    """Return reason, message, hint and whether a retry may help. The most telling cause wins.

    | first that holds                        | reason                 |
    | --------------------------------------- | ---------------------- |
    | could not be run                        | CannotStart            |
    | kernel or stub killed it for its memory | OutOfMemory            |
    | the stub killed it                      | the stub's reason      |
    | it reported a failure                   | its own reason         |
    | a signal                                | Killed                 |
    | otherwise                               | Exited                 |
    """
    if end.cannot_start is not None:
        return _trouble("CannotStart", f"The program could not be started: {end.cannot_start}")
    if end.cause == "OutOfMemory" or (end.oom_kills > 0 and end.code != 0):
        return _out_of_memory(end)
    if end.cause is not None:
        return _killed_by_stub(end)
    if reported is not None:
        return dict(reported)
    if end.signal_number is not None:
        name = _signal_name(end.signal_number)
        return _trouble(
            "Killed",
            f"The {end.program} was killed by signal {end.signal_number} ({name}).",
            hint="See its last lines of log; a crash in native code or somebody's kill ends like this.",
        )
    return _trouble(
        "Exited",
        f"The {end.program} exited with code {end.code}.",
        hint="" if end.code == 0 else "See its last lines of log.",
    )


def _out_of_memory(end: End) -> dict[str, object]:
    limit = f"{_mebibytes(end.memory_limit)} allowed" if end.memory_limit else "what the host has"
    last = f"; last seen at {_mebibytes(end.memory_last)}" if end.memory_last else ""
    trouble = _trouble(
        "OutOfMemory",
        f"The {end.program} used more memory than {limit}{last}.",
        hint="Give it more memory, or make it need less.",
    )
    trouble["limit_bytes"], trouble["last_bytes"] = end.memory_limit, end.memory_last
    return trouble


def _killed_by_stub(end: End) -> dict[str, object]:
    if end.cause == "StartDeadlineExceeded":
        reached = f"its last phase was {end.last_phase}" if end.last_phase else "it had reported no phase"
        return _trouble(
            "StartDeadlineExceeded",
            f"The {end.program} was not ready {end.start_deadline or 0:g} s after its start; {reached}.",
            hint="See what it was doing in its log, or give it a longer start deadline.",
        )
    if end.cause == "ProbeFailed":
        return _trouble(
            "ProbeFailed",
            f"The {end.program} ran but did not answer its health check, and was killed.",
            hint="It hangs or is overloaded; see its last lines of log.",
        )
    if end.cause == "TooManyProcesses":
        return _trouble("TooManyProcesses", f"The {end.program} started more processes than it may.")
    if end.cause == "StopGraceExceeded":
        return _trouble("StopGraceExceeded", f"The {end.program} did not stop in time, and was killed.")
    if end.cause == "Restarted":
        return _trouble("Restarted", f"The {end.program} was told to start anew.")
    return _trouble(str(end.cause), f"The {end.program} was told to stop.")


def _trouble(reason: str, message: str, hint: str = "") -> dict[str, object]:
    return {"reason": reason, "message": message, "hint": hint, "retryable": True}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _mebibytes(count: int | None) -> str:
    return "?" if count is None else f"{count / (1 << 20):.0f} MiB"


def lines_that_mattered(recent: list[tuple[str, str]]) -> list[str]:
    """Pick the lines that tell why a program ended, from its last ones as (stream, text).

    The last traceback where there is one, cut to its head and end; else the end of stderr; else of stdout.
    """
    errors = [text for stream, text in recent if stream == "e" and text.strip()]
    lines = errors or [text for stream, text in recent if stream == "o" and text.strip()]
    starts = [index for index, text in enumerate(lines) if text.startswith("Traceback (most recent call last)")]
    if starts:
        lines = lines[starts[-1] :]
        if len(lines) > MAX_LINES:
            lines = [lines[0], "…", *lines[-(MAX_LINES - 2) :]]
    return [text[:MAX_LINE] for text in lines[-MAX_LINES:]]


def wrapper_status(code: int) -> tuple[int | None, int | None]:
    """Read an exit code that a wrapper passed on as a shell does: 128 + signal. Returns (code, signal)."""
    if 128 < code <= 128 + 64:
        return None, code - 128
    return code, None
