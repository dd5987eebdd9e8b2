"""Domain values ↔ JSON documents, for the columns that are read and written whole.

Pydantic does it from the dataclasses' own annotations: one mechanism, nothing to keep in step by hand.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from taxiway.domain.autoscaling import AutoscalingPolicy
from taxiway.domain.conditions import Condition, Failure, Phase
from taxiway.domain.conversions import Conversion
from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.gates import GateResult
from taxiway.domain.models import LoggedModelRef, ModelFacts
from taxiway.domain.people import Asking
from taxiway.domain.quotas import Quota
from taxiway.domain.revisions import ScoringOptions
from taxiway.domain.rollouts import Served, Strategy
from taxiway.domain.scrubs import Damage
from taxiway.domain.thresholds import Threshold

T = TypeVar("T")


class Document(Generic[T]):
    """Writes values of one type as JSON-able documents and reads them back."""

    def __init__(self, adapter: TypeAdapter[T]) -> None:
        self._adapter = adapter

    def dump(self, value: T) -> Any:
        """Return what a JSON column takes."""
        return self._adapter.dump_python(value, mode="json")

    def load(self, document: Any) -> T:
        """Return the value of a document that ``dump`` wrote."""
        return self._adapter.validate_python(document, strict=False)


failure = Document[Failure | None](TypeAdapter(Failure | None))
phases = Document[tuple[Phase, ...]](TypeAdapter(tuple[Phase, ...]))
conditions = Document[tuple[Condition, ...]](TypeAdapter(tuple[Condition, ...]))
environment_request = Document[EnvironmentRequest](TypeAdapter(EnvironmentRequest))
logged_model_ref = Document[LoggedModelRef](TypeAdapter(LoggedModelRef))
model_facts = Document[ModelFacts](TypeAdapter(ModelFacts))
scoring_options = Document[ScoringOptions](TypeAdapter(ScoringOptions))
gates = Document[tuple[GateResult, ...]](TypeAdapter(tuple[GateResult, ...]))
autoscaling = Document[AutoscalingPolicy | None](TypeAdapter(AutoscalingPolicy | None))
quota = Document[Quota | None](TypeAdapter(Quota | None))
served = Document[Served](TypeAdapter(Served))
strategy = Document[Strategy](TypeAdapter(Strategy))
thresholds = Document[tuple[Threshold, ...]](TypeAdapter(tuple[Threshold, ...]))
asking = Document[Asking](TypeAdapter(Asking))
damages = Document[tuple[Damage, ...]](TypeAdapter(tuple[Damage, ...]))
conversion = Document[Conversion](TypeAdapter(Conversion))
