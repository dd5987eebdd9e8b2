"""Fixtures of the services' tests: real databases, fakes of all else, cheap hashes."""

from __future__ import annotations

import argon2
import pytest

from taxiway.domain.audit import AuditEntry
from taxiway.domain.people import Asking, AuthMethod, Role, User
from taxiway.services.passwords import PasswordHasher
from taxiway.services.users import Users
from taxiway.store import audit, projects
from taxiway.store.database import Database
from tests.builders import a_principal, an_administrator, an_asking
from tests.databases import database, database_url, migrated_file, migrated_name, postgresql, sqlite_database
from tests.fakes import FakeClock, FakeNudge, FakeTracking

__all__ = ["database", "database_url", "migrated_file", "migrated_name", "postgresql", "sqlite_database"]

CHEAP = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=8, hash_len=16, time_cost=1, memory_cost=8, parallelism=1
)
PASSWORD = "correct horse"
ROOT = an_asking(an_administrator())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def nudge() -> FakeNudge:
    return FakeNudge()


@pytest.fixture
def tracking() -> FakeTracking:
    return FakeTracking()


@pytest.fixture
def hasher() -> PasswordHasher:
    return PasswordHasher(CHEAP)


@pytest.fixture
def users(database: Database, hasher: PasswordHasher, clock: FakeClock) -> Users:
    return Users(database=database, hasher=hasher, now=clock)


@pytest.fixture
async def ada(users: Users) -> User:
    return await users.create(ROOT, name="ada", role=Role.DATA_SCIENTIST, password=PASSWORD)


async def asking_of(database: Database, user: User, **changes: object) -> Asking:
    """Ask as this user, with its memberships as they are."""
    async with database.read() as tx:
        member_of = await projects.of_member(tx, user.id)
    given: dict[str, object] = {
        "user": user.id, "name": user.name, "role": user.role, "projects": member_of, "method": AuthMethod.SESSION,
        "session": None,
    }  # fmt: skip
    return an_asking(a_principal(**(given | changes)))


async def audited(database: Database) -> list[AuditEntry]:
    """Return the whole audit log, oldest first."""
    async with database.read() as tx:
        return list(await audit.page(tx, after=0, limit=1000))


async def actions(database: Database) -> list[str]:
    """Return what the audit log says was done, oldest first."""
    return [entry.action for entry in await audited(database)]
