"""Sign-in with an identity provider: a flow in progress, who comes out of it, and what its groups give. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from taxiway.domain.errors import NotAllowed, NotSignedIn, TaxiwayError
from taxiway.domain.ids import ProjectName
from taxiway.domain.people import RESERVED_USERS, USER_NAME, Role

FLOW_LIFE = timedelta(minutes=10)
"""How long a person may take at the provider."""
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}\Z")


class SignInRefused(NotAllowed):
    """The provider says who it is, and that one may not in: no group, disabled, or a name that is somebody else's."""

    reason = "SignInRefused"


class NoGroup(SignInRefused):
    """None of the groups lets the identity in (any more): what its user still holds ends."""


class SignInFailed(NotSignedIn):
    """The flow or the provider's answer cannot be trusted; nobody is signed in."""

    reason = "SignInFailed"


class ProviderUnavailable(TaxiwayError):
    """The identity provider does not answer, or not as OpenID Connect says; nothing was changed."""

    reason = "ProviderUnavailable"


class PasswordsOff(NotAllowed):
    """People sign in with the identity provider alone."""

    reason = "PasswordsOff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A sign-in under way: what only the browser that began it holds, sealed.

    ``again``: the one user whom it may sign in, after the provider asked for the credentials anew.
    """

    state: str
    nonce: str
    verifier: str
    next: str
    again: str | None
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the provider says it is. ``subject`` at ``issuer`` is the identity; the names are only proposals."""

    issuer: str
    subject: str
    names: tuple[str, ...]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What membership of a group gives, or of several."""

    role: Role = Role.DATA_SCIENTIST
    projects: frozenset[ProjectName] = frozenset()


def granted(groups: Collection[str], grants: Mapping[str, Grant]) -> Grant | None:
    """Add up what the groups give; None where none of them gives anything, which lets nobody in."""
    found = [grants[group] for group in groups if group in grants]
    if not found:
        return None
    is_administrator = any(grant.role is Role.ADMINISTRATOR for grant in found)
    return Grant(
        role=Role.ADMINISTRATOR if is_administrator else Role.DATA_SCIENTIST,
        projects=frozenset().union(*(grant.projects for grant in found)),
    )


def local_path(text: str | None) -> str:
    """Return where to go after signing in: a path of our own, else the start page. Nobody is led elsewhere."""
    is_ours = text is not None and _LOCAL_PATH.match(text) is not None
    return text if text is not None and is_ours and not text.startswith("/sign-in") else "/"


def chosen_name(names: Collection[str]) -> str | None:
    """Return the first of the proposed names that can be a user's, in lower case; None where none can."""
    lower = (name.strip().lower() for name in names)
    return next((name for name in lower if USER_NAME.match(name) and name not in RESERVED_USERS), None)
