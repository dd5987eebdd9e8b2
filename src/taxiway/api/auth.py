"""Who asks: an API token or a session's cookie → a principal. What it may do is decided in ``guard.py``."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from taxiway.domain.errors import InvalidInput, NotSignedIn
from taxiway.domain.people import Principal
from taxiway.services.api_tokens import ApiTokens
from taxiway.services.sessions import Sessions

SECURE_COOKIE = "__Host-taxiway"
PLAIN_COOKIE = "taxiway-session"
"""On plain http, where browsers refuse the prefix; loopback and trusted networks only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A principal and how it was shown. ``by_cookie`` alone: a browser may have sent it without being asked."""

    principal: Principal
    by_cookie: bool


class Authenticator:
    """Finds out who asks, from the request's headers alone."""

    def __init__(self, *, sessions: Sessions, api_tokens: ApiTokens, is_secure: bool) -> None:
        self._sessions = sessions
        self._api_tokens = api_tokens
        self.is_secure = is_secure
        self.cookie_name = SECURE_COOKIE if is_secure else PLAIN_COOKIE

    async def identify(self, headers: Headers, *, takes_basic: bool = False) -> Identity | None:
        """Return who asks; None for nobody.

        A token that does not count raises NotSignedIn, also beside a good cookie. A token and a cookie of
        different users raise InvalidInput: whose request that is cannot be told. ``takes_basic`` lets MLflow's
        clients send the token as the password of Basic authentication.
        """
        token = read_token(headers, takes_basic=takes_basic)
        by_token = None
        if token is not None:
            by_token = await self._api_tokens.identify(token)
            if by_token is None:
                raise NotSignedIn(
                    "The API token does not count: unknown, expired or revoked.",
                    hint="Make a new one with `taxiway login` or `taxiway token create`.",
                )
        by_cookie = await self.identify_cookie(headers)
        if by_token is not None and by_cookie is not None and by_token.user != by_cookie.user:
            raise InvalidInput("The token and the session belong to different users.", hint="Send one of them.")
        if by_token is not None:
            return Identity(principal=by_token, by_cookie=False)
        return None if by_cookie is None else Identity(principal=by_cookie, by_cookie=True)

    async def identify_cookie(self, headers: Headers) -> Principal | None:
        """Return whose session the cookie is; None without a session that counts."""
        secret = self.read_cookie(headers)
        return None if secret is None else await self._sessions.identify(secret)

    def read_cookie(self, headers: Headers) -> str | None:
        """Return the session's secret."""
        found = [cookie_parser(line).get(self.cookie_name) for line in headers.getlist("cookie")]
        secrets = {secret for secret in found if secret}
        return secrets.pop() if len(secrets) == 1 else None


def read_token(headers: Headers, *, takes_basic: bool = False) -> str | None:
    """Return the API token of the Authorization header; None without one. Raises NotSignedIn for anything else."""
    lines = headers.getlist("authorization")
    if not lines:
        return None
    scheme, _, value = lines[0].strip().partition(" ")
    value = value.strip()
    if len(lines) == 1 and value:
        if scheme.lower() == "bearer":
            return value
        if scheme.lower() == "basic" and takes_basic:
            password = _basic_password(value)
            if password:
                return password
    raise NotSignedIn(
        "The Authorization header is none that is understood.", hint="Send `Authorization: Bearer <API token>`."
    )


def _basic_password(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeError, ValueError):
        return None
