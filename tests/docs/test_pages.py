"""What pages say exists: links, commands, settings, reasons, metrics, routes, code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import advice
import generate
import pytest
import typer.main

from taxiway.cli import application
from taxiway.settings import OTHER_VARIABLES, Section, Settings, known_keys, provider_keys
from taxiway.telemetry.metrics import ControlMetrics
from taxiway_scoring.telemetry import METRICS
from tests.docs.pages import (
    CHECKOUT,
    DOCS,
    all_pages,
    anchors,
    arguments_of,
    blocks,
    command_lines,
    inline_code,
    links,
    name_of,
    written_pages,
)

COMMAND: Any = typer.main.get_command(application)
REASONS = {*advice.CONTROL_API, *advice.ENDPOINTS, *advice.FAILURES, *advice.COMMAND, *advice.STATUS_REASONS}
METRIC_NAMES = {
    *(generate.sample_name(metric.name, metric.type) for metric in ControlMetrics().registry.collect()),
    *METRICS,
}
NO_METRICS = ("taxiway_scoring", "taxiway_invariants")
COMES_LATER = re.compile(r"\b(?:kubernetes|grafana|jaeger|backup command)\b", re.IGNORECASE)
TELLS_WHAT_COMES_LATER = ("docs/README.md", "docs/reference/glossary.md", "docs/decisions/")
every_page = pytest.mark.parametrize("page", all_pages(), ids=name_of)
every_written_page = pytest.mark.parametrize("page", written_pages(), ids=name_of)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(CHECKOUT), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", [page for page in all_pages() if page.name != "cli.md"], ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    for command in command_lines(page):
        complaint = parse(arguments_of(command))
        assert complaint is None, f"{command}: {complaint}"


def parse(arguments: list[str]) -> str | None:
    """Parse a command line as the command does, without running it; return what it complains of."""
    command = COMMAND
    left = list(arguments)
    while hasattr(command, "commands") and left:
        if left[0] == "--help":
            return None
        if left[0] not in command.commands:
            return f"there is no command {left[0]}"
        command = command.commands[left.pop(0)]
    if hasattr(command, "commands") or not left or "--help" in left:
        return None  # a command that is only named
    try:
        command.make_context("taxiway", left, resilient_parsing=False)
    except typer.TyperException as error:
        return str(error)
    return None


def test_an_unknown_command_or_option_is_found() -> None:
    assert parse(["modle", "list"]) is not None
    assert parse(["model", "list", "--colour"]) is not None
    assert parse(["model", "convert", "RUN_ID"]) is not None, "--name is needed"
    assert parse(["model", "convert", "RUN_ID", "--name", "fraud"]) is None


@every_page
def test_variables_and_settings_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    variables = {
        f"TAXIWAY_{key.replace('.', '__').upper()}" for key in known_keys() | provider_keys()
    } | OTHER_VARIABLES
    assert set(re.findall(r"TAXIWAY_[A-Z0-9_]*[A-Z0-9]", text)) - variables == set()
    sections = "|".join(name for name, field in Settings.model_fields.items() if _is_section(field.annotation))
    for code in inline_code(page):
        if re.fullmatch(rf"(?:{sections})\.[a-z_]+", code) and not code.endswith((".py", ".md", ".toml")):
            assert code in known_keys() | provider_keys(), code


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


@every_written_page
def test_settings_files_are_understood(page: Path) -> None:
    import tomllib

    for block in blocks(page):
        if block.language == "toml":
            Settings.model_validate(tomllib.loads(block.text))


@every_written_page
def test_reasons_exist(page: Path) -> None:
    """A CamelCase word in a table's first column or in brackets, as the command line prints it, is a reason."""
    text = page.read_text("utf-8")
    named = set(re.findall(r"^\| `([A-Z][a-z]+(?:[A-Z][a-z]+)+)` \|", text, re.MULTILINE))
    named |= set(re.findall(r"\[([A-Z][a-z]+(?:[A-Z][a-z]+)+)\](?!\()", text))
    named |= set(re.findall(r'"reason": ?"(\w+)"', text))
    named |= set(re.findall(r"urn:taxiway:problem:(\w+)", text))
    assert set(re.findall(r"urn:taxiway:(\w+)", text)) <= {"problem"}
    assert named - REASONS == set()


@every_page
def test_metrics_exist(page: Path) -> None:
    for metric in re.findall(r"\btaxiway_[a-z_]+\b", page.read_text("utf-8")):
        base = re.sub(r"_(?:bucket|sum|count)$", "", metric)
        assert metric in METRIC_NAMES or base in METRIC_NAMES or metric in NO_METRICS, metric


def test_log_events_exist() -> None:
    """Every phrase of the table of log lines is one that the code logs."""
    page = (DOCS / "howto" / "observe.md").read_text("utf-8")
    rows = page.split("| event |")[1].split("\n\n")[0].splitlines()[2:]
    named = [row.split("`")[1] for row in rows]
    code = "\n".join(file.read_text("utf-8") for file in (CHECKOUT / "src").rglob("*.py"))
    logged = set(re.findall(r"log\.(?:info|warning|error|exception|critical)\(\s*\"([^\"]+)\"", code))

    assert len(named) > 8
    assert set(named) - logged == set()


@pytest.fixture(scope="module")
def routes() -> list[re.Pattern[str]]:
    """Every route of the control API, as a pattern in which anything may stand for a parameter."""
    return [re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z") for path in generate.openapi()["paths"]]


@every_written_page
def test_routes_exist(page: Path, routes: list[re.Pattern[str]]) -> None:
    text = re.sub(r"\\\n\s*", " ", page.read_text("utf-8"))
    for path in re.findall(r"/api/v1(?:/[\w{}$.-]+)*", text):
        plain = re.sub(r"\$\w+", "x", path).rstrip(".")
        assert plain == "/api/v1" or any(route.match(plain) for route in routes), path


@every_page
def test_code_is_well_formed(page: Path) -> None:
    for block in blocks(page):
        match block.language:
            case "python":
                ast.parse(block.text)
            case "json":
                json.loads(block.text)


@pytest.mark.parametrize(
    "page", [page for page in written_pages() if not name_of(page).startswith(TELLS_WHAT_COMES_LATER)], ids=name_of
)
def test_nothing_is_told_that_does_not_exist_yet(page: Path) -> None:
    assert COMES_LATER.findall(page.read_text("utf-8")) == []


def test_the_index_names_every_page() -> None:
    named = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "README.md") if ":" not in link}
    decisions = DOCS / "decisions"
    pages = {page for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page.parent != decisions}
    assert pages - named == set()
    assert decisions / "README.md" in named


def test_files_have_a_language_on_every_block() -> None:
    """Blocks without a language would escape the other tests."""
    bare = [
        name_of(page) for page in written_pages() if page.is_relative_to(DOCS) for b in blocks(page) if not b.language
    ]
    assert bare == []
