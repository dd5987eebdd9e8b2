"""How often a password may be tried.

Every attempt that fails counts for fifteen minutes. The first ones are free; each one after them must wait, at first
for a minute after the last, then twice as long each time, up to five minutes. So there are never more than the free
number in one minute. Three counts must all allow an attempt:

| what is counted                                                                                | free |
| ---------------------------------------------------------------------------------------------- | ---- |
| failures from this source, on whatever account                                                 | 20   |
| failures on this account from this source                                                      | 5    |
| failures on this account from all unknown sources, where this source is unknown to the account | 5    |

A source is known to an account that has a session from it. Thus nobody who guesses from elsewhere can keep a person
out of the browser or the office where they are signed in; and where they never were, they wait five minutes at most,
once the guessing stops. API tokens are never held up. An attempt that is refused does not count, and one that
succeeds forgets its own source's failures on its own account.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from taxiway.domain.errors import TooManyRequests
from taxiway.domain.texts import one_line
from taxiway.ports import Clock
from taxiway.store import login_attempts, sessions, users
from taxiway.store.database import Database, Transaction
from taxiway.store.login_attempts import Attempt
from taxiway.store.waiting import Turn, wait_for_turn

REMEMBERED = timedelta(minutes=15)
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=5)
FREE_FOR_SOURCE = 20
FREE_FOR_ACCOUNT = 5


def next_allowed(failures: Sequence[datetime], *, free: int) -> datetime | None:
    """Return when the next attempt is allowed after these failures (oldest first); None: at once."""
    too_many = len(failures) - free
    if too_many < 0:
        return None
    return failures[-1] + min(FIRST_WAIT * (1 << min(too_many, 16)), LONGEST_WAIT)


def origin_of(source: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 network that one IPv6 host can choose from."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return one_line(source, at_most=80)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


class LoginAttempts:
    """Counts attempts. Each is written down before the password is looked at, so that many at once count too."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def begin(self, *, name: str, source: str) -> None:
        """Count an attempt as failed until ``succeed`` says otherwise. Raises TooManyRequests, and then it is none."""
        now, account, origin = self._now(), _digest(name), origin_of(source)
        async with self._database.write() as tx:
            await wait_for_turn(tx, Turn.LOGIN_ATTEMPTS)
            past = await login_attempts.since(tx, now - REMEMBERED, account=account, source=origin)
            # Those of the future were made before somebody set the clock back.
            past = [attempt for attempt in past if attempt.at <= now + LONGEST_WAIT]
            known = await self._known_origins(tx, name)
            wait = max((at for at in _allowed(past, account=account, origin=origin, known=known) if at), default=now)
            if wait > now:
                raise TooManyRequests(
                    "Too many failed log-ins.",
                    retry_after_seconds=math.ceil((wait - now).total_seconds()),
                    hint="Wait, then try again. API tokens work meanwhile.",
                )
            await login_attempts.forget_old(tx, before=now - REMEMBERED)
            await login_attempts.insert_attempt(tx, Attempt(account=account, source=origin, at=now))

    async def succeed(self, tx: Transaction, *, name: str, source: str) -> None:
        """Forget the failures of an account from this source."""
        await login_attempts.forget(tx, account=_digest(name), source=origin_of(source))

    async def _known_origins(self, tx: Transaction, name: str) -> frozenset[str]:
        user = await users.find(tx, name)
        if user is None:
            return frozenset()
        return frozenset(origin_of(session.source) for session in await sessions.of_user(tx, user.id))


def _allowed(
    past: Sequence[Attempt], *, account: str, origin: str, known: frozenset[str]
) -> tuple[datetime | None, ...]:
    from_here = [a for a in past if a.source == origin]
    on_account = [a for a in past if a.account == account]
    strangers = [a for a in on_account if a.source not in known] if origin not in known else []
    return (
        next_allowed([a.at for a in from_here], free=FREE_FOR_SOURCE),
        next_allowed([a.at for a in from_here if a.account == account], free=FREE_FOR_ACCOUNT),
        next_allowed([a.at for a in strangers], free=FREE_FOR_ACCOUNT),
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
