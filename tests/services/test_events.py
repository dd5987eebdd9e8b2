"""Events, looked up: only those of the projects that are named."""

from __future__ import annotations

from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.services.events import Events
from taxiway.store import events
from taxiway.store.database import Database
from tests.builders import PROJECT
from tests.store.test_events import an_event


async def test_events_of_the_projects_that_are_named(database: Database) -> None:
    async with database.write() as tx:
        for number in range(4):
            project = ProjectName("other") if number == 2 else PROJECT
            await events.append(tx, an_event(project=project, subject=f"d{number}"))
    service = Events(database=database)

    async def found(**wanted: object) -> list[str]:
        return [event.subject for event in await service.search(**({"limit": 10} | wanted))]  # type: ignore[arg-type]

    assert await found(projects=None) == ["d0", "d1", "d2", "d3"]
    assert await found(projects=(PROJECT,)) == ["d0", "d1", "d3"]
    assert await found(projects=()) == []
    assert await found(projects=None, newest_first=True, limit=2) == ["d3", "d2"]
    assert await found(projects=None, newest_first=True, before=2) == ["d0"]
    assert await found(projects=None, after=2) == ["d2", "d3"]
    assert await found(projects=None, subject_kind=SubjectKind.DEPLOYMENT, subject="d1") == ["d1"]
    assert await found(projects=None, subject_kind=SubjectKind.USER) == []
