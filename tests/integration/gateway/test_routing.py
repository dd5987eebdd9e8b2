"""Where requests go, what is taken from them on the way, and what Envoy answers by itself."""

from __future__ import annotations

import asyncio
import json
import re
import time

import httpx2
import pytest

from taxiway.domain.ids import DeploymentId, RevisionId
from taxiway.domain.routing import Backend, EndpointRoute, RoutingTable
from tests.integration.gateway.gate import DEPLOYMENT, PREFIX, Scene, a_route
from tests.integration.gateway.pods import Asked, Reply

pytestmark = pytest.mark.integration


def problem(answer: httpx2.Response, status: int) -> dict[str, object]:
    """Check that an answer is a problem that both our clients and MLflow's understand."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"] == document["message"]
    assert document["error_code"]
    assert document["reason"] == document["title"]
    assert isinstance(document, dict)
    return document


async def test_an_endpoints_prefix_is_removed_on_the_way_to_its_pod(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod), a_route(prefix="/production/scores/", deployment="other"))
    answer = await scene.client.post(f"{PREFIX}invocations?a=1", content=b"12345")
    assert answer.status_code == 200
    assert (answer.json()["pod"], answer.json()["path"], answer.json()["body_bytes"]) == ("p1", "/invocations?a=1", 5)
    assert answer.headers["x-taxiway-revision"] == "0000rev1"
    assert answer.headers["server"] == "taxiway"


async def test_what_callers_show_us_never_reaches_a_pod(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod))
    sent = {
        "Authorization": "Bearer x.y.z", "Cookie": "taxiway-session=s", "X-Taxiway-Pod": "me",
        "X-Envoy-Retry-On": "5xx", "X-Envoy-External-Address": "9.9.9.9", "X-Envoy-Upstream-Rq-Timeout-Ms": "1",
        "X-Forwarded-For": "9.9.9.9", "X-Forwarded-Host": "evil", "Forwarded": "for=9.9.9.9",
        "X-Request-Id": "mine-1", "X-Own": "kept",
    }  # fmt: skip
    answer = await scene.client.get(f"{PREFIX}ping", headers=sent)
    got = answer.json()["headers"]
    names = set(got) & {name.lower() for name in sent}
    assert names == {"x-request-id", "x-own", "x-envoy-external-address"}
    assert got["x-envoy-external-address"] == "127.0.0.1"
    assert answer.headers["x-request-id"] == got["x-request-id"] == "mine-1"


async def test_what_a_pod_says_cannot_reach_beyond_its_endpoint(scene: Scene) -> None:
    async def hostile(_: Asked) -> Reply:
        said = {
            "Set-Cookie": "taxiway-session=mine", "Clear-Site-Data": "*", "Server": "evil", "Alt-Svc": "h3=:1",
            "X-Taxiway-Revision": "another", "Content-Security-Policy": "default-src *", "Content-Type": "text/html",
        }  # fmt: skip
        return Reply(body=b"<script>1</script>", headers=said)

    await scene.publish(a_route(await scene.pod(answer=hostile)))
    answer = await scene.client.get(f"{PREFIX}docs")
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-taxiway-revision"] == "0000rev1"
    assert answer.headers["server"] == "taxiway"
    assert not {"set-cookie", "clear-site-data", "alt-svc"} & set(answer.headers)


async def test_everything_else_goes_to_the_control_plane_as_it_came(scene: Scene) -> None:
    await scene.control()
    await scene.publish()
    for path in ("/", "/api/v1/models?x=1", "/mlflow/api/2.0/mlflow/runs/search", "/stagingx", "/docs"):
        answer = await scene.client.get(path, headers={"Authorization": "Bearer twy_1", "Cookie": "c=1"})
        assert answer.json()["pod"] == "control"
        assert answer.json()["path"] == path
        got = answer.json()["headers"]
        assert (got["authorization"], got["cookie"]) == ("Bearer twy_1", "c=1")
        assert got["x-envoy-external-address"] == "127.0.0.1", got
        assert got["x-forwarded-proto"] == "http"


@pytest.mark.parametrize(
    "path", ["/staging", "/staging/", "/staging/fraud/scores/2/invocations", "/production/no/ping", "/metrics",
             "/staging/fraud/scores/1", "/staging/other/../fraud/scores/9/ping", "/metrics/gateway"]
)  # fmt: skip
async def test_unknown_endpoints_are_answered_here(scene: Scene, path: str) -> None:
    control = await scene.control()
    await scene.publish(a_route(await scene.pod()))
    assert problem(await scene.client.get(path), 404)["error_code"] == "ENDPOINT_NOT_FOUND"
    assert not control.asked


async def test_dots_and_double_slashes_lead_nowhere_else(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    assert b"ENDPOINT_NOT_FOUND" in await raw(scene, "GET //staging/x HTTP/1.1")
    answer = await raw(scene, f"GET {PREFIX}x/..//./ping HTTP/1.1")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/ping"
    for evil in ("%2f", "%2F", "%5c"):
        answer = await raw(scene, f"GET {PREFIX}a{evil}b HTTP/1.1")
        assert b" 400 " in answer.split(b"\r\n")[0]
        assert b"BAD_REQUEST" in answer
    queried = await scene.client.get(f"{PREFIX}ping?q=a%2Fb")
    assert queried.json()["path"] == "/ping?q=a%2Fb"


async def raw(scene: Scene, head: str, *headers: str) -> bytes:
    """Send a request as it stands, and read its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.gate.port)
    lines = [head, "Host: localhost", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = re.search(rb"content-length: (\d+)", answer)
    assert length is not None
    answer += await reader.readexactly(int(length[1]))
    writer.close()
    return answer


async def test_an_endpoint_without_pods_says_so_at_once(scene: Scene) -> None:
    await scene.publish(a_route())
    began = time.monotonic()
    answer = await scene.client.post(f"{PREFIX}invocations", content=b"x")
    assert problem(answer, 503)["reason"] == "NotReady"
    assert answer.headers["retry-after"] == "1"
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("leaves_socket", [True, False])
async def test_a_dead_pod_is_503_at_once_and_found_again_without_us(scene: Scene, *, leaves_socket: bool) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod))
    assert (await scene.client.get(f"{PREFIX}ping")).status_code == 200
    await pod.die(leaves_socket=leaves_socket)
    began = time.monotonic()
    for _ in range(20):
        answer = await scene.client.post(f"{PREFIX}invocations", content=b"x")
        assert problem(answer, 503)["reason"] == "NotReady"
        assert answer.headers["retry-after"] == "1"
    assert time.monotonic() - began < 2
    await scene.pod()
    assert (await scene.client.get(f"{PREFIX}ping")).status_code == 200


async def test_a_dead_control_plane_is_503_and_endpoints_go_on(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    for path in ("/api/v1/health", "/mlflow/api/2.0/mlflow/experiments/search", "/"):
        answer = await scene.client.get(path)
        assert problem(answer, 503)["reason"] == "Unavailable"
        assert answer.headers["retry-after"] == "1"
    assert (await scene.client.get(f"{PREFIX}ping")).status_code == 200


async def test_of_two_pods_one_may_die_under_load(scene: Scene) -> None:
    async def slow(asked: Asked) -> Reply:
        await asyncio.sleep(0.01)
        return Reply(body=b"{}")

    one, two = await scene.pod("p1", slow), await scene.pod("p2", slow)
    await scene.publish(a_route(one, two))
    await asyncio.gather(*(scene.client.get(f"{PREFIX}ping") for _ in range(40)))
    assert one.asked
    assert two.asked
    await asyncio.sleep(0.05)
    await one.die()
    answers = await asyncio.gather(*(scene.client.post(f"{PREFIX}invocations", content=b"x") for _ in range(200)))
    assert [answer.status_code for answer in answers] == [200] * 200


async def test_a_slow_pod_is_504_after_its_own_time_and_not_asked_again(scene: Scene) -> None:
    async def never(_: Asked) -> Reply:
        await asyncio.sleep(60)
        return Reply()

    pod = await scene.pod(answer=never)
    await scene.publish(a_route(pod, timeout_seconds=0.3))
    began = time.monotonic()
    assert problem(await scene.client.post(f"{PREFIX}invocations"), 504)["error_code"] == "DEADLINE_EXCEEDED"
    assert 1.2 < time.monotonic() - began < 2
    assert len(pod.asked) == 1


async def test_a_request_that_reached_a_pod_is_never_sent_twice(scene: Scene) -> None:
    async def dies(_: Asked) -> Reply:
        await asyncio.gather(pod.die(), other.die())
        return Reply()

    pod, other = await scene.pod("p1", dies), await scene.pod("p2", dies)
    await scene.publish(a_route(pod, other))
    answer = await scene.client.post(f"{PREFIX}invocations", content=b"x")
    assert problem(answer, 503)
    assert len(pod.asked) + len(other.asked) == 1


async def test_weights_are_kept(scene: Scene) -> None:
    old, new = await scene.pod("old"), await scene.pod("new")
    route = EndpointRoute(
        prefix=PREFIX, deployment=DeploymentId(DEPLOYMENT), needs_token=False,
        backends=(
            Backend(revision=RevisionId("r1"), addresses=(old.address,), weight=80),
            Backend(revision=RevisionId("r2"), addresses=(new.address,), weight=20),
            Backend(revision=RevisionId("r3"), addresses=(), weight=0),
        ),
    )  # fmt: skip
    await scene.publish(route)
    answers = [await scene.client.get(f"{PREFIX}ping") for _ in range(300)]
    seen = [answer.headers["x-taxiway-revision"] for answer in answers]
    assert 30 <= seen.count("r2") <= 95
    assert seen.count("r1") + seen.count("r2") == 300


async def test_pods_may_have_internet_addresses(scene: Scene) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntcp")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await scene.publish(a_route(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert (await scene.client.get(f"{PREFIX}ping")).text == "tcp"
    server.close()


async def test_metrics_are_on_a_port_of_their_own_and_nothing_else_is(scene: Scene) -> None:
    await scene.control()
    pod = await scene.pod()
    await scene.publish(a_route(pod))
    assert (await scene.metrics.get("/metrics")).json()["path"] == "/metrics"
    gateway = await scene.metrics.get("/metrics/gateway")
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="0000rev1"}' in gateway.text
    assert (await scene.metrics.get("/metrics/pods/0000rev1")).json()["path"] == "/metrics"
    for path in ("/config_dump", "/metrics/gateway/x", "/quitquitquit", "/", "/api/v1/models", "/metrics/pods/x"):
        assert (await scene.metrics.get(path)).status_code == 404
    assert (await scene.metrics.post("/metrics/gateway")).status_code == 404
    rebound = await scene.metrics.get("/metrics/gateway", headers={"Host": "evil.example"})
    assert rebound.status_code == 404


async def test_the_access_log_has_no_secrets(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod(), needs_token=True))
    token = scene.gate.token()
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "find-me"}
    answer = await scene.client.post(f"{PREFIX}invocations?key=QUERYSECRET", content=b"BODYSECRET", headers=headers)
    assert answer.status_code == 200

    def logged() -> list[str]:
        log = (scene.gate.child / "log").rglob("*")
        return [line for path in log if path.is_file() for line in path.read_text().splitlines()]

    for _ in range(200):
        lines = [line for line in logged() if "find-me" in line]
        if lines:
            break
        await asyncio.sleep(0.02)
    found = re.search(r"\{.*\}", lines[0])
    assert found is not None
    line = json.loads(found.group())
    expected = {
        "method": "POST", "path": f"{PREFIX}invocations", "status": 200, "request_id": "find-me", "bytes_in": 10,
        "deployment": DEPLOYMENT, "revision": "0000rev1", "caller": "shop", "event": "request",
    }  # fmt: skip
    assert {key: line[key] for key in expected} == expected
    assert not [text for text in logged() if "SECRET" in text or token in text or token.split(".")[2] in text]


async def test_http2_works_too(scene: Scene) -> None:
    await scene.publish(a_route(await scene.pod()))
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.gate.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    settings = await asyncio.wait_for(reader.readexactly(9), 5)
    assert settings[3] == 4
    body = await reader.readexactly(int.from_bytes(settings[:3], "big"))
    values = {int.from_bytes(body[at : at + 2], "big"): int.from_bytes(body[at + 2 : at + 6], "big")
              for at in range(0, len(body), 6)}  # fmt: skip
    assert values[3] == 100
    assert values[4] == 64 << 10
    writer.close()


async def test_a_table_for_nothing_is_in_force_at_once(scene: Scene) -> None:
    table = await scene.publish()
    assert table == RoutingTable()
