"""What clients say in bodies and queries, looked at before MLflow sees it. Pure; raises InvalidInput.

MLflow's largest class of holes were URIs and paths that clients gave. So a location is taken only when it is one that
Taxiway's MLflow gave out itself: in the artifact store of the same project, or by the id of a run or a logged model.
Fields are known in all the spellings that protocol buffers read: ``artifact_location`` is ``artifactLocation`` too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ProjectName
from taxiway.registry.allowed import Match, NoSuchCall, is_harmless, readings
from taxiway.registry.artifacts import SCHEME

MODELS, RUNS = "models:/", "runs:/"
MOST_QUERY_FIELDS = 500
_PATH_FIELDS = frozenset({"path", "artifactpath", "artifactdirectorypath"})
_NEVER = frozenset({"artifacturi", "artifactroot", "defaultartifactroot", "storagelocation"})
_KEPT_TAGS = ("mlflow.prompt", "taxiway.")
"""MLflow checks no source of what has the tag of a prompt; versions that Taxiway made are found by its own."""


def plain_name(field: str) -> str:
    """Return a field's name without what protocol buffers do not care about."""
    return field.replace("_", "").lower()


def read_body(content: bytes, match: Match, project: ProjectName | None) -> dict[str, Any]:
    """Return the JSON body, which is written anew from what was understood here. Raises InvalidInput."""
    data = _parse(content)
    is_registry = any(part in match.call.parts for part in ("registered-models", "model-versions"))
    for field, value in data.items():
        _check_field(plain_name(field), value, project, is_registry=is_registry)
    return data


def _parse(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content) if content.strip() else {}
        # Old clients send the text of their JSON as a JSON text.
        data = json.loads(data) if isinstance(data, str) else data
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The body is not valid JSON.", hint="Send a JSON object.") from error
    if not isinstance(data, dict):
        raise InvalidInput("The body is not a JSON object.", hint="Send a JSON object.")
    return data


def _check_field(field: str, value: object, project: ProjectName | None, *, is_registry: bool) -> None:
    if field in _NEVER and value:
        raise _no_location(field)
    if field == "artifactlocation" and value and not (isinstance(value, str) and is_inside(value, project)):
        raise _no_location(field)
    if is_registry and field == "source" and not (isinstance(value, str) and is_source(value, project)):
        raise _no_location(field)
    if field in _PATH_FIELDS and value and not (isinstance(value, str) and is_relative(value)):
        raise _no_path()
    if is_registry and field in ("key", "tags"):
        _check_tags(value)


def _check_tags(value: object) -> None:
    keys: list[object] = [value] if isinstance(value, str) else []
    if isinstance(value, list):
        keys = [tag.get(name) for tag in value if isinstance(tag, dict) for name in tag if plain_name(name) == "key"]
    if any(isinstance(key, str) and key.strip().lower().startswith(_KEPT_TAGS) for key in keys):
        raise InvalidInput("Tags of prompts and of Taxiway itself cannot be set.", hint="Choose another key.")


def is_inside(uri: str, project: ProjectName | None) -> bool:
    """Tell whether a URI is in the project's part of the artifact store."""
    path = uri.removeprefix(SCHEME)
    own = f"workspaces/{project}"
    return (
        project is not None
        and uri.startswith(SCHEME)
        and (path == own or path.startswith(f"{own}/"))
        and _is_plain(path.rstrip("/"))
    )


def is_source(uri: str, project: ProjectName | None) -> bool:
    """Tell whether a model version may be made of this: a run's folder, a logged model, or another version."""
    for scheme in (MODELS, RUNS):
        if uri.startswith(scheme):
            return _is_plain(uri.removeprefix(scheme).rstrip("/"))
    return is_inside(uri, project)


def run_of_source(data: Mapping[str, Any]) -> str | None:
    """Return the run that a body names as the source of something; None where it names none."""
    for field, value in data.items():
        if plain_name(field) == "source" and isinstance(value, str) and value.startswith(RUNS):
            return value.removeprefix(RUNS).partition("/")[0]
    return None


def _is_plain(path: str) -> bool:
    """Tell whether a path has no second reading at all: no query, fragment or encoding in it."""
    return not set(path) & set("?#%;") and all(is_harmless(part) for part in path.split("/"))


def is_relative(path: str) -> bool:
    """Tell whether a path is relative and stays below where it begins, however often it is decoded."""
    try:
        return all(
            all(is_harmless(part) for part in reading.rstrip("/").split("/")) for reading in (path, *readings(path))
        )
    except NoSuchCall:
        return False


def read_query(query: str, match: Match, project: ProjectName | None) -> str:
    """Return the query that is passed on: what was understood here, written anew. Raises InvalidInput."""
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidInput("The query cannot be read.", hint="Send fewer and valid parameters.") from error
    paths = [value for name, value in fields if plain_name(name) in _PATH_FIELDS]
    if len(paths) > 1 or any(value and not is_relative(value) for value in paths):
        raise _no_path()
    is_store = "mlflow-artifacts" in match.call.parts
    if is_store and any(not stays_in(value, project) for value in paths):
        raise _no_path()
    return urlencode(fields)


def stays_in(path: str, project: ProjectName | None) -> bool:
    """Tell whether a path of the artifact store is the project's: relative to its part, or naming it."""
    parts: Sequence[str] = path.rstrip("/").split("/")
    if parts[0].lower() != "workspaces":
        return True
    return len(parts) > 1 and parts[0] == "workspaces" and parts[1] == project


def _no_location(field: str) -> InvalidInput:
    return InvalidInput(
        "A location must be one in this project: runs:/…, models:/…, or mlflow-artifacts:/ as MLflow gave it out.",
        hint="Leave the artifact location out; it is chosen here.",
        field=f"/{field}",
    )


def _no_path() -> InvalidInput:
    return InvalidInput(
        "An artifact's path is relative, stays in the project and has no empty, '.' or '..' parts.",
        hint="Give it as lists of artifacts show it.",
    )
