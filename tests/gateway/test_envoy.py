"""EnvoyGateway against a stand-in for Envoy that takes and refuses files as the real one does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from taxiway.domain.errors import GatewayRejected
from taxiway.domain.ids import AccessTokenId, DeploymentId, RevisionId
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from taxiway.gateway import EnvoyGateway, write_bootstrap
from taxiway.gateway.admin import Taken


class FakeEnvoy:
    """Looks at the files whenever it is asked. ``refuses`` is a text that it does not take."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.refuses = "no such text"
        self.is_away = False
        self.asked = 0
        self.seen: list[str] = []
        """Each version that came into force, and of which file."""
        self._looked: dict[str, bytes] = {}
        self._versions = {"clusters": "", "routes": "", "metrics-routes": ""}
        self._refused = 0

    def restart(self) -> None:
        """Be another process: forget all, count anew."""
        self.__init__(self.home)  # type: ignore[misc]

    def look(self) -> None:
        for name in self._versions:
            path = self.home / f"{name}.json"
            content = path.read_bytes() + str(path.stat().st_ino).encode()
            if self._looked.get(name) == content:
                continue
            self._looked[name] = content
            if self.refuses.encode() in content:
                self._refused += 1
                continue
            self._versions[name] = json.loads(path.read_bytes())["version_info"]
            self.seen.append(name)

    async def taken(self) -> Taken | None:
        self.asked += 1
        if self.is_away:
            return None
        self.look()
        return Taken(
            routes=self._versions["routes"],
            metrics_routes=self._versions["metrics-routes"],
            clusters=self._versions["clusters"],
        )

    async def refusals(self) -> int | None:
        if self.is_away:
            return None
        self.look()
        return self._refused

    async def close(self) -> None:
        return None


class Scene:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.envoy = FakeEnvoy(home)
        self.now = 1000.0
        self.gateway = self.another()

    def another(self) -> EnvoyGateway:
        gateway = EnvoyGateway(self.home, admin_socket=self.home / "none", monotonic=lambda: self.now)
        gateway._admin = self.envoy  # type: ignore[assignment]
        return gateway

    def clusters(self) -> set[str]:
        resources = json.loads((self.home / "clusters.json").read_bytes())["resources"]
        return {cluster["alt_stat_name"] for cluster in resources}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    write_bootstrap(
        tmp_path, host="127.0.0.1", port=1, metrics_port=2, admin_socket=Path("/a"), control_socket=Path("/c"),
        activator_socket=Path("/v"),
        public_keys={},
    )  # fmt: skip
    return Scene(tmp_path)


def a_table(revision: str = "rev1", *, address: str = "unix:/p/1", revoked: tuple[str, ...] = ()) -> RoutingTable:
    backend = Backend(revision=RevisionId(revision), addresses=(address,))
    route = EndpointRoute(prefix="/staging/a/b/1/", deployment=DeploymentId("dep"), backends=(backend,))
    return RoutingTable(routes=(route,), revoked=frozenset(AccessTokenId(key) for key in revoked))


async def test_before_the_first_table_the_empty_one_is_in_force(scene: Scene) -> None:
    assert await scene.gateway.accepted() == RoutingTable().version


async def test_a_table_is_accepted_when_envoy_says_so(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    assert await scene.gateway.accepted() == a_table().version


async def test_envoy_is_asked_once_a_second_while_nothing_is_to_change(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    asked = scene.envoy.asked
    for _ in range(12):
        scene.now += 0.25
        assert await scene.gateway.accepted() == a_table().version
    assert scene.envoy.asked - asked == 3

    scene.envoy.is_away = True
    scene.now += 1
    assert await scene.gateway.accepted() is None


async def test_a_new_table_is_asked_for_at_once(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    await scene.gateway.publish(a_table("rev2"))
    assert await scene.gateway.accepted() == a_table("rev2").version


async def test_clusters_are_there_before_the_routes_to_them(scene: Scene) -> None:
    scene.envoy.look()
    scene.envoy.seen.clear()
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    assert scene.envoy.seen == ["clusters", "routes", "metrics-routes"]


async def test_old_clusters_go_only_when_the_new_routes_were_in_force_for_a_while(scene: Scene) -> None:
    await scene.gateway.publish(a_table("old"))
    await scene.gateway.accepted()
    await scene.gateway.publish(a_table("new"))
    assert scene.clusters() == {"old", "new"}
    await scene.gateway.accepted()
    scene.now += 4.9
    await scene.gateway.accepted()
    assert scene.clusters() == {"old", "new"}
    scene.now += 0.2
    assert await scene.gateway.accepted() == a_table("new").version
    assert scene.clusters() == {"new"}
    assert await scene.gateway.accepted() == a_table("new").version


async def test_old_clusters_stay_while_envoy_is_away(scene: Scene) -> None:
    await scene.gateway.publish(a_table("old"))
    await scene.gateway.accepted()
    scene.envoy.is_away = True
    await scene.gateway.publish(a_table("new"))
    for _ in range(3):
        assert await scene.gateway.accepted() is None
        scene.now += 10
    assert scene.clusters() == {"old", "new"}
    scene.envoy.restart()
    assert await scene.gateway.accepted() == a_table("new").version


async def test_a_revoked_token_changes_no_clusters(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    before = (scene.home / "clusters.json").stat()
    await scene.gateway.publish(a_table(revoked=("t",)))
    assert await scene.gateway.accepted() == a_table(revoked=("t",)).version
    assert (scene.home / "clusters.json").stat() == before


@pytest.mark.parametrize("part", ["/p/bad", "taxiway.revoked"])
async def test_a_refused_table_is_said_once_and_the_last_good_one_is_put_back(scene: Scene, part: str) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    files = {path.name: path.read_bytes() for path in scene.home.iterdir()}
    scene.envoy.refuses = part
    await scene.gateway.publish(a_table("bad", address="unix:/p/bad", revoked=("t",)))
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    for _ in range(3):
        assert await scene.gateway.accepted() == a_table().version
        scene.now += 60
    assert {path.name: path.read_bytes() for path in scene.home.iterdir()} == files
    scene.envoy.restart()
    assert await scene.gateway.accepted() == a_table().version


async def test_after_a_refusal_the_next_table_is_taken(scene: Scene) -> None:
    scene.envoy.refuses = "taxiway.revoked"
    await scene.gateway.publish(a_table(revoked=("t",)))
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    await scene.gateway.publish(a_table())
    assert await scene.gateway.accepted() == a_table().version
    await scene.gateway.publish(a_table(revoked=("t",)))
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()


async def test_another_control_plane_puts_back_what_it_found_in_force(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    scene.envoy.refuses = "taxiway.revoked"
    gateway = scene.another()
    await gateway.publish(a_table(revoked=("t",)))
    with pytest.raises(GatewayRejected):
        await gateway.accepted()
    assert await gateway.accepted() == a_table().version
    assert json.loads((scene.home / "routes.json").read_bytes())["version_info"] == a_table().version


async def test_what_an_envoy_refused_long_ago_is_not_said_of_todays_table(scene: Scene) -> None:
    scene.envoy.refuses = "taxiway.revoked"
    await scene.gateway.publish(a_table(revoked=("t",)))
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    gateway = scene.another()
    await gateway.publish(a_table())
    for _ in range(5):
        assert await gateway.accepted() == a_table().version
        scene.envoy.is_away = True
        scene.now += 2
        assert await gateway.accepted() is None
        scene.envoy.is_away = False
        scene.now += 60


async def test_a_damaged_file_is_mended_and_said(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    whole = (scene.home / "routes.json").read_bytes()
    scene.envoy.refuses = "damaged"
    (scene.home / "routes.json").write_bytes(b"damaged")
    scene.now += 60
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    assert (scene.home / "routes.json").read_bytes() == whole
    assert await scene.gateway.accepted() == a_table().version


async def test_an_envoy_that_starts_on_a_refused_table_says_so(scene: Scene) -> None:
    await scene.gateway.publish(a_table())
    await scene.gateway.accepted()
    scene.envoy.is_away = True
    await scene.gateway.publish(a_table(revoked=("t",)))
    scene.envoy.restart()
    scene.envoy.refuses = "taxiway.revoked"
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    assert await scene.gateway.accepted() == a_table().version


async def test_an_address_that_envoy_could_not_take_is_said_before_a_file_is_written(scene: Scene) -> None:
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in scene.home.iterdir()}
    await scene.gateway.publish(a_table(address="pod.example:80"))
    with pytest.raises(GatewayRejected):
        await scene.gateway.accepted()
    assert await scene.gateway.accepted() == RoutingTable().version
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in scene.home.iterdir()} == before


async def test_tables_that_come_at_once_are_published_one_after_the_other(scene: Scene) -> None:
    tables = [a_table(f"rev{number}") for number in range(5)]
    await asyncio.gather(*(scene.gateway.publish(table) for table in tables))
    assert await scene.gateway.accepted() == tables[-1].version
