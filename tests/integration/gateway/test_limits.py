"""Limits: at the limit all is well, one beyond is refused; and what Envoy itself says its limits are."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx2
import pytest

from taxiway.gateway import GatewayLimits
from tests.integration.gateway.gate import PREFIX, Scene, a_gate, a_route
from tests.integration.gateway.test_routing import problem

pytestmark = pytest.mark.integration


async def test_a_url_of_8_kib_and_one_byte_more(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    path = f"{PREFIX}ping?"
    full = path + "x" * (8192 - len(path))
    assert (await scene.client.get(full)).status_code == 200
    problem(await scene.client.get(full + "x"), 414)
    await scene.control()
    path = "/api/v1/models?"
    assert (await scene.client.get(path + "x" * (8192 - len(path)))).status_code == 200
    problem(await scene.client.get(path + "x" * (8193 - len(path))), 414)


async def test_headers_of_32_kib_and_more(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    most = {"X-Long": "x" * (32 * 1024 - 600)}
    assert (await scene.client.get(f"{PREFIX}ping", headers=most)).status_code == 200
    answer = await scene.client.get(f"{PREFIX}ping", headers={"X-Long": "x" * (32 * 1024 + 1)})
    assert problem(answer, 431)["error_code"] == "REQUEST_LIMIT_EXCEEDED"


async def test_a_hundred_headers_and_one_more(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    own = 4  # Host, Accept, Accept-Encoding, User-Agent; the client's Connection is a fifth
    most = {f"X-{number}": "1" for number in range(100 - own - 1)}
    assert (await scene.client.get(f"{PREFIX}ping", headers=most)).status_code == 200
    problem(await scene.client.get(f"{PREFIX}ping", headers=most | {"X-More": "1"}), 431)


async def test_underscores_in_header_names_are_refused(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    problem(await scene.client.get(f"{PREFIX}ping", headers={"X_Taxiway_Pod": "1"}), 400)


async def test_two_lengths_or_a_length_and_chunks_are_refused(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod))
    for heads in (
        b"Content-Length: 3\r\nContent-Length: 4\r\n", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n", b"Content-Length: +3\r\n",
    ):  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.gate.port)
        writer.write(f"POST {PREFIX}ping HTTP/1.1\r\nHost: x\r\n".encode() + heads + b"\r\n0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(200), 5)
        assert answer[9:12] in (b"400", b"501"), answer
        writer.close()
    assert not pod.asked


async def test_a_large_body_passes_through_without_being_kept(scene: Scene) -> None:
    control = await scene.control()
    await scene.publish()
    size = 256 << 20

    async def body() -> object:
        piece = b"x" * (1 << 20)
        for _ in range(size >> 20):
            yield piece

    before = memory(scene)
    answer = await scene.client.put("/mlflow/api/2.0/mlflow-artifacts/artifacts/m", content=body())  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert control.asked[0].body_bytes == size
    assert memory(scene) - before < 30 << 20


def memory(scene: Scene) -> int:
    text = Path(f"/proc/{scene.gate.envoy_pid()}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


async def test_half_sent_headers_are_ended_and_others_go_on() -> None:
    with a_gate(GatewayLimits(header_seconds=0.5, idle_seconds=1.5, connections=40)) as gate:
        scene = Scene(gate)
        await scene.publish(a_route(await scene.pod()))
        assert (await scene.client.get(f"{PREFIX}ping")).status_code == 200
        half = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(20)]
        for _, writer in half:
            writer.write(f"GET {PREFIX}ping HTTP/1.1\r\nHost: x\r\nX-Slow".encode())
        began = time.monotonic()
        answers = await asyncio.gather(*(asyncio.wait_for(reader.read(4000), 5) for reader, _ in half))
        assert {answer[9:12] for answer in answers} == {b"408"}
        assert 0.3 < time.monotonic() - began < 3
        for _, writer in half:
            writer.close()
        idle = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(45)]
        ends = await asyncio.gather(*(asyncio.wait_for(reader.read(), 6) for reader, _ in idle))
        assert set(ends) == {b""}
        for _, writer in idle:
            writer.close()
        async with httpx2.AsyncClient(base_url=gate.url, trust_env=False) as late:
            assert (await late.get(f"{PREFIX}ping")).status_code == 200
        await scene.close()


async def test_more_connections_than_the_limit_are_closed() -> None:
    with a_gate(GatewayLimits(connections=20)) as gate:
        kept = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(40)]
        await asyncio.sleep(0.3)

        async def is_open(reader: asyncio.StreamReader) -> bool:
            try:
                return await asyncio.wait_for(reader.read(1), 0.2) != b""
            except TimeoutError:
                return True
            except ConnectionError:
                return False

        found = await asyncio.gather(*(is_open(reader) for reader, _ in kept))
        assert found.count(True) == 20
        for _, writer in kept:
            writer.close()


async def test_envoy_itself_says_that_the_limits_hold(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    transport = httpx2.AsyncHTTPTransport(uds=str(scene.gate.admin_socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False) as admin:
        dump = (await admin.get("/config_dump")).json()["configs"]
    text = json.dumps(dump)
    parts = {part["@type"].rpartition(".")[2]: part for part in dump}
    bootstrap = parts["BootstrapConfigDump"]["bootstrap"]
    assert list(bootstrap["admin"]["address"]) == ["pipe"]
    assert bootstrap["admin"]["address"]["pipe"]["mode"] == 0o600
    assert {monitor["name"] for monitor in bootstrap["overload_manager"]["resource_monitors"]} == {
        "envoy.resource_monitors.fixed_heap", "envoy.resource_monitors.global_downstream_max_connections",
    }  # fmt: skip
    listeners = [entry["active_state"]["listener"] for entry in parts["ListenersConfigDump"]["dynamic_listeners"]]
    assert {listener["name"] for listener in listeners} == {"public", "metrics"}
    for listener in listeners:
        assert listener["address"]["socket_address"]["address"] == "127.0.0.1"
        assert listener["per_connection_buffer_limit_bytes"] == 32 << 10
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["use_remote_address"]
        assert manager["normalize_path"]
        assert manager["merge_slashes"]
        assert manager["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
        assert manager["max_request_headers_kb"] == 32
        assert manager["request_headers_timeout"] == "10s"
        assert manager["stream_idle_timeout"] == "300s"
        assert manager["common_http_protocol_options"] == {
            "idle_timeout": "300s", "max_headers_count": 100, "headers_with_underscores_action": "REJECT_REQUEST",
        }  # fmt: skip
        assert manager["http2_protocol_options"] == {
            "max_concurrent_streams": 100, "initial_stream_window_size": 64 << 10,
            "initial_connection_window_size": 1 << 20,
        }  # fmt: skip
    clusters = parts["ClustersConfigDump"]
    for entry in [*clusters["static_clusters"], *clusters["dynamic_active_clusters"]]:
        assert entry["cluster"]["connect_timeout"] == "1s"
        assert entry["cluster"]["per_connection_buffer_limit_bytes"] == 32 << 10
    assert '"retry_on": "connect-failure,refused-stream,reset-before-request"' in text
    assert "PRIVATE KEY" not in text


async def test_envoy_finds_nothing_deprecated(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod(), needs_token=True), revoked=("t",))
    transport = httpx2.AsyncHTTPTransport(uds=str(scene.gate.admin_socket))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False) as admin:
        stats = (await admin.get("/stats", params={"filter": "runtime.deprecated|wip_"})).text
    counts = {line.partition(": ")[0]: int(line.partition(": ")[2]) for line in stats.splitlines() if ": " in line}
    assert counts["runtime.deprecated_feature_use"] == 0
    assert not {name: count for name, count in counts.items() if count}
