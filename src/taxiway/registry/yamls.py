"""Reads YAML that strangers wrote: texts, lists and mappings, and nothing else that YAML can do.

Every scalar stays the text that was written, for ``python: 3.10`` must not become the number 3.1. Refused before
anything is built: tags (``!!python/object``), anchors that hold aliases and merge keys (alias bombs), more than one
document, deep nesting (the parser recurses in C) and too many nodes.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_DEPTH = 50
MOST_NODES = 500_000
MOST_ALIASES = 1000
_PLAIN_TAGS = (None, "!")


class BadYaml(Exception):
    """The text is not the YAML that is read here. The message says what is wrong, without its content."""


def read_yaml(content: bytes) -> Any:
    """Return texts, lists and dicts with texts as keys. Raises BadYaml."""
    try:
        text = content.decode("utf-8-sig")
        _check(text)
        return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506
    except UnicodeDecodeError as error:
        raise BadYaml("it is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadYaml(f"it is not valid YAML{line}") from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise BadYaml("it is not valid YAML") from error


def _check(text: str) -> None:
    """Walk through the events, which takes no recursion, and refuse what would be dangerous to build."""
    depth = nodes = aliases = documents = 0
    anchored: list[int] = []
    for event in yaml.parse(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise BadYaml("it has more than one document")
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if anchored or aliases > MOST_ALIASES:
                raise BadYaml("it has aliases within aliases, or too many")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            if anchored and anchored[-1] == depth:
                anchored.pop()
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            _check_node(event)
            if isinstance(event, yaml.CollectionStartEvent):
                if event.anchor is not None:
                    anchored.append(depth)
                depth += 1
        if depth > MOST_DEPTH or nodes > MOST_NODES:
            raise BadYaml("it is nested too deep or too large")


def _check_node(event: yaml.NodeEvent) -> None:
    # A quoted text has the tag '!' when it is explicit that it is no number.
    if getattr(event, "tag", None) not in _PLAIN_TAGS:
        raise BadYaml("it has tags, which are not read")
    if isinstance(event, yaml.ScalarEvent) and event.value == "<<":
        raise BadYaml("it has merge keys, which are not read")
