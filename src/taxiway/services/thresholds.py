"""What a model's owners can ask of its thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import ModelName, ProjectName
from taxiway.domain.people import Asking
from taxiway.domain.thresholds import Threshold, check_thresholds
from taxiway.ports import Clock
from taxiway.store import audit, models
from taxiway.store.database import Database


class Thresholds:
    """Intentions about the metrics that a model's runs must reach before a version goes to production."""

    def __init__(self, *, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def of(self, project: ProjectName, model: ModelName) -> Sequence[Threshold]:
        """Return a model's thresholds. Raises NotFound."""
        async with self._database.read() as tx:
            return await models.thresholds_of(tx, project, model)

    async def set(
        self, asking: Asking, project: ProjectName, model: ModelName, thresholds: Sequence[Threshold]
    ) -> Sequence[Threshold]:
        """Put these in place of those there were. Raises NotFound, InvalidInput."""
        wanted = check_thresholds(thresholds)
        async with self._database.write() as tx:
            before = await models.thresholds_of(tx, project, model)
            if tuple(before) == wanted:
                return wanted
            await models.set_thresholds(tx, project, model, wanted)
            await audit.append(
                tx,
                at=self._now(),
                asking=asking,
                action="model.thresholds",
                object_kind=SubjectKind.MODEL_VERSION,
                object=f"{project}/{model}",
                project=project,
                before={"thresholds": [str(each) for each in before]},
                after={"thresholds": [str(each) for each in wanted]},
            )
        return wanted
