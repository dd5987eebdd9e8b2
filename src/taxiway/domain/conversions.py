"""Convert to model: what is asked, kept from the moment it is accepted until it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ModelName, ModelVersionId, ProjectName
from taxiway.domain.models import LoggedModel, LoggedModelRef, ModelFacts
from taxiway.domain.people import Asking
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import ScoringOptions

MAX_TAGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """An accepted conversion. ``id`` becomes the model version's; done again after a crash it makes no second."""

    id: ModelVersionId
    project: ProjectName
    model: ModelName
    source: LoggedModelRef
    facts: ModelFacts
    request: EnvironmentRequest
    resources: Resources
    options: ScoringOptions
    needs_token: bool
    asking: Asking
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def choose_logged_model(logged: tuple[LoggedModel, ...], wanted: str | None) -> LoggedModel:
    """Pick the model that is meant, by its name, its folder or its MLflow id; the only one needs no name."""
    names = ", ".join(repr(model.ref.path or model.ref.name) for model in logged)
    if not logged:
        raise InvalidInput(
            "The run logged no model.",
            hint="Log one in the run, for example with mlflow.sklearn.log_model(model, name='model', …).",
            field="/logged_model",
        )
    if wanted is None:
        if len(logged) == 1:
            return logged[0]
        raise InvalidInput(
            f"The run logged {len(logged)} models: {names}.", hint="Say which one.", field="/logged_model"
        )
    fitting = [m for m in logged if wanted in (m.ref.name, m.ref.path, m.ref.model_id)]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        ids = ", ".join(repr(model.ref.model_id or model.ref.path) for model in fitting)
        raise InvalidInput(
            f"{len(fitting)} models of the run have this name.",
            hint=f"Say which one by its id: {ids}.",
            field="/logged_model",
        )
    raise InvalidInput("The run logged no model of this name.", hint=f"It logged: {names}.", field="/logged_model")


def check_tags(tags: Mapping[str, str], *, field: str = "/tags") -> dict[str, str]:
    """Return the tags when they are acceptable: at most 50, keys of 1 to 100 characters, values of at most 500."""
    if len(tags) > MAX_TAGS:
        raise InvalidInput(f"A model version has at most {MAX_TAGS} tags.", hint="Give fewer.", field=field)
    for key, value in tags.items():
        if not 1 <= len(key) <= 100 or len(value) > 500 or not (key + value).isprintable():
            raise InvalidInput(
                "A tag's key has 1 to 100 printable characters, its value at most 500.",
                hint="Shorten it.",
                field=field,
            )
    return dict(tags)
