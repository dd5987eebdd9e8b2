"""What MLflow says of a filter becomes our words and a place; the real words are in the integration tests."""

from __future__ import annotations

import pytest

from taxiway.registry.filters import refused_filter

CANARY = "S3CR3T"


@pytest.mark.parametrize(
    ("where", "words", "wrong"),
    [
        ("bananas.x = 1", "Invalid entity type 'bananas'. Valid values are ['metric']", "bananas"),
        ("attributes.`a b` = '1'", "Invalid attribute key 'a b' specified. Valid keys are", "`a b`"),
        ("params.a = 3", "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 3", "3"),
        ("a = '1' or b = '2'", "Invalid clause(s) in filter string: 'or', 'b'", "or"),
    ],
)
def test_the_wrong_part_is_found(where: str, words: str, wrong: str) -> None:
    place = refused_filter(where, words).place
    assert place is not None
    assert where[slice(*place)] == wrong


def test_a_part_that_stands_twice_has_no_place() -> None:
    assert (
        refused_filter("params.a = 3 and params.b = 3", "Expected a quoted string value for x. Got value 3").place
        is None
    )
    assert refused_filter("a", "Search filter contained multiple expression 'a'").place is None


@pytest.mark.parametrize(
    "words",
    [
        CANARY, "", f"Invalid entity type '{CANARY}'. Valid", f"Invalid clause(s) in filter string: '{CANARY}'",
        "Invalid comparator '" + "x" * 100_000,
    ],
)  # fmt: skip
def test_nothing_of_the_words_is_repeated(words: str) -> None:
    refused = refused_filter("metrics.a > 1", words)
    assert CANARY not in refused.message + str(refused.hint)
    assert refused.place is None
