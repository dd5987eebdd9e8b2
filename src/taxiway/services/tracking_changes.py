"""What is passed on to MLflow and takes something away or changes it by the console: an audit entry each."""

from __future__ import annotations

from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import Asking
from taxiway.ports import Clock
from taxiway.store import audit
from taxiway.store.database import Database

MOST_LETTERS = 200


class TrackingChanges:
    """Writes down what is passed on to MLflow and cannot be undone by Taxiway."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def begin(
        self, asking: Asking, *, project: ProjectName, method: str, about: str, action: str = "tracking.delete"
    ) -> None:
        """Write that a call is passed on. Before it is: what cannot be written down is not done.

        MLflow's database is another one, so no transaction holds both; MLflow may still refuse the call.
        """
        named = "".join(letter if letter.isprintable() else "?" for letter in f"{method} {about}")
        async with self._database.write() as tx:
            await audit.append(
                tx,
                at=self._now(),
                asking=asking,
                action=action,
                object_kind=SubjectKind.TRACKING,
                object=named[:MOST_LETTERS],
                project=project,
            )
