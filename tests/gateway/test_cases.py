"""Routing tables and what Envoy gets for them: one folder a case.

``table.json`` is what goes in; the other files are what must come out. After a change that is meant, write them anew
with ``REGENERATE_CASES=1 pytest tests/gateway/test_cases.py`` and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taxiway.domain.ids import AccessTokenId, DeploymentId, RevisionId
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway.bootstrap import bootstrap
from taxiway.gateway.delivery import encode
from taxiway.gateway.limits import GatewayLimits
from taxiway.gateway.listeners import listeners
from taxiway.gateway.tables import files_of

CASES = Path(__file__).parent / "cases"
REGENERATE = "REGENERATE_CASES" in os.environ


def read_table(path: Path) -> RoutingTable:
    given = json.loads(path.read_text())
    routes = [
        EndpointRoute(
            prefix=route["prefix"],
            deployment=DeploymentId(route["deployment"]),
            backends=tuple(
                Backend(
                    revision=RevisionId(backend["revision"]),
                    addresses=tuple(backend["addresses"]),
                    weight=backend.get("weight", 100),
                )
                for backend in route["backends"]
            ),
            needs_token=route.get("needs_token", True),
            timeout_seconds=route.get("timeout_seconds", 30.0),
        )
        for route in given.get("routes", [])
    ]
    return RoutingTable(routes=tuple(routes), revoked=frozenset(AccessTokenId(key) for key in given.get("revoked", [])))


def compare(folder: Path, found: dict[str, bytes]) -> None:
    for name, content in found.items():
        text = json.dumps(json.loads(content), indent=1, sort_keys=True) + "\n"
        if REGENERATE:
            (folder / name).write_text(text)
        assert (folder / name).read_text() == text, f"{folder.name}/{name} is another; see this module's words"


TABLES = sorted(path.parent.name for path in CASES.glob("*/table.json"))


def test_there_are_cases() -> None:
    assert len(TABLES) >= 6


@pytest.mark.parametrize("case", TABLES)
def test_a_table_becomes_these_files(case: str) -> None:
    folder = CASES / case
    files = files_of(read_table(folder / "table.json"))
    compare(folder, files.contents)


def test_a_start_becomes_these_files() -> None:
    home, limits = Path("/data/gateway"), GatewayLimits()
    both = listeners(
        home, host="127.0.0.1", port=8080, metrics_port=8081,
        public_keys={"key1": bytes(range(32)), "key2": bytes(range(32, 64))}, limits=limits,
    )  # fmt: skip
    start = bootstrap(
        home,
        admin_socket=Path("/run/envoy.sock"),
        control_socket=Path("/run/control.sock"),
        activator_socket=Path("/run/activator.sock"),
        limits=limits,
    )
    compare(CASES / "start", {"listeners.json": encode({"resources": list(both)}), "bootstrap.json": encode(start)})
