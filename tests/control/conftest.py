from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control.harness import ControlPlane, World, a_world


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await a_world(tmp_path)


@pytest.fixture
async def plane(world: World) -> AsyncIterator[ControlPlane]:
    """A control plane that just started, and nothing converted yet."""
    made = ControlPlane(world)
    yield made
    await made.close()
