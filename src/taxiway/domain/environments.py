"""Model environments: what is asked for, and how far it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from taxiway.domain.conditions import Failure
from taxiway.domain.ids import EnvironmentId


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRequest:
    """What a model environment must hold.

    ``python`` is ``major.minor``. ``requirements`` are the model's own PEP 508 lines, ``scoring_requirements``
    those of the scoring server, resolved together with them. ``mlflow_version`` is the version that logged the
    model: it is what loads it where the model's own requirements do not name MLflow. ``platform`` and ``index``
    keep environments apart that would resolve differently.
    """

    python: str
    requirements: tuple[str, ...]
    scoring_requirements: tuple[str, ...]
    mlflow_version: str | None
    platform: str
    index: str = ""

    @property
    def id(self) -> EnvironmentId:
        """The digest of what is asked; equal requests share one environment. Order of requirements is no matter."""
        asked = {
            "python": self.python,
            "requirements": sorted(self.requirements),
            "scoring": sorted(self.scoring_requirements),
            "mlflow": self.mlflow_version,
            "platform": self.platform,
            "index": self.index,
        }
        return EnvironmentId(hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())


class BuildState(StrEnum):
    """How an environment stands."""

    WAITING = "waiting"
    RESOLVING = "resolving"
    INSTALLING = "installing"
    COMPILING = "compiling"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """What an environment builder says of an environment: packages installed of those needed, and the last line."""

    state: BuildState
    packages_done: int = 0
    packages_total: int | None = None
    detail: str = ""
    failure: Failure | None = None
