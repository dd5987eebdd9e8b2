"""MLflow's refusals of a filter → our words and the place of the mistake. Pure; nothing of a refusal is repeated.

MLflow tells the mistake in English with the wrong part in it. The part is looked for in the filter, whose writer is
shown where it stands; refusals that are not known here name no place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from taxiway.domain.errors import InvalidFilter

MOST_LETTERS = 4000
KINDS = "Names begin with metrics., params., tags., attributes. or datasets.; backticks hold other letters."


@dataclass(frozen=True, slots=True)
class _Known:
    """How MLflow begins a refusal, the wrong part being the group, and what we say instead."""

    words: re.Pattern[str]
    message: str
    hint: str


def _known(words: str, message: str, hint: str) -> _Known:
    return _Known(re.compile(words, re.DOTALL), message, hint)


KNOWN = (
    _known(r"Invalid entity type '(.*?)'\. Valid", "No such kind of name.", KINDS),
    _known(
        r"Invalid attribute key '(.*?)' specified",
        "Runs have no such attribute.",
        "There are run_id, run_name, status, user_id, artifact_uri, start_time and end_time; "
        "metrics, parameters and tags have metrics., params. and tags. before their names.",
    ),
    _known(
        r"Invalid dataset key '(.*?)' specified", "Datasets have no such field.", "There are name, digest, context."
    ),
    _known(
        r"Expected numeric value type for (?:metric|numeric attribute: \w+)\. Found (.*)",
        "This is to be a number.",
        "Metrics and times are compared with numbers, without quotation marks.",
    ),
    _known(
        r"Expected a quoted string value for .*Got value (.*)",
        "This is to be a text.",
        "Texts stand in 'single quotes', also those that look like numbers.",
    ),
    _known(
        r"Parameter value is either not quoted .* for string value (.*?)\. Use either",
        "This is to be a text.",
        "Texts stand in 'single quotes', also those that look like numbers.",
    ),
    _known(
        r"Invalid comparator '(.*?)' (?:not one of|for)",
        "This name is not compared so.",
        "Metrics and times: = != < <= > >=. Parameters, tags and texts: = != LIKE ILIKE.",
    ),
    _known(
        r"IS NULL / IS NOT NULL is only supported for tags and params, not for '\w+' '(.*)'",
        "Only parameters and tags can be missing.",
        "Compare it with a value.",
    ),
    _known(r"Only \['run_id'\] attributes support", "Only run_id is compared with a list.", "Compare with one value."),
    _known(
        r"Invalid comparison clause\. Expected '?\w+'?(?: \w+)? found '(.*)'",
        "A comparison is a name, an operator and a value.",
        KINDS,
    ),
    _known(
        r"Invalid clause\(s\) in filter string: '(.*?)'(?:, '|\Z)",
        "This is no comparison.",
        "A comparison is a name, an operator and a value; several are joined by `and`, there is no `or`.",
    ),
    _known(r"Search filter contained multiple expression", "This is more than one filter.", "Join them by `and`."),
)


def refused_filter(where: str, words: str) -> InvalidFilter:
    """Return the error for a filter that MLflow refuses with these words."""
    for known in KNOWN:
        match = known.words.match(words[:MOST_LETTERS])
        if match is not None:
            wrong = match[1].strip() if match.re.groups else ""
            return InvalidFilter(known.message, hint=known.hint, place=_place(where, wrong))
    return InvalidFilter("MLflow does not accept the filter.", hint=KINDS, place=None)


def _place(where: str, wrong: str) -> tuple[int, int] | None:
    """Return where the wrong part stands, when that can be only one place. Told by MLflow without its quotes."""
    for spelled in (f"`{wrong}`", f'"{wrong}"', wrong):
        if wrong and where.count(spelled) == 1:
            begin = where.index(spelled)
            return begin, begin + len(spelled)
    return None
