"""Access tokens, checked by Envoy alone: no control plane runs in any of these tests."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.keys import FileSigner
from tests.integration.gateway.gate import DEPLOYMENT, PREFIX, Gate, Scene, a_route
from tests.integration.gateway.pods import Server
from tests.integration.gateway.test_routing import problem

pytestmark = pytest.mark.integration


async def a_guarded_pod(scene: Scene, **changes: object) -> Server:
    pod = await scene.pod()
    await scene.publish(a_route(pod, needs_token=True), **changes)  # type: ignore[arg-type]
    return pod


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(gate: Gate) -> str:
    _, payload, _ = gate.token().split(".")
    return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}."


def changed(gate: Gate) -> str:
    """A genuine signature under other claims."""
    head, payload, signature = gate.token(deployment="other").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{encoded(claims | {'dep': DEPLOYMENT})}.{signature}"


def of_another_taxiway(gate: Gate) -> str:
    stranger = Gate(root=gate.root, port=0, metrics_port=0, signer=FileSigner(gate.root / "stranger"))
    return stranger.token()


def with_our_key_id(gate: Gate) -> str:
    """Signed by a stranger's key that goes by the name of ours."""
    ours = gate.token().split(".")[0]
    _, payload, signature = of_another_taxiway(gate).split(".")
    return f"{ours}.{payload}.{signature}"


def of_another_issuer(gate: Gate) -> str:
    return gate.signer.sign({"iss": "evil", "jti": "t", "dep": DEPLOYMENT, "exp": int(time.time()) + 60})


def without_end(gate: Gate) -> str:
    return gate.signer.sign({"iss": "taxiway", "jti": "t", "dep": DEPLOYMENT})


def expired(gate: Gate) -> str:
    return gate.token(life=timedelta(seconds=-3))


async def test_a_good_token_is_let_in_and_not_passed_on(scene: Scene) -> None:
    await a_guarded_pod(scene)
    answer = await scene.client.post(f"{PREFIX}invocations", headers=bearer(scene.gate.token()))
    assert answer.status_code == 200
    assert "authorization" not in answer.json()["headers"]


@pytest.mark.parametrize(
    "forge",
    [unsigned, changed, of_another_taxiway, with_our_key_id, of_another_issuer, without_end, expired,
     lambda _: "twy_abc", lambda _: ".", lambda gate: gate.token() + "x"],
)  # fmt: skip
async def test_what_is_not_a_token_of_ours_is_401(scene: Scene, forge: object) -> None:
    pod = await a_guarded_pod(scene)
    assert callable(forge)
    answer = await scene.client.post(f"{PREFIX}invocations", headers=bearer(forge(scene.gate)))
    assert problem(answer, 401)["error_code"] == "UNAUTHENTICATED"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not pod.asked


async def test_a_token_in_the_query_or_a_cookie_is_no_token(scene: Scene) -> None:
    await a_guarded_pod(scene)
    token = scene.gate.token()
    for path, headers in (
        ("invocations", {}), (f"invocations?access_token={token}", {}), ("invocations", {"Cookie": f"token={token}"}),
        ("invocations", {"X-Forwarded-Authorization": f"Bearer {token}"}),
    ):  # fmt: skip
        problem(await scene.client.get(f"{PREFIX}{path}", headers=headers), 401)


async def test_another_deployments_token_is_403(scene: Scene) -> None:
    pod = await a_guarded_pod(scene)
    answer = await scene.client.post(f"{PREFIX}invocations", headers=bearer(scene.gate.token(deployment="other")))
    assert problem(answer, 403)["error_code"] == "PERMISSION_DENIED"
    assert not pod.asked


async def test_each_of_both_keys_counts(scene: Scene) -> None:
    await a_guarded_pod(scene)
    folder = scene.gate.root / "turned" / "signing"
    folder.mkdir(parents=True, mode=0o700)
    for source, target in (("second", "first"), ("first", "second")):
        content = (scene.gate.root / "keys" / "signing" / f"{source}.pem").read_bytes()
        _private(folder / f"{target}.pem", content)
    turned = Gate(root=scene.gate.root, port=0, metrics_port=0, signer=FileSigner(folder.parent))
    for token in (scene.gate.token(), turned.token()):
        assert (await scene.client.get(f"{PREFIX}ping", headers=bearer(token))).status_code == 200


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


async def test_a_revoked_token_is_403_within_two_seconds_and_others_go_on(scene: Scene) -> None:
    pod = await a_guarded_pod(scene)
    first, second = scene.gate.token(key="first"), scene.gate.token(key="second")
    for token in (first, second):
        assert (await scene.client.get(f"{PREFIX}ping", headers=bearer(token))).status_code == 200
    before = (scene.gate.home / "listeners.json").stat()
    began = time.monotonic()
    await scene.publish(a_route(pod, needs_token=True), revoked=("first",))
    while (answer := await scene.client.get(f"{PREFIX}ping", headers=bearer(first))).status_code == 200:
        assert time.monotonic() - began < 2
    assert time.monotonic() - began < 2
    problem(answer, 403)
    assert (await scene.client.get(f"{PREFIX}ping", headers=bearer(second))).status_code == 200
    assert (scene.gate.home / "listeners.json").stat() == before
    await scene.publish(a_route(pod, needs_token=True))
    assert (await scene.client.get(f"{PREFIX}ping", headers=bearer(first))).status_code == 200


async def test_thousands_may_be_revoked(scene: Scene) -> None:
    pod = await a_guarded_pod(scene)
    many = tuple(f"{number:028x}" for number in range(3000))
    await scene.publish(a_route(pod, needs_token=True), revoked=many)
    for key, status in ((many[0], 403), (many[-1], 403), (f"{4000:028x}", 200)):
        answer = await scene.client.get(f"{PREFIX}ping", headers=bearer(scene.gate.token(key=key)))
        assert answer.status_code == status


async def test_a_token_ends_when_it_says(scene: Scene) -> None:
    await a_guarded_pod(scene)
    token = scene.gate.token(life=timedelta(seconds=1))
    assert (await scene.client.get(f"{PREFIX}ping", headers=bearer(token))).status_code == 200
    deadline = time.monotonic() + 5
    while (await scene.client.get(f"{PREFIX}ping", headers=bearer(token))).status_code == 200:
        assert time.monotonic() < deadline, "an expired token still counts"


async def test_an_open_endpoint_takes_anybody_and_anything(scene: Scene) -> None:
    pod = await scene.pod()
    await scene.publish(a_route(pod), revoked=("token1",))
    for headers in ({}, bearer("nonsense"), bearer(scene.gate.token(deployment="other"))):
        answer = await scene.client.get(f"{PREFIX}ping", headers=headers)
        assert answer.status_code == 200
        assert "authorization" not in answer.json()["headers"]


async def test_without_pods_a_guarded_endpoint_still_asks_for_a_token(scene: Scene) -> None:
    await scene.publish(a_route(needs_token=True))
    problem(await scene.client.get(f"{PREFIX}ping"), 401)
    problem(await scene.client.get(f"{PREFIX}ping", headers=bearer(scene.gate.token())), 503)
