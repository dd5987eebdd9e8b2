"""Rules of the translation that hold for every table, and the small pure parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.errors import GatewayRejected, InvalidInput
from taxiway.domain.ids import AccessTokenId, DeploymentId, RevisionId
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway.access import json_web_keys, revoked_demands
from taxiway.gateway.admin import Taken, read_refusals, read_versions
from taxiway.gateway.answers import ANSWERS, local_replies
from taxiway.gateway.clusters import cluster_name, clusters_of
from taxiway.gateway.limits import GatewayLimits, limits_of_host
from taxiway.gateway.listeners import listeners
from taxiway.gateway.names import seconds
from taxiway.gateway.tables import clusters_file, files_of, read_clusters, read_version

NAMES = st.text("abc123", min_size=1, max_size=4)
BACKENDS = st.builds(
    Backend,
    revision=NAMES.map(RevisionId),
    addresses=st.lists(NAMES.map(lambda name: f"unix:/p/{name}"), max_size=3, unique=True).map(tuple),
    weight=st.integers(1, 100),
)
ROUTES = st.builds(
    EndpointRoute,
    prefix=NAMES.map(lambda name: f"/staging/p/{name}/1/"),
    deployment=NAMES.map(DeploymentId),
    backends=st.lists(BACKENDS, max_size=2, unique_by=lambda backend: backend.revision).map(tuple),
    needs_token=st.booleans(),
    timeout_seconds=st.floats(1, 300),
)
TABLES = st.builds(
    RoutingTable,
    routes=st.lists(ROUTES, max_size=5, unique_by=(lambda route: route.prefix, lambda route: route.deployment)).map(
        tuple
    ),
    revoked=st.frozensets(NAMES.map(AccessTokenId), max_size=3),
)


def public(table: RoutingTable) -> list[dict[str, object]]:
    resource = json.loads(files_of(table).routes)["resources"][0]
    routes: list[dict[str, object]] = resource["virtual_hosts"][0]["routes"]
    return routes


def targets(route: Mapping[str, object]) -> set[str]:
    action = route.get("route", {})
    assert isinstance(action, dict)
    weighted = action.get("weighted_clusters", {}).get("clusters", [])
    return {cluster["name"] for cluster in weighted} or ({action["cluster"]} if "cluster" in action else set())


@given(TABLES)
def test_the_order_of_routes_does_not_matter(table: RoutingTable) -> None:
    turned = RoutingTable(routes=tuple(reversed(table.routes)), revoked=table.revoked)
    assert files_of(turned).contents == files_of(table).contents


@given(TABLES)
def test_every_route_has_its_clusters_and_none_is_idle(table: RoutingTable) -> None:
    files = files_of(table)
    used = set().union(*(targets(route) for route in public(table))) - {"control"}
    assert used == set(files.clusters)


@given(TABLES)
def test_each_endpoint_has_one_route_and_only_open_ones_lack_demands(table: RoutingTable) -> None:
    found = {
        str(match["prefix"]): route
        for route in public(table)
        if isinstance(match := route["match"], dict) and "/staging/p/" in match.get("prefix", "")
    }
    assert set(found) == {route.prefix for route in table.routes}
    for route in table.routes:
        assert ("typed_per_filter_config" in found[route.prefix]) == route.needs_token
        assert ("direct_response" in found[route.prefix]) == (not any(backend.addresses for backend in route.backends))


@given(TABLES)
def test_versions_are_the_tables_and_files_can_be_read_back(table: RoutingTable) -> None:
    files = files_of(table)
    assert read_version(files.routes) == read_version(files.metrics_routes) == table.version
    assert read_clusters(clusters_file(files.clusters)) == files.clusters


def test_longer_prefixes_come_first() -> None:
    routes = tuple(
        EndpointRoute(prefix=prefix, deployment=DeploymentId("d"), backends=())
        for prefix in ("/production/a/", "/production/a/b/", "/production/")
    )
    order = [route["match"] for route in public(RoutingTable(routes=routes))]
    assert order[1:4] == [{"prefix": "/production/a/b/"}, {"prefix": "/production/a/"}, {"prefix": "/production/"}]


def test_a_cluster_is_named_after_all_that_it_is() -> None:
    def name(*addresses: str, weight: int = 100) -> str:
        return cluster_name(Backend(revision=RevisionId("r"), addresses=addresses, weight=weight))

    assert name("unix:/a", "unix:/b") == name("unix:/b", "unix:/a", weight=3)
    assert name("unix:/a") != name("unix:/b")
    assert name("unix:/a").startswith("r.")


@pytest.mark.parametrize("address", ["pod.example:80", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", "x", "1.2.3.4:a"])
def test_an_address_that_envoy_could_not_take_is_refused_with_its_revision(address: str) -> None:
    backend = Backend(revision=RevisionId("rev7"), addresses=(address,))
    route = EndpointRoute(prefix="/staging/a/b/1/", deployment=DeploymentId("d"), backends=(backend,))
    with pytest.raises(GatewayRejected) as caught:
        clusters_of(RoutingTable(routes=(route,)))
    assert "rev7" in caught.value.message


def test_a_damaged_file_has_no_clusters_and_no_version() -> None:
    for content in (None, b"", b"{", b"[]", b"3", b'{"resources": 3}', b'{"resources": [{}]}'):
        assert read_clusters(content) == {}
        assert read_version(content) == ""


def test_many_revoked_tokens_are_in_several_patterns() -> None:
    text = json.dumps(revoked_demands(frozenset(AccessTokenId(f"t.{number}") for number in range(1100))))
    assert text.count("safe_regex") == 3
    assert r"t\\.1099" in text
    assert revoked_demands(frozenset()) == {}


def test_keys_are_written_as_rfc_8037_says() -> None:
    # The key and its form are from RFC 8037, appendix A.2.
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    document = json.loads(json_web_keys({"k": key}))
    assert document["keys"] == [
        {
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "k",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    ]  # fmt: skip


def test_every_answer_of_envoys_own_is_a_problem_in_our_words() -> None:
    mappers = local_replies()["mappers"]
    assert isinstance(mappers, list)
    assert len(mappers) == len(ANSWERS)
    assert {answer.status for answer in ANSWERS} >= {400, 401, 403, 404, 408, 413, 414, 429, 431, 503, 504}
    for answer, mapper in zip(ANSWERS, mappers, strict=True):
        form = mapper["body_format_override"]["json_format"]
        assert form["detail"] == form["message"] == answer.message
        assert form["error_code"].isupper()
        assert ("headers_to_add" in mapper) == (answer.status in (429, 503))


@pytest.mark.parametrize(("value", "text"), [(1.0, "1s"), (30.5, "30.5s"), (0.0001, "0s"), (100.0, "100s")])
def test_durations_as_envoy_reads_them(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize("host", ["example.org", "", "127.0.0.1:80", "*"])
def test_a_host_that_is_no_address_is_said(host: str) -> None:
    with pytest.raises(InvalidInput):
        listeners(Path("/g"), host=host, port=1, metrics_port=2, public_keys={}, limits=GatewayLimits())


@pytest.mark.parametrize(("files", "connections"), [(1 << 20, 10_000), (4096, 1792), (256, 64)])
def test_no_more_connections_than_files(files: int, connections: int) -> None:
    assert limits_of_host(hard_files=files).connections == connections


STATS = """cluster_manager.cds.version_text: "c1"
http.metrics.rds.metrics.version_text: "m1"
http.public.rds.public.version_text: ""
listener_manager.lds.version_text: "l1"
"""


def test_versions_are_read_from_envoys_statistics() -> None:
    assert read_versions(STATS) == Taken(routes="", metrics_routes="m1", clusters="c1")
    assert read_versions("") is None
    assert read_versions('cluster_manager.cds.version_text: "c1"\n') is None


def test_refusals_are_added_up() -> None:
    text = "cluster_manager.cds.update_failure: 0\nhttp.public.rds.public.update_rejected: 2\nx.update_failure: 1\n"
    assert read_refusals(text) == 3
    assert read_refusals("a.b: x\n") is None
