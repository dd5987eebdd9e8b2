"""OpenIdProvider: the port IdentityProvider over HTTP.

Authlib builds and reads what OAuth 2 defines (PKCE, requests, the redirect's answer) and joserfc verifies; their
HTTP clients are not used, since they need another library than the one that the rest of Taxiway speaks HTTP with.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
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
        more = {"prompt": "login", "max_age": "0"} if flow.is_fresh else {}
        url: str = prepare_grant_uri(
            _endpoint(known.metadata, "authorization_endpoint"),
            client_id=self._place.client_id,
            response_type="code",
            redirect_uri=self._place.redirect_uri,
            scope=" ".join(self._place.scopes),
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
            **more,
        )
        return url

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
        place = self._place
        given = {"code": code, "code_verifier": verifier}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        # Basic is what servers take where they do not say; a provider that only takes the body says so.
        methods = known.metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            # RFC 6749, 2.3.1: each is encoded as a form is before they are joined.
            pair = f"{quote(place.client_id, safe='')}:{quote(place.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            given |= {"client_id": place.client_id, "client_secret": place.client_secret}
        body = prepare_token_request("authorization_code", redirect_uri=place.redirect_uri, **given)
        url = _endpoint(known.metadata, "token_endpoint")
        status, document = await self._ask("POST", url, headers=headers, content=body)
        if status in (400, 401, 403):
            raise failed(
                "the client's credentials were not accepted"
                if document.get("error") == "invalid_client"
                else "the code was not accepted"
            )
        token = document.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise _unavailable("its token endpoint does not answer as OpenID Connect says")
        return token

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
            raise _unavailable(
                "it took too long" if isinstance(error, httpx2.TimeoutException) else "it cannot be reached"
            ) from None
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
