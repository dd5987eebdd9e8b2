"""Preprocessing, compiled: from rows to the matrix that a pipeline's last step sees.

Three kinds of transformers are known. *Tables*: encoders whose output for a column depends on that column's value
alone are asked once for every category, for a missing value and for an unknown one; then their answers are looked up.
*Arithmetic*: scalers and imputers do the operations of scikit-learn in its order. *As itself*: any other transformer
that sees numbers is called on the array of those numbers.

None of this need be right for every version of every library: ``proof.py`` compares before a plan is used.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from taxiway_scoring.contract import NULLABLE, Column
from taxiway_scoring.decoding import Rows
from taxiway_scoring.plans import NotCompilable
from taxiway_scoring.plans.frames import DTYPES
from taxiway_scoring.tables import Columns

NUMERIC = ("boolean", "integer", "long", "float", "double")
ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
"""They look at one column's value at a time, and at nothing else."""
MAX_TABLE_CELLS = 4_000_000
UNKNOWN_TEXT = "\x02 no such category \x03"
Make = Callable[[Rows | Columns], Any]
Operate = Callable[[Any], Any]


@dataclass(frozen=True)
class Matrix:
    """Makes matrices: ``make(rows)`` returns a NumPy array (rows by ``width``) of ``dtype``."""

    name: str
    width: int
    dtype: Any
    make: Make
    is_sparse: bool = False
    """The original is a sparse matrix; ``make`` returns a dense one of the same values."""

    def transform(self, rows: Rows | Columns) -> Any:
        """Return the matrix of rows (at least one), which may be given as columns."""
        return self.make(rows)

    def as_sparse(self) -> Matrix:
        """Return the same, made sparse at the end, for estimators to which that is not the same."""
        from scipy.sparse import csr_matrix

        make = self.make
        return replace(self, make=lambda rows: csr_matrix(make(rows)))


def compile_matrix(steps: Sequence[Any], columns: Sequence[Column], *, in_order: bool) -> Matrix:
    """Compile the transformers before a model's last step, applied to a table's columns. Raises NotCompilable.

    ``in_order``: numbers lie in memory as they do in the original (by columns, where they come from a frame), since
    sums that BLAS makes depend on that.
    """
    return _chain(list(steps), _Source(columns, in_order), list(range(len(columns))))


@dataclass(frozen=True)
class _Source:
    columns: Sequence[Column]
    in_order: bool


def _chain(steps: list[Any], source: _Source, places: list[int]) -> Matrix:
    """Compile transformers one after another, of which the first sees these columns of the table."""
    columns = source.columns
    if not steps:
        return _numbers(source, places)
    for step in steps:
        if getattr(step, "_sklearn_output_config", {}).get("transform", "default") != "default":
            raise NotCompilable(f"a {type(step).__name__} that returns frames")
    name = type(steps[0]).__name__
    if name == "ColumnTransformer":
        matrix, rest = _column_transformer(steps[0], source, places), steps[1:]
    elif name == "FeatureUnion":
        matrix, rest = _union(steps[0], source, places), steps[1:]
    elif count := _tabulated(steps):
        matrix, rest = _table(steps[:count], columns, places), steps[count:]
    else:
        strange = sorted({columns[at].type.kind for at in places} - {*NUMERIC})
        if strange:
            raise NotCompilable(f"a {name} on {' and '.join(strange)} columns")
        matrix, rest = _numbers(source, places), steps
    for step in rest:
        matrix = _then(matrix, step)
    return matrix


def _inner_steps(transformer: Any) -> list[Any]:
    if type(transformer).__name__ != "Pipeline":
        return [transformer]
    return [
        s for _, step in transformer.steps if step is not None and step != "passthrough" for s in _inner_steps(step)
    ]


# ------------------------------------------------------------------ numbers


def _numbers(source: _Source, places: list[int]) -> Matrix:
    """Return columns of numbers as one array of the type to which NumPy promotes theirs."""
    import numpy as np

    columns = source.columns
    kinds = [columns[at].type.kind for at in places]
    strange = next((kind for kind in kinds if kind not in NUMERIC), None)
    if strange is not None:
        raise NotCompilable(f"a {strange} column that is not encoded")
    dtype = np.result_type(*(np.dtype(DTYPES[kind]) for kind in kinds))
    short = [at for at, kind in enumerate(kinds) if kind == "float"] if dtype == np.float64 else []
    pick: Any = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    array, float32, by_columns = np.array, np.float32, np.asfortranarray

    def stacked(columns: Columns) -> Any:
        matrix = np.empty((len(columns), len(places)), dtype)
        for at, place in enumerate(places):
            matrix[:, at] = columns.values[place]
        return matrix

    def whole(rows: Rows | Columns) -> Any:
        return stacked(rows) if isinstance(rows, Columns) else array(rows, dtype=dtype)

    def picked(rows: Rows | Columns) -> Any:
        return stacked(rows) if isinstance(rows, Columns) else array([pick(row) for row in rows], dtype=dtype)

    def rounded(rows: Rows | Columns) -> Any:
        matrix = picked(rows)
        matrix[:, short] = matrix[:, short].astype(float32)
        return matrix

    make = rounded if short else whole if places == list(range(len(columns))) else picked
    if source.in_order:
        return Matrix("columns", len(places), dtype, lambda rows: by_columns(make(rows)))
    return Matrix("columns", len(places), dtype, make)


def _then(matrix: Matrix, step: Any) -> Matrix:
    """Apply one more transformer, which sees an array in the original too (or numbers of a frame)."""
    import numpy as np

    name = type(step).__name__
    if matrix.is_sparse:
        raise NotCompilable(f"a {name} after a sparse matrix")
    as_itself = _as_itself(step)
    try:
        probe = as_itself(np.ones((1, matrix.width), dtype=matrix.dtype))
    except Exception as error:
        raise NotCompilable(f"a {name} that takes no array of numbers") from error
    is_sparse = hasattr(probe, "toarray")
    known = _ARITHMETIC.get(name)
    operate = None
    if known is not None and matrix.dtype in (np.float64, np.int64, np.int32) and probe.shape[1] == matrix.width:
        operate = known(step)
    make = matrix.make
    apply = _densely(as_itself) if is_sparse else as_itself
    if operate is not None:
        apply = _checked(operate, as_itself)
    return Matrix(f"{matrix.name} → {name}", probe.shape[1], probe.dtype, lambda rows: apply(make(rows)), is_sparse)


def _densely(transform: Operate) -> Operate:
    def apply(matrix: Any) -> Any:
        return transform(matrix).toarray()

    return apply


def _as_itself(step: Any) -> Operate:
    """Return the transformer's own method, without the check of names that arrays do not have."""
    own = without_names(step)
    if not hasattr(own, "transform"):
        raise NotCompilable(f"a {type(step).__name__}, which does not transform")
    return own.transform  # type: ignore[no-any-return]


def without_names(step: Any) -> Any:
    """Return a fitted estimator that does not look for the names of columns."""
    own = copy.copy(step)
    own.__dict__.pop("feature_names_in_", None)
    return own


def _checked(operate: Operate, as_itself: Operate) -> Operate:
    """Do the arithmetic where all is finite; scikit-learn itself knows what it says to the rest."""
    import numpy as np

    def apply(matrix: Any) -> Any:
        result = operate(matrix.astype(np.float64))
        return result if math.isfinite(result.sum()) else as_itself(matrix)

    return apply


def _standard(step: Any) -> Operate | None:
    mean = step.mean_ if step.with_mean else None
    scale = step.scale_ if step.with_std else None

    def operate(x: Any) -> Any:
        if mean is not None:
            x -= mean
        if scale is not None:
            x /= scale
        return x

    return operate


def _robust(step: Any) -> Operate | None:
    center = step.center_ if step.with_centering else None
    scale = step.scale_ if step.with_scaling else None

    def operate(x: Any) -> Any:
        if center is not None:
            x -= center
        if scale is not None:
            x /= scale
        return x

    return operate


def _min_max(step: Any) -> Operate | None:
    if step.clip:
        return None
    scale, least = step.scale_, step.min_

    def operate(x: Any) -> Any:
        x *= scale
        x += least
        return x

    return operate


def _max_abs(step: Any) -> Operate | None:
    if getattr(step, "clip", False):
        return None
    scale = step.scale_

    def operate(x: Any) -> Any:
        x /= scale
        return x

    return operate


def _impute(step: Any) -> Operate | None:
    import numpy as np

    missing, known = step.missing_values, step.statistics_
    if not (isinstance(missing, float) and math.isnan(missing)) or step.add_indicator or known.dtype.kind != "f":
        return None
    isnan, where = np.isnan, np.where
    return lambda x: where(isnan(x), known, x)


_ARITHMETIC: dict[str, Callable[[Any], Operate | None]] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "SimpleImputer": _impute,
}


# ------------------------------------------------------------------ side by side


def _column_transformer(transformer: Any, source: _Source, places: list[int]) -> Matrix:
    if transformer.transformer_weights:
        raise NotCompilable("a ColumnTransformer with weights")
    branches = []
    for _, inner, chosen in transformer.transformers_:
        if isinstance(inner, str) and inner == "drop":
            continue
        own = _chosen(chosen, [str(source.columns[at].name) for at in places])
        if not own:
            continue
        steps = [] if isinstance(inner, str) or _is_identity(inner) else _inner_steps(inner)
        branches.append(_chain(steps, source, [places[at] for at in own]))
    return _beside(branches, source, is_sparse=bool(transformer.sparse_output_))


def _is_identity(transformer: Any) -> bool:
    return type(transformer).__name__ == "FunctionTransformer" and transformer.func is None


def _chosen(chosen: Any, names: list[str]) -> list[int]:
    """Return which columns a ColumnTransformer's entry means: names, places, a slice or a mask."""
    if isinstance(chosen, (str, int)) or callable(chosen):
        raise NotCompilable("a ColumnTransformer that hands on a single column")
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            start = None if chosen.start is None else names.index(chosen.start)
            stop = None if chosen.stop is None else names.index(chosen.stop) + 1
            chosen = slice(start, stop, chosen.step)
        return [*range(len(names))[chosen]]
    items = list(chosen)
    if items and all(type(item).__name__ in ("bool", "bool_") for item in items):
        return [at for at, item in enumerate(items) if item]
    try:
        return [names.index(item) if isinstance(item, str) else range(len(names))[item] for item in items]
    except (ValueError, IndexError):
        raise NotCompilable("a ColumnTransformer of columns that the contract has not") from None


def _union(union: Any, source: _Source, places: list[int]) -> Matrix:
    if union.transformer_weights:
        raise NotCompilable("a FeatureUnion with weights")
    branches = [
        _chain([] if inner == "passthrough" or _is_identity(inner) else _inner_steps(inner), source, places)
        for _, inner in union.transformer_list
        if inner != "drop"
    ]
    return _beside(branches, source, is_sparse=any(branch.is_sparse for branch in branches))


def _beside(branches: list[Matrix], source: _Source, *, is_sparse: bool) -> Matrix:
    import numpy as np

    if not branches:
        raise NotCompilable("a transformer that keeps no column")
    names = " + ".join(dict.fromkeys(branch.name for branch in branches))
    if len(branches) == 1:
        return replace(branches[0], is_sparse=is_sparse)
    dtype = np.result_type(*(branch.dtype for branch in branches))
    width, parts = 0, []
    for branch in branches:
        parts.append((slice(width, width + branch.width), branch.make))
        width += branch.width
    empty, hstack = np.empty, np.hstack

    def joined(rows: Rows | Columns) -> Any:
        return hstack([make_part(rows) for _, make_part in parts])

    def make(rows: Rows | Columns) -> Any:
        matrix = empty((len(rows), width), dtype)
        for place, make_part in parts:
            matrix[:, place] = make_part(rows)
        return matrix

    return Matrix(f"({names})", width, dtype, joined if source.in_order else make, is_sparse)


# ------------------------------------------------------------------ tables


def _tabulated(steps: Sequence[Any]) -> int:
    """Return how many of the first steps make a table together: imputers, then one encoder."""
    for count, step in enumerate(steps, 1):
        name = type(step).__name__
        if name in ENCODERS:
            return count
        if name != "SimpleImputer" or step.add_indicator:
            return 0
    return 0


@dataclass(frozen=True)
class _Lookup:
    """One column's answers. A value that the original refuses has none."""

    place: int
    keys: dict[Any, int]
    unknown: int | None
    alone: dict[Any, int]
    """The same for a request in which the column's every value is missing: pandas has no type for it then."""
    own: Any
    """The places in the matrix: a slice or a list."""
    answers: Any

    def find(self, rows: Rows | Columns) -> list[int]:
        """Return which answer each row gets. Raises ValueError."""
        place, unknown = self.place, self.unknown
        values = rows.cells(place) if isinstance(rows, Columns) else [row[place] for row in rows]
        keys = self.alone if values[0] is None and all(value is None for value in values) else self.keys
        found = [keys.get(value, unknown) for value in values]
        if None in found or (None in values and None not in keys):
            raise ValueError("Found unknown categories")
        return found  # type: ignore[return-value]


def _table(steps: Sequence[Any], columns: Sequence[Column], places: list[int]) -> Matrix:
    """Ask the steps about every value that they tell apart."""
    import numpy as np
    import pandas as pd

    encoder = type(steps[-1]).__name__
    categories = steps[-1].categories_
    kinds = [columns[at].type.kind for at in places]
    if len(categories) != len(places) or "float" in kinds or "datetime" in kinds:
        raise NotCompilable(f"a {encoder} of other columns than it was given")
    domains = [_domain(kind, known) for kind, known in zip(kinds, categories)]
    base = [domain[0] for domain in domains]

    def ask_as_is(rows: list[list[Any]]) -> Any:
        """Return the answer to cells, in a frame such as MLflow makes."""
        result: Any = pd.DataFrame(
            {
                columns[at].name: pd.Series(values) if kind == "string" else np.array(values, dtype=DTYPES[kind])
                for at, kind, values in zip(places, kinds, zip(*rows))
            }
        )
        for step in steps:
            result = step.transform(result)
        return result

    def ask(rows: list[list[Any]]) -> Any:
        result = ask_as_is(rows)
        return result.toarray() if is_sparse else result

    is_sparse = hasattr(ask_as_is([base]), "toarray")
    ground = ask([base])[0]
    width, owned = len(ground), set[int]()
    if sum(map(len, domains)) * width > MAX_TABLE_CELLS:
        raise NotCompilable(f"a {encoder} with too many categories")
    lookups = []
    for at, (kind, domain) in enumerate(zip(kinds, domains)):

        def with_value(value: Any, at: int = at) -> list[Any]:
            return [*base[:at], value, *base[at + 1 :]]

        answers = [*ask([with_value(value) for value in domain])]
        keys = dict(zip(domain, range(len(domain))))

        def add(question: list[list[Any]], answers: list[Any] = answers) -> int | None:
            try:
                answers.append(ask(question)[0])
            except ValueError:
                return None
            return len(answers) - 1

        unknown = None if kind == "boolean" else add([with_value(_stranger(kind, domain))])
        alone = dict(keys)
        if kind in NULLABLE:
            for known, question in ((keys, [with_value(None), base]), (alone, [with_value(None)])):
                answer = add(question)
                if answer is not None:
                    known[None] = answer
        stacked = np.array(answers)
        differs = (stacked != ground) & ~(np.not_equal(stacked, stacked) & np.not_equal(ground, ground))
        own: Any = np.flatnonzero(differs.any(axis=0)).tolist()
        if owned & {*own}:
            raise NotCompilable(f"a {encoder} that mixes columns")
        owned |= {*own}
        kept = stacked[:, own].copy()
        if own and own == list(range(own[0], own[-1] + 1)):
            own = slice(own[0], own[-1] + 1)
        lookups.append(_Lookup(places[at], keys, unknown, alone, own, kept))
    quick = [(it.place, it.alone, it.unknown, it.own, it.answers, None in it.alone) for it in lookups]

    def make(rows: Rows | Columns) -> Any:
        matrix = np.empty((len(rows), width), ground.dtype)
        matrix[:] = ground
        if len(rows) > 1 or isinstance(rows, Columns):
            for it in lookups:
                matrix[:, it.own] = it.answers[it.find(rows)]
            return matrix
        row = rows[0]
        for place, keys, unknown, own, answers, may_miss in quick:
            value = row[place]
            at = keys.get(value, unknown)
            if at is None or (value is None and not may_miss):
                raise ValueError("Found unknown categories")
            matrix[0, own] = answers[at]
        return matrix

    names = " → ".join(type(step).__name__ for step in steps)
    return Matrix(names, width, ground.dtype, make, is_sparse)


def _domain(kind: str, categories: Any) -> list[Any]:
    """Return the values of a column's cells that an encoder knows, missing ones aside."""
    known = [value for value in categories.tolist() if value is not None and value == value]
    values: list[Any]
    if kind == "string":
        values = [value for value in known if isinstance(value, str)]
    elif kind == "boolean":
        values = [False, True]
    elif kind == "double":
        values = [float(value) for value in known if not isinstance(value, str)]
    else:
        values = [int(value) for value in known if not isinstance(value, str) and value == int(value)]
    if not values:
        raise NotCompilable("an encoder without categories")
    return list(dict.fromkeys(values))


def _stranger(kind: str, domain: list[Any]) -> Any:
    """Return a value that is in no category."""
    if kind == "string":
        return UNKNOWN_TEXT
    return next(n for n in range(len(domain) + 1) if n not in domain)
