"""Users ↔ rows. Password hashes never leave with a user: they have functions of their own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import RowMapping, delete, func, select, update

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import UserId
from taxiway.domain.people import USER_NAME, Role, User
from taxiway.store import schema
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds
from taxiway.store.waiting import insert_if_new

T = schema.users
ENABLED_ADMINISTRATOR = (T.c.role == Role.ADMINISTRATOR.value) & T.c.is_disabled.is_(False)


def from_row(row: RowMapping) -> User:
    """Return the user of a row that has the columns of the table; others may be there too."""
    return User(
        id=UserId(row[T.c.id]),
        name=row[T.c.name],
        role=Role(row[T.c.role]),
        is_disabled=row[T.c.is_disabled],
        must_change_password=row[T.c.must_change_password],
        created_at=from_microseconds(row[T.c.created_at]),
        issuer=row[T.c.issuer],
        subject=row[T.c.subject],
    )


async def insert_user(tx: Transaction, user: User, *, password_hash: str | None) -> bool:
    """Remember a new user; False when the name, or the identity at a provider, is taken."""
    return await insert_if_new(
        tx,
        T,
        id=user.id,
        name=user.name,
        role=user.role.value,
        password_hash=password_hash,
        is_disabled=user.is_disabled,
        must_change_password=user.must_change_password,
        created_at=to_microseconds(user.created_at),
        issuer=user.issuer,
        subject=user.subject,
    )


async def find_identity(tx: Transaction, issuer: str, subject: str) -> User | None:
    """Return the user that an identity at a provider is bound to, or None; keeps others from changing it meanwhile."""
    query = select(T).where(T.c.issuer == issuer, T.c.subject == subject).with_for_update()
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else from_row(row)


async def find(tx: Transaction, name: str) -> User | None:
    """Return the user of this name, or None; also for what no user can be called."""
    if USER_NAME.match(name) is None:
        return None
    row = (await tx.execute(select(T).where(T.c.name == name))).mappings().first()
    return None if row is None else from_row(row)


async def get(tx: Transaction, name: str, *, for_change: bool = False) -> User:
    """Return the user of this name; ``for_change`` keeps others from changing it meanwhile. Raises NotFound."""
    query = select(T).where(T.c.name == name)
    row = (await tx.execute(query.with_for_update() if for_change else query)).mappings().first()
    if row is None:
        raise NotFound("There is no user of this name.", hint="List them with `taxiway user list`.")
    return from_row(row)


async def password_hash(tx: Transaction, key: UserId) -> str | None:
    """Return the hash of a user's password; None when there is no such user, or it has no password."""
    found: str | None = (await tx.execute(select(T.c.password_hash).where(T.c.id == key))).scalar_one_or_none()
    return found


async def set_password(tx: Transaction, key: UserId, password_hash: str, *, must_change: bool) -> None:
    """Replace the hash of a user's password."""
    values = {"password_hash": password_hash, "must_change_password": must_change}
    await tx.execute(update(T).where(T.c.id == key).values(values))


async def rehash_password(tx: Transaction, key: UserId, *, old: str, new: str) -> None:
    """Replace a hash by a stronger one of the same password, unless the password was changed meanwhile."""
    await tx.execute(update(T).where(T.c.id == key, T.c.password_hash == old).values(password_hash=new))


async def record(tx: Transaction, user: User) -> None:
    """Write a user's role and whether it is disabled."""
    await tx.execute(update(T).where(T.c.id == user.id).values(role=user.role.value, is_disabled=user.is_disabled))


async def delete_user(tx: Transaction, key: UserId) -> None:
    """Forget a user with memberships, sessions and API tokens. It must own nothing."""
    await tx.execute(delete(T).where(T.c.id == key))


async def search(tx: Transaction, *, contains: str | None, after: str | None, limit: int) -> Sequence[User]:
    """List users by name, from the one that comes after ``after``."""
    query = select(T).order_by(T.c.name).limit(limit)
    if contains is not None:
        query = query.where(T.c.name.contains(contains.lower(), autoescape=True))
    if after is not None:
        query = query.where(T.c.name > after)
    return [from_row(row) for row in (await tx.execute(query)).mappings()]


async def names(tx: Transaction, keys: Collection[UserId]) -> dict[UserId, str]:
    """Return the names of those users that are there."""
    rows = (await tx.execute(select(T.c.id, T.c.name).where(T.c.id.in_(keys)))).all()
    return {UserId(row.id): row.name for row in rows}


async def is_empty(tx: Transaction) -> bool:
    """Tell whether there is no user at all."""
    return (await tx.execute(select(T.c.id).limit(1))).first() is None


async def enabled_administrators(tx: Transaction, *, with_passwords: bool = True) -> Sequence[UserId]:
    """List the administrators that can sign in, and keep others from changing them until the transaction ends.

    Without ``with_passwords`` only those that an identity provider knows can.
    """
    query = select(T.c.id, T.c.issuer).where(ENABLED_ADMINISTRATOR).order_by(T.c.id).with_for_update()
    return [UserId(key) for key, issuer in await tx.execute(query) if with_passwords or issuer is not None]


async def count_owned(tx: Transaction, key: UserId) -> int:
    """Count the model versions that a user owns, and those that are still being made for it."""
    owned = select(func.count()).where(schema.model_versions.c.owner == key).scalar_subquery()
    coming = select(func.count()).where(schema.conversions.c.user_id == key, schema.conversions.c.document.is_not(None))
    return int((await tx.execute(select(owned + coming.scalar_subquery()))).scalar_one())
