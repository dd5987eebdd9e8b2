"""Routes of a model's thresholds: what its runs' metrics must reach before a version goes to production."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.api.parameters import ModelPath, ProjectPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.ids import ModelName, ProjectName
from taxiway.domain.people import Permission
from taxiway.domain.thresholds import Bound, Threshold
from taxiway.wire.models import ThresholdIn, ThresholdList, ThresholdsIn

router = TaxiwayRouter(tags=["models"])

THRESHOLDS = "/projects/{project}/models/{model}/thresholds"


@router.get(THRESHOLDS, permission=Permission.MODEL_READ)
async def list_thresholds(project: ProjectPath, model: ModelPath, services: Services) -> ThresholdList:
    """List a model's thresholds."""
    return _out(await services.thresholds.of(ProjectName(project), ModelName(model)))


@router.put(THRESHOLDS, permission=Permission.MODEL_WRITE)
async def set_thresholds(
    project: ProjectPath, model: ModelPath, wanted: ThresholdsIn, asking: Asker, services: Services
) -> ThresholdList:
    """Put these thresholds in place of those there were; an empty list takes them away."""
    found = [Threshold(metric=one.metric, bound=Bound(one.bound), value=one.value) for one in wanted.thresholds]
    return _out(await services.thresholds.set(asking, ProjectName(project), ModelName(model), found))


def _out(found: Sequence[Threshold]) -> ThresholdList:
    return ThresholdList(
        items=[ThresholdIn(metric=one.metric, bound=one.bound.value, value=one.value) for one in found]
    )
