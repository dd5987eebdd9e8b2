"""A world for each test, copied from one that was filled once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.world import Secrets, World, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Secrets]:
    file = tmp_path_factory.mktemp("api") / "template.db"
    return file, asyncio.run(make_template(file))


@pytest.fixture
async def world(template: tuple[Path, Secrets], tmp_path: Path) -> AsyncIterator[World]:
    file, secrets = template
    shutil.copy(file, tmp_path / "taxiway.db")
    made = World(tmp_path / "taxiway.db", secrets)
    made.fill_fakes()
    yield made
    await made.database.close()
