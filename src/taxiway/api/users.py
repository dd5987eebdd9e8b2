"""Routes of users; for administrators."""

from __future__ import annotations

from taxiway.api.cursors import read_cursor, write_cursor
from taxiway.api.parameters import Cursor, Limit, Text, UserPath
from taxiway.api.people import user_out
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.people import Permission, Role
from taxiway.wire.people import PasswordIn, UserChangeIn, UserIn, UserOut, UserPage

router = TaxiwayRouter(tags=["users"])


@router.get("/users", permission=Permission.USER_READ)
async def list_users(
    _asking: Asker, services: Services, contains: Text = None, limit: Limit = 100, cursor: Cursor = None
) -> UserPage:
    """List users by name."""
    found = await services.users.search(contains=contains, after=read_cursor("users", cursor), limit=limit + 1)
    shown = found[:limit]
    return UserPage(
        items=[user_out(user) for user in shown],
        next_cursor=write_cursor("users", shown[-1].name) if len(found) > limit else None,
    )


@router.post("/users", permission=Permission.USER_WRITE, status_code=201, errors=("PasswordsOff", "Conflict"))
async def create_user(wanted: UserIn, asking: Asker, services: Services) -> UserOut:
    """Make a user with a password; those of an identity provider are made when they first sign in."""
    services.sign_in.require_passwords()
    made = await services.users.create(
        asking,
        name=wanted.name,
        role=Role(wanted.role),
        password=wanted.password,
        must_change_password=wanted.must_change_password,
    )
    return user_out(made)


@router.get("/users/{name}", permission=Permission.USER_READ)
async def get_user(name: UserPath, _asking: Asker, services: Services) -> UserOut:
    """Show one user."""
    return user_out(await services.users.get(name))


@router.patch("/users/{name}", permission=Permission.USER_WRITE, errors=("Conflict",))
async def change_user(name: UserPath, wanted: UserChangeIn, asking: Asker, services: Services) -> UserOut:
    """Change a user's role, disable or enable. Any change ends the user's sessions."""
    role = None if wanted.role is None else Role(wanted.role)
    return user_out(await services.users.change(asking, name, role=role, is_disabled=wanted.is_disabled))


@router.put(
    "/users/{name}/password", permission=Permission.USER_WRITE, status_code=204, errors=("PasswordsOff", "Conflict")
)
async def set_password(name: UserPath, wanted: PasswordIn, asking: Asker, services: Services) -> None:
    """Give a user another password. Ends the user's sessions."""
    services.sign_in.require_passwords()
    await services.users.set_password(asking, name, wanted.password, must_change_password=wanted.must_change_password)


@router.delete("/users/{name}", permission=Permission.USER_WRITE, status_code=204, errors=("Conflict",))
async def delete_user(name: UserPath, asking: Asker, services: Services) -> None:
    """Delete a user with memberships, sessions and API tokens; refused while it owns deployments."""
    await services.users.delete(asking, name)
