"""A real S3-compatible server for tests: moto's, a process of its own that speaks HTTP; one a session.

Before it stands, where a test asks for it, a proxy that answers wrongly, late or half.
"""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taxiway.artifacts.s3 import S3Objects, S3Place

PATIENCE = 30
REGION = "us-east-1"
ACCESS_KEY, SECRET = "AKIATESTTESTTEST", "secret-that-nobody-may-see"


@dataclass(kw_only=True)
class ObjectServer:
    """A running server."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def place(self, bucket: str, *, endpoint: str = "", prefix: str = "models/production") -> S3Place:
        return S3Place(
            bucket=bucket,
            prefix=prefix,
            endpoint=endpoint or self.endpoint,
            region=REGION,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET,
        )

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        bucket = f"taxiway-{secrets.token_hex(6)}"
        S3Objects(self.place(bucket))._files.call_s3("create_bucket", Bucket=bucket)
        return bucket


@dataclass(kw_only=True)
class Bucket:
    """A bucket as somebody with all rights sees it: who reads it, and who damages it."""

    server: ObjectServer
    name: str
    endpoint: str = ""

    @property
    def objects(self) -> S3Objects:
        return S3Objects(self.server.place(self.name, endpoint=self.endpoint))

    def listed(self) -> list[str]:
        """List all keys, with the prefix."""
        page = self.objects._files.call_s3("list_objects_v2", Bucket=self.name)
        return sorted(each["Key"] for each in page.get("Contents", ()))

    def read(self, key: str) -> bytes:
        return bytes(self.objects._files.cat_file(f"{self.name}/{key}"))

    def write(self, key: str, content: bytes) -> None:
        self.objects._files.call_s3("put_object", Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.objects._files.call_s3("delete_object", Bucket=self.name, Key=key)


@contextlib.contextmanager
def running() -> Iterator[ObjectServer]:
    """Start a server on a free port, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    program = Path(sys.executable).with_name("moto_server")
    child = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert child.poll() is None, "moto's server ended"
            assert time.monotonic() < end, "moto's server did not come up"
            time.sleep(0.05)
        yield ObjectServer(port=port)
    finally:
        child.terminate()
        child.wait(10)


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    with running() as server:
        yield server


@pytest.fixture
def bucket(object_server: ObjectServer) -> Bucket:
    return Bucket(server=object_server, name=object_server.new_bucket())


# ------------------------------------------------------------------ a way that is not to be trusted


@dataclass(kw_only=True)
class Faults:
    """What the proxy does to requests whose method and path begin so: answers with a status, cuts, or waits."""

    status: int = 0
    code: str = ""
    is_cut: bool = False
    seconds: float = 0.0
    method: str = ""
    times: int = 1_000_000
    """How often; then requests pass."""
    seen: list[str] = field(default_factory=list)

    def take(self, method: str, path: str) -> bool:
        self.seen.append(f"{method} {path}")
        if not (self.status or self.is_cut or self.seconds) or not method.startswith(self.method) or self.times <= 0:
            return False
        self.times -= 1
        return True

    def clear(self) -> None:
        self.status, self.code, self.is_cut, self.seconds, self.method, self.times = 0, "", False, 0.0, "", 1_000_000


@dataclass(kw_only=True)
class Proxy:
    port: int
    faults: Faults


@pytest.fixture
def proxy(object_server: ObjectServer) -> Iterator[Proxy]:
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_wrong = faults.take(self.command, self.path)
            if is_wrong and faults.seconds:
                time.sleep(faults.seconds)
            if is_wrong and faults.status:
                text = f"<Error><Code>{faults.code}</Code><Message>key {ACCESS_KEY} {SECRET}</Message></Error>"
                self.answer(faults.status, {"Content-Type": "application/xml"}, text.encode(), len(text))
                return
            there = http.client.HTTPConnection("127.0.0.1", object_server.port, timeout=PATIENCE)
            there.request(self.command, self.path, body, dict(self.headers))
            came = there.getresponse()
            content = came.read()
            there.close()
            sent = content[: len(content) // 2] if is_wrong and faults.is_cut else content
            dropped = {"server", "date", "transfer-encoding", "content-length", "connection"}
            headers = {name: value for name, value in came.getheaders() if name.lower() not in dropped}
            self.answer(came.status, headers, sent, len(content))
            if len(sent) < len(content):
                self.close_connection = True

        def answer(self, status: int, headers: dict[str, str], content: bytes, length: int) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Proxy(port=int(server.server_address[1]), faults=faults)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
