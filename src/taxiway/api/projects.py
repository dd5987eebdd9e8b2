"""Routes of projects and their members."""

from __future__ import annotations

from taxiway.api.cursors import read_cursor, write_cursor
from taxiway.api.parameters import Cursor, Limit, ProjectPath, UserPath
from taxiway.api.people import member_out, project_out
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Permission
from taxiway.wire.people import MemberList, ProjectChangeIn, ProjectIn, ProjectOut, ProjectPage

router = TaxiwayRouter(tags=["projects"])

ONE = "/projects/{project}"
MEMBER = ONE + "/members/{user}"


@router.get("/projects", permission=Permission.PROJECT_READ)
async def list_projects(asking: Asker, services: Services, limit: Limit = 100, cursor: Cursor = None) -> ProjectPage:
    """List the projects that one sees, by name."""
    after = read_cursor("projects", cursor)
    found = await services.projects.search(asking, after=None if after is None else ProjectName(after), limit=limit + 1)
    shown = found[:limit]
    return ProjectPage(
        items=[project_out(project) for project in shown],
        next_cursor=write_cursor("projects", shown[-1].name) if len(found) > limit else None,
    )


@router.post("/projects", permission=Permission.PROJECT_WRITE, status_code=201, errors=("Conflict",))
async def create_project(wanted: ProjectIn, asking: Asker, services: Services) -> ProjectOut:
    """Make a project: a space of its own for experiments and models."""
    return project_out(await services.projects.create(asking, name=wanted.name, description=wanted.description))


@router.get(ONE, permission=Permission.PROJECT_READ)
async def get_project(project: ProjectPath, asking: Asker, services: Services) -> ProjectOut:
    """Show one project."""
    return project_out(await services.projects.get(asking, ProjectName(project)))


@router.patch(ONE, permission=Permission.PROJECT_WRITE)
async def describe_project(
    project: ProjectPath, wanted: ProjectChangeIn, asking: Asker, services: Services
) -> ProjectOut:
    """Describe a project anew."""
    return project_out(await services.projects.describe(asking, ProjectName(project), wanted.description))


@router.delete(ONE, permission=Permission.PROJECT_WRITE, status_code=204, errors=("Conflict",))
async def delete_project(project: ProjectPath, asking: Asker, services: Services) -> None:
    """Delete a project; refused while it has model versions. Its runs stay in MLflow, where nobody sees them."""
    await services.projects.delete(asking, ProjectName(project))


@router.get(ONE + "/members", permission=Permission.PROJECT_READ)
async def list_members(project: ProjectPath, asking: Asker, services: Services) -> MemberList:
    """List a project's members by name."""
    found = await services.projects.members(asking, ProjectName(project))
    return MemberList(items=[member_out(user) for user in found])


@router.put(MEMBER, permission=Permission.PROJECT_WRITE, status_code=204)
async def add_member(project: ProjectPath, user: UserPath, asking: Asker, services: Services) -> None:
    """Let a user into the project. Is a member: no effect."""
    await services.projects.add_member(asking, ProjectName(project), user)


@router.delete(MEMBER, permission=Permission.PROJECT_WRITE, status_code=204)
async def remove_member(project: ProjectPath, user: UserPath, asking: Asker, services: Services) -> None:
    """Take a user out of the project. Is no member: no effect."""
    await services.projects.remove_member(asking, ProjectName(project), user)
