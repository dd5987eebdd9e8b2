"""Measurements in memory: what a test says was measured."""

from __future__ import annotations

from datetime import datetime, timedelta

from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.measurements import Window


class FakeMeasurements:
    """Tells the windows that a test put in; None for all others."""

    def __init__(self) -> None:
        self.revisions: dict[RevisionId, Window] = {}
        self.deployments: dict[DeploymentId, Window] = {}

    def of_revision(self, revision: RevisionId, *, over: timedelta) -> Window | None:
        del over
        return self.revisions.get(revision)

    def of_deployment(self, deployment: DeploymentId, *, over: timedelta) -> Window | None:
        del over
        return self.deployments.get(deployment)

    def between(self, revision: RevisionId, since: datetime, until: datetime) -> Window | None:
        del since, until
        return self.revisions.get(revision)
