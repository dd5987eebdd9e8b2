"""One Envoy for all tests of the gateway that leave it whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.gateway.gate import Gate, Scene, a_gate


@pytest.fixture(scope="package")
def gate() -> Iterator[Gate]:
    with a_gate() as made:
        yield made


@pytest.fixture
async def scene(gate: Gate) -> AsyncIterator[Scene]:
    made = Scene(gate)
    yield made
    await made.close()
