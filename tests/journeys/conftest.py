"""One platform for all journeys; each works in models of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.platforms import Platform, a_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A real platform: costs about 20 s once."""
    with a_platform() as running:
        yield running


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment in which nobody did anything but install Taxiway from its own sources."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    uv, root = find_uv_bin(), Path(__file__).parents[2]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], check=True)
    python = home / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--python", str(python), str(root / "scoring"), str(root)]
    subprocess.run(install, check=True, timeout=300)
    return python


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
