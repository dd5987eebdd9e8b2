"""Whether an ID token is good: signature by one of the provider's keys, and claims for us, now, in this flow. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from taxiway.domain.sign_in import Flow, Identity, SignInFailed

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Asymmetric ones only: with others, whoever knows a public key or the client's secret could sign."""
LEEWAY = timedelta(seconds=60)
"""How far the provider's clock may be from ours."""
LONGEST = 500


def key_id(token: str) -> str | None:
    """Return which key the token says that it is signed with. Raises SignInFailed for what is no signed token."""
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError):
        raise failed("its ID token is no signed token") from None
    if header.get("alg") not in ALGORITHMS:
        raise failed("its ID token is signed in a way that is not accepted")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def verify(token: str, keys: KeySet) -> dict[str, Any]:
    """Return the claims of a token that one of the keys signed. Raises SignInFailed."""
    try:
        return dict(jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError, TypeError):
        raise failed("the signature of its ID token is wrong") from None


def check_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, flow: Flow, now: datetime) -> None:
    """Raise SignInFailed unless the claims are of this issuer, for this client, of now and of this flow."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if claims.get("iss") != issuer:
        raise failed("its ID token is of another issuer")
    if not isinstance(audiences, list) or client_id not in audiences:
        raise failed("its ID token is for somebody else")
    if claims.get("azp", client_id) != client_id or (len(audiences) > 1 and "azp" not in claims):
        raise failed("its ID token is for somebody else")
    if not isinstance(claims.get("sub"), str) or not 1 <= len(claims["sub"]) <= 255:
        raise failed("its ID token says not who it is")
    if _time(claims, "exp") <= (now - LEEWAY).timestamp():
        raise failed("its ID token has expired")
    if _time(claims, "iat") > (now + LEEWAY).timestamp() or _time(claims, "nbf", 0) > (now + LEEWAY).timestamp():
        raise failed("its ID token is of the future")
    if claims.get("nonce") != flow.nonce:
        raise failed("its ID token is of another sign-in")
    if flow.again is not None and _time(claims, "auth_time") < (flow.began_at - LEEWAY).timestamp():
        raise failed("it did not ask for the credentials again")


def identity_of(claims: Mapping[str, Any], *, groups_claim: str) -> Identity:
    """Read who it is from checked claims; an address counts as a name only where the provider verified it."""
    names = [claims.get("preferred_username")]
    if claims.get("email_verified") is True:
        names.append(claims.get("email"))
    groups = claims.get(groups_claim)
    listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Identity(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        names=tuple(name for name in names if isinstance(name, str)),
        groups=frozenset(group for group in listed if isinstance(group, str) and len(group) <= LONGEST),
    )


def _time(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise failed("its ID token says not when it holds")
    return float(value)


def failed(why: str) -> SignInFailed:
    """Make the refusal of an answer that cannot be trusted; ``why`` is ours, never what was sent."""
    return SignInFailed(f"The identity provider's answer cannot be trusted: {why}.", hint="Sign in again.")
