"""Routes of conversions and of model versions with their staging deployments."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from taxiway.api.routing import TaxiwayRouter

from taxiway.domain.ids import ModelName, ProjectName
from taxiway.services.deployments import DeploymentName

router = TaxiwayRouter(tags=["models"])

VERSION = "/projects/{project}/models/{model}/versions/{version}"
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=200)]


def name_of(project: str, model: str, version: int) -> DeploymentName:
    """Read a model version's name from the path."""
    return DeploymentName(project=ProjectName(project), model=ModelName(model), version=version)
