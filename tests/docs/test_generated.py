"""The pages that are made from the code are those that the code would make now."""

from __future__ import annotations

import json
import re
import tomllib

import advice
import generate
import pytest
import reasons
from packaging.requirements import Requirement

from taxiway.api.problems import PROBLEMS
from taxiway.settings import known_keys
from tests.docs.pages import CHECKOUT, DOCS, all_pages

PAGES = ("settings.md", "errors.md", "cli.md", "http-api.md", "openapi.json", "metrics.md", "performance.md")
WIDTH_OF_SETTINGS = 40


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Every generated page; making them takes a second."""
    return generate.pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_would_be_made(made: dict[str, str], name: str) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == made[name], "run `make docs`"


def test_there_are_no_other_generated_pages(made: dict[str, str]) -> None:
    assert set(made) == set(PAGES)


def test_every_reason_has_its_advice() -> None:
    assert set(advice.CONTROL_API) == set(PROBLEMS)
    assert set(advice.ENDPOINTS) == set(reasons.endpoint_answers())
    assert set(advice.STATUS_REASONS) == reasons.status_reasons()


def test_every_failure_has_its_advice() -> None:
    found = reasons.failure_reasons()
    # What an adapter raises becomes a failure under its own name.
    raised = reasons.error_reasons()

    assert found - set(advice.FAILURES) == set()
    assert set(advice.FAILURES) - found - raised == set()
    assert {"MissingPackage", "CrashLoop", "PredictionStuck", "IndexUnreachable", "OutOfMemory"} <= found


def test_every_class_of_errors_is_explained() -> None:
    raised = reasons.error_reasons()

    assert raised - {*advice.CONTROL_API, *advice.ENDPOINTS, *advice.FAILURES, *advice.COMMAND} == set()
    assert set(advice.COMMAND) - raised == set()
    assert {"PortInUse", "StubNotStarted", "NoSignature"} <= raised


def test_there_are_few_settings() -> None:
    assert len(known_keys()) < WIDTH_OF_SETTINGS
    assert all(known_keys().values()), "a setting without a description"


@pytest.mark.parametrize(
    ("file", "section", "most"), [("pyproject.toml", "taxiway", 20), ("scoring/pyproject.toml", "taxiway-scoring", 4)]
)
def test_every_dependency_has_its_reason(file: str, section: str, most: int) -> None:
    declared = tomllib.loads((CHECKOUT / file).read_text("utf-8"))["project"]["dependencies"]
    names = {Requirement(line).name for line in declared} - {"taxiway-scoring"}
    page = (DOCS / "reference" / "dependencies.md").read_text("utf-8")
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    explained = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}

    assert explained == names
    assert len(names) <= most


def test_every_extra_has_its_reason() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    page = (DOCS / "reference" / "dependencies.md").read_text("utf-8")
    for extra, lines in declared.items():
        text = page.split(f"\n## taxiway[{extra}]\n")[1].split("\n## ")[0]
        explained = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
        assert explained == {Requirement(line).name for line in lines}


def test_the_words_of_the_glossary_are_used() -> None:
    glossary = DOCS / "reference" / "glossary.md"
    terms = [line.split("**")[1] for line in glossary.read_text("utf-8").splitlines() if line.startswith("| **")]
    code = [*(CHECKOUT / "src").rglob("*.py"), *(CHECKOUT / "scoring" / "src").rglob("*.py")]
    used = [file.read_text("utf-8") for file in (*all_pages(), *code) if file != glossary]
    text = " ".join("\n".join(used).lower().replace("_", " ").split())

    words = [word.strip() for term in terms for word in term.split(",")]
    assert [word for word in words if word.lower() not in text] == []
    assert len(words) > 20


def test_every_dependency_of_the_console_has_its_reason() -> None:
    declared = json.loads((CHECKOUT / "console" / "package.json").read_text("utf-8"))["dependencies"]
    page = (DOCS / "reference" / "dependencies.md").read_text("utf-8").partition("## console")[2]
    assert set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)) == set(declared)
    assert len(declared) <= 14
