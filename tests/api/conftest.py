"""A world for each test, copied from one that was filled once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from tests.api.world import Secrets, World, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Secrets]:
    file = tmp_path_factory.mktemp("api") / "template.db"
    return file, asyncio.run(make_template(file))


def _drop(_logger: object, _method: str, _event: MutableMapping[str, Any]) -> NoReturn:
    raise structlog.DropEvent


@pytest.fixture(autouse=True, scope="package")
def quiet() -> Iterator[None]:
    """Keep the line a request out of the reports of failed tests."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


@pytest.fixture
async def world(template: tuple[Path, Secrets], tmp_path: Path) -> AsyncIterator[World]:
    file, secrets = template
    shutil.copy(file, tmp_path / "taxiway.db")
    made = World(tmp_path / "taxiway.db", secrets)
    made.fill_fakes()
    yield made
    await made.database.close()
