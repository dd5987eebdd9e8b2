"""The routing table's version: equal for equal tables, another for any difference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.ids import AccessTokenId, RevisionId
from taxiway.domain.routing import Backend, RoutingTable
from tests.builders import a_route, a_table, an_access_token

PREFIXES = [f"/staging/fraud/scorer/{number}/" for number in range(1, 5)]


@given(st.permutations(PREFIXES), st.permutations(["a", "b", "c"]))
def test_order_is_no_matter(prefixes: list[str], revoked: list[str]) -> None:
    table = RoutingTable(
        routes=tuple(a_route(prefix=prefix) for prefix in prefixes),
        revoked=frozenset(AccessTokenId(key) for key in revoked),
    )
    sorted_table = RoutingTable(
        routes=tuple(a_route(prefix=prefix) for prefix in PREFIXES),
        revoked=frozenset({AccessTokenId("a"), AccessTokenId("b"), AccessTokenId("c")}),
    )
    assert table.version == sorted_table.version


@pytest.mark.parametrize(
    "changes",
    [
        {"prefix": "/staging/fraud/scorer/2/"},
        {"deployment": "d2"},
        {"backends": ()},
        {"backends": (Backend(revision=RevisionId("r2"), addresses=("unix:/run/p/p1/s",)),)},
        {"backends": (Backend(revision=RevisionId("r-v1-1"), addresses=("unix:/run/p/p2/s",)),)},
        {"backends": (Backend(revision=RevisionId("r-v1-1"), addresses=("unix:/run/p/p1/s",), weight=50),)},
        {"needs_token": False},
        {"timeout_seconds": 31.0},
    ],
    ids=str,
)
def test_every_difference_counts(changes: dict[str, Any]) -> None:
    assert a_table(a_route(**changes)).version != a_table().version


def test_revoked_tokens_count() -> None:
    assert a_table(revoked=frozenset({AccessTokenId("a")})).version != a_table().version


def test_an_empty_table_has_a_version() -> None:
    assert len(RoutingTable().version) == 64


def test_a_tokens_claims_are_whole_seconds_and_name_its_deployment() -> None:
    token = an_access_token()
    assert token.claims() == {
        "iss": "taxiway",
        "sub": "shop",
        "jti": "a1",
        "dep": "d-v1",
        "iat": int(token.created_at.timestamp()),
        "exp": int(token.expires_at.timestamp()),
    }
