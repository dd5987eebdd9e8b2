"""What the sync and the async client share: where to connect, how errors look, what a profile is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2
from pydantic import BaseModel

from taxiway.client.calls import Call
from taxiway.domain.deployments import Status
from taxiway.wire.models import ModelVersionDetailOut
from taxiway.wire.production import ProductionDetailOut

T = TypeVar("T", bound=BaseModel | dict[str, Any] | None)

DEFAULT_URL = "http://localhost:8080"
PROFILES = Path("~/.config/taxiway/profiles.json")


class ApiError(Exception):
    """The control API refused. ``reason`` is its CamelCase word, ``hint`` the next thing to do."""

    def __init__(self, *, status: int, reason: str, message: str, hint: str, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.hint = hint
        self.fields = fields


class Unreachable(Exception):
    """No answer from the control API."""


class ProjectNeeded(ValueError):
    """It was not said which project is meant."""

    def __init__(self) -> None:
        super().__init__("Say which project: project=…, TAXIWAY_PROJECT or `taxiway login --project`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where a Taxiway is, and who one is there."""

    url: str
    token: str
    project: str | None = None


def find_profile(name: str | None = None) -> Profile:
    """Return what TAXIWAY_URL, TAXIWAY_TOKEN and TAXIWAY_PROJECT say, and for what they leave out the profile."""
    saved = read_profiles().get(name or os.environ.get("TAXIWAY_PROFILE") or "default")
    return Profile(
        url=(os.environ.get("TAXIWAY_URL") or (saved.url if saved else DEFAULT_URL)).rstrip("/"),
        token=os.environ.get("TAXIWAY_TOKEN") or (saved.token if saved else ""),
        project=os.environ.get("TAXIWAY_PROJECT") or (saved.project if saved else None),
    )


def read_profiles(path: Path = PROFILES) -> dict[str, Profile]:
    """Return the saved profiles; none where there is no file, or one that cannot be read."""
    try:
        saved = json.loads(path.expanduser().read_text())
        return {name: Profile(**fields) for name, fields in saved.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save_profile(profile: Profile, *, name: str = "default", path: Path = PROFILES) -> Path:
    """Keep a profile in a file that only its owner can read; return the file."""
    file = path.expanduser()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    profiles = read_profiles(path) | {name: profile}
    text = json.dumps(
        {key: {"url": p.url, "token": p.token, "project": p.project} for key, p in profiles.items()}, indent=1
    )
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    new.replace(file)
    return file


def read_answer(call: Call[T], response: httpx2.Response) -> T:
    """Return what the call promises, or raise ApiError."""
    if response.status_code >= 400:
        raise _error(response)
    if call.answer is None:
        return cast("T", None)
    if issubclass(call.answer, BaseModel):
        return call.answer.model_validate_json(response.content)
    return cast("T", response.json() if response.content else {})


def _error(response: httpx2.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    fields = {
        str(error.get("pointer", "")): str(error.get("detail", ""))
        for error in problem.get("errors") or []
        if isinstance(error, dict)
    }
    return ApiError(
        status=response.status_code,
        reason=str(problem.get("reason") or problem.get("error_code") or "Unknown"),
        message=str(problem.get("detail") or f"The server answered {response.status_code}."),
        hint=str(problem.get("hint") or ""),
        fields=fields,
    )


def is_passing(error: Exception) -> bool:
    """Tell whether the control plane is away for a while: it, or the gateway in its place, says to come again."""
    return isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in (429, 502, 503, 504))


SETTLED = frozenset({Status.ON, Status.OFF, Status.FAILED, Status.DEGRADED, Status.IDLE})


def is_settled(seen: ModelVersionDetailOut | ProductionDetailOut) -> bool:
    """Tell whether nothing is under way: what was asked last was seen, and led to a lasting status."""
    return seen.observed_generation >= seen.generation and seen.status in SETTLED
