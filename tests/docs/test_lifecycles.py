"""The page on lifecycles says what the code says: its tables are those of the modules, word for word."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "lifecycles.md"
MODULES = {
    "Snapshots": "taxiway.domain.snapshots",
    "Revisions": "taxiway.domain.lifecycle",
    "Pods": "taxiway.domain.pods",
    "Deployments": "taxiway.domain.deployments",
    "Rollouts": "taxiway.domain.rollouts",
    "Who may do what": "taxiway.domain.people",
}


def rows(text: str) -> list[list[str]]:
    """Return the cells of all rows of tables in a text; rules between heads and bodies are left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not all(set(cell) <= {"-"} for cell in row)]


def sections() -> dict[str, str]:
    """Return what stands under each heading of the page."""
    found = {}
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading.strip()] = text
    return found


@pytest.mark.parametrize("heading", MODULES)
def test_a_table_on_the_page_is_that_of_its_module(heading: str) -> None:
    module = importlib.import_module(MODULES[heading])
    told = rows(module.__doc__ or "")
    assert len(told) > 2
    assert rows(sections()[heading]) == told


def test_every_table_on_the_page_is_a_modules() -> None:
    assert {heading for heading, text in sections().items() if rows(text)} == set(MODULES)
