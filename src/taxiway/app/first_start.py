"""What happens before the very first start: the data directory, the database, the first administrator."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from taxiway.app.platform import places_of
from taxiway.domain.errors import InvalidInput
from taxiway.services.passwords import PasswordHasher
from taxiway.services.users import Users
from taxiway.settings import Settings
from taxiway.store.database import open_database
from taxiway.store.migrate import migrate


async def first_start(settings: Settings, password_file: Path | None) -> str | None:
    """Return the first administrator's password when this is the first start, else None. Twice is once.

    The password is the one in the file, or a random one. Raises InvalidInput when the file cannot be read.
    """
    given = None
    if password_file is not None:
        try:
            given = password_file.read_text().rstrip("\r\n")
        except OSError as error:
            raise InvalidInput(
                f"The password file {password_file} cannot be read: {error.strerror}.", hint="Check the path."
            ) from None
    places_of(settings).make()
    database = open_database(settings.database_url)
    try:
        await migrate(database)
        users = Users(database=database, hasher=PasswordHasher(), now=lambda: datetime.now(UTC))
        return await users.ensure_first_administrator(given)
    finally:
        await database.close()
