"""Cursors: where a list goes on. Opaque to callers; a changed one, or one of another list, is refused.

They grant nothing, since every page is filtered by what its asker may see; the check only catches mistakes early.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from taxiway.domain.errors import InvalidInput

LONGEST = 4000
_CHECK_BYTES = 6


def write_cursor(kind: str, position: str | int) -> str:
    """Return the cursor of a position in a list of this kind."""
    text = str(position).encode()
    return base64.urlsafe_b64encode(_check(kind, text) + text).rstrip(b"=").decode("ascii")


def read_cursor(kind: str, cursor: str | None) -> str | None:
    """Return the position that ``write_cursor`` was given; None where there is no cursor. Raises InvalidInput."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text = raw[_CHECK_BYTES:]
        if raw[:_CHECK_BYTES] != _check(kind, text) or cursor != write_cursor(kind, text.decode()):
            raise _refusal()
        return text.decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise _refusal() from None


def read_number(kind: str, cursor: str | None) -> int | None:
    """Return the position as a number."""
    text = read_cursor(kind, cursor)
    return None if text is None else int(text)


def _check(kind: str, text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_CHECK_BYTES, person=kind.encode()[:16]).digest()


def _refusal() -> InvalidInput:
    return InvalidInput(
        "The cursor is none of this list.",
        hint="Take it from `next_cursor` of the page before, or leave it out to begin anew.",
    )
