"""What holds for every answer: hosts, headers, request ids, bodies, rates, unhandled errors, the log and metrics."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from starlette.datastructures import Headers

from taxiway.api.console import NONCE, document
from taxiway.api.limits import MOST_KEYS, RateLimiter, Slots
from taxiway.api.origins import host_name, is_known_host, is_same_site, source_of
from taxiway.domain.errors import TooManyRequests
from tests.api.world import RUN, VERSION, World

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.mark.parametrize(
    "path", ["/mlflow", "/metrics", "/api/v1/health", "/api/v1/session", "/api/v1/nothing", VERSION, f"{RUN}/artifacts"]
)
async def test_every_answer_has_the_headers(world: World, path: str) -> None:
    for client in (world.client(), world.speak_as("member")):
        answer = await client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:9999", 200),
        ("evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost:80:80", 421),
        ("", 421),
    ],
)
async def test_only_our_own_host_names_are_answered(world: World, host: str, status: int) -> None:
    answer = await world.client({"Host": host}).get("/api/v1/health")

    assert answer.status_code == status
    if status == 421:
        assert answer.json()["reason"] == "UnknownHost"


def test_two_host_headers_name_nobody() -> None:
    twice = Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")])

    assert not is_known_host(twice, {"localhost"})
    assert host_name("[::1]:8080") == "[::1]"


@pytest.mark.parametrize(
    ("method", "headers", "is_let_in"),
    [
        ("GET", {"sec-fetch-site": "cross-site"}, True),
        ("POST", {"sec-fetch-site": "same-origin"}, True),
        ("POST", {"sec-fetch-site": "none"}, True),
        ("POST", {"sec-fetch-site": "same-site"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "origin": "http://a:8080"}, False),
        ("DELETE", {"origin": "http://a:8080"}, True),
        ("PUT", {"origin": "http://A:8080"}, True),
        ("PUT", {"origin": "https://a:8080"}, True),
        ("PUT", {"origin": "http://a:8081"}, False),
        ("PUT", {"origin": "http://a"}, False),
        ("PATCH", {"origin": "null"}, False),
        ("PATCH", {"origin": "file://a:8080"}, False),
        ("PATCH", {"origin": "http://[a:8080"}, False),
        ("POST", {}, False),
    ],
)
def test_what_another_site_sent_is_told_by_the_headers(method: str, headers: dict[str, str], is_let_in: bool) -> None:
    assert is_same_site(method, Headers({"host": "a:8080"} | headers)) is is_let_in


@pytest.mark.parametrize(
    ("server", "headers", "source"),
    [
        (("/run/control.sock", None), {"x-envoy-external-address": "192.0.2.9"}, "192.0.2.9"),
        (("/run/control.sock", None), {"x-forwarded-for": "198.51.100.1, 192.0.2.9"}, "192.0.2.9"),
        (("/run/control.sock", None), {"x-forwarded-for": "<script>"}, ""),
        (("127.0.0.1", 8080), {"x-forwarded-for": "192.0.2.9", "x-envoy-external-address": "192.0.2.9"}, "10.0.0.1"),
    ],
)
def test_only_the_gateway_says_where_a_request_came_from(
    server: tuple[str, int | None], headers: dict[str, str], source: str
) -> None:
    assert source_of({"server": server, "client": ("10.0.0.1", 1)}, Headers(headers)) == source


async def test_a_request_id_is_kept_when_it_is_plain_and_replaced_when_not(world: World) -> None:
    kept = await world.client({"X-Request-Id": "abc-1"}).get("/api/v1/session")
    other = await world.client({"X-Request-Id": "<b>"}).get("/api/v1/session")

    assert (kept.headers["x-request-id"], kept.json()["instance"]) == ("abc-1", "abc-1")
    assert other.headers["x-request-id"] not in ("", "<b>")


@pytest.mark.parametrize(("size", "status"), [(1 << 20, 400), ((1 << 20) + 1, 413)])
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_bodies_have_a_limit(world: World, size: int, status: int, is_chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 65536):
            yield b"x" * min(65536, size - start)

    body = chunks() if is_chunked else b"x" * size
    answer = await world.speak_as("admin").post(
        "/api/v1/projects",
        content=body,
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert "xxx" not in answer.text


async def test_who_asks_too_often_must_wait_and_others_need_not(world: World) -> None:
    world.limits = {"rate": 20.0, "burst": 100, "clock": world.clock.elapsed}
    member, stranger = world.speak_as("member"), world.speak_as("stranger")
    statuses = [(await member.get("/api/v1/session")).status_code for _ in range(101)]
    refused = await member.get("/api/v1/session")

    assert statuses == [200] * 100 + [429]
    assert (refused.json()["reason"], refused.headers["retry-after"]) == ("TooManyRequests", "1")
    assert (await stranger.get("/api/v1/session")).status_code == 200
    assert (await world.client().get("/api/v1/health")).status_code == 200
    world.clock.advance(0.05)
    assert (await member.get("/api/v1/session")).status_code == 200


def test_rates_are_remembered_of_so_many_only() -> None:
    limiter = RateLimiter(rate=1, burst=1, clock=lambda: 0.0)
    limiter.take("first")
    for number in range(MOST_KEYS):
        limiter.take(str(number))

    limiter.take("first")
    with pytest.raises(TooManyRequests):
        limiter.take(str(MOST_KEYS - 1))


def test_slots_are_given_back() -> None:
    slots = Slots(1)
    with slots.hold("ada"), pytest.raises(TooManyRequests), slots.hold("ada"):
        pass
    with slots.hold("ada"), slots.hold("bob"):
        pass


async def test_an_unhandled_error_says_nothing_of_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret-canary in /etc/passwd")

    monkeypatch.setattr(world.services.projects, "search", fail)
    with structlog.testing.capture_logs() as lines:
        answer = await world.speak_as("admin").get("/api/v1/projects")

    assert (answer.status_code, answer.json()["reason"]) == (500, "Internal")
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    failed = [line for line in lines if line["event"] == "request failed"]
    assert [line["request_id"] for line in failed] == [answer.json()["instance"]]


async def test_the_log_line_names_the_route_and_not_the_path_query_or_token(world: World) -> None:
    with structlog.testing.capture_logs() as lines:
        await world.speak_as("member").get(f"{RUN}/artifacts", params={"path": "canary"})
        await world.client().get("/canary?canary=1")

    assert [(line["route"], line["status"], line["principal"]) for line in lines] == [
        ("/api/v1/projects/{project}/runs/{run}/artifacts", 200, "member"),
        ("unmatched", 404, ""),
    ]
    assert "canary" not in str(lines)
    assert world.secrets.tokens["member"] not in str(lines)


async def test_requests_logins_and_denials_are_counted(world: World) -> None:
    await world.speak_as("member").get("/api/v1/users")
    await world.http.post(
        "/api/v1/session", json={"name": "member", "password": "wrong"}, headers={"Sec-Fetch-Site": "none"}
    )
    text = (await world.client().get("/metrics")).text

    assert 'taxiway_api_requests_total{method="GET",route="/api/v1/users",status="403"} 1.0' in text
    assert 'taxiway_denials_total{reason="NotAllowed"} 1.0' in text
    assert 'taxiway_logins_total{outcome="failed"} 1.0' in text


async def test_the_tracking_page_needs_nothing_from_elsewhere(world: World) -> None:
    answer = await world.client().get("/mlflow")

    assert "http://localhost:8080/mlflow" in answer.text
    assert "<script" not in answer.text
    assert "src=" not in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]


def a_console(directory: Path) -> Path:
    (directory / "index.html").write_text(f'<meta name="csp-nonce" content="{NONCE}">', "utf-8")
    return directory


def test_the_console_is_another_document_each_time(tmp_path: Path) -> None:
    first, second = (document(a_console(tmp_path), version="1", url="http://x") for _ in range(2))
    nonces = [re.findall(r"content=\"([^\"]+)\"", bytes(answer.body).decode()) for answer in (first, second)]
    assert nonces[0] != nonces[1]
    for answer, (nonce,) in zip((first, second), nonces, strict=True):
        policy = answer.headers["content-security-policy"]
        assert f"'nonce-{nonce}'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-cache"


def test_without_a_built_console_the_page_says_how_to_build_it(tmp_path: Path) -> None:
    answer = document(tmp_path, version="1<2", url="http://x")
    assert b"make console" in bytes(answer.body)
    assert b"1&lt;2" in bytes(answer.body)


@pytest.mark.parametrize("name", ["..%2f..%2fsettings.py", "%2e%2e", ".env", "x/y", "a" * 200])
async def test_no_other_file_is_an_asset(world: World, name: str) -> None:
    assert (await world.client().get(f"/assets/{name}")).status_code == 404
