"""OpenIdProvider: the port IdentityProvider over HTTP.

Authlib's client speaks OAuth 2 (PKCE, requests, the client's credentials), and joserfc verifies what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from taxiway.domain.sign_in import Flow, Identity, ProviderUnavailable
from taxiway.identity.tokens import check_claims, failed, identity_of, key_id, verify
from taxiway.ports import Clock

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 1 << 20
KEPT_FOR = timedelta(hours=1)
"""How long the provider's own description and keys are believed."""
KEYS_EVERY = timedelta(seconds=30)
"""Unknown keys lead to no more than one look in this time, whoever makes them up."""
METADATA = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPlace:
    """The provider and what we are to it."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    groups_claim: str
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    metadata: Mapping[str, Any]
    keys: KeySet
    at: datetime


class OpenIdProvider:
    """Speaks to one provider; what it says of itself is kept for an hour."""

    def __init__(self, place: ProviderPlace, *, now: Clock, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._place = place
        self._now = now
        self._transport = transport
        self._client = httpx2.AsyncClient(
            timeout=TIMEOUT_SECONDS, transport=transport, follow_redirects=False, trust_env=True
        )
        self._known: _Known | None = None

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def begin(self, flow: Flow) -> str:
        """Return where the browser goes to. Raises ProviderUnavailable."""
        known = await self._know()
        more = {"prompt": "login", "max_age": "0"} if flow.again is not None else {}
        async with self._oauth(known) as client:
            url, _ = client.create_authorization_url(
                _endpoint(known.metadata, "authorization_endpoint"),
                state=flow.state,
                code_verifier=flow.verifier,
                nonce=flow.nonce,
                **more,
            )
        return str(url)

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        """Turn what the browser brought back into an identity. Raises SignInFailed and ProviderUnavailable."""
        known = await self._know()
        said = answer.get("iss")
        if said is None and known.metadata.get("authorization_response_iss_parameter_supported") is True:
            raise failed("it does not say which provider it is of")
        if said is not None and said != self._place.issuer:
            raise failed("it is of another provider")
        if "error" in answer:
            raise failed("the provider did not sign you in")
        if not answer.get("code"):
            raise failed("it holds no code")
        token = await self._exchange(known, answer["code"], flow.verifier)
        claims = verify(token, await self._keys_for(key_id(token)))
        check_claims(claims, issuer=self._place.issuer, client_id=self._place.client_id, flow=flow, now=self._now())
        return identity_of(claims, groups_claim=self._place.groups_claim)

    async def _exchange(self, known: _Known, code: str, verifier: str) -> str:
        url = _endpoint(known.metadata, "token_endpoint")
        try:
            async with self._oauth(known) as client:
                document = await client.fetch_token(
                    url, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except OAuthError as error:
            is_ours = error.error == "invalid_client"
            raise failed("it does not accept our secret" if is_ours else "it does not accept the code") from None
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        except (ValueError, TypeError):
            document = {}
        token = document.get("id_token") if isinstance(document, dict) else None
        if not isinstance(token, str):
            raise _unavailable("its token endpoint does not answer as OpenID Connect says")
        return token

    def _oauth(self, known: _Known) -> Any:
        """Make a client for one flow: Authlib's keeps the token that it was given."""
        # Basic is what servers take where they do not say; a provider that only takes the body says so.
        methods = known.metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        is_basic = not isinstance(methods, list) or "client_secret_basic" in methods
        return AsyncOAuth2Client(
            client_id=self._place.client_id,
            client_secret=self._place.client_secret,
            token_endpoint_auth_method="client_secret_basic" if is_basic else "client_secret_post",
            scope=" ".join(self._place.scopes),
            redirect_uri=self._place.redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            transport=self._transport,
        )

    async def _keys_for(self, kid: str | None) -> KeySet:
        known = await self._know()
        has_key = kid is None or any(key.kid == kid for key in known.keys.keys)
        if not has_key and self._now() >= known.at + KEYS_EVERY:
            self._known = None
            known = await self._know()
        return known.keys

    async def _know(self) -> _Known:
        known, now = self._known, self._now()
        if known is not None and timedelta() <= now - known.at < KEPT_FOR:
            return known
        status, metadata = await self._ask("GET", self._place.issuer.rstrip("/") + METADATA)
        if status != 200 or metadata.get("issuer") != self._place.issuer:
            raise _unavailable("its description is missing, or is of another issuer")
        status, document = await self._ask("GET", _endpoint(metadata, "jwks_uri"))
        try:
            keys = KeySet.import_key_set({"keys": [k for k in document["keys"] if k.get("kty") != "oct"]})
        except (JoseError, KeyError, ValueError, TypeError, AttributeError):
            raise _unavailable("its keys cannot be read") from None
        self._known = _Known(metadata=metadata, keys=keys, at=now)
        return self._known

    async def _ask(self, method: str, url: str, **given: Any) -> tuple[int, dict[str, Any]]:
        try:
            answer = await self._client.request(method, url, **given)
            document = answer.json() if len(answer.content) <= MOST_BYTES else None
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        except ValueError:
            document = {}
        if answer.status_code >= 500 or not isinstance(document, dict):
            raise _unavailable(f"it answered with {answer.status_code}")
        return answer.status_code, document


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", "http"):
        raise _unavailable("its description names no usable addresses")
    return url


def _unavailable(why: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"The identity provider is not available: {why}.",
        hint="Try again; an administrator checks the settings people.provider.",
    )


def _unreachable(error: httpx2.HTTPError) -> ProviderUnavailable:
    return _unavailable("it took too long" if isinstance(error, httpx2.TimeoutException) else "it cannot be reached")
