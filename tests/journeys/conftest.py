"""One platform for all journeys; each works in models of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.platforms import Platform, a_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A real platform: costs about 20 s once."""
    with a_platform() as running:
        yield running


@pytest.fixture
def clears_production(platform: Platform) -> Iterator[None]:
    """Delete what a test put into production: the host has room for so much at once."""
    yield
    with platform.client() as client:
        for deployment in client.production().items:
            client.delete_production(deployment.name)
        until = time.monotonic() + 60
        while client.production().items:
            assert time.monotonic() < until, "a production deployment was not deleted"
            time.sleep(0.2)
