"""The connection to MLflow: plain REST over its Unix socket, with limits; MLflow's answers are foreign input.

Everything in this room that speaks to MLflow speaks through here. No word of MLflow's answers goes into a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from taxiway.domain.errors import InvalidInput, NotFound, TaxiwayError, TrackingUnavailable
from taxiway.domain.ids import ProjectName
from taxiway.registry.child import HOST

WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ANSWER_BYTES = 64 << 20
"""A page of a thousand runs with a thousand metrics each has some 40 MB."""
CHUNK_SECONDS = 15.0
_NO_WORKSPACE = re.compile(r"Workspace '[^']*' not found")

Query = Mapping[str, str] | Sequence[tuple[str, str]]


class MLflowRefused(Exception):
    """MLflow said no. ``code`` is its constant for why, such as RESOURCE_DOES_NOT_EXIST; ``words`` are never shown."""

    def __init__(self, code: str, words: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.words = words

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there."""
        return self.code == "RESOURCE_DOES_NOT_EXIST"

    @property
    def is_there_already(self) -> bool:
        """Whether what was to be made is there."""
        return self.code == "RESOURCE_ALREADY_EXISTS"

    def explained(self, what: str, *, project: ProjectName) -> TaxiwayError:
        """Return the error for callers; ``what`` is what was asked for, in our words."""
        if self.is_missing:
            return NotFound(f"There is no such {what} in project {project}.", hint="See `taxiway run list`.")
        return InvalidInput(
            f"MLflow does not accept what was asked of the {what}.",
            hint="Check filter, order and cursor; see MLflow's documentation of search.",
        )


def unavailable(message: str) -> TrackingUnavailable:
    """Return the error for an MLflow that does not answer as it should."""
    return TrackingUnavailable(message, hint="Try again in some seconds; `taxiway status` tells how MLflow is.")


class MLflowConnection:
    """A pool of connections to one MLflow. ``close`` it at the end."""

    def __init__(self, transport: httpx2.AsyncBaseTransport, *, patience: timedelta = timedelta(seconds=2)) -> None:
        """Wait for an answer as long as ``patience`` says."""
        self._patience = patience.total_seconds()
        self._client = httpx2.AsyncClient(
            transport=transport,
            base_url=f"http://{HOST}",
            timeout=httpx2.Timeout(CHUNK_SECONDS, connect=self._patience, pool=self._patience),
            headers={"Accept-Encoding": "identity"},
            trust_env=False,
            follow_redirects=False,
        )

    @classmethod
    def over(cls, socket: Path, *, patience: timedelta = timedelta(seconds=2)) -> MLflowConnection:
        """Connect to the MLflow that listens on a Unix socket. Nothing is sent yet."""
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15)
        transport = httpx2.AsyncHTTPTransport(uds=str(socket), limits=limits, trust_env=False)
        return cls(transport, patience=patience)

    @property
    def client(self) -> httpx2.AsyncClient:
        """The client itself, for the proxy."""
        return self._client

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(
        self, project: ProjectName, path: str, query: Query | None = None, *, patience: timedelta | None = None
    ) -> dict[str, Any]:
        """GET a call below ``/api/2.0/mlflow``. Raises MLflowRefused or TrackingUnavailable.

        ``patience`` is for what takes MLflow's database longer than usual.
        """
        return await self._call("GET", API + path, project, query=query, patience=patience)

    async def send(
        self, method: str, project: ProjectName | None, path: str, body: Mapping[str, Any], *, api: str = API
    ) -> dict[str, Any]:
        """Send a call with a JSON body. Raises MLflowRefused or TrackingUnavailable."""
        return await self._call(method, api + path, project, body=body)

    async def list_artifacts(self, project: ProjectName, path: str) -> list[Any]:
        """List one folder of the artifact store; the paths are relative to it."""
        answer = await self._call("GET", ARTIFACTS, project, query={"path": path})
        files = answer.get("files", [])
        if not isinstance(files, list):
            raise unavailable("MLflow's list of artifacts is not understood.")
        return files

    @contextlib.asynccontextmanager
    async def open_artifact(self, project: ProjectName, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a file of the artifact store for reading. Raises MLflowRefused or TrackingUnavailable."""
        request = self._client.build_request("GET", f"{ARTIFACTS}/{quote(path)}", headers=_workspace(project))
        try:
            async with asyncio.timeout(self._patience):
                response = await self._client.send(request, stream=True)
        except (TimeoutError, httpx2.HTTPError) as error:
            raise unavailable("MLflow does not answer at the moment.") from error
        try:
            if response.status_code != 200:
                raise _refusal(response.status_code, await _read_capped(response, 64 << 10))
            yield _chunks(response)
        except httpx2.HTTPError as error:
            raise unavailable("MLflow stopped in the middle of a file.") from error
        finally:
            await response.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        project: ProjectName | None,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        patience: timedelta | None = None,
    ) -> dict[str, Any]:
        # ``params`` of an empty query would still replace nothing but cost a parse; None is httpx2's own default.
        parameters = httpx2.QueryParams(dict(query) if isinstance(query, Mapping) else list(query)) if query else None
        request = self._client.build_request(method, path, params=parameters, json=body, headers=_workspace(project))
        try:
            async with asyncio.timeout(self._patience if patience is None else patience.total_seconds()):
                response = await self._client.send(request, stream=True)
                try:
                    content = await _read_capped(response, ANSWER_BYTES)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx2.HTTPError) as error:
            raise unavailable("MLflow does not answer at the moment.") from error
        if response.status_code not in (200, 201, 204):
            raise _refusal(response.status_code, content)
        return _parse(content)


def _workspace(project: ProjectName | None) -> dict[str, str]:
    return {} if project is None else {WORKSPACE_HEADER: project}


async def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_raw():
        yield chunk


async def _read_capped(response: httpx2.Response, most: int) -> bytes:
    parts, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > most:
            raise unavailable(f"MLflow's answer is larger than {most >> 20} MiB.")
        parts.append(chunk)
    return b"".join(parts)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        raise unavailable("MLflow's answer is not understood.") from error
    if not isinstance(answer, dict):
        raise unavailable("MLflow's answer is not understood.")
    return answer


def _refusal(status: int, content: bytes) -> Exception:
    """Tell a refusal that has a reason from an answer that cannot be relied on."""
    try:
        answer = json.loads(content)
        code, words = answer.get("error_code"), str(answer.get("message"))
    except (ValueError, RecursionError, AttributeError):
        code, words = None, ""
    if code == "RESOURCE_DOES_NOT_EXIST" and _NO_WORKSPACE.match(words):
        return unavailable("MLflow has no space for the project yet; it is made as soon as MLflow answers.")
    if 400 <= status < 500 and status != 429 and isinstance(code, str):
        return MLflowRefused(code, words)
    return unavailable(f"MLflow answered with status {status}.")
