"""The way in for MLflow's own clients: lets through what ``allowed.py`` lists, in the project that is theirs.

Knows no web framework: whoever serves it hands in who asks and the request, and sends on what comes back. Refusals
are MLflow's own JSON (``error_code``, ``message``), which its clients parse. Bodies are streamed both ways.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import httpx2

from taxiway.domain.errors import (
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    TaxiwayError,
    TooManyRequests,
    TrackingUnavailable,
)
from taxiway.domain.ids import ProjectName
from taxiway.domain.names import RESERVED_PROJECTS, is_slug
from taxiway.domain.people import Principal
from taxiway.registry.allowed import CALLS, Body, Call, Match, NoSuchCall, find_call
from taxiway.registry.child import HOST
from taxiway.registry.connection import WORKSPACE_HEADER, MLflowConnection, MLflowRefused, unavailable
from taxiway.registry.inspected import read_body, read_query, run_of_source, stays_in

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 60.0
"""A delete of an experiment with ten thousand runs takes long; what hangs longer is given up."""
RETRY_AFTER_SECONDS = 2
PASSED_ON = frozenset(
    {"accept", "content-type", "if-modified-since", "if-none-match", "if-range", "range", "user-agent"}
)
"""Request headers that reach MLflow; no other does, whatever it is called."""
GIVEN_BACK = frozenset(
    {
        "accept-ranges", "content-disposition", "content-encoding", "content-length", "content-range", "content-type",
        "etag", "last-modified",
    }
)  # fmt: skip
"""Response headers that reach the client."""
SAFE_ANSWER = (("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "same-origin"))
NAMING = ("experiment_id", "run_id", "name", "version", "new_name")
"""Fields of a body that name what a call is about."""
PERMISSIONS = frozenset(call.permission for call in CALLS)

Headers = Sequence[tuple[str, str]]


class ClientGone(Exception):
    """The client went away in the middle of its body. Raised by the body's iterator."""


class BodyTooLarge(TaxiwayError):
    """More bytes were sent than are taken."""

    reason = "BodyTooLarge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A request that may pass: which call, in which project, with which query."""

    match: Match
    project: ProjectName | None
    query: str

    @property
    def call(self) -> Call:
        """The line of the table."""
        return self.match.call


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """An admitted request with its body looked at. ``about`` names what it is about, for the audit log."""

    passage: Passage
    headers: dict[str, str]
    content: bytes | AsyncIterator[bytes] | None
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent to the client."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


class MLflowProxy:
    """Passes calls on to MLflow."""

    def __init__(self, connection: MLflowConnection, *, upload_limit: int) -> None:
        """Take artifacts of at most ``upload_limit`` bytes."""
        self._connection = connection
        self._client = connection.client
        self._upload_limit = upload_limit

    def admit(self, principal: Principal, *, method: str, raw_path: str, query: str, headers: Headers) -> Passage:
        """Find out what is asked for, and whether the principal may. ``raw_path`` is as sent, without our prefix.

        Raises NotFound for what is not on the list and for projects that are not there for the principal,
        NotAllowed for what a token may not do, InvalidInput for locations and paths that are not taken.
        """
        match = find(method, raw_path)
        project = choose_project(principal, headers)
        if project is None and match.segments[-1] != "server-info":
            raise InvalidInput(
                "The API token has no home project, so that it is not known where this belongs.",
                hint="Set MLFLOW_WORKSPACE to a project, or make a token with a home project.",
            )
        if not principal.may(match.call.permission, project):
            raise NotAllowed(
                f"That needs the permission {match.call.permission}.", hint="Use a token without narrower scopes."
            )
        path = match.artifact_path
        if path is not None and not stays_in(path, project):
            raise NotFound("There is no such artifact in this project.", hint="List the artifacts first.")
        return Passage(match=match, project=project, query=read_query(query, match, project) if method == "GET" else "")

    async def prepare(self, passage: Passage, *, headers: Headers, body: AsyncIterator[bytes]) -> Sending:
        """Read and inspect the body of an admitted request; a file's is left to be streamed.

        Raises InvalidInput or BodyTooLarge for bodies that are not taken, ClientGone.
        """
        call = passage.call
        given = {name: value for name, value in _lowered(headers) if name in PASSED_ON and _is_plain(value)}
        given["accept-encoding"] = "identity"
        if passage.project is not None:
            given[WORKSPACE_HEADER] = passage.project
        about = "/".join(passage.match.segments[3:])
        if call.body is Body.NONE:
            return Sending(passage=passage, headers=given, content=None, about=about)
        most = self._upload_limit if call.body is Body.FILE else call.body_bytes
        declared = dict(_lowered(headers)).get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise _too_large(most)
        if call.body is Body.FILE:
            return Sending(passage=passage, headers=given, content=_capped(body, most), about=about)
        data = read_body(b"".join([chunk async for chunk in _capped(body, most)]), passage.match, passage.project)
        if passage.project is not None and (run := run_of_source(data)):
            await self._check_run(passage.project, run)
        given["content-type"] = "application/json"
        named = [about, *(f"{key}={data[key]}" for key in NAMING if isinstance(data.get(key), (str, int)))]
        return Sending(passage=passage, headers=given, content=json.dumps(data).encode(), about=" ".join(named))

    async def _check_run(self, project: ProjectName, run: str) -> None:
        """Refuse a model version of a run that is not in the project; MLflow looks only at what it can resolve."""
        try:
            await self._connection.get(project, "/runs/get", {"run_id": run})
        except MLflowRefused as refused:
            raise no_source() from refused

    @contextlib.asynccontextmanager
    async def forward(self, sending: Sending) -> AsyncIterator[Answer]:
        """Pass a request on and give the answer back as it comes.

        Raises TrackingUnavailable; for a file BodyTooLarge and ClientGone, too.
        """
        passage = sending.passage
        request = self._client.build_request(
            passage.call.method,
            f"http://{HOST}{passage.match.path}" + (f"?{passage.query}" if passage.query else ""),
            headers=sending.headers,
            content=sending.content,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise unavailable("MLflow does not answer at the moment.") from error
        try:
            yield _answer(passage.call, response)
        finally:
            await response.aclose()


def find(method: str, raw_path: str) -> Match:
    """Find a call on the list. Raises NotFound."""
    try:
        return find_call(method, raw_path)
    except NoSuchCall:
        raise NotFound(
            "Taxiway passes no such call on to MLflow.", hint="See the documentation for what MLflow's clients can do."
        ) from None


def choose_project(principal: Principal, headers: Headers) -> ProjectName | None:
    """Return the project that a request belongs to: the one that it names, else the token's home. Raises NotFound."""
    named = [value.strip() for name, value in _lowered(headers) if name == WORKSPACE_HEADER.lower() and value.strip()]
    if len(set(named)) > 1:
        raise InvalidInput("The request names more than one workspace.", hint="Set MLFLOW_WORKSPACE to one project.")
    project = ProjectName(named[0]) if named else principal.home
    if project is None:
        return None
    # An administrator sees every project, but MLflow's own workspace is none: its artifact root holds all others.
    if not is_slug(project) or project in RESERVED_PROJECTS or not principal.sees(project):
        raise NotFound("There is no such project.", hint="Set MLFLOW_WORKSPACE to a project that you are a member of.")
    return project


def _lowered(headers: Headers) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers]


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


async def _capped(body: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        yield chunk


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {most >> 20} MiB that are taken.", hint="Send less at a time.")


def _answer(call: Call, response: httpx2.Response) -> Answer:
    status = response.status_code
    if status >= 500:
        # MLflow's words about its own failures hold SQL, paths and values.
        return _failed(call, status)
    headers = [(name.lower(), value) for name, value in response.headers.multi_items() if name.lower() in GIVEN_BACK]
    if call.answers_file:
        headers = _as_attachment(headers)
    return Answer(status=status, headers=(*headers, *SAFE_ANSWER), body=response.aiter_raw())


def _as_attachment(headers: Headers) -> list[tuple[str, str]]:
    """See to it that no browser shows a file as a page of ours."""
    kept = [(name, value) for name, value in headers if name != "content-disposition"]
    given = dict(headers).get("content-disposition", "")
    disposition = given if given.lower().startswith("attachment") and _is_plain(given) else "attachment"
    return [*kept, ("content-disposition", disposition), ("content-security-policy", "sandbox")]


def _failed(call: Call, status: int) -> Answer:
    if call.hides_missing_source and status == 500:
        return refusal(no_source())
    return refusal(unavailable("MLflow could not do this."), status=503 if status == 503 else 502)


def no_source() -> InvalidInput:
    """Return the error for a model version of what is not there."""
    return InvalidInput("There is no such source of a model version in this project.", hint="Log the model here first.")


CODES = {
    InvalidInput: (400, "INVALID_PARAMETER_VALUE"),
    NotSignedIn: (401, "UNAUTHENTICATED"),
    NotAllowed: (403, "PERMISSION_DENIED"),
    NotFound: (404, "RESOURCE_DOES_NOT_EXIST"),
    BodyTooLarge: (413, "INVALID_PARAMETER_VALUE"),
    TooManyRequests: (429, "REQUEST_LIMIT_EXCEEDED"),
    TrackingUnavailable: (503, "TEMPORARILY_UNAVAILABLE"),
}
"""Our errors in MLflow's words."""


def refusal(error: TaxiwayError, *, status: int | None = None) -> Answer:
    """Return an error as MLflow's clients expect it."""
    usual, code = next((found for kind, found in CODES.items() if isinstance(error, kind)), (500, "INTERNAL_ERROR"))
    shown = error.message if usual != 500 else "Something went wrong inside Taxiway."
    message = f"{shown} {error.hint}" if error.hint and usual != 500 else shown
    content = json.dumps({"error_code": code, "message": message}).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(content))), *SAFE_ANSWER]
    if isinstance(error, TooManyRequests):
        headers.append(("retry-after", str(max(1, error.retry_after_seconds))))
    elif (status or usual) == 503:
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    if usual == 401:
        headers.append(("www-authenticate", 'Bearer realm="taxiway"'))
    return Answer(status=status or usual, headers=headers, body=_once(content))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
