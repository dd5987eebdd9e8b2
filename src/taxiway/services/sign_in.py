"""Sign-in with the identity provider: begin and end a flow, make the user, bring role and projects in line."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from cryptography.fernet import Fernet, InvalidToken

from taxiway.domain.audit import Outcome
from taxiway.domain.errors import Conflict, TaxiwayError
from taxiway.domain.events import CONTROL, SubjectKind
from taxiway.domain.ids import ProjectName, UserId, new_id
from taxiway.domain.people import ANONYMOUS, ITSELF, Asking, Role, Session, User
from taxiway.domain.sign_in import (
    FLOW_LIFE,
    Flow,
    Grant,
    Identity,
    NoGroup,
    PasswordsOff,
    SignInFailed,
    SignInRefused,
    chosen_name,
    granted,
    local_path,
)
from taxiway.ports import Clock, IdentityProvider
from taxiway.services.sessions import Sessions
from taxiway.services.users import keep_an_administrator
from taxiway.store import api_tokens, audit, projects, sessions, users
from taxiway.store.database import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The provider, what people call it, and what its groups give."""

    name: str
    port: IdentityProvider
    grants: Mapping[str, Grant]


class SignIn:
    """The ways in. A flow's secrets are with the browser that began it, sealed with a key of this process alone."""

    def __init__(
        self, *, database: Database, sessions: Sessions, provider: Provider | None, takes_passwords: bool, now: Clock
    ) -> None:
        self._database = database
        self._sessions = sessions
        self.provider = provider
        self.takes_passwords = takes_passwords
        self._now = now
        self._seal = Fernet(Fernet.generate_key())
        self._used: dict[str, datetime] = {}

    async def close(self) -> None:
        """Let go of the connections to the provider."""
        if self.provider is not None:
            await self.provider.port.close()

    def require_passwords(self) -> None:
        """Raise PasswordsOff where people sign in with the provider alone."""
        if not self.takes_passwords:
            raise PasswordsOff(
                "Passwords are turned off; people sign in with the identity provider.",
                hint="Open Taxiway in a browser, and make an API token there for the command line.",
            )

    async def begin(self, *, next_path: str | None, again: str | None) -> tuple[str, str]:
        """Begin a flow; returns where the browser goes to, and what it keeps meanwhile.

        Raises SignInFailed without a provider, and ProviderUnavailable.
        """
        flow = Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=local_path(next_path),
            again=again,
            began_at=self._now(),
        )
        url = await self._provider().port.begin(flow)
        kept = json.dumps(asdict(flow) | {"began_at": flow.began_at.timestamp()})
        return url, self._seal.encrypt(kept.encode()).decode()

    async def finish(
        self, kept: str | None, answer: Mapping[str, str], *, source: str, user_agent: str, request_id: str
    ) -> tuple[Session, str, str]:
        """End a flow with a session; returns it with its secret and where to go.

        Raises SignInFailed, SignInRefused (which is audited), Conflict for the last administrator, and
        ProviderUnavailable.
        """
        provider, flow = self._provider(), self._open(kept)
        if not secrets.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise SignInFailed("This is the answer to another sign-in.", hint="Sign in again.")
        self._use(flow)
        identity = await provider.port.finish(flow, answer)
        asking = Asking(principal=replace(ITSELF, name=CONTROL), source=source, request_id=request_id)
        try:
            async with self._database.write() as tx:
                user = await self._bring_in_line(tx, asking, identity, granted(identity.groups, provider.grants))
                if flow.again not in (None, user.name):
                    raise SignInRefused(
                        "You signed in as another user than before.", hint=f"Sign in again as {flow.again}."
                    )
                session, secret = await self._sessions.begin(
                    tx, user, source=source, user_agent=user_agent, request_id=request_id
                )
        except (SignInRefused, Conflict) as error:
            await self._refuse(asking, identity, error)
            raise
        return session, secret, flow.next

    def _provider(self) -> Provider:
        if self.provider is None:
            raise SignInFailed("There is no identity provider here.", hint="Sign in with a password.")
        return self.provider

    def _open(self, kept: str | None) -> Flow:
        try:
            text = self._seal.decrypt((kept or "").encode())
        except (InvalidToken, UnicodeError):
            raise SignInFailed("This browser has no sign-in under way.", hint="Sign in again.") from None
        values = json.loads(text)
        flow = Flow(**values | {"began_at": datetime.fromtimestamp(values["began_at"], UTC)})
        if not flow.began_at <= self._now() < flow.began_at + FLOW_LIFE:
            raise SignInFailed("The sign-in took too long.", hint="Sign in again.")
        return flow

    def _use(self, flow: Flow) -> None:
        """Let a flow end once. Raises SignInFailed the second time."""
        now = self._now()
        self._used = {state: at for state, at in self._used.items() if now < at + FLOW_LIFE}
        if flow.state in self._used:
            raise SignInFailed("This sign-in has ended already.", hint="Sign in again.")
        self._used[flow.state] = flow.began_at

    async def _bring_in_line(self, tx: Transaction, asking: Asking, identity: Identity, grant: Grant | None) -> User:
        # As all that may take an administrator away: these rows first.
        await users.enabled_administrators(tx)
        user = await users.find_identity(tx, identity.issuer, identity.subject)
        if user is not None and user.is_disabled:
            raise SignInRefused("The account is disabled.", hint="An administrator can enable it.")
        if grant is None:
            raise NoGroup(
                "None of your groups gives access to Taxiway.",
                hint="Ask whoever looks after the groups of your organisation; an administrator of Taxiway can tell "
                "which ones count.",
            )
        if user is None:
            user = await self._make(tx, asking, identity, grant.role)
        elif user.role is not grant.role:
            user = await self._change_role(tx, asking, user, grant.role)
        await self._change_projects(tx, asking, user, grant)
        return user

    async def _make(self, tx: Transaction, asking: Asking, identity: Identity, role: Role) -> User:
        name = chosen_name(identity.names)
        if name is None:
            raise SignInRefused(
                "The identity provider gives no name that can be a user's.",
                hint="An administrator has the provider send preferred_username, or a verified address.",
            )
        user = User(
            id=UserId(new_id()),
            name=name,
            role=role,
            is_disabled=False,
            must_change_password=False,
            created_at=self._now(),
            issuer=identity.issuer,
            subject=identity.subject,
        )
        if not await users.insert_user(tx, user, password_hash=None):
            raise SignInRefused(
                "There is another user of your name already.",
                hint="An administrator has the provider send another preferred_username; nobody takes an account over.",
            )
        await self._tell(tx, asking, "user.create", user, after={"role": str(role), "issuer": identity.issuer})
        return user

    async def _change_role(self, tx: Transaction, asking: Asking, user: User, role: Role) -> User:
        if role is not Role.ADMINISTRATOR:
            await keep_an_administrator(tx, user, with_passwords=self.takes_passwords)
        after = replace(user, role=role)
        await users.record(tx, after)
        await sessions.end_all(tx, user.id)
        await self._tell(tx, asking, "user.change", user, before={"role": str(user.role)}, after={"role": str(role)})
        return after

    async def _change_projects(self, tx: Transaction, asking: Asking, user: User, grant: Grant) -> None:
        before = await projects.from_groups(tx, user.id)
        wanted = await projects.existing(tx, grant.projects)
        added: list[ProjectName] = []
        for name in sorted(wanted - before):
            # One that was given by hand is there already, and stays when the group does not.
            if await projects.add_member(tx, name, user.id, at=self._now(), is_from_groups=True):
                added.append(name)
        removed = sorted(before - wanted)
        for name in removed:
            await projects.remove_member(tx, name, user.id)
        if added or removed:
            await self._tell(
                tx, asking, "user.change-groups", user, before={"projects": removed}, after={"projects": added}
            )

    async def _tell(
        self,
        tx: Transaction,
        asking: Asking,
        action: str,
        user: User,
        *,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
    ) -> None:
        await audit.append(
            tx,
            at=self._now(),
            asking=asking,
            action=action,
            object_kind=SubjectKind.USER,
            object=user.name,
            before=before,
            after=after,
        )

    async def _refuse(self, asking: Asking, identity: Identity, error: TaxiwayError) -> None:
        """Tell of a refusal; whose groups let it in no more, of that one everything that still lets it in ends."""
        async with self._database.write() as tx:
            user = await users.find_identity(tx, identity.issuer, identity.subject)
            if user is not None and isinstance(error, NoGroup):
                await self._change_projects(tx, asking, user, Grant())
                ended: dict[str, object] = {
                    "sessions": await sessions.end_all(tx, user.id),
                    "api_tokens": await api_tokens.revoke_all(tx, user.id, at=self._now()),
                }
                if any(ended.values()):
                    await self._tell(tx, asking, "user.end-access", user, after=ended)
            await audit.append(
                tx,
                at=self._now(),
                asking=replace(asking, principal=ANONYMOUS),
                action="session.begin",
                object_kind=SubjectKind.USER,
                object=chosen_name(identity.names) or "unknown user",
                after={"issuer": identity.issuer, "subject": identity.subject},
                reason=error.message,
                outcome=Outcome.DENIED,
            )
