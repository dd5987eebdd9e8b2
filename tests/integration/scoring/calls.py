"""HTTP/1.1 over a Unix socket, with nothing between the test and the bytes."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Self


class Connection(http.client.HTTPConnection):
    """A kept connection to a Unix socket."""

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        self.request(method, path, body, headers or {})
        answer = self.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def predict(self, body: object, content_type: str = "application/json") -> tuple[int, Any]:
        """Post a body (bytes as they are, all else as JSON); return the status and what the answer's JSON says."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        status, _, answer = self.call("POST", "/invocations", data, headers)
        return status, answer
