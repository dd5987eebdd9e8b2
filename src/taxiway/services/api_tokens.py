"""API tokens: what programs show to the control API and to MLflow.

The text is ``twy_``, then 256 random bits in 43 characters of base 62, then the CRC-32 of those in 6: scanners for
leaked secrets know it by its form, and what was mistyped or made up is refused without a look at the database.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from taxiway.domain.errors import InvalidInput, LimitReached, NotAllowed
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ApiTokenId, ProjectName, new_id
from taxiway.domain.people import ROLE_PERMISSIONS, ApiToken, Asking, AuthMethod, Permission, Principal, User
from taxiway.ports import Clock
from taxiway.store import api_tokens, audit, projects
from taxiway.store.database import Database

SHORTEST_LIFE = timedelta(minutes=1)
LONGEST_LIFE = timedelta(days=366)
USED_EVERY = timedelta(minutes=1)
SHOWN_AFTER_END = timedelta(days=30)
"""How long a token that ran out or was revoked stays in the list."""
KEPT_FOR = timedelta(seconds=2)
MOST_KEPT = 1000
MOST_TOKENS = 200
"""Tokens of one user that count at the same time."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TEXT = re.compile(r"twy_([0-9A-Za-z]{43})([0-9A-Za-z]{6})\Z")


def make_text(bits: int) -> str:
    """Return the token of 256 random bits."""
    body = _base62(bits, width=43)
    return f"twy_{body}{_checksum(body)}"


def is_well_formed(text: str) -> bool:
    """Tell whether the text can be a token of ours at all."""
    match = _TEXT.match(text)
    return match is not None and _checksum(match[1]) == match[2]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), width=6)


def _base62(value: int, *, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


_Found = tuple[ApiToken, User, frozenset[ProjectName]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    found: _Found
    writes: int
    at: datetime


class ApiTokens:
    """Intentions about one's own API tokens. The text is returned once; its SHA-256 is kept."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now
        self._kept: dict[bytes, _Kept] = {}

    async def issue(
        self,
        asking: Asking,
        *,
        name: str,
        project: ProjectName | None,
        scopes: frozenset[Permission] | None,
        life: timedelta,
    ) -> tuple[ApiToken, str]:
        """Make a token of the asker, with a home project or none, and with all rights (None) or these only.

        Raises InvalidInput, NotFound for a project that the asker does not see, NotAllowed for rights that the asker
        does not have, LimitReached for too many tokens.
        """
        me, now = asking.principal, self._now()
        _check(name, life)
        if project is not None and not me.sees(project):
            raise projects.not_found()
        token = ApiToken(
            id=ApiTokenId(new_id()),
            user=me.user,
            name=name,
            project=project,
            scopes=_narrowed(me, scopes),
            created_at=now,
            expires_at=now + life,
            used_at=None,
        )
        text = make_text(secrets.randbits(256))
        async with self._database.write() as tx:
            if project is not None:
                await projects.get(tx, project)
            await api_tokens.forget_ended(tx, me.user, before=now - SHOWN_AFTER_END)
            if await api_tokens.count_living(tx, me.user, now=now) >= MOST_TOKENS:
                raise LimitReached(f"You have {MOST_TOKENS} API tokens.", hint="Revoke those that nobody uses.")
            await api_tokens.insert_token(tx, token, secret_hash=_digest(text))
            await audit.append(
                tx,
                at=now,
                asking=asking,
                action="api-token.issue",
                object_kind=SubjectKind.API_TOKEN,
                object=token.id,
                project=project or "",
                after={
                    "name": name,
                    "scopes": None if token.scopes is None else sorted(token.scopes),
                    "expires": (now + life).isoformat(),
                },
            )
        return token, text

    async def identify(self, text: str) -> Principal | None:
        """Return who a token speaks for; None when it ran out, was revoked, or its user is disabled or unknown."""
        if not is_well_formed(text):
            return None
        now = self._now()
        found = await self._find(_digest(text), now)
        if found is None:
            return None
        token, user, members_of = found
        is_over = token.revoked_at is not None or (token.expires_at is not None and now >= token.expires_at)
        if is_over or user.is_disabled:
            return None
        if token.used_at is None or now >= token.used_at + USED_EVERY:
            async with self._database.write() as tx:
                await api_tokens.mark_used(tx, token.id, at=now)
        return Principal(
            user=user.id,
            name=user.name,
            role=user.role,
            projects=members_of,
            method=AuthMethod.API_TOKEN,
            token=token.id,
            scopes=token.scopes,
            home=token.project,
            must_change_password=user.must_change_password,
            issuer=user.issuer,
        )

    async def _find(self, digest: bytes, now: datetime) -> _Found | None:
        """Look a token up. MLflow's clients show one a hundred times a second; so what was found is kept a moment.

        Whatever this process changes counts at once, and what another one changes after ``KEPT_FOR``.
        """
        writes = self._database.writes
        kept = self._kept.get(digest)
        if kept is not None and kept.writes == writes and timedelta() <= now - kept.at < KEPT_FOR:
            return kept.found
        async with self._database.read() as tx:
            found = await api_tokens.find(tx, digest)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        if found is not None:
            self._kept[digest] = _Kept(found=found, writes=writes, at=now)
        return found

    async def list_own(self, asking: Asking) -> Sequence[ApiToken]:
        """List the asker's tokens, newest first; those that count no longer for another thirty days."""
        async with self._database.read() as tx:
            return await api_tokens.of_user(tx, asking.principal.user)

    async def revoke(self, asking: Asking, key: ApiTokenId) -> ApiToken:
        """Make one of the asker's tokens count no longer, at once. Revoked already: no effect. Raises NotFound."""
        now, me = self._now(), asking.principal.user
        async with self._database.write() as tx:
            token = await api_tokens.get(tx, me, key)
            if await api_tokens.revoke(tx, key, at=now):
                await audit.append(
                    tx,
                    at=now,
                    asking=asking,
                    action="api-token.revoke",
                    object_kind=SubjectKind.API_TOKEN,
                    object=key,
                    project=token.project or "",
                    before={"name": token.name},
                )
            return await api_tokens.get(tx, me, key)


def _check(name: str, life: timedelta) -> None:
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise InvalidInput(
            "A token's name has 1 to 80 printable characters.", hint="Say what it is for.", field="/name"
        )
    if not SHORTEST_LIFE <= life <= LONGEST_LIFE:
        raise InvalidInput("A token lives for a minute to 366 days.", hint="Choose another life.", field="/days")


def _narrowed(asker: Principal, wanted: frozenset[Permission] | None) -> frozenset[Permission] | None:
    """Return the scopes of a new token: what is wanted, and never more than the asker may."""
    if wanted is None:
        return asker.scopes
    held = ROLE_PERMISSIONS[asker.role] if asker.scopes is None else ROLE_PERMISSIONS[asker.role] & asker.scopes
    missing = sorted(wanted - held)
    if missing:
        raise NotAllowed(
            f"You do not have these rights yourself: {', '.join(missing)}.", hint="Leave them out of the token."
        )
    return wanted


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()
