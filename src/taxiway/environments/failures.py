"""Why a build failed, in the words that people see: what uv 0.13 says, read into a Failure. Pure."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from taxiway.domain.conditions import Failure
from taxiway.domain.errors import EnvironmentFailed, OutOfDisk

KEPT_LINES = 20
_LONGEST_MESSAGE = 600
_FROM_UV = re.compile(r"(?:error|cause|hint): ")
_CHATTER = re.compile(r"(?:Using |Creating |Activate |Resolved |Downloading |Prepared |Installed | Downloaded | [+-] )")
_CONCLUSION = re.compile(r",? we can conclude that your requirements are unsatisfiable\.?")
_REQUIRED = re.compile(r"you require ([A-Za-z0-9][A-Za-z0-9._-]*)")
_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^]]*\])?(?:==[^\s`,]+)?)"
_CHECK_INDEX = "Check name and version, and that the package index or wheel store has the package."


class BuildFailed(Exception):
    """A build ended badly; carries the Failure that people see."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What is said when uv's words match; ``message`` and ``hint`` may use the match's groups."""

    pattern: re.Pattern[str]
    message: str
    hint: str
    reason: str = EnvironmentFailed.reason
    retryable: bool = True


def _rule(pattern: str, message: str, hint: str, *, reason: str = EnvironmentFailed.reason) -> _Rule:
    return _Rule(pattern=re.compile(pattern), message=message, hint=hint, reason=reason)


_INDEX_UNREACHABLE = "IndexUnreachable"
_RULES = (
    _rule(
        r"No space left on device|Disk quota exceeded",
        "The disk is full: the model environment could not be written.",
        "Free some room where the data directory is; model environments take 0.3 to 2 GB each.",
        reason=OutOfDisk.reason,
    ),
    _rule(
        r"\((401) Unauthorized\)|returned a (403) Forbidden",
        "The package index refused access ({0}).",
        "Check the credentials in environments.index_url, or in the host's own uv configuration, then try again.",
        reason=_INDEX_UNREACHABLE,
    ),
    _rule(
        r"Hash mismatch for `" + _NAME + "`",
        "The file of {0} is not the one that was resolved: its hash differs.",
        "Look who changed that file in the package index or the wheel store, then try again.",
    ),
    _rule(
        r"Because " + _NAME + r" was not found in the cache",
        "The package {0} is neither in the wheel store nor in the cache, and builds are offline.",
        "Put its wheel and those that it needs into the wheel store, or set environments.is_offline to false.",
    ),
    _rule(
        r"Failed to download `" + _NAME + r"`(?:.|\n)*Network connectivity is disabled",
        "The wheel of {0} is neither in the wheel store nor in the cache, and builds are offline.",
        "Put its wheel into the wheel store, or set environments.is_offline to false.",
    ),
    _rule(
        r"(?:Because|because|and) " + _NAME + r" was not found in the (?:package registry|provided package locations)",
        "The package {0} does not exist in the package index.",
        _CHECK_INDEX,
    ),
    _rule(
        _NAME + r" has no wheels with a matching (Python ABI|Python implementation|Python version|platform|ABI) tag",
        "There is no wheel of {0} for this host's Python or platform (no matching {1} tag).",
        "Log the model with a version that has one, or set environments.allow_source_builds to build it from source.",
    ),
    _rule(
        _NAME + r" requires Python ([<>=!~]\S+)",
        "{0} needs Python {1}, and the model was logged with another.",
        "Log the model with a version of the package that runs on its Python.",
    ),
    _rule(
        _NAME + r" has no usable wheels",
        "There is no wheel of {0}, only its source.",
        "Log the model with a version that has a wheel, or set environments.allow_source_builds to build it.",
    ),
    _rule(
        r"[Tt]here (?:is|are) no versions? of " + _NAME,
        "There is no such version: {0}.",
        _CHECK_INDEX,
    ),
    _rule(
        r"only (([A-Za-z0-9][A-Za-z0-9._-]*)[<>=!~]\S*) is available and you require (\2[^\s,]*)",
        "There is no such version: {2}; there is {0}.",
        _CHECK_INDEX,
    ),
    _rule(
        r"Failed to read `--find-links`",
        "The wheel store cannot be read.",
        "Check the setting environments.wheel_store: a directory of wheels.",
    ),
    _rule(
        r"HTTP status (?:client|server) error \((\d+)[^)]*\)|status code:? (\d+)",
        "The package index answered with an error ({0}).",
        "Check the setting environments.index_url and its credentials, then try again.",
        reason=_INDEX_UNREACHABLE,
    ),
    _rule(
        r"Failed to fetch|error sending request|client error \(Connect\)|dns error|operation timed out",
        "The package index cannot be reached.",
        "Check network, proxy and the setting environments.index_url, then try again.",
        reason=_INDEX_UNREACHABLE,
    ),
    _rule(
        r"Failed to (?:download|build|install|extract|read)(?::| and build)? `?" + _NAME,
        "{0} could not be installed.",
        "See the build log.",
    ),
)


def classify(lines: Sequence[str]) -> Failure:
    """Read what uv printed before it ended badly."""
    text = "\n".join(lines)
    matched = mattered(lines)
    rule, match = _find(text)
    if rule is not None and match is not None:
        groups = [group for group in match.groups() if group is not None]
        return Failure(reason=rule.reason, message=rule.message.format(*groups), hint=rule.hint, lines=matched)
    if "No solution found" in text:
        return _conflict(text, matched)
    return Failure(
        reason=EnvironmentFailed.reason,
        message=f"The model environment could not be built: {_last_words(matched)}",
        hint="See the build log.",
        lines=matched,
    )


def can_be_resolved_otherwise(lines: Sequence[str]) -> bool:
    """Say whether uv looked at all there is and found no way; not when it could not look."""
    return any("No solution found" in line for line in lines)


def mattered(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines that say something of the failure."""
    said = [line.rstrip() for line in lines if line.strip() and not _CHATTER.match(line)]
    return tuple(said[-KEPT_LINES:])


def out_of_disk(*, need: int, have: int) -> Failure:
    """Return the failure of a disk without room for a build; bytes."""
    return Failure(
        reason=OutOfDisk.reason,
        message=f"A model environment needs at least {_megabytes(need)} of free disk; there are {_megabytes(have)}.",
        hint="Free some room where the data directory is; model environments take 0.3 to 2 GB each.",
    )


def deadline_exceeded(deadline: timedelta, *, detail: str, lines: Sequence[str]) -> Failure:
    """Return the failure of a build that took too long."""
    return Failure(
        reason="BuildDeadlineExceeded",
        message=f"The model environment was not ready after {deadline.total_seconds():.0f} s: {detail}.",
        hint="See the build log; try again, or raise environments.build_timeout_seconds.",
        lines=mattered(lines),
    )


def no_interpreter(python: str, there: Sequence[str]) -> tuple[str, str]:
    """Return message and hint for a Python that is not installed."""
    have = f"there is {', '.join(there)}" if there else "none was found at all"
    return (
        f"Python {python}, which the model was logged with, is not installed on this host; {have}.",
        f"Install it, for example with `uv python install {python}`, or log the model with one that is there.",
    )


def uv_is_missing() -> Failure:
    """Return the failure of an installation without uv."""
    return Failure(
        reason=EnvironmentFailed.reason,
        message="The program uv, which builds model environments, is missing.",
        hint="Install Taxiway again with its packages; `taxiway doctor` looks for it.",
    )


def of_system(error: OSError, *, need: int, free: Callable[[], int]) -> Failure:
    """Return the failure that an error of the operating system means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return out_of_disk(need=need, have=free())
    return Failure(
        reason=EnvironmentFailed.reason,
        message=f"The model environment could not be written: {error.strerror or type(error).__name__}.",
        hint="Check the data directory with `taxiway doctor`, then try again.",
    )


def _find(text: str) -> tuple[_Rule | None, re.Match[str] | None]:
    for rule in _RULES:
        match = rule.pattern.search(text)
        if match is not None:
            return rule, match
    return None, None


def _conflict(text: str, lines: tuple[str, ...]) -> Failure:
    start = text.find("cause: ")
    explanation = " ".join(text[start + len("cause: ") :].split("\n\n")[0].split())
    names = list(dict.fromkeys(_REQUIRED.findall(explanation)))
    said = _CONCLUSION.sub(".", explanation).rstrip(".")
    if len(said) > _LONGEST_MESSAGE:
        said = said[:_LONGEST_MESSAGE].rsplit(" ", 1)[0] + " …"
    over = f" over {names[-1]}" if names else ""
    return Failure(
        reason=EnvironmentFailed.reason,
        message=f"The requirements conflict{over}: {said}.",
        hint="Log the model with requirements that can be installed together; the build log has all of it.",
        retryable=False,
        lines=lines,
    )


def _last_words(lines: tuple[str, ...]) -> str:
    said = [_FROM_UV.sub("", line.strip()) for line in lines if "error: " in line or "cause: " in line] or ["uv failed"]
    return said[-1][:_LONGEST_MESSAGE]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
