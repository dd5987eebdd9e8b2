"""Routes of access tokens: what callers show to the endpoints of staging deployments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from taxiway.api import shapes
from taxiway.api.models import VERSION, name_of
from taxiway.api.parameters import IdPath, ModelPath, ProjectPath, VersionPath
from taxiway.api.routing import Asker, TaxiwayRouter
from taxiway.api.services import ApiServices, Services
from taxiway.domain.access_tokens import AccessToken
from taxiway.domain.ids import AccessTokenId
from taxiway.domain.people import Permission
from taxiway.wire.models import AccessTokenIn, AccessTokenList, AccessTokenOut, IssuedAccessTokenOut

router = TaxiwayRouter(tags=["access tokens"])


@router.get(VERSION + "/access-tokens", permission=Permission.MODEL_READ)
async def list_access_tokens(
    project: ProjectPath, model: ModelPath, version: VersionPath, _asking: Asker, services: Services
) -> AccessTokenList:
    """List a deployment's access tokens, newest first, also those that no longer count; never their texts."""
    found = await services.access_tokens.list_all(name_of(project, model, version))
    return AccessTokenList(items=await tokens_out(services, found))


@router.post(VERSION + "/access-tokens", permission=Permission.TOKEN_WRITE, status_code=201)
async def issue_access_token(
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    wanted: AccessTokenIn,
    asking: Asker,
    services: Services,
) -> IssuedAccessTokenOut:
    """Issue an access token for one caller; its text is returned this once."""
    token, text = await services.access_tokens.issue(
        asking, name_of(project, model, version), caller=wanted.caller, life=timedelta(days=wanted.days)
    )
    (shown,) = await tokens_out(services, [token])
    return IssuedAccessTokenOut(**shown.model_dump(), token=text)


@router.delete(VERSION + "/access-tokens/{token}", permission=Permission.TOKEN_WRITE)
async def revoke_access_token(
    project: ProjectPath,
    model: ModelPath,
    version: VersionPath,
    token: IdPath,
    asking: Asker,
    services: Services,
) -> AccessTokenOut:
    """Make the gateway refuse an access token, within two seconds. Revoked already: no effect."""
    revoked = await services.access_tokens.revoke(asking, name_of(project, model, version), AccessTokenId(token))
    (shown,) = await tokens_out(services, [revoked])
    return shown


async def tokens_out(services: ApiServices, found: Iterable[AccessToken]) -> list[AccessTokenOut]:
    """Show access tokens with the names of who made them."""
    tokens = list(found)
    names = await services.users.names(token.created_by for token in tokens)
    return [shapes.access_token_out(token, created_by=names.get(token.created_by, "")) for token in tokens]
