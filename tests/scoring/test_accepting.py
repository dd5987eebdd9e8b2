"""Which content type an answer has."""

from __future__ import annotations

import pytest

from taxiway_scoring.accepting import choose
from taxiway_scoring.refusals import Refused

OFFERED = ("application/json", "application/a", "application/b")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "application/json"),
        (" , ", "application/json"),
        ("*/*", "application/json"),
        ("*", "application/json"),
        ("text/html, image/gif, *; q=.2, */*; q=.2", "application/json"),
        ("application/*", "application/json"),
        ("application/b", "application/b"),
        ("APPLICATION/B;q=1", "application/b"),
        ("application/b, application/a", "application/b"),
        ("application/a, */*", "application/a"),
        ("application/a;q=0.5, application/b;q=0.6", "application/b"),
        ("application/a;q=0.5, */*", "application/json"),
        ("*/*, application/json;q=0", "application/a"),
        ("text/html, application/json;v=1;q=0.1", "application/json"),
    ],
)
def test_the_best_that_is_offered(header: str, chosen: str) -> None:
    assert choose(header, OFFERED) == chosen


@pytest.mark.parametrize("header", ["text/html", "application/c", "text/*", "*/*;q=0", "application/a;q=x", "nonsense"])
def test_nothing_that_is_offered(header: str) -> None:
    with pytest.raises(Refused) as caught:
        choose(header, OFFERED)
    assert (caught.value.status, caught.value.reason) == (406, "NotAcceptable")
    assert header not in caught.value.message
