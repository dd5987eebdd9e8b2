"""Errors as answers: the one table reason → status, and RFC 9457 problem details.

No answer repeats what was sent: where a value is not acceptable it is named by a JSON pointer of known field names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from taxiway.domain.errors import InvalidFilter, InvalidInput, NotAllowed, TaxiwayError, TooManyRequests
from taxiway.wire import In
from taxiway.wire.problems import ProblemErrorOut, ProblemOut

PROBLEMS: dict[str, tuple[int, str]] = {
    "InvalidInput": (400, "The request is not acceptable"),
    "NotSignedIn": (401, "Nobody is signed in"),
    "SignInFailed": (401, "The sign-in with the identity provider failed"),
    "NotAllowed": (403, "That is not allowed"),
    "CrossOrigin": (403, "Another site sent this request"),
    "PasswordChangeNeeded": (403, "The password must be changed first"),
    "PasswordsOff": (403, "Passwords are turned off"),
    "SignInRefused": (403, "The account may not sign in"),
    "NotFound": (404, "There is no such object"),
    "MethodNotAllowed": (405, "The method does not fit the object"),
    "Conflict": (409, "The object is in a state in which that cannot be done"),
    "GenerationMismatch": (412, "The object was changed in between"),
    "BodyTooLarge": (413, "The body is too large"),
    "UnknownHost": (421, "Taxiway does not answer to this host name"),
    "NoSignature": (422, "The logged model has no signature"),
    "MalformedModel": (422, "The logged model cannot be understood"),
    "UnsupportedRequirements": (422, "The model's packages cannot be had that way"),
    "NoInterpreter": (422, "No fitting Python is installed"),
    "GatesFailed": (422, "Some gates do not hold"),
    "LimitReached": (422, "A limit would be exceeded"),
    "EnvironmentFailed": (422, "The model environment cannot be built"),
    "ArtifactDigestMismatch": (422, "A file is not what it was"),
    "TooManyRequests": (429, "Too many requests"),
    "Internal": (500, "Something went wrong inside Taxiway"),
    "DatabaseUnavailable": (503, "The database does not answer at the moment"),
    "NotReady": (503, "No pod answers at the moment"),
    "TrackingUnavailable": (503, "MLflow does not answer at the moment"),
    "StoreUnavailable": (503, "Production's object store does not answer at the moment"),
    "StoreRefused": (503, "Production's object store refuses us"),
    "ProviderUnavailable": (503, "The identity provider is not available"),
    "GatewayRejected": (503, "The gateway refused its configuration"),
    "IsolationUnavailable": (503, "The host cannot isolate pods as demanded"),
    "LeaseLost": (503, "Another control plane has taken over"),
    "OutOfDisk": (507, "The disk is full"),
}
"""Reason → status and title. Every reason that an answer of the control API can have."""

RETRY_AFTER_SECONDS = 2
"""When to come back after a 503; MLflow needs longer to start, but asking costs little."""
MEDIA_TYPE = "application/problem+json"


class CrossOrigin(NotAllowed):
    """A browser sent a change on behalf of another site."""

    reason = "CrossOrigin"


class PasswordChangeNeeded(NotAllowed):
    """The user must choose a new password before anything else."""

    reason = "PasswordChangeNeeded"


class UnknownHost(TaxiwayError):
    """The Host header names nobody that we are."""

    reason = "UnknownHost"


class MethodNotAllowed(TaxiwayError):
    """The route exists, but not with this method."""

    reason = "MethodNotAllowed"


class BodyTooLarge(TaxiwayError):
    """The body exceeds the limit of the control API."""

    reason = "BodyTooLarge"


class UnknownRoute(TaxiwayError):
    """Nothing is at this path."""

    reason = "NotFound"


INTERNAL = TaxiwayError(
    "Something went wrong inside Taxiway; nothing more is said here.",
    hint="An administrator finds the cause in the control plane's log by the request's id.",
)


def status_of(error: TaxiwayError) -> int:
    """Return the status of an error's answer."""
    return PROBLEMS.get(error.reason, PROBLEMS["Internal"])[0]


def render(
    error: TaxiwayError,
    *,
    request_id: str,
    errors: Sequence[ProblemErrorOut] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the answer to an error. One whose reason is not in the table says nothing of itself."""
    shown = error if error.reason in PROBLEMS else INTERNAL
    status, title = PROBLEMS[shown.reason]
    if isinstance(shown, InvalidFilter) and not errors:
        begins, ends = shown.place or (None, None)
        errors = [ProblemErrorOut(location="query", pointer="/filter", detail=shown.message, begins=begins, ends=ends)]
    elif isinstance(shown, InvalidInput) and shown.field is not None and not errors:
        errors = [ProblemErrorOut(location="body", pointer=shown.field, detail=shown.message)]
    problem = ProblemOut(
        type=f"urn:taxiway:problem:{shown.reason}",
        title=title,
        status=status,
        detail=shown.message,
        reason=shown.reason,
        hint=shown.hint or "",
        instance=request_id,
        errors=list(errors),
    )
    return JSONResponse(
        problem.model_dump(mode="json"),
        status_code=status,
        headers={**(headers or {}), **_headers(shown, status)},
        media_type=MEDIA_TYPE,
    )


def _headers(error: TaxiwayError, status: int) -> dict[str, str]:
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(max(1, error.retry_after_seconds))}
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="taxiway"'}
    return {}


def from_http(error: HTTPException, *, allowed: Iterable[str] = ()) -> TaxiwayError:
    """Turn an error of the framework into one of ours; its own words are not used."""
    if error.status_code == 404:
        return UnknownRoute("Nothing is at this path.", hint="See /api/v1/openapi.json for all that is.")
    if error.status_code == 405:
        return MethodNotAllowed(
            "The path exists, but not with this method.", hint=f"It takes {', '.join(sorted(allowed))}."
        )
    if 400 <= error.status_code < 500:
        return InvalidInput("The body cannot be read.", hint="Send JSON with Content-Type: application/json.")
    return INTERNAL


def from_validation(error: RequestValidationError, *, body: Any = None) -> tuple[InvalidInput, list[ProblemErrorOut]]:
    """Turn pydantic's findings into a problem. ``body`` is the type of the route's body, for naming its fields."""
    found = [_finding(item, body) for item in error.errors()]
    return (
        InvalidInput(
            "The request is not acceptable: " + "; ".join(_sentence(item) for item in found[:3]) + ".",
            hint="See /api/v1/openapi.json for what is accepted.",
        ),
        found[:50],
    )


def _sentence(finding: ProblemErrorOut) -> str:
    return f"{finding.location} {finding.pointer}: {finding.detail}".replace("  ", " ").rstrip(".")


def _finding(item: Mapping[str, Any], body: Any) -> ProblemErrorOut:
    location, *rest = item["loc"]
    kind = str(item["type"])
    pointer = "" if kind == "json_invalid" else _pointer(rest, location=str(location))
    if kind == "extra_forbidden":
        detail = f"A field is not known; known are {', '.join(sorted(_fields(body)))}."
    elif kind == "json_invalid":
        detail = "This is not JSON."
    elif kind.startswith("model_") and not rest:
        detail = "Send a JSON object with Content-Type: application/json."
    else:
        detail = str(item["msg"])
    return ProblemErrorOut(location=str(location), pointer=pointer, detail=detail)


def _pointer(parts: Sequence[str | int], *, location: str) -> str:
    """Join what is known: a name that the request brought along ends the pointer before it."""
    known = _all_fields() if location == "body" else None
    pointer = ""
    for part in parts:
        if known is not None and not isinstance(part, int) and part not in known:
            break
        pointer += f"/{part}"
    return pointer


def _fields(body: Any) -> Iterable[str]:
    return body.model_fields if isinstance(body, type) and issubclass(body, In) else _all_fields()


def _all_fields() -> frozenset[str]:
    return frozenset(name for model in In.__subclasses__() for name in model.model_fields)
