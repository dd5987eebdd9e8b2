"""Projects and their members ↔ rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from taxiway.domain.errors import NotFound
from taxiway.domain.ids import ProjectName, UserId
from taxiway.domain.people import Project, User
from taxiway.store import schema, users
from taxiway.store.database import Transaction
from taxiway.store.times import from_microseconds, to_microseconds
from taxiway.store.waiting import insert_if_new

T = schema.projects
M = schema.members


def _project(row: Row[Any]) -> Project:
    return Project(
        name=ProjectName(row.name),
        description=row.description,
        created_at=from_microseconds(row.created_at),
        created_by=UserId(row.created_by),
        workspace_is_ready=row.workspace_is_ready,
    )


async def insert_project(tx: Transaction, project: Project) -> bool:
    """Remember a new project; False when the name is taken."""
    return await insert_if_new(
        tx,
        T,
        name=project.name,
        description=project.description,
        created_at=to_microseconds(project.created_at),
        created_by=project.created_by,
        workspace_is_ready=project.workspace_is_ready,
    )


async def get(tx: Transaction, name: ProjectName, *, for_change: bool = False) -> Project:
    """Return one project; ``for_change`` keeps others from changing it meanwhile. Raises NotFound."""
    query = select(T).where(T.c.name == name)
    row = (await tx.execute(query.with_for_update() if for_change else query)).first()
    if row is None:
        raise not_found()
    return _project(row)


def not_found() -> NotFound:
    """Make the error for a project that is not there, or that the asker may not know of: the same for both."""
    return NotFound("There is no such project.", hint="List yours with `taxiway project list`.")


async def search(
    tx: Transaction, *, projects: Sequence[ProjectName] | None, after: ProjectName | None, limit: int
) -> Sequence[Project]:
    """List projects (None: all; else those of these names) by name, from the one that comes after ``after``."""
    query = select(T).order_by(T.c.name).limit(limit)
    if projects is not None:
        query = query.where(T.c.name.in_(projects))
    if after is not None:
        query = query.where(T.c.name > after)
    return [_project(row) for row in (await tx.execute(query)).all()]


async def describe(tx: Transaction, name: ProjectName, description: str) -> None:
    """Replace a project's description."""
    await tx.execute(update(T).where(T.c.name == name).values(description=description))


async def mark_ready(tx: Transaction, name: ProjectName) -> None:
    """Write that the project's workspace is there."""
    await tx.execute(update(T).where(T.c.name == name).values(workspace_is_ready=True))


async def without_workspace(tx: Transaction) -> Sequence[ProjectName]:
    """List the projects whose workspace is not known to be there."""
    query = select(T.c.name).where(T.c.workspace_is_ready.is_(False)).order_by(T.c.name)
    return [ProjectName(name) for name in (await tx.execute(query)).scalars()]


async def delete_project(tx: Transaction, name: ProjectName) -> None:
    """Forget a project with its memberships. It must have no models."""
    await tx.execute(delete(T).where(T.c.name == name))


async def count_conversions(tx: Transaction, name: ProjectName) -> int:
    """Count the conversions of a project that were accepted and are not done."""
    C = schema.conversions  # noqa: N806
    query = select(func.count()).where(C.c.document["project"].as_string() == name, C.c.document.is_not(None))
    return int((await tx.execute(query)).scalar_one())


async def add_member(
    tx: Transaction, name: ProjectName, user: UserId, *, at: datetime, is_from_groups: bool = False
) -> bool:
    """Make a user a member; False when it is one."""
    return await insert_if_new(
        tx, M, project=name, user_id=user, added_at=to_microseconds(at), is_from_groups=is_from_groups
    )


async def keep_member(tx: Transaction, name: ProjectName, user: UserId) -> bool:
    """Make a membership that came from groups one that was given by hand; False when it was that already."""
    query = update(M).where(M.c.project == name, M.c.user_id == user, M.c.is_from_groups.is_(True))
    return bool((await tx.execute(query.values(is_from_groups=False))).rowcount == 1)


async def from_groups(tx: Transaction, user: UserId) -> frozenset[ProjectName]:
    """Return the projects that a user is a member of because of groups alone."""
    query = select(M.c.project).where(M.c.user_id == user, M.c.is_from_groups.is_(True))
    return frozenset(ProjectName(name) for name in (await tx.execute(query)).scalars())


async def existing(tx: Transaction, names: Collection[ProjectName]) -> frozenset[ProjectName]:
    """Return those of the projects that there are."""
    found = (await tx.execute(select(T.c.name).where(T.c.name.in_(names)))).scalars()
    return frozenset(ProjectName(name) for name in found)


async def remove_member(tx: Transaction, name: ProjectName, user: UserId) -> bool:
    """Take a member out; False when it is none."""
    result = await tx.execute(delete(M).where(M.c.project == name, M.c.user_id == user))
    return bool(result.rowcount == 1)


async def members(tx: Transaction, name: ProjectName) -> Sequence[User]:
    """List a project's members by name."""
    U = schema.users  # noqa: N806
    query = select(U).join(M, M.c.user_id == U.c.id).where(M.c.project == name).order_by(U.c.name)
    return [users.from_row(row) for row in (await tx.execute(query)).mappings()]


async def of_member(tx: Transaction, user: UserId) -> frozenset[ProjectName]:
    """Return the names of the projects that a user is a member of."""
    names = (await tx.execute(select(M.c.project).where(M.c.user_id == user))).scalars()
    return frozenset(ProjectName(name) for name in names)
