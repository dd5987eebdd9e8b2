"""Who may do what: the whole matrix."""

from __future__ import annotations

import pytest

from taxiway.domain.ids import ProjectName
from taxiway.domain.people import MEMBER_PERMISSIONS, Permission, Role
from tests.builders import PROJECT, a_principal, an_administrator

OTHER = ProjectName("other")
EVERYBODY = {Permission.PUBLIC, Permission.ACCOUNT}
MEMBERS = {
    Permission.TRACKING_READ,
    Permission.TRACKING_WRITE,
    Permission.MODEL_READ,
    Permission.MODEL_WRITE,
    Permission.TOKEN_WRITE,
    Permission.PROJECT_READ,
}
ADMINISTRATORS = {
    Permission.PROJECT_WRITE,
    Permission.USER_READ,
    Permission.USER_WRITE,
    Permission.AUDIT_READ,
    Permission.PRODUCTION_READ,
    Permission.PRODUCTION_WRITE,
    Permission.PLATFORM_READ,
}


def test_the_table_names_every_permission_once() -> None:
    assert set(Permission) == EVERYBODY | MEMBERS | ADMINISTRATORS
    assert len(EVERYBODY) + len(MEMBERS) + len(ADMINISTRATORS) == len(Permission)
    assert MEMBERS == MEMBER_PERMISSIONS


@pytest.mark.parametrize("permission", Permission)
def test_a_data_scientist_holds_a_members_permissions_in_its_own_projects(permission: Permission) -> None:
    scientist = a_principal()
    assert scientist.may(permission, PROJECT) == (permission in EVERYBODY | MEMBERS)
    assert scientist.may(permission, OTHER) == (permission in EVERYBODY)
    assert scientist.may(permission) == (permission in EVERYBODY | MEMBERS)


@pytest.mark.parametrize("permission", Permission)
def test_an_administrator_holds_everything_everywhere(permission: Permission) -> None:
    for project in (None, PROJECT, OTHER):
        assert an_administrator().may(permission, project)


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", Role)
def test_a_token_may_be_narrower_than_its_owner_and_never_wider(role: Role, permission: Permission) -> None:
    scopes = frozenset({Permission.TRACKING_READ, Permission.USER_WRITE})
    narrow = a_principal(role=role, scopes=scopes)
    owner = a_principal(role=role)
    is_in_scope = permission in scopes or permission is Permission.PUBLIC
    assert narrow.may(permission, PROJECT) == (is_in_scope and owner.may(permission, PROJECT))


def test_projects_of_others_do_not_exist_for_a_data_scientist() -> None:
    assert a_principal().sees(PROJECT)
    assert not a_principal().sees(OTHER)
    assert an_administrator().sees(OTHER)
