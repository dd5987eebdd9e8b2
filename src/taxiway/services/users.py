"""Users: make, find, change, delete; passwords; the first administrator."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace

from taxiway.domain.errors import Conflict, InvalidInput
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import UserId, new_id
from taxiway.domain.people import ITSELF, Asking, Role, User, check_password, check_user_name
from taxiway.ports import Clock
from taxiway.services.login_attempts import LoginAttempts
from taxiway.services.passwords import PasswordHasher
from taxiway.store import audit, deployments, sessions, users
from taxiway.store.database import Database, Transaction

FIRST_ADMINISTRATOR = "admin"
_EASY_TO_READ = "abcdefghjkmnpqrstuvwxyz23456789"


class Users:
    """Intentions about accounts."""

    def __init__(self, *, database: Database, hasher: PasswordHasher, takes_passwords: bool = True, now: Clock) -> None:
        self._database = database
        self._takes_passwords = takes_passwords
        self._hasher = hasher
        self._now = now
        self._attempts = LoginAttempts(database=database, now=now)

    async def create(
        self, asking: Asking, *, name: str, role: Role, password: str, must_change_password: bool = False
    ) -> User:
        """Make a user. Raises InvalidInput for the name or the password, Conflict when the name is taken."""
        made = await self._create(
            asking, name=name, role=role, password=password, must_change_password=must_change_password
        )
        if made is None:
            raise Conflict(f"There is a user '{name}' already.", hint="Choose another name.")
        return made

    async def _create(
        self, asking: Asking, *, name: str, role: Role, password: str, must_change_password: bool
    ) -> User | None:
        check_password(password, name=check_user_name(name))
        user = User(
            id=UserId(new_id()),
            name=name,
            role=role,
            is_disabled=False,
            must_change_password=must_change_password,
            created_at=self._now(),
        )
        hashed = await self._hasher.hash(password)
        async with self._database.write() as tx:
            if not await users.insert_user(tx, user, password_hash=hashed):
                return None
            await self._tell(tx, asking, "user.create", user.name, after=_shown(user))
        return user

    async def search(self, *, contains: str | None, after: str | None, limit: int) -> Sequence[User]:
        """List users by name, from the one that comes after ``after``."""
        async with self._database.read() as tx:
            return await users.search(tx, contains=contains, after=after, limit=limit)

    async def get(self, name: str) -> User:
        """Return one user. Raises NotFound."""
        async with self._database.read() as tx:
            return await users.get(tx, name)

    async def find_id(self, name: str) -> UserId | None:
        """Return the id of the user of this name; None where there is none."""
        async with self._database.read() as tx:
            found = await users.find(tx, name)
        return None if found is None else found.id

    async def names(self, keys: Iterable[UserId]) -> dict[UserId, str]:
        """Return the names of these users, for showing; those that were deleted are left out."""
        wanted = frozenset(keys)
        if not wanted:
            return {}
        async with self._database.read() as tx:
            return await users.names(tx, wanted)

    async def change(
        self, asking: Asking, name: str, *, role: Role | None = None, is_disabled: bool | None = None
    ) -> User:
        """Change what is given. Any change ends the user's sessions; none has no effect.

        Raises NotFound, and Conflict for the last administrator that can sign in.
        """
        async with self._database.write() as tx:
            before = await self._get_for_change(tx, name)
            after = replace(
                before,
                role=role or before.role,
                is_disabled=before.is_disabled if is_disabled is None else is_disabled,
            )
            if before.issuer is not None and after.role is not before.role:
                raise Conflict(
                    f"The role of {name} comes from groups of the identity provider.",
                    hint="Change the groups there; it counts from the next sign-in on.",
                )
            if after == before:
                return before
            if after.is_disabled or after.role is not Role.ADMINISTRATOR:
                await keep_an_administrator(tx, before, with_passwords=self._takes_passwords)
            await users.record(tx, after)
            await sessions.end_all(tx, after.id)
            await self._tell(tx, asking, "user.change", name, before=_shown(before), after=_shown(after))
        return after

    async def set_password(
        self, asking: Asking, name: str, password: str, *, must_change_password: bool = False
    ) -> None:
        """Give a user another password and end its sessions.

        Raises NotFound, InvalidInput, and Conflict for a user of an identity provider.
        """
        check_password(password, name=name)
        hashed = await self._hasher.hash(password)
        async with self._database.write() as tx:
            user = await self._get_for_change(tx, name)
            _refuse_providers(user)
            await users.set_password(tx, user.id, hashed, must_change=must_change_password)
            await sessions.end_all(tx, user.id)
            await self._tell(tx, asking, "user.set-password", name)

    async def reset_administrator(self, name: str) -> str:
        """Give an administrator a random password, which is returned and kept nowhere, and end its sessions.

        For whoever holds the data directory and cannot sign in. Raises NotFound, and Conflict for a user that could
        not help with it: one that is no administrator, is disabled, or is an identity provider's.
        """
        password = random_password()
        hashed = await self._hasher.hash(password)
        async with self._database.write() as tx:
            user = await self._get_for_change(tx, name)
            if user.role is not Role.ADMINISTRATOR or user.is_disabled:
                what = "is disabled" if user.is_disabled else "is no administrator"
                raise Conflict(
                    f"The user {name} {what}.",
                    hint="Name an administrator; as such, change the user with `taxiway user`.",
                )
            _refuse_providers(user)
            await users.set_password(tx, user.id, hashed, must_change=False)
            await sessions.end_all(tx, user.id)
            await self._tell(tx, Asking(principal=ITSELF), "user.reset-password", name)
        return password

    async def change_own_password(self, asking: Asking, *, old: str, new: str) -> None:
        """Change the asker's password and end the asker's other sessions.

        Raises InvalidInput when the old one is wrong or the new one is not acceptable, TooManyRequests when the
        old one was wrong too often.
        """
        me = asking.principal
        check_password(new, name=me.name, field="/new")
        if new == old:
            raise InvalidInput("The new password is the old one.", hint="Choose another.", field="/new")
        await self._attempts.begin(name=me.name, source=asking.source)
        async with self._database.read() as tx:
            kept = await users.password_hash(tx, me.user)
        if not await self._hasher.check(kept, old):
            raise InvalidInput("The old password is wrong.", hint="An administrator can set a new one.", field="/old")
        hashed = await self._hasher.hash(new)
        async with self._database.write() as tx:
            await users.set_password(tx, me.user, hashed, must_change=False)
            await sessions.end_all(tx, me.user, but=me.session)
            await self._attempts.succeed(tx, name=me.name, source=asking.source)
            await self._tell(tx, asking, "user.change-own-password", me.name)

    async def delete(self, asking: Asking, name: str) -> None:
        """Delete a user with memberships, sessions and API tokens.

        Raises NotFound, and Conflict while the user owns deployments or is the last administrator.
        """
        async with self._database.write() as tx:
            user = await self._get_for_change(tx, name)
            await keep_an_administrator(tx, user, with_passwords=self._takes_passwords)
            owned = max(await deployments.count_of_owner(tx, user.id), await users.count_owned(tx, user.id))
            if owned:
                raise Conflict(
                    f"{name} owns {owned} deployments.", hint="Disable the user instead, or delete those first."
                )
            await users.delete_user(tx, user.id)
            await self._tell(tx, asking, "user.delete", name, before=_shown(user))

    async def ensure_first_administrator(self, password: str | None) -> str | None:
        """Make the user ``admin`` where there is no user at all; return its password, which is kept nowhere.

        A random one is made up where none is given. With any user there: None, and nothing changes.
        """
        async with self._database.read() as tx:
            if not await users.is_empty(tx):
                return None
        chosen = password if password is not None else random_password()
        made = await self._create(
            Asking(principal=ITSELF),
            name=FIRST_ADMINISTRATOR,
            role=Role.ADMINISTRATOR,
            password=chosen,
            must_change_password=False,
        )
        return None if made is None else chosen

    async def _get_for_change(self, tx: Transaction, name: str) -> User:
        # All that may take an administrator away lock the administrators first, so that no two wait for each other.
        await users.enabled_administrators(tx)
        return await users.get(tx, name, for_change=True)

    async def _tell(
        self,
        tx: Transaction,
        asking: Asking,
        action: str,
        name: str,
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
            object=name,
            before=before,
            after=after,
        )


def _refuse_providers(user: User) -> None:
    """Raise Conflict for a user of an identity provider: a password would be a second way in, past its groups."""
    if user.issuer is not None:
        raise Conflict(
            f"{user.name} signs in with the identity provider and has no password.",
            hint="Change the password there; for a way in without the provider, name another user.",
        )


async def keep_an_administrator(tx: Transaction, user: User, *, with_passwords: bool) -> None:
    """Raise Conflict where nobody but this user is an administrator that can sign in."""
    if list(await users.enabled_administrators(tx, with_passwords=with_passwords)) == [user.id]:
        raise Conflict(
            f"{user.name} is the last administrator that can sign in.",
            hint="Make another user an administrator first.",
        )


def random_password() -> str:
    """Return four groups of five letters and digits that cannot be mistaken for each other: 99 bits."""
    return "-".join("".join(secrets.choice(_EASY_TO_READ) for _ in range(5)) for _ in range(4))


def _shown(user: User) -> dict[str, object]:
    # Not "must_change_password": the audit log hides what stands under a name with "pass" in it.
    return {"role": str(user.role), "is_disabled": user.is_disabled}
