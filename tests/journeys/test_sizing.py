"""A staging model is sized: loaded through the gateway in steps, with what its pod used, and flags that work."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.journeys.test_rollouts import convert
from tests.platforms import Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.mark.usefixtures("clears_production")
def test_a_model_is_sized_and_promoted_as_recommended(platform: Platform) -> None:
    name = f"planted/{convert(platform, 'good')}"
    asked = ("--rate", "20", "--max-rate", "20", "--step", "22", "--max-p99", "2000", "--expected", "10")
    told = json.loads(platform.command("model", "size", name, *asked, "--json").stdout)
    [step] = told["steps"]
    assert step["achieved"] == pytest.approx(20, rel=0.3)
    assert step["errors"] == 0
    assert 0 < step["p50_ms"] <= step["p99_ms"] <= 2000
    assert step["cpus"] > 0
    assert step["memory_bytes"] > 10 * 2**20
    assert told["knee"]["rate"] == 20
    with platform.client() as client:
        tokens = client.tokens("planted", int(name.split("/")[1])).items
    assert [token.revoked_at is not None for token in tokens if token.caller == "taxiway model size"] == [True]
    wish = ("--to", "planted-acme", "--customer", "Acme", "--reason", "It was sized.", "--dry-run")
    platform.command("production", "promote", name, *shlex.split(told["flags"]), *wish)


def test_a_request_that_the_endpoint_refuses_is_no_load(platform: Platform) -> None:
    name = f"planted/{convert(platform, 'good')}"
    ended = platform.command("model", "size", name, "--token", "wrong", check=False)
    assert ended.returncode == 1
    assert "The endpoint answered 401 to a single request." in ended.stderr
