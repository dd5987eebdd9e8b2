"""Is a report about a model read whatever its reporter wrote?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.examinations import Examination, Invariant, read_examination

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_what_a_pod_reports_is_read() -> None:
    found = read_examination(
        {
            "invariants": [{"name": "amount", "holds": False, "message": "it falls"}],
            "packages": [["sklearn", 3]],
            "acts": ["wrote /x"],
            "trouble": "",
        }
    )
    invariant = Invariant(name="amount", holds=False, message="it falls")
    assert found == Examination(invariants=(invariant,), packages=(("sklearn", 3),), acts=("wrote /x",))


@given(
    document=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("invariants", "packages", "acts", "trouble"), ANYTHING)
    ) | ANYTHING
)  # fmt: skip
def test_anything_is_read_or_is_nothing(document: object) -> None:
    found = read_examination(document)
    if found is None:
        assert not isinstance(document, dict)
        return
    texts = [found.trouble, *found.acts, *(each.message for each in found.invariants)]
    assert all(text.isprintable() and len(text) <= 300 for text in texts)


def test_only_true_holds() -> None:
    found = read_examination(
        {"invariants": [{"name": "a", "holds": "yes"}, {"name": "b", "holds": 1}, {"holds": True}]}
    )
    assert found is not None
    assert [each.holds for each in found.invariants] == [False, False, True]
