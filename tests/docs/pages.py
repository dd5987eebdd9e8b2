"""Reads the repository's Markdown: pages, links, fenced blocks, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
ROOTS = ("docs", "changelog.d", "scoring", "examples", "deploy", "benchmarks")
TUTORIALS = tuple(sorted((DOCS / "tutorial").glob("*.md")))
_FENCE = re.compile(r"^```(\w*)[ ]*(?:title=\"([^\"]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: its language, its title (a file name, or ``answer``) and its text."""

    language: str
    title: str
    text: str


@cache
def all_pages() -> tuple[Path, ...]:
    """Return every Markdown page of the repository."""
    below = [page for root in ROOTS for page in (CHECKOUT / root).rglob("*.md")]
    return tuple(sorted([*CHECKOUT.glob("*.md"), *below]))


def written_pages() -> tuple[Path, ...]:
    """Return the pages that people wrote."""
    return tuple(page for page in all_pages() if "<!-- Made from the code" not in page.read_text("utf-8"))


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return str(page.relative_to(CHECKOUT))


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's fenced blocks in order."""
    for language, title, text in _FENCE.findall(page.read_text("utf-8")):
        yield Block(language=language, title=title, text=text)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def inline_code(page: Path) -> Iterator[str]:
    """Yield what stands between backquotes outside of blocks."""
    yield from _INLINE.findall(prose(page))


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links."""
    yield from _LINK.findall(_INLINE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """Return what a link may name after '#', as GitHub makes it of headings."""
    found = set()
    for heading in _HEADING.findall(prose(page)):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


def command_lines(page: Path) -> Iterator[str]:
    """Yield every ``taxiway …`` line of a page, from its blocks and from its text."""
    for block in blocks(page):
        if block.language in ("bash", "sh", "console", ""):
            for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
                yield from _commands_in(line)
    for code in inline_code(page):
        yield from _commands_in(code)


def _commands_in(line: str) -> Iterator[str]:
    for match in re.finditer(r"(?:^|[|;&(]\s*|sudo (?:-u \w+ )?|bin/)(taxiway(?: [^|;&)]*)?)", line.partition(" #")[0]):
        command = match[1].strip()
        # A command that a string or `$(…)` in quotes surrounds ends before the quote.
        yield command.removesuffix('"') if command.count('"') % 2 else command


def arguments_of(command: str) -> list[str]:
    """Split a command line as a shell does, without ``taxiway`` itself; '…' stands for nothing."""
    return [word for word in shlex.split(command)[1:] if word != "…"]
