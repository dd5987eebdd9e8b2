"""Access tokens of staging deployments: issue, list, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.errors import InvalidInput
from taxiway.domain.events import SubjectKind
from taxiway.domain.ids import AccessTokenId, new_id
from taxiway.domain.people import Asking
from taxiway.ports import Clock, Nudge, Signer
from taxiway.services.deployments import Name, named
from taxiway.store import access_tokens, audit
from taxiway.store.database import Database

LONGEST_LIFE = timedelta(days=366)


class AccessTokens:
    """Intentions about access tokens. The token's text is returned once and never kept."""

    def __init__(self, *, database: Database, signer: Signer, nudge: Nudge, now: Clock) -> None:
        self._database = database
        self._signer = signer
        self._nudge = nudge
        self._now = now

    async def issue(self, asking: Asking, name: Name, *, caller: str, life: timedelta) -> tuple[AccessToken, str]:
        """Make a token for one caller of one deployment; it works without the control plane until it expires."""
        if not 1 <= len(caller) <= 80 or not caller.isprintable():
            raise InvalidInput(
                "A caller's name has 1 to 80 printable characters.",
                hint="Name the program or person that will call.",
                field="/caller",
            )
        if not timedelta(minutes=1) <= life <= LONGEST_LIFE:
            raise InvalidInput("A token lives for a minute to 366 days.", hint="Choose another life.", field="/days")
        now = self._now().replace(microsecond=0)
        async with self._database.write() as tx:
            deployment = await named(tx, name)
            token = AccessToken(
                id=AccessTokenId(new_id()),
                deployment=deployment.id,
                caller=caller,
                created_by=asking.principal.user,
                created_at=now,
                expires_at=now + life,
            )
            await access_tokens.insert_token(tx, token)
            await audit.append(
                tx,
                at=now,
                asking=asking,
                action="access-token.issue",
                object_kind=SubjectKind.ACCESS_TOKEN,
                object=token.id,
                project=deployment.project,
                after={"deployment": deployment.path, "caller": caller, "expires": token.expires_at.isoformat()},
            )
        return token, self._signer.sign(token.claims())

    async def list_all(self, name: Name) -> Sequence[AccessToken]:
        """List a deployment's tokens, newest first, also those that no longer count."""
        async with self._database.read() as tx:
            deployment = await named(tx, name)
            return await access_tokens.of_deployment(tx, deployment.id)

    async def revoke(self, asking: Asking, name: Name, key: AccessTokenId) -> AccessToken:
        """Make the gateway refuse a token, within two seconds. Revoked already: no effect."""
        now = self._now()
        async with self._database.write() as tx:
            deployment = await named(tx, name)
            token = await access_tokens.get(tx, deployment.id, key)
            if token.revoked_at is None:
                await access_tokens.revoke(tx, key, at=now)
                await audit.append(
                    tx,
                    at=now,
                    asking=asking,
                    action="access-token.revoke",
                    object_kind=SubjectKind.ACCESS_TOKEN,
                    object=key,
                    project=deployment.project,
                    before={"caller": token.caller},
                )
            token = await access_tokens.get(tx, deployment.id, key)
        self._nudge("routing", "table")
        return token
