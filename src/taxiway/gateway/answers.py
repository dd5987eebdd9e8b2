"""What callers read when Envoy answers by itself: problem JSON (RFC 9457) with MLflow's field names. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from taxiway.gateway.names import Json

ENDPOINT_PATH = "/(staging|production)/.*"
_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: its status, MLflow's code for it, our reason, and the words."""

    status: int
    reason: str
    error_code: str
    message: str
    hint: str
    for_endpoints: bool | None = None
    """True: below ``/staging`` and ``/production`` only; None: everywhere."""
    says_when_to_retry: bool = False


ANSWERS = (
    Answer(
        status=400, reason="BadRequest", error_code="BAD_REQUEST",
        message="The request is not well-formed HTTP, or has a path or a header that is not accepted.",
        hint="Header names have no underscores, and paths no encoded slashes.",
    ),
    Answer(
        status=401, reason="NotSignedIn", error_code="UNAUTHENTICATED", for_endpoints=True,
        message="This endpoint needs an access token, and there was none that is genuine and has not expired.",
        hint="Send it as 'Authorization: Bearer …'; ask the model's owner for one.",
    ),
    Answer(
        status=403, reason="NotAllowed", error_code="PERMISSION_DENIED", for_endpoints=True,
        message="The access token was issued for another deployment, or has been revoked.",
        hint="Ask the model's owner for a token of this deployment.",
    ),
    Answer(
        status=404, reason="NotFound", error_code="ENDPOINT_NOT_FOUND",
        message="There is no such endpoint.",
        hint="See the deployment's endpoint with `taxiway model show`; the version is part of its path.",
    ),
    Answer(
        status=408, reason="RequestTimeout", error_code="DEADLINE_EXCEEDED",
        message="The request did not arrive whole in time.", hint="Send it again.",
    ),
    Answer(
        status=413, reason="LimitReached", error_code="REQUEST_LIMIT_EXCEEDED",
        message="The request is larger than it may be.", hint="Send fewer rows at once.",
    ),
    Answer(
        status=414, reason="LimitReached", error_code="REQUEST_LIMIT_EXCEEDED",
        message="The URL is longer than it may be.", hint="Send data in the body.",
    ),
    Answer(
        status=429, reason="TooManyRequests", error_code="REQUEST_LIMIT_EXCEEDED", says_when_to_retry=True,
        message="There are too many requests at the moment.", hint="Try again in a second.",
    ),
    Answer(
        status=431, reason="LimitReached", error_code="REQUEST_LIMIT_EXCEEDED",
        message="The request's headers are larger or more than they may be.", hint="Send fewer headers.",
    ),
    Answer(
        status=503, reason="NotReady", error_code="TEMPORARILY_UNAVAILABLE", for_endpoints=True,
        says_when_to_retry=True, message="The deployment has no ready pod at the moment.",
        hint="Try again in a second; `taxiway model show` tells how the deployment is.",
    ),
    Answer(
        status=503, reason="Unavailable", error_code="TEMPORARILY_UNAVAILABLE", says_when_to_retry=True,
        message="Taxiway's control plane does not answer at the moment; endpoints are not affected.",
        hint="Try again in a second; `taxiway status` tells more.",
    ),
    Answer(
        status=504, reason="DeadlineExceeded", error_code="DEADLINE_EXCEEDED",
        message="There was no answer in time.",
        hint="Send fewer rows at once, or give the deployment a longer time limit.",
    ),
)  # fmt: skip


def local_replies() -> Json:
    """Return the configuration of Envoy's own answers; the first that fits is given."""
    return {
        "mappers": [_mapper(answer) for answer in ANSWERS],
        "body_format": {
            "json_format": _problem("Internal", "INTERNAL_ERROR", "The gateway could not pass the request on.", ""),
            "content_type": "application/problem+json",
        },
    }


def _mapper(answer: Answer) -> Json:
    mapper: Json = {
        "filter": _filter(answer),
        "body_format_override": {
            "json_format": _problem(answer.reason, answer.error_code, answer.message, answer.hint),
            "content_type": "application/problem+json",
        },
    }
    if answer.says_when_to_retry:
        header = {"key": "retry-after", "value": str(_RETRY_SECONDS)}
        mapper["headers_to_add"] = [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    return mapper


def _filter(answer: Answer) -> Json:
    # The runtime key is demanded, and never set.
    value = {"default_value": answer.status, "runtime_key": "taxiway.never"}
    by_status: Json = {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
    if not answer.for_endpoints:
        return by_status
    # Towards a pod the prefix was removed from the path; the other header then has the path as it came.
    headers = [
        {"header_filter": {"header": {"name": name, "string_match": {"safe_regex": {"regex": ENDPOINT_PATH}}}}}
        for name in (":path", "x-envoy-original-path")
    ]
    return {"and_filter": {"filters": [by_status, {"or_filter": {"filters": headers}}]}}


def _problem(reason: str, error_code: str, message: str, hint: str) -> Json:
    document: Json = {
        "type": f"urn:taxiway:problem:{reason}",
        "title": reason,
        "status": "%RESPONSE_CODE%",
        "detail": message,
        "reason": reason,
        "error_code": error_code,
        "message": message,
        "instance": "urn:request:%REQ(X-REQUEST-ID)%",
    }
    return document | ({"hint": hint} if hint else {})
