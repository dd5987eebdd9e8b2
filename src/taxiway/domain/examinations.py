"""Examinations: what a pod found about a model besides its path: whether its invariants hold, and what loading it did.

Model code ran in the process that reports, so a report is what the model's owner wants known, as are its predictions:
it keeps mistakes out of production, not malice. All texts are cut, and shown as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_INVARIANTS = 100
MAX_LISTED = 100
MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One rule that a model's owner logged with it. ``message`` says what was found where it does not hold."""

    name: str
    holds: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found.

    ``packages`` are those whose classes and functions the model's pickles name, with how many each; ``acts`` what
    loading the model did besides reading: programs begun, connections opened, files written or deleted.
    ``trouble`` is why invariants could not be tried at all.
    """

    invariants: tuple[Invariant, ...] = ()
    packages: tuple[tuple[str, int], ...] = ()
    acts: tuple[str, ...] = ()
    trouble: str = ""


def read_examination(document: object) -> Examination | None:
    """Return what a pod reported; None for anything else. The reporter may write anything: trust nothing."""
    if not isinstance(document, dict):
        return None
    invariants = [
        Invariant(name=_text(item.get("name")), holds=item.get("holds") is True, message=_text(item.get("message")))
        for item in _items(document.get("invariants"), MAX_INVARIANTS)
        if isinstance(item, dict)
    ]
    packages = [
        (_text(item[0]), item[1])
        for item in _items(document.get("packages"), MAX_LISTED)
        if isinstance(item, list) and len(item) == 2 and isinstance(item[1], int)
    ]
    return Examination(
        invariants=tuple(invariants),
        packages=tuple(packages),
        acts=tuple(_text(act) for act in _items(document.get("acts"), MAX_LISTED)),
        trouble=_text(document.get("trouble")),
    )


def _items(value: Any, most: int) -> list[Any]:
    return value[:most] if isinstance(value, list) else []


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_TEXT])
