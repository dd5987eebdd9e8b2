"""Routes of one's own API tokens."""

from __future__ import annotations

from datetime import timedelta

from taxiway.api.parameters import IdPath
from taxiway.api.people import api_token_out
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import ApiTokenId, ProjectName
from taxiway.domain.people import Permission
from taxiway.wire.people import ApiTokenIn, ApiTokenList, ApiTokenOut, IssuedApiTokenOut

router = TaxiwayRouter(tags=["account"])


@router.get("/tokens", permission=Permission.ACCOUNT)
async def list_api_tokens(asking: Asker, services: Services) -> ApiTokenList:
    """List one's own API tokens, newest first; never their texts."""
    return ApiTokenList(items=[api_token_out(token) for token in await services.api_tokens.list_own(asking)])


@router.post("/tokens", permission=Permission.ACCOUNT, status_code=201, errors=("LimitReached", "NotFound"))
async def issue_api_token(wanted: ApiTokenIn, asking: Asker, services: Services) -> IssuedApiTokenOut:
    """Issue an API token for oneself; its text is returned this once."""
    token, text = await services.api_tokens.issue(
        asking,
        name=wanted.name,
        project=None if wanted.project is None else ProjectName(wanted.project),
        scopes=None if wanted.scopes is None else read_scopes(wanted.scopes),
        life=timedelta(days=wanted.days),
    )
    return IssuedApiTokenOut(**api_token_out(token).model_dump(), token=text)


def read_scopes(scopes: list[str]) -> frozenset[Permission]:
    """Read permissions. Raises InvalidInput for one that is none."""
    try:
        return frozenset(Permission(scope) for scope in scopes)
    except ValueError:
        known = ", ".join(sorted(Permission))
        raise InvalidInput("A scope is not known.", hint=f"Known are {known}.", field="/scopes") from None


@router.delete("/tokens/{token}", permission=Permission.ACCOUNT)
async def revoke_api_token(token: IdPath, asking: Asker, services: Services) -> ApiTokenOut:
    """Make one of one's own API tokens count no longer, at once. Revoked already: no effect."""
    return api_token_out(await services.api_tokens.revoke(asking, ApiTokenId(token)))
