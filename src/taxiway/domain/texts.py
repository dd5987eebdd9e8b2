"""Texts from outside, before they are kept or shown."""

from __future__ import annotations


def one_line(text: str, *, at_most: int) -> str:
    """Return the text as one printable line: what cannot be printed becomes U+FFFD, what is too long is cut."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in text[: at_most + 1])
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"
