"""What people may type as names, memory and CPUs, and what is refused without echoing it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.errors import InvalidInput
from taxiway.domain.names import (
    RESERVED_PROJECTS,
    check_model_name,
    check_project_name,
    is_slug,
    propose_slug,
)
from taxiway.domain.resources import (
    MAX_MEMORY_BYTES,
    MIN_MEMORY_BYTES,
    Resources,
    format_cpus,
    format_memory,
    parse_cpus,
    parse_memory,
)

HOSTILE_NAMES = [
    "", ".", "..", "../etc", "a/../b", "%2e%2e", "a%2fb", "a%00", "a\x00", "a\\b", "a\r\nb", "a\n", "-a", "a-", " a",
    "a b",
    "\u00e4", "e\u0301", "\U0001f600", "\uff41", "A", "Fraud", "a_b", "a.b", "con.txt", "a" * 41, "a" * 255,
    "a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_hostile_names_are_refused_and_a_name_that_would_do_is_proposed(name: str) -> None:
    for check in (check_model_name, check_project_name):
        with pytest.raises(InvalidInput) as refused:
            check(name)
        proposed = (refused.value.hint or "").split("'")[1]
        assert is_slug(proposed)
        assert len(name) < 5 or name not in refused.value.message


@pytest.mark.parametrize("name", ["ab", "00", "a-b", "fraud-2", "a" * 40, "a--b", "con", "nul"])
def test_slugs_are_taken(name: str) -> None:
    assert check_model_name(name) == name
    assert check_project_name(name) == name


@pytest.mark.parametrize("name", ["a", "0"])
def test_one_letter_is_enough_for_a_model_and_not_for_a_project(name: str) -> None:
    assert check_model_name(name) == name
    with pytest.raises(InvalidInput, match="at least 2"):
        check_project_name(name)


@pytest.mark.parametrize("name", sorted(RESERVED_PROJECTS))
def test_reserved_projects_are_refused(name: str) -> None:
    assert check_model_name(name) == name
    with pytest.raises(InvalidInput, match="reserved"):
        check_project_name(name)


@given(st.text(max_size=200))
def test_a_proposal_is_always_a_slug_and_a_slug_is_its_own(name: str) -> None:
    assert is_slug(propose_slug(name))
    if is_slug(name):
        assert propose_slug(name) == name


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512Mi", 512 << 20),
        ("2Gi", 2 << 30),
        ("1500M", 1_500_000_000),
        ("0.5Gi", 1 << 29),
        ("1024", 1024),
        ("1Ti", 1 << 40),
    ],
)
def test_memory_is_taken_as_kubernetes_takes_it(text: str, size: int) -> None:
    assert parse_memory(text) == size


ARABIC_ONE, FULLWIDTH_ONE = "\u0661", "\uff11"
BAD_MEMORY = [
    "", "-1", "+1Gi", "1e9", "NaN", "inf", "1Gi ", " 1Gi", "1GB", "1gi", "1 Gi", ARABIC_ONE, f"{ARABIC_ONE}Gi", "1_000",
    "0x10", "1.Gi", ".5Gi", "1Gi\n", "1" * 16, "1.1234567Gi", "Gi", f"{FULLWIDTH_ONE}Gi", "1Gi\x00", "1,5Gi",
]  # fmt: skip
BAD_CPUS = [
    "", "-1", "+1", "1e9", "NaN", "inf", "1 ", ARABIC_ONE, "1.", ".5", "1m ", "0.5m", "1\n", "1_0", "0x1", "1.0001",
    "12345", "1,5",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_MEMORY, ids=range(len(BAD_MEMORY)))
def test_other_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_memory(text)
    assert refused.value.field == "/memory"


@pytest.mark.parametrize(("text", "cpus"), [("2", 2.0), ("0.5", 0.5), ("500m", 0.5), ("1500m", 1.5), ("0.125", 0.125)])
def test_cpus_are_taken_as_kubernetes_takes_them(text: str, cpus: float) -> None:
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", BAD_CPUS, ids=range(len(BAD_CPUS)))
def test_other_cpus_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_cpus(text)
    assert refused.value.field == "/cpus"


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_memory, parse_cpus):
        with contextlib.suppress(InvalidInput):
            assert parse(text) >= 0


@pytest.mark.parametrize(
    ("memory", "cpus"),
    [
        (MIN_MEMORY_BYTES - 1, 1.0),
        (MAX_MEMORY_BYTES + 1, 1.0),
        (0, 1.0),
        (1 << 30, 0.0),
        (1 << 30, 0.099),
        (1 << 30, 257.0),
        (1 << 30, float("nan")),
    ],
)
def test_resources_beyond_reason_are_refused(memory: int, cpus: float) -> None:
    with pytest.raises(InvalidInput):
        Resources(memory_bytes=memory, cpus=cpus)


@given(st.integers(MIN_MEMORY_BYTES, MAX_MEMORY_BYTES), st.integers(100, 256_000))
def test_what_is_written_can_be_read_again(memory: int, milli: int) -> None:
    assert parse_memory(format_memory(memory)) == memory
    assert parse_cpus(format_cpus(milli / 1000)) == milli / 1000
