"""Do the look-ups of leaves give what a walk through the trees gives?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway_scoring.plans.leaves import Tree, Unsuited, compile_trees

NUMBERS = st.sampled_from(
    [-math.inf, -2.5, -1.0, -1e-36, -0.0, 0.0, 1e-36, 1.0000000180025095e-35, 1e-34, 0.5, 3.0, math.inf]
)
FEATURES = 3


@st.composite
def trees(draw: st.DrawFn, most: int) -> Tree:
    """Grow a tree as LightGBM does: each split makes a new node of a leaf, and a new leaf."""
    features, thresholds, decisions, lefts, rights = [], [], [], [], []
    where: dict[int, tuple[list[int], int]] = {}
    for node in range(draw(st.integers(0, most - 1))):
        leaf = draw(st.integers(0, node))
        if leaf in where:
            children, at = where[leaf]
            children[at] = node
        features.append(draw(st.integers(0, FEATURES - 1)))
        thresholds.append(draw(NUMBERS))
        decisions.append(draw(st.sampled_from([0, 2, 4, 6, 8, 10])))
        lefts.append(~leaf)
        rights.append(~(node + 1))
        where[leaf], where[node + 1] = (lefts, node), (rights, node)
    values = [draw(st.floats(-3, 3)) for _ in range(len(features) + 1)]
    return Tree(features, thresholds, decisions, lefts, rights, values)


def walk(tree: Tree, row: list[float]) -> float:
    """Follow one row as LightGBM's ``Tree::Predict`` does."""
    node = 0 if tree.features else ~0
    while node >= 0:
        x, missing = row[tree.features[node]], tree.decisions[node] >> 2 & 3
        x = 0.0 if abs(x) <= 1.0000000180025095e-35 or (math.isnan(x) and missing != 2) else x
        if (missing == 1 and x == 0.0) or (missing == 2 and math.isnan(x)):
            goes_left = bool(tree.decisions[node] & 2)
        else:
            goes_left = x <= tree.thresholds[node]
        node = tree.lefts[node] if goes_left else tree.rights[node]
    return tree.values[~node]


def text_of(forest: list[Tree], header: str = "num_tree_per_iteration=1\nobjective=regression") -> str:
    """Write a model as LightGBM does."""

    def lines(at: int, tree: Tree) -> Iterator[str]:
        yield f"Tree={at}"
        yield f"num_leaves={len(tree.values)}"
        yield "num_cat=0"
        for name, numbers in {
            "split_feature": tree.features, "threshold": tree.thresholds, "decision_type": tree.decisions,
            "left_child": tree.lefts, "right_child": tree.rights, "leaf_value": tree.values,
        }.items():  # fmt: skip
            yield f"{name}={' '.join(repr(each) for each in numbers)}"
        yield "is_linear=0"

    return "\n".join(
        [header, "", *("\n".join([*lines(at, tree), "\n"]) for at, tree in enumerate(forest)), "end of trees"]
    )


@given(st.data())
def test_a_look_up_ends_at_the_leaf_of_the_walk_and_adds_in_its_order(data: st.DataObject) -> None:
    most = data.draw(st.sampled_from([4, 32, 64]))
    forest = data.draw(st.lists(trees(most), min_size=1, max_size=4))
    cells = st.one_of(NUMBERS, st.just(math.nan), st.floats(-4, 4))
    rows = data.draw(st.lists(st.lists(cells, min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=4))
    expected = []
    for row in rows:
        total = 0.0
        for tree in forest:
            total += walk(tree, row)
        expected.append(total)
    assert compile_trees(text_of(forest))(np.array(rows)).tolist() == expected


STUMP = Tree([0], [0.5], [2], [~0], [~1], [-1.25, 800.0])


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("regression", [-1.25, 800.0]),
        ("binary sigmoid:2", [1 / (1 + math.exp(2.5)), 1.0]),
        ("cross_entropy", [1 / (1 + math.exp(1.25)), 1.0]),
        ("poisson", [math.exp(-1.25), math.inf]),
    ],
)
def test_sums_become_what_the_objective_makes_of_them(objective: str, expected: list[float]) -> None:
    score = compile_trees(text_of([STUMP], f"num_tree_per_iteration=1\nobjective={objective}"))
    assert score(np.array([[0.0], [1.0]])).tolist() == expected


def test_each_class_sums_its_own_trees() -> None:
    other = Tree([], [], [], [], [], [0.5])
    score = compile_trees(text_of([STUMP, other] * 2, "num_tree_per_iteration=2\nobjective=multiclass num_class:2"))
    low, high = math.exp(-2.5 - 1.0), math.exp(1.0 - 1600.0)
    assert score(np.array([[0.0], [1.0]])).tolist() == [
        [low / (low + 1), 1 / (low + 1)],
        [1 / (1 + high), high / (1 + high)],
    ]


def test_only_the_best_iterations_count() -> None:
    assert compile_trees(text_of([STUMP] * 3), 2)(np.array([[0.0]])).tolist() == [-2.5]


@pytest.mark.parametrize(
    "text",
    [
        text_of([STUMP]).replace("num_cat=0", "num_cat=1"),
        text_of([STUMP]).replace("is_linear=0", "is_linear=1"),
        text_of([STUMP]).replace("num_leaves=2", "num_leaves=65"),
        text_of([STUMP], "num_tree_per_iteration=1\nobjective=regression sqrt"),
        text_of([STUMP], "num_tree_per_iteration=1\nobjective=strange"),
        text_of([STUMP], "num_tree_per_iteration=1\nobjective=regression\naverage_output"),
        text_of([STUMP] * 3, "num_tree_per_iteration=3\nobjective=multiclassova num_class:3 sigmoid:1"),
        "num_tree_per_iteration=1\nobjective=regression",
    ],
)
def test_what_is_not_known_is_left_to_lightgbm(text: str) -> None:
    with pytest.raises(Unsuited):
        compile_trees(text)
