"""Sessions of browsers: log in, stay signed in, log out."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from taxiway.domain.errors import NotFound, NotSignedIn
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName, SessionId, new_id
from taxiway.domain.people import LONGEST_PASSWORD, Asking, AuthMethod, Principal, Session, User
from taxiway.domain.texts import one_line
from taxiway.ports import Clock
from taxiway.services.login_attempts import LoginAttempts
from taxiway.services.passwords import PasswordHasher
from taxiway.store import audit, projects, sessions, users
from taxiway.store.database import Database, Transaction

IDLE = timedelta(hours=8)
LIFE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)


class Sessions:
    """Intentions about sessions. The secret is returned once; its SHA-256 is kept."""

    def __init__(self, *, database: Database, hasher: PasswordHasher, now: Clock) -> None:
        self._database = database
        self._hasher = hasher
        self._now = now
        self._attempts = LoginAttempts(database=database, now=now)

    async def log_in(
        self, *, name: str, password: str, source: str, user_agent: str, request_id: str
    ) -> tuple[Session, str, User]:
        """Begin a session, always a new one; returns it with its secret.

        Raises NotSignedIn, the same for an unknown user, a wrong password and a disabled user, and TooManyRequests
        by the rules of ``login_attempts``. Whoever calls writes the audit entry of a refusal.
        """
        await self._attempts.begin(name=name, source=source)
        async with self._database.read() as tx:
            user = await users.find(tx, name)
            kept = None if user is None else await users.password_hash(tx, user.id)
        is_right = await self._hasher.check(kept, password[: LONGEST_PASSWORD + 1])
        if user is None or kept is None or not is_right or user.is_disabled:
            raise NotSignedIn("The user name or the password is wrong.", hint="An administrator can set a new one.")
        stronger = await self._hasher.hash(password) if self._hasher.is_outdated(kept) else None
        async with self._database.write() as tx:
            # Once more, now that nobody can change it: the password took a while to check.
            user = await users.get(tx, name, for_change=True)
            if user.is_disabled or await users.password_hash(tx, user.id) != kept:
                raise NotSignedIn("The account was changed meanwhile.", hint="Log in again.")
            await self._attempts.succeed(tx, name=name, source=source)
            if stronger is not None:
                await users.rehash_password(tx, user.id, old=kept, new=stronger)
            session, secret = await self.begin(tx, user, source=source, user_agent=user_agent, request_id=request_id)
        return session, secret, user

    async def begin(
        self, tx: Transaction, user: User, *, source: str, user_agent: str, request_id: str
    ) -> tuple[Session, str]:
        """Begin a session of a user that showed who it is; returns it with its secret. Let it be the last in ``tx``."""
        now, secret = self._now(), secrets.token_urlsafe(32)
        session = Session(
            id=SessionId(new_id()),
            user=user.id,
            created_at=now,
            seen_at=now,
            expires_at=now + LIFE,
            source=one_line(source, at_most=80),
            user_agent=one_line(user_agent, at_most=200),
        )
        await sessions.forget_ended(tx, now=now, idle_since=now - IDLE)
        await sessions.insert_session(tx, session, secret_hash=_digest(secret))
        principal = _principal(user, session, await projects.of_member(tx, user.id))
        asking = Asking(principal=principal, source=source, request_id=request_id)
        await self._tell(tx, asking, "session.begin", session.id)
        return session, secret

    async def identify(self, secret: str) -> Principal | None:
        """Return who a session's secret belongs to; None when it counts no longer, or never did.

        A session counts for eight hours after it was last used, and for seven days in all.
        """
        now = self._now()
        async with self._database.read() as tx:
            found = await sessions.find(tx, _digest(secret))
        if found is None:
            return None
        session, user, members_of = found
        if user.is_disabled or now >= session.expires_at or now >= session.seen_at + IDLE:
            return None
        if now >= session.seen_at + SEEN_EVERY:
            async with self._database.write() as tx:
                await sessions.mark_seen(tx, session.id, at=now)
        return _principal(user, session, members_of)

    async def log_out(self, asking: Asking) -> None:
        """End the asker's session on the server. Not by a session: no effect."""
        if asking.principal.session is not None:
            await self._end(asking, asking.principal.session)

    async def list_own(self, asking: Asking) -> Sequence[Session]:
        """List the asker's sessions that still count, newest first."""
        now = self._now()
        async with self._database.read() as tx:
            known = await sessions.of_user(tx, asking.principal.user)
        return [session for session in known if now < session.expires_at and now < session.seen_at + IDLE]

    async def end(self, asking: Asking, session_id: SessionId) -> None:
        """End one of the asker's sessions. Raises NotFound."""
        if not await self._end(asking, session_id):
            raise NotFound("You have no such session.", hint="List yours.")

    async def _end(self, asking: Asking, key: SessionId) -> bool:
        async with self._database.write() as tx:
            was_there = await sessions.end(tx, asking.principal.user, key)
            if was_there:
                await self._tell(tx, asking, "session.end", key)
        return was_there

    async def _tell(self, tx: Transaction, asking: Asking, action: str, key: SessionId) -> None:
        await audit.append(
            tx, at=self._now(), asking=asking, action=action, object_kind=SubjectKind.SESSION, object=key
        )


def _principal(user: User, session: Session, members_of: frozenset[ProjectName]) -> Principal:
    return Principal(
        user=user.id,
        name=user.name,
        role=user.role,
        projects=members_of,
        method=AuthMethod.SESSION,
        session=session.id,
        must_change_password=user.must_change_password,
        issuer=user.issuer,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
