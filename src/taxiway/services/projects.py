"""Projects and their members. A project is an MLflow workspace of the same name, made as soon as MLflow answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from taxiway.domain.errors import Conflict, InvalidInput, TaxiwayError, TrackingUnavailable
from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.domain.names import check_project_name
from taxiway.domain.people import Asking, Project, User
from taxiway.ports import Clock, Tracking
from taxiway.store import audit, events, models, projects, users
from taxiway.store.database import Database, Transaction

log = structlog.get_logger()

PATIENCE = timedelta(seconds=2)
"""How long making a project waits for MLflow; later is soon enough."""
LONGEST_DESCRIPTION = 2000


class Projects:
    """Intentions about projects. To whoever does not see a project it does not exist: NotFound."""

    def __init__(self, *, database: Database, tracking: Tracking, now: Clock) -> None:
        self._database = database
        self._tracking = tracking
        self._now = now
        self._has_workspace: set[ProjectName] = set()

    async def create(self, asking: Asking, *, name: str, description: str) -> Project:
        """Make a project. Raises InvalidInput for the name, Conflict when it is taken.

        The workspace is made at once where MLflow answers, else by ``make_workspaces`` as soon as it does. A project
        that was deleted and is made again finds the experiments that it had.
        """
        now = self._now()
        project = Project(
            name=check_project_name(name),
            description=_check_description(description),
            created_at=now,
            created_by=asking.principal.user,
        )
        async with self._database.write() as tx:
            if not await projects.insert_project(tx, project):
                raise Conflict(f"There is a project '{name}' already.", hint="Choose another name.")
            await self._tell(
                tx,
                asking,
                project.name,
                action="project.create",
                reason="ProjectMade",
                message=f"Project {name} was made.",
                after={"description": description},
            )
        return replace(project, workspace_is_ready=await self._make_workspace(project.name))

    async def search(self, asking: Asking, *, after: ProjectName | None, limit: int) -> Sequence[Project]:
        """List the projects that the asker sees by name, from the one that comes after ``after``."""
        me = asking.principal
        visible = None if me.is_administrator else sorted(me.projects)
        async with self._database.read() as tx:
            return await projects.search(tx, projects=visible, after=after, limit=limit)

    async def get(self, asking: Asking, name: ProjectName) -> Project:
        """Return one project. Raises NotFound."""
        _check_visible(asking, name)
        async with self._database.read() as tx:
            return await projects.get(tx, name)

    async def describe(self, asking: Asking, name: ProjectName, description: str) -> Project:
        """Replace the description. The same as before: no effect. Raises NotFound and InvalidInput."""
        _check_visible(asking, name)
        _check_description(description)
        async with self._database.write() as tx:
            before = await projects.get(tx, name, for_change=True)
            if before.description == description:
                return before
            await projects.describe(tx, name, description)
            await self._tell(
                tx,
                asking,
                name,
                action="project.describe",
                reason="ProjectDescribed",
                message="The project was described anew.",
                before={"description": before.description},
                after={"description": description},
            )
        return replace(before, description=description)

    async def delete(self, asking: Asking, name: ProjectName) -> None:
        """Delete a project with its memberships; its runs stay in MLflow, where nobody sees them any more.

        Raises NotFound, and Conflict while the project has model versions.
        """
        _check_visible(asking, name)
        async with self._database.write() as tx:
            before = await projects.get(tx, name, for_change=True)
            left = await models.count_in_project(tx, name) + await projects.count_conversions(tx, name)
            if left:
                raise Conflict(f"Project {name} has {left} model versions.", hint="Delete them first.")
            await projects.delete_project(tx, name)
            await self._tell(
                tx,
                asking,
                name,
                action="project.delete",
                reason="ProjectDeleted",
                message=f"Project {name} was deleted.",
                before={"description": before.description},
            )
        self._has_workspace.discard(name)

    async def add_member(self, asking: Asking, name: ProjectName, user_name: str) -> None:
        """Let a user into the project. Is a member: no effect. Raises NotFound."""
        _check_visible(asking, name)
        async with self._database.write() as tx:
            await projects.get(tx, name)
            user = await users.get(tx, user_name)
            is_new = await projects.add_member(tx, name, user.id, at=self._now())
            # What was given by hand stays when the groups that gave it before do not.
            if is_new or await projects.keep_member(tx, name, user.id):
                await self._tell(
                    tx,
                    asking,
                    name,
                    action="project.add-member",
                    reason="MemberAdded",
                    message=f"{user.name} became a member.",
                    after={"member": user.name},
                )

    async def remove_member(self, asking: Asking, name: ProjectName, user_name: str) -> None:
        """Take a user out of the project. Is no member: no effect. Raises NotFound."""
        _check_visible(asking, name)
        async with self._database.write() as tx:
            await projects.get(tx, name)
            user = await users.get(tx, user_name)
            if await projects.remove_member(tx, name, user.id):
                await self._tell(
                    tx,
                    asking,
                    name,
                    action="project.remove-member",
                    reason="MemberRemoved",
                    message=f"{user.name} is no member any more.",
                    before={"member": user.name},
                )

    async def members(self, asking: Asking, name: ProjectName) -> Sequence[User]:
        """List the project's members by name. Raises NotFound."""
        _check_visible(asking, name)
        async with self._database.read() as tx:
            await projects.get(tx, name)
            return await projects.members(tx, name)

    async def require_workspace(self, name: ProjectName) -> None:
        """Have the project's workspace made where it is not there yet, before anything of it is asked of MLflow.

        Raises NotFound for an unknown project, TrackingUnavailable while MLflow does not answer.
        """
        if name in self._has_workspace:
            return
        async with self._database.read() as tx:
            is_ready = (await projects.get(tx, name)).workspace_is_ready
        if not is_ready and not await self._make_workspace(name):
            raise TrackingUnavailable(
                f"MLflow does not answer yet; the space of project {name} is made when it does.",
                hint="Try again in some seconds; `taxiway status` tells how MLflow is.",
            )
        self._has_workspace.add(name)

    async def make_workspaces(self) -> None:
        """Make the workspaces that are not known to be there; called again and again, it ends up with all."""
        async with self._database.read() as tx:
            missing = await projects.without_workspace(tx)
        for name in missing:
            if not await self._make_workspace(name):
                return

    async def _make_workspace(self, name: ProjectName) -> bool:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self._tracking.ensure_workspace(name)
        except (TrackingUnavailable, TimeoutError):
            return False
        except TaxiwayError as error:
            log.warning("workspace not made", project=name, reason=error.reason, message=error.message)
            return False
        async with self._database.write() as tx:
            await projects.mark_ready(tx, name)
        return True

    async def _tell(
        self,
        tx: Transaction,
        asking: Asking,
        name: ProjectName,
        *,
        action: str,
        reason: str,
        message: str,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
    ) -> None:
        now = self._now()
        await events.append(
            tx,
            Event(
                at=now,
                actor=asking.principal.name,
                project=name,
                subject_kind=SubjectKind.PROJECT,
                subject=name,
                reason=reason,
                message=message,
            ),
        )
        await audit.append(
            tx,
            at=now,
            asking=asking,
            action=action,
            object_kind=SubjectKind.PROJECT,
            object=name,
            project=name,
            before=before,
            after=after,
        )


def _check_visible(asking: Asking, name: ProjectName) -> None:
    if not asking.principal.sees(name):
        raise projects.not_found()


def _check_description(description: str) -> str:
    if len(description) > LONGEST_DESCRIPTION or "\0" in description:
        raise InvalidInput(
            f"A project's description has at most {LONGEST_DESCRIPTION} characters.",
            hint="Shorten it.",
            field="/description",
        )
    return description
