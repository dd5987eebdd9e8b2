"""One platform for the failures that leave it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.platforms import Platform, a_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A real platform: costs about 20 s once."""
    with a_platform() as running:
        yield running
