"""An OpenID Connect provider for tests: a real HTTP server on loopback that signs in whoever it was told to.

It checks what a provider checks (client, redirect, PKCE, a code once), and can be told to answer wrongly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, RSAKey

CLIENT, SECRET = "taxiway", "a secret of the tests"


def a_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class FakeProvider:
    """What the provider knows, who is sitting at it, and how it misbehaves."""

    now: Callable[[], float]
    issuer: str = ""
    keys: list[Any] = field(default_factory=lambda: [a_key("first")])
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "p-1", "preferred_username": "Grace", "groups": ["fraud-team"]}
    )
    claims: dict[str, Any] = field(default_factory=dict)
    """What the ID token says otherwise."""
    sign: Callable[[dict[str, Any], Any], str] | None = None
    token_status: int = 200
    says_issuer: str | None = None
    has_page: bool = False
    """Whether it shows a page of its own first, as for people; else it sends the browser back at once."""
    asked: list[str] = field(default_factory=list)
    """Paths that were asked for, in order."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, query: dict[str, str]) -> str:
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.says_issuer or self.issuer}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        if self.token_status != 200:
            return self.token_status, {}
        if authorization != "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode():
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": int(self.now()), "exp": int(self.now()) + 300,
            "nonce": asked["nonce"], **self.person, **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        token = self.sign(claims, self.keys[0]) if self.sign else signed(claims, self.keys[0])
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": token}

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
        }


def signed(claims: dict[str, Any], key: Key, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])


@contextmanager
def a_provider(now: Callable[[], float]) -> Iterator[FakeProvider]:
    """Run a provider on a port of its own."""
    fake = FakeProvider(now=now)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            fake.asked.append(parts.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                back = fake.authorize(query)
                if fake.has_page:
                    link = f"<a href='{escape(back)}'>Go on as {escape(fake.person['preferred_username'])}</a>"
                    self.send(
                        200,
                        "text/html",
                        f"<!doctype html><title>Provider</title><link rel=icon href='data:,'>{link}".encode(),
                    )
                    return
                self.send_response(303)
                self.send_header("Location", back)
                self.end_headers()
            elif parts.path == "/.well-known/openid-configuration":
                self.say(200, fake.metadata())
            elif parts.path == "/keys":
                self.say(200, {"keys": [key.as_dict(private=False) for key in fake.keys]})
            else:
                self.say(404, {})

        def do_POST(self) -> None:
            fake.asked.append(self.path)
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self.say(*fake.token(form, self.headers.get("Authorization", "")))

        def say(self, status: int, document: dict[str, Any]) -> None:
            self.send(status, "application/json", json.dumps(document).encode())

        def send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
