"""EnvironmentBuilder in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from taxiway.domain.conditions import Failure
from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.errors import (
    NoInterpreter,
    OutOfDisk,
)
from taxiway.domain.ids import (
    EnvironmentId,
)
from taxiway.domain.models import ModelFacts
from tests.fakes.clock import FakeClock


class BuildFate(Enum):
    """What becomes of builds."""

    WELL = auto()
    BUILD_FAILS = auto()
    BUILD_HANGS = auto()
    BEGIN_FAILS = auto()
    """``begin`` itself raises: the disk is full."""


BUILD_FAILED = Failure(
    reason="EnvironmentFailed",
    message="scikit-learn==99 was not found.",
    hint="See the build log.",
    lines=("No solution found",),
)


@dataclass(kw_only=True)
class FakeBuilder:
    """Builds that end by the clock."""

    clock: FakeClock
    seconds: float = 0.5
    fate: BuildFate = BuildFate.WELL
    interpreters: frozenset[str] = frozenset({"3.11", "3.12"})
    ready: set[EnvironmentId] = field(default_factory=set)
    begun: Counter[EnvironmentId] = field(default_factory=Counter)
    cancelled: list[EnvironmentId] = field(default_factory=list)
    building: dict[EnvironmentId, float] = field(default_factory=dict)
    """When the builds under way began."""
    failed: set[EnvironmentId] = field(default_factory=set)

    def check(self, facts: ModelFacts) -> EnvironmentRequest:
        python = ".".join(facts.python_version.split(".")[:2])
        if python not in self.interpreters:
            raise NoInterpreter(
                f"No Python {python} is installed here.", hint=f"Install it: uv python install {python}"
            )
        return EnvironmentRequest(
            python=python,
            requirements=facts.requirements,
            scoring_requirements=("httptools==0.8.0",),
            mlflow_version=facts.mlflow_version,
            platform="linux-x86_64",
        )

    async def begin(self, request: EnvironmentRequest) -> None:
        if self.fate is BuildFate.BEGIN_FAILS:
            raise OutOfDisk("2 GB are needed and 1 GB is free.", hint="Free some room.")
        if request.id in self.ready or request.id in self.building:
            return
        self.failed.discard(request.id)
        self.begun[request.id] += 1
        self.building[request.id] = self.clock.elapsed()

    async def observe(self, environment: EnvironmentId) -> BuildProgress | None:
        if environment in self.ready:
            return BuildProgress(state=BuildState.READY, packages_done=40, packages_total=40, detail="found")
        began = self.building.get(environment)
        if began is not None:
            spent = self.clock.elapsed() - began
            if spent < self.seconds or self.fate is BuildFate.BUILD_HANGS:
                return BuildProgress(
                    state=BuildState.INSTALLING, packages_done=10, packages_total=40, detail="10 of 40 packages"
                )
            del self.building[environment]
            (self.failed if self.fate is BuildFate.BUILD_FAILS else self.ready).add(environment)
            return await self.observe(environment)
        if environment in self.failed:
            return BuildProgress(state=BuildState.FAILED, failure=BUILD_FAILED)
        return None

    async def cancel(self, environment: EnvironmentId) -> None:
        if self.building.pop(environment, None) is not None:
            self.cancelled.append(environment)

    async def drop(self, environment: EnvironmentId) -> None:
        self.ready.discard(environment)

    async def stored(self) -> Sequence[EnvironmentId]:
        return sorted(self.ready)

    async def lock(self, environment: EnvironmentId) -> str:
        return "scikit-learn==1.9.0 --hash=sha256:00\n" if environment in self.ready else ""

    def locate(self, environment: EnvironmentId) -> Path:
        return Path("/environments") / environment

    def control_plane_died(self) -> None:
        """Builds die with the process that made them; what is built stays."""
        self.building.clear()
        self.failed.clear()
