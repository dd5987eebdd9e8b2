"""LightGBM's trees for many rows at once, in NumPy: masks of the leaves that a row can still reach.

The method is QuickScorer's (Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles
of regression trees", SIGIR 2015): a node where a row goes right takes the leaves of its left side away, and the first
leaf that remains is the row's. Here the masks of all nodes that ask for the same feature are joined beforehand for
each rank that a value can have among the thresholds, so that a row costs one look-up for each feature and some trees.

Decisions are those of LightGBM's ``Tree::NumericalDecision``, the sum has the order of ``GBDT::PredictRaw``, and
``exp`` is the C library's, so that the bits are the same. What is not known (categorical splits, linear trees, more
than 64 leaves, an objective with another output) is left to LightGBM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_TABLE_BYTES = 16 << 20
"""Larger tables leave the processor's caches, and cost more memory than the speed is worth."""
_GROUP = 256
"""Trees that share tables: the tables grow with its square, the look-ups with its inverse."""
_BLOCK = 256
"""Rows at a time, so that their masks stay in the cache."""
_ZERO = 1.0000000180025095e-35
"""LightGBM's ``kZeroThreshold``, a float32: values up to it are zero."""
_DEFAULT_LEFT = 2
_MISSING_ZERO, _MISSING_NAN = 1, 2
_IDENTITY = frozenset(
    "regression regression_l1 huber fair quantile mape lambdarank rank_xendcg custom".split()  # noqa: SIM905
)
_EXPONENTIAL = frozenset(["poisson", "gamma", "tweedie"])


class Unsuited(Exception):
    """The trees, or what is made of their sums, are not of a kind that is known here."""


@dataclass(frozen=True)
class Tree:
    """A tree as in the model's text: parallel lists for the nodes; a child below zero is the leaf ``~child``."""

    features: Sequence[int]
    thresholds: Sequence[float]
    decisions: Sequence[int]
    lefts: Sequence[int]
    rights: Sequence[int]
    values: Sequence[float]

    def leaves(self) -> list[int]:
        """Return the leaves from left to right."""
        result, todo = [], [0 if self.features else ~0]
        while todo:
            node = todo.pop()
            if node < 0:
                result.append(~node)
            else:
                todo += [self.rights[node], self.lefts[node]]
        return result

    def left_sides(self) -> list[int]:
        """Return of each node the leaves on its left: bits, the leftmost leaf is the lowest."""
        bits = {~leaf: 1 << at for at, leaf in enumerate(self.leaves())}
        # A split makes a new node of a leaf, so that children have larger numbers than their parents.
        for node in reversed(range(len(self.features))):
            bits[node] = bits[self.lefts[node]] | bits[self.rights[node]]
        return [bits[left] for left in self.lefts]


def compile_trees(text: str, iterations: int = -1) -> Callable[[Any], Any]:
    """Return what predicts for a float64 matrix (rows, features): an array (rows,), or (rows, classes).

    ``text`` is that of ``Booster.model_to_string``; ``iterations`` says how many count, -1 all. Raises Unsuited.
    """
    header, trees = read_trees(text)
    classes = int(header.get("num_tree_per_iteration", "1"))
    trees = trees[: iterations * classes] if iterations > 0 else trees
    if not trees or "average_output" in header:
        raise Unsuited("no trees that are summed")
    finish = _output(header.get("objective", "custom"), classes)
    sums = [_summing(trees[at::classes]) for at in range(classes)]

    def predict(matrix: Any) -> Any:
        import numpy as np

        # As for LightGBM: what is next to zero is zero.
        x = np.where(np.abs(matrix) <= _ZERO, 0.0, matrix)
        return finish([add(x) for add in sums])

    return predict


def read_trees(text: str) -> tuple[dict[str, str], list[Tree]]:
    """Read the header and the trees of a model's text. Raises Unsuited."""
    head, *parts = text.split("\nTree=")
    header = {name: value for name, _, value in (line.partition("=") for line in head.splitlines())}
    return header, [_read_tree(part) for part in parts]


def _read_tree(text: str) -> Tree:
    fields = dict(line.split("=", 1) for line in text.split("\n\n", 1)[0].splitlines()[1:] if "=" in line)
    if fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise Unsuited("splits by category, or linear trees")
    if int(fields["num_leaves"]) > 64:
        raise Unsuited("more than 64 leaves")
    return Tree(
        [int(word) for word in fields.get("split_feature", "").split()],
        [float(word) for word in fields.get("threshold", "").split()],
        [int(word) for word in fields.get("decision_type", "").split()],
        [int(word) for word in fields.get("left_child", "").split()],
        [int(word) for word in fields.get("right_child", "").split()],
        [float(word) for word in fields["leaf_value"].split()],
    )


# ------------------------------------------------------------------ sums over trees


def _summing(trees: list[Tree]) -> Callable[[Any], Any]:
    """Return what sums the trees for a matrix: (rows, features) → (rows,)."""
    import numpy as np

    is_small = all(len(tree.values) <= 32 for tree in trees)
    groups = [_Group.of(trees[at : at + _GROUP], is_small) for at in range(0, len(trees), _GROUP)]
    if sum(group.bytes for group in groups) > MAX_TABLE_BYTES:
        raise Unsuited("trees with too many thresholds")

    def add(x: Any) -> Any:
        result = np.empty(len(x))
        for begin in range(0, len(x), _BLOCK):
            block = x[begin : begin + _BLOCK].T
            values = np.concatenate([group.values_of(block) for group in groups])
            # One after the other: NumPy's sums may add in pairs, which changes bits.
            result[begin : begin + _BLOCK] = np.add.accumulate(values, axis=0, out=values)[-1]
        return result

    return add


@dataclass(frozen=True)
class _Group:
    """Trees that are looked up together."""

    tables: list[tuple[int, Any, Any]]
    """Feature, upper ends of the ranks (see ``_table``), leaves that a rank leaves (ranks, trees)."""
    all_leaves: Any
    """Of each tree."""
    values: Any
    """Of all leaves, one tree after the other."""
    offsets: Any
    """Where each tree's values begin, less what the exponent of 1 is in a float."""

    @property
    def bytes(self) -> int:
        return sum(masks.nbytes for _, _, masks in self.tables)

    @classmethod
    def of(cls, trees: list[Tree], is_small: bool) -> _Group:
        import numpy as np

        kind = np.dtype(np.uint32 if is_small else np.uint64)
        nodes: dict[int, list[_Node]] = {}
        for at, tree in enumerate(trees):
            for feature, *node in zip(tree.features, tree.thresholds, tree.decisions, tree.left_sides(), strict=True):
                nodes.setdefault(feature, []).append((at, *node))  # type: ignore[arg-type]
        starts = np.cumsum([0, *(len(tree.values) for tree in trees[:-1])])
        return cls(
            tables=[(feature, *_table(nodes[feature], len(trees), kind)) for feature in sorted(nodes)],
            all_leaves=np.array([(1 << len(tree.values)) - 1 for tree in trees], kind),
            values=np.array([tree.values[leaf] for tree in trees for leaf in tree.leaves()]),
            offsets=(starts - (127 if is_small else 1023)).astype(np.int32),
        )

    def values_of(self, columns: Any) -> Any:
        """Return each tree's value for each row: (features, rows) → (trees, rows)."""
        import numpy as np

        left = np.empty((columns.shape[1], len(self.all_leaves)), self.all_leaves.dtype)
        left[:] = self.all_leaves
        found = np.empty_like(left)
        for feature, ends, masks in self.tables:
            masks.take(ends.searchsorted(columns[feature]), axis=0, out=found, mode="clip")
            np.bitwise_and(left, found, out=left)
        np.bitwise_and(left, np.negative(left), out=left)
        # A single bit is a power of two, of which a float's exponent is the place.
        if left.dtype == np.uint32:
            places = left.astype(np.float32).view(np.int32) >> 23
        else:
            places = (left.astype(np.float64).view(np.int64) >> 52).astype(np.int32)
        places += self.offsets
        return self.values.take(places.T)


_Node = tuple[int, float, int, int]
"""Its tree, threshold, decision and the leaves on its left."""


def _table(nodes: list[_Node], trees: int, kind: Any) -> tuple[Any, Any]:
    """Return the upper ends of a feature's ranks, and of each rank the leaves that its nodes leave: (ranks, trees).

    Values from one end (not included) to the next take the same way everywhere. Zero has a rank of its own, as has NaN,
    which sorts behind infinity.
    """
    import numpy as np

    at, thresholds, decisions = (np.array(each) for each in list(zip(*nodes, strict=True))[:3])
    left_sides = np.array([node[3] for node in nodes], kind)
    ends = np.append(np.unique([*thresholds, -_ZERO, 0.0, np.inf]), np.nan)
    kept = np.where(_goes_left(ends[:, None], thresholds, decisions), ~kind.type(0), ~left_sides)
    masks = np.full((len(ends), trees), ~kind.type(0))
    first = np.flatnonzero(np.append(True, at[1:] != at[:-1]))
    masks[:, at[first]] = np.bitwise_and.reduceat(kept, first, axis=1)
    return ends, masks


def _goes_left(values: Any, thresholds: Any, decisions: Any) -> Any:
    """Decide as ``Tree::NumericalDecision`` does."""
    import numpy as np

    missing, is_nan = decisions >> 2 & 3, np.isnan(values)
    values = np.where(is_nan & (missing != _MISSING_NAN), 0.0, values)
    is_missing = (missing == _MISSING_ZERO) & (values == 0.0) | (missing == _MISSING_NAN) & is_nan
    return np.where(is_missing, decisions & _DEFAULT_LEFT != 0, values <= thresholds)


# ------------------------------------------------------------------ from sums to outputs


def _output(objective: str, classes: int) -> Callable[[list[Any]], Any]:
    """Return what makes of the classes' sums what the objective's ``ConvertOutput`` makes of them."""
    import numpy as np

    name, *words = objective.split()
    options = dict(word.partition(":")[::2] for word in words)
    if classes > 1 and name != "multiclass":
        raise Unsuited(f"the objective {name} of several classes")
    if name == "multiclass":
        return lambda sums: np.array([_softmax(row) for row in zip(*(each.tolist() for each in sums), strict=True)])
    if name == "binary":
        sigmoid = float(options["sigmoid"])
        return lambda sums: np.array([1.0 / (1.0 + _exp(-sigmoid * each)) for each in sums[0].tolist()])
    if name == "cross_entropy":
        return lambda sums: np.array([1.0 / (1.0 + _exp(-each)) for each in sums[0].tolist()])
    if name in _EXPONENTIAL:
        return lambda sums: np.array([_exp(each) for each in sums[0].tolist()])
    if name in _IDENTITY and "sqrt" not in words:
        return lambda sums: sums[0]
    raise Unsuited(f"the objective {name}")


def _exp(x: float) -> float:
    """Return what C's ``exp`` returns; NumPy's has other bits."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _softmax(sums: tuple[float, ...]) -> list[float]:
    """Return what LightGBM's ``Common::Softmax`` makes of a row."""
    highest = max(sums)
    powers = [math.exp(each - highest) for each in sums]
    total = 0.0  # not ``sum``, which has been more exact than C's addition since Python 3.12
    for power in powers:
        total += power
    return [power / total for power in powers]
