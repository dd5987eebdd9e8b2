"""The audit log's entries and the chain that holds them together.

| what was done to the log      | how it shows                                                           |
| ----------------------------- | ---------------------------------------------------------------------- |
| an entry was changed          | its own hash does not fit                                              |
| changed, with a new hash      | the next entry's ``previous_hash`` does not fit, or the head is another |
| taken out or put in           | a gap or a repetition in ``sequence``, or as above                     |
| the newest were taken off     | the head is not the one that was noted before                          |

So whoever noted a head (it stands in backups and in what ``verify`` prints) can tell all four.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from taxiway.domain.people import Asking
from taxiway.domain.texts import one_line

NO_HASH = "0" * 64
"""What stands before the first entry."""
HIDDEN = "(hidden)"

_TELLING = re.compile(
    r"pass|secret|token|credential|cookie|session|authori[sz]|api.?key|private|signature|salt|hash", re.IGNORECASE
)
_SECRET = re.compile(
    r"twy_[0-9A-Za-z]+"  # API tokens
    r"|eyJ[\w-]*\.[\w-]+\.[\w-]*"  # access tokens, and any other JWT
    r"|(?<=://)[^/\s@]+@"  # user and password in a URL
    r"|\$argon2\S+"
)


class Outcome(StrEnum):
    """What became of what was asked."""

    DONE = "done"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, when, from where, to which object. ``before`` and ``after`` are canonical JSON, or ''.

    Closed sets are plain texts here: an entry that somebody tampered with must still be readable.
    """

    sequence: int
    at: datetime
    actor: str
    auth_method: str
    token_id: str
    source: str
    request_id: str
    action: str
    object_kind: str
    object: str
    project: str
    before: str
    after: str
    reason: str
    outcome: str
    previous_hash: str
    hash: str

    def hashed(self) -> dict[str, Any]:
        """Return all that the hash covers: every field but the hash itself, the time as ISO 8601."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "hash"}
        return values | {"at": self.at.isoformat(timespec="microseconds")}

    def export(self) -> str:
        """Return one line of JSON. Without ``hash``, its SHA-256 over ASCII is that hash: others can verify it."""
        return canonical(self.hashed() | {"hash": self.hash})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The end of a chain: the last entry's number and hash."""

    sequence: int = 0
    hash: str = NO_HASH

    def accepts(self, entry: AuditEntry) -> bool:
        """Tell whether the entry is whole and comes right after this end."""
        return (
            entry.sequence == self.sequence + 1
            and entry.previous_hash == self.hash
            and entry.hash == entry_hash(entry.hashed())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """Whether the whole log is as it was written; ``head`` is the last good hash, ``broken_at`` the first bad entry."""

    is_intact: bool
    entries: int
    head: str
    broken_at: int | None = None


def canonical(value: object) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def entry_hash(hashed: Mapping[str, object]) -> str:
    """Return the SHA-256 (hex) of an entry's hashed fields."""
    return hashlib.sha256(canonical(hashed).encode("ascii")).hexdigest()


def next_entry(
    last: Link,
    *,
    at: datetime,
    asking: Asking,
    action: str,
    object_kind: str,
    object: str,  # noqa: A002
    project: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
    reason: str,
    outcome: Outcome,
) -> AuditEntry:
    """Make the entry that comes after ``last``, without secrets and fit for its columns."""
    principal = asking.principal
    entry = AuditEntry(
        sequence=last.sequence + 1,
        at=at,
        actor=one_line(principal.name, at_most=80),
        auth_method=str(principal.method),
        token_id=principal.token or "",
        source=one_line(asking.source, at_most=80),
        request_id=one_line(asking.request_id, at_most=80),
        action=one_line(action, at_most=60),
        object_kind=str(object_kind),
        object=one_line(_hide_secrets(object), at_most=120),
        project=one_line(project, at_most=40),
        before="" if before is None else canonical(redacted(before)),
        after="" if after is None else canonical(redacted(after)),
        reason=one_line(_hide_secrets(reason), at_most=500),
        outcome=str(outcome),
        previous_hash=last.hash,
        hash="",
    )
    return replace(entry, hash=entry_hash(entry.hashed()))


def redacted(value: object, *, is_telling: bool = False) -> object:
    """Return the value as JSON takes it, without what stands under a telling name or looks like a secret.

    Truth values and nothing stay: ``needs_token: true`` is no secret.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {
            _hide_secrets(str(key)): redacted(inner, is_telling=is_telling or _TELLING.search(str(key)) is not None)
            for key, inner in value.items()
        }
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, str | bytes):
        items = sorted(value, key=str) if isinstance(value, frozenset | set) else value
        return [redacted(item, is_telling=is_telling) for item in items]
    if is_telling:
        return HIDDEN
    return value if isinstance(value, int | float) else _hide_secrets(str(value))


def _hide_secrets(text: str) -> str:
    return _SECRET.sub(HIDDEN, text)
