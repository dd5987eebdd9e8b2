"""Events: append-only, found by project, subject and place."""

from __future__ import annotations

from taxiway.domain.events import Event, SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.store import events
from taxiway.store.database import Database
from tests.builders import NOW, PROJECT


def an_event(**changes: object) -> Event:
    given: dict[str, object] = {
        "at": NOW, "actor": "ada", "project": PROJECT, "subject_kind": SubjectKind.DEPLOYMENT, "subject": "d-v1",
        "was": "OFF", "became": "Queued", "reason": "SwitchedOn", "message": "It was switched ON.",
    }  # fmt: skip
    return Event(**(given | changes))  # type: ignore[arg-type]


async def test_events_are_found_up_and_down(database: Database) -> None:
    async with database.write() as tx:
        await events.append(tx, an_event())
        await events.append(tx, an_event(subject="d-v2"))
        await events.append(tx, an_event(project=ProjectName("other"), subject_kind=SubjectKind.REVISION))

        async def found(**wanted: object) -> list[int]:
            return [event.sequence for event in await events.find(tx, **wanted)]  # type: ignore[arg-type]

        (first,) = await events.find(tx, limit=1)
        assert first == an_event(sequence=1)
        assert await found() == [1, 2, 3]
        assert await found(newest_first=True) == [3, 2, 1]
        assert await found(newest_first=True, before=3, limit=1) == [2]
        assert await found(after=1) == [2, 3]
        assert await found(projects=[PROJECT]) == [1, 2]
        assert await found(projects=[]) == []
        assert await found(subject_kind=SubjectKind.REVISION) == [3]
        assert await found(subject="d-v1") == [1, 3]
