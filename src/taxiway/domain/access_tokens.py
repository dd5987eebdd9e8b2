"""Access tokens: what a caller shows to an endpoint. The token itself is signed and never kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taxiway.domain.ids import AccessTokenId, DeploymentId, UserId

ISSUER = "taxiway"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What is remembered of a token: for which deployment and caller, by whom, until when."""

    id: AccessTokenId
    deployment: DeploymentId
    caller: str
    created_by: UserId
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def claims(self) -> dict[str, str | int]:
        """Return what is signed, in the words of RFC 7519, and ``dep``: the deployment's id."""
        return {
            "iss": ISSUER,
            "sub": self.caller,
            "jti": self.id,
            "dep": self.deployment,
            "iat": int(self.created_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
        }
