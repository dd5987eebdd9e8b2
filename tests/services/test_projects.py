"""Projects: seen by members and administrators only, workspaces as soon as MLflow answers, each change told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from taxiway.domain.errors import Conflict, InvalidInput, MalformedModel, NotFound, TrackingUnavailable
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Asking, User
from taxiway.services import projects as projects_module
from taxiway.services.events import Events
from taxiway.services.projects import Projects
from taxiway.store import conversions
from taxiway.store.database import Database
from tests.builders import NOW, PROJECT, a_conversion, a_project
from tests.fakes import FakeClock, FakeTracking
from tests.services.conftest import ROOT, actions, asking_of, audited
from tests.store.conftest import insert_people, insert_version

OTHER = ProjectName("other")


@pytest.fixture
def projects(database: Database, tracking: FakeTracking, clock: FakeClock) -> Projects:
    return Projects(database=database, tracking=tracking, now=clock)


async def test_a_project_is_made_with_its_workspace(
    projects: Projects, database: Database, tracking: FakeTracking
) -> None:
    made = await projects.create(ROOT, name="fraud", description="Finds fraud.")
    assert made == a_project(created_by=ROOT.principal.user)
    assert tracking.workspaces == {PROJECT}
    assert await projects.get(ROOT, PROJECT) == made
    (entry,) = await audited(database)
    assert (entry.action, entry.object_kind, entry.object, entry.project) == (
        "project.create", "project", "fraud", "fraud",
    )  # fmt: skip
    assert json.loads(entry.after) == {"description": "Finds fraud."}
    (event,) = await Events(database=database).search(projects=None, limit=10)
    assert (event.actor, event.project, event.subject_kind, event.reason) == (
        "root", PROJECT, SubjectKind.PROJECT, "ProjectMade",
    )  # fmt: skip


async def test_while_mlflow_is_down_the_workspace_is_made_later(projects: Projects, tracking: FakeTracking) -> None:
    tracking.is_down = True
    assert not (await projects.create(ROOT, name="fraud", description="")).workspace_is_ready
    await projects.create(ROOT, name="other", description="")
    await projects.make_workspaces()
    assert not (await projects.get(ROOT, PROJECT)).workspace_is_ready
    tracking.is_down = False
    await projects.make_workspaces()
    assert tracking.workspaces == {PROJECT, OTHER}
    assert [p.workspace_is_ready for p in await projects.search(ROOT, after=None, limit=10)] == [True, True]


async def test_making_a_project_waits_for_mlflow_a_moment_only(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(FakeTracking):
        async def ensure_workspace(self, project: ProjectName) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(projects_module, "PATIENCE", projects_module.PATIENCE * 0)
    projects = Projects(database=database, tracking=Hanging(), now=clock)
    assert not (await projects.create(ROOT, name="fraud", description="")).workspace_is_ready


async def test_a_workspace_that_mlflow_refuses_holds_nothing_up(database: Database, clock: FakeClock) -> None:
    class Refusing(FakeTracking):
        async def ensure_workspace(self, project: ProjectName) -> None:
            if project == PROJECT:
                raise MalformedModel("No.")
            await super().ensure_workspace(project)

    projects = Projects(database=database, tracking=Refusing(), now=clock)
    assert not (await projects.create(ROOT, name="fraud", description="")).workspace_is_ready
    await projects.create(ROOT, name="other", description="")
    await projects.make_workspaces()
    assert not (await projects.get(ROOT, PROJECT)).workspace_is_ready


@pytest.mark.parametrize("name", ["", "Fraud", "a/b", "-a", "default", "api", "x" * 41, "é", "a\0"])
async def test_names_that_are_not_fine_are_refused(projects: Projects, database: Database, name: str) -> None:
    with pytest.raises(InvalidInput):
        await projects.create(ROOT, name=name, description="")
    assert await actions(database) == []


@pytest.mark.concurrent
async def test_a_name_is_taken_once_also_at_once(projects: Projects, database: Database) -> None:
    made = await asyncio.gather(
        *(projects.create(ROOT, name="fraud", description="") for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in made) == ["Conflict", "Conflict", "Project"]
    assert await actions(database) == ["project.create"]


@pytest.mark.parametrize("description", ["x" * 2001, "a\0b"])
async def test_a_description_has_its_limits(projects: Projects, description: str) -> None:
    with pytest.raises(InvalidInput):
        await projects.create(ROOT, name="fraud", description=description)
    await projects.create(ROOT, name="fraud", description="x" * 2000)
    with pytest.raises(InvalidInput):
        await projects.describe(ROOT, PROJECT, description)


@pytest.fixture
async def outsider(projects: Projects, database: Database, ada: User) -> Asking:
    """A user who is a member of ``other`` and not of ``fraud``."""
    await projects.create(ROOT, name="fraud", description="")
    await projects.create(ROOT, name="other", description="")
    await projects.add_member(ROOT, OTHER, "ada")
    return await asking_of(database, ada)


@pytest.mark.parametrize(
    "call",
    [
        lambda projects, asking, name: projects.get(asking, name),
        lambda projects, asking, name: projects.describe(asking, name, "x"),
        lambda projects, asking, name: projects.delete(asking, name),
        lambda projects, asking, name: projects.add_member(asking, name, "ada"),
        lambda projects, asking, name: projects.remove_member(asking, name, "ada"),
        lambda projects, asking, name: projects.members(asking, name),
    ],
    ids=["get", "describe", "delete", "add member", "remove member", "members"],
)
async def test_to_an_outsider_a_project_is_as_one_that_is_not_there(
    projects: Projects, database: Database, outsider: Asking,
    call: Callable[[Projects, Asking, ProjectName], Awaitable[object]],
) -> None:  # fmt: skip
    before, answers = await actions(database), set()
    for asking, name in ((outsider, PROJECT), (outsider, ProjectName("no-such")), (ROOT, ProjectName("no-such"))):
        with pytest.raises(NotFound) as refused:
            await call(projects, asking, name)
        answers.add((refused.value.message, refused.value.hint))
    assert len(answers) == 1
    assert await actions(database) == before
    assert [project.name for project in await projects.search(outsider, after=None, limit=10)] == [OTHER]
    await projects.get(outsider, OTHER)


async def test_lists_go_on_after_the_last_seen(projects: Projects, outsider: Asking) -> None:
    assert [p.name for p in await projects.search(ROOT, after=None, limit=1)] == [PROJECT]
    assert [p.name for p in await projects.search(ROOT, after=PROJECT, limit=1)] == [OTHER]
    assert await projects.search(ROOT, after=OTHER, limit=1) == []


async def test_a_description_is_changed_and_told_once(projects: Projects, database: Database) -> None:
    await projects.create(ROOT, name="fraud", description="old")
    for _ in range(2):
        assert (await projects.describe(ROOT, PROJECT, "new")).description == "new"
    assert (await projects.get(ROOT, PROJECT)).description == "new"
    assert await actions(database) == ["project.create", "project.describe"]
    entry = (await audited(database))[-1]
    assert (entry.before, entry.after) == ('{"description":"old"}', '{"description":"new"}')


async def test_members_come_and_go_and_are_told_once(projects: Projects, database: Database, ada: User) -> None:
    await projects.create(ROOT, name="fraud", description="")
    for _ in range(2):
        await projects.add_member(ROOT, PROJECT, "ada")
    assert await projects.members(ROOT, PROJECT) == [ada]
    for _ in range(2):
        await projects.remove_member(ROOT, PROJECT, "ada")
    assert await projects.members(ROOT, PROJECT) == []
    with pytest.raises(NotFound):
        await projects.add_member(ROOT, PROJECT, "nobody")
    assert await actions(database) == ["user.create", "project.create", "project.add-member", "project.remove-member"]
    assert [e.reason for e in await Events(database=database).search(projects=(PROJECT,), limit=10)] == [
        "ProjectMade", "MemberAdded", "MemberRemoved",
    ]  # fmt: skip


async def test_a_project_with_model_versions_stays(projects: Projects, database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await insert_version(tx)
    with pytest.raises(Conflict, match="1 model versions"):
        await projects.delete(ROOT, PROJECT)


async def test_a_project_with_a_conversion_under_way_stays(projects: Projects, database: Database) -> None:
    async with database.write() as tx:
        await insert_people(tx)
        await conversions.insert_conversion(tx, a_conversion(), idempotency_key="k", request_digest="d", at=NOW)
    with pytest.raises(Conflict):
        await projects.delete(ROOT, PROJECT)


async def test_a_deleted_project_is_gone_and_its_name_is_free(projects: Projects, database: Database) -> None:
    await projects.create(ROOT, name="fraud", description="d")
    await projects.delete(ROOT, PROJECT)
    with pytest.raises(NotFound):
        await projects.get(ROOT, PROJECT)
    with pytest.raises(NotFound):
        await projects.delete(ROOT, PROJECT)
    await projects.create(ROOT, name="fraud", description="")
    assert await actions(database) == ["project.create", "project.delete", "project.create"]


async def test_a_workspace_that_is_missing_is_made_before_it_is_needed(
    projects: Projects, tracking: FakeTracking
) -> None:
    tracking.is_down = True
    await projects.create(ROOT, name="fraud", description="")
    with pytest.raises(TrackingUnavailable):
        await projects.require_workspace(PROJECT)
    tracking.is_down = False
    await projects.require_workspace(PROJECT)
    assert tracking.workspaces == {PROJECT}
    tracking.is_down = True
    await projects.require_workspace(PROJECT)  # known to be there: nobody is asked
    await projects.delete(ROOT, PROJECT)
    with pytest.raises(NotFound):
        await projects.require_workspace(PROJECT)
