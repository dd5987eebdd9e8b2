"""Which of the content types that can be given a client wants: the header ``Accept`` (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway_scoring.refusals import Refused


def choose(header: str, offered: Sequence[str]) -> str:
    """Return the best of the types offered; the first where the client does not care. Raises Refused (406)."""
    ranges = [_range(part) for part in header.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    best: tuple[float, int, int] | None = None
    chosen = ""
    for media in offered:
        # The most specific range says how much a type is wanted.
        matches = [(_closeness(name, media), quality, -at) for at, (name, quality) in enumerate(ranges)]
        closeness, quality, order = max(matches)
        if closeness and quality > 0 and (best is None or (quality, closeness, order) > best):
            best, chosen = (quality, closeness, order), media
    if best is None:
        raise Refused(406, "NotAcceptable", f"The content type of an answer is {' or '.join(offered)}.")
    return chosen


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name, _quality(value.strip())
    return name, 1.0


def _quality(text: str) -> float:
    digits = text.replace(".", "", 1)
    return min(1.0, float(text)) if digits.isascii() and digits.isdigit() and len(text) <= 5 else 0.0


def _closeness(name: str, media: str) -> int:
    """Return how closely a range names a type; 0 where it does not."""
    if name == media:
        return 3
    if name == f"{media.partition('/')[0]}/*":
        return 2
    return 1 if name in ("*/*", "*") else 0
