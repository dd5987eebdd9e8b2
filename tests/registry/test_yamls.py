"""YAML of strangers: texts stay texts, and nothing dangerous is built."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.registry.yamls import BadYaml, read_yaml

BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"
REFUSED = {
    "python object": b"a: !!python/object/apply:os.system [ls]\n",
    "any tag": b"a: !!int 3\n",
    "alias bomb": BOMB,
    "merge bomb": b"a: &a {x: y}\nb: {<<: *a}\n",
    "deep": b"[" * 60 + b"]" * 60,
    "very deep": b"[" * 100_000,
    "two documents": b"a: b\n---\nc: d\n",
    "unclosed": b"flavors: [unclosed",
    "not text": b"\xff\xfe\x00",
    "list as a key": b"? [a, b]\n: c\n",
    "many aliases": b"a: &a x\nb: [" + b"*a, " * 1001 + b"x]\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_dangerous_is_refused(name: str) -> None:
    with pytest.raises(BadYaml) as refusal:
        read_yaml(REFUSED[name])
    assert "python" not in str(refusal.value)


def test_every_scalar_stays_what_was_written() -> None:
    assert read_yaml(b"python: 3.10\na: null\nb: yes\nc: 2024-01-01\nd: '7'\ne: |\n  x\n") == {
        "python": "3.10", "a": "null", "b": "yes", "c": "2024-01-01", "d": "7", "e": "x\n",
    }  # fmt: skip


def test_an_alias_that_pyyaml_writes_for_one_value_twice_is_read() -> None:
    assert read_yaml(b"a: &id001 [x]\nb: *id001\n") == {"a": ["x"], "b": ["x"]}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        read_yaml(content)
    except BadYaml:
        return
