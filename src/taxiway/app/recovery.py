"""What whoever holds the data directory can do without signing in."""

from __future__ import annotations

from datetime import UTC, datetime

from taxiway.app.platform import is_up
from taxiway.domain.errors import NotFound
from taxiway.services.passwords import PasswordHasher
from taxiway.services.users import Users
from taxiway.settings import Settings
from taxiway.store.database import open_database
from taxiway.store.migrate import migrate


async def reset_password(settings: Settings, name: str) -> str:
    """Return a new random password of an administrator; the platform may be up or down.

    Raises NotFound where there is no Taxiway or no such user, and as ``Users.reset_administrator`` does.
    """
    if not settings.database.url.get_secret_value() and not (settings.data / "taxiway.db").exists():
        raise NotFound(f"There is no Taxiway in {settings.data}.", hint="Name its data directory with --data-dir.")
    database = open_database(settings.database_url)
    try:
        if not is_up(settings):
            await migrate(database)
        users = Users(database=database, hasher=PasswordHasher(), now=lambda: datetime.now(UTC))
        return await users.reset_administrator(name)
    finally:
        await database.close()
