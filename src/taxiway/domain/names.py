"""Names that people choose and that become part of URLs."""

from __future__ import annotations

import re
import unicodedata

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ModelName, ProjectName

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
SLUG_RULE = "1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
RESERVED_PROJECTS = frozenset(
    {
        "default", "mlflow", "api", "production", "staging", "shared", "public",
        "workspaces", "ajax-api", "static-files",
    }
)  # fmt: skip
"""``default`` is MLflow's own workspace, whose artifact root holds all others; MLflow refuses the last three."""


def is_slug(value: str) -> bool:
    """Tell whether the value may stand in an endpoint's URL."""
    return SLUG.match(value) is not None


def propose_slug(name: str) -> str:
    """Turn a free name (MLflow's allow almost anything) into the nearest slug; ``model`` when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "model"


def check_model_name(value: str, *, field: str = "/model") -> ModelName:
    """Return the value as a model's name, or raise InvalidInput with the nearest name that would do."""
    if not is_slug(value):
        raise InvalidInput(f"A model's name is {SLUG_RULE}.", hint=f"Try '{propose_slug(value)}'.", field=field)
    return ModelName(value)


def check_project_name(value: str, *, field: str = "/name") -> ProjectName:
    """Return the value as a project's name, or raise InvalidInput. MLflow's workspaces have at least two letters."""
    if not is_slug(value):
        raise InvalidInput(f"A project's name is {SLUG_RULE}.", hint=f"Try '{propose_slug(value)}'.", field=field)
    if len(value) < 2:
        raise InvalidInput("A project's name has at least 2 letters.", hint=f"Try '{value}-team'.", field=field)
    if value in RESERVED_PROJECTS:
        raise InvalidInput(
            f"'{value}' is reserved and cannot be a project's name.",
            hint="Choose another name.",
            field=field,
        )
    return ProjectName(value)
