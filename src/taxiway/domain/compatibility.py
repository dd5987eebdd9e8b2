"""Can a new contract take the place of an old one? The difference, column by column, each compatible or breaking.

Compatible means for what callers send: every value that the old contract accepts, the new one accepts, and it means the
same. For what they read: what the old contract promised is still there and has no values that it did not have before.
Where that cannot be told, the change is called breaking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest

from taxiway_scoring.contract import NULLABLE, Column, Contract, Param, Tensor, Type


class Side(StrEnum):
    """Where a change is."""

    INPUT = "input"
    OUTPUT = "output"
    PARAM = "param"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``name`` is a path (``order.lines[].price``); ``was`` and ``becomes`` are types, "" for none."""

    side: Side
    name: str
    was: str
    becomes: str
    is_breaking: bool
    why: str
    """In one sentence what callers feel, or why they feel nothing."""


WIDER: dict[str, frozenset[str]] = {
    "boolean": frozenset(),
    "integer": frozenset({"long", "double"}),
    "long": frozenset(),
    "float": frozenset({"double"}),
    "double": frozenset(),
    "string": frozenset(),
    "binary": frozenset(),
    "datetime": frozenset(),
}
"""Scalar → those that hold each of its values, with the same meaning. ``long`` has numbers that ``double`` has not; a
base64 text or a time would be taken for another text by ``string``."""


def compare(old: Contract, new: Contract) -> tuple[Change, ...]:
    """Return all differences, those of inputs first; none for equal contracts."""
    return (*_inputs(old, new), *_params(old.params, new.params), *_outputs(old, new))


def breaking(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return those that callers may feel."""
    return tuple(change for change in changes if change.is_breaking)


def type_text(type_: Type, *, required: bool = True) -> str:
    """Write a type for people: ``array<double>``, ``{amount: double, note?: string}``."""
    if type_.kind == "array" and type_.items is not None:
        text = f"array<{type_text(type_.items)}>"
    elif type_.kind == "map" and type_.items is not None:
        text = f"map<{type_text(type_.items)}>"
    elif type_.kind == "object":
        inner = (f"{name}{'' if needed else '?'}: {type_text(each)}" for name, each, needed in type_.fields)
        text = f"{{{', '.join(inner)}}}"
    else:
        text = type_.kind
    return text if required else f"{text}, optional"


# ------------------------------------------------------------------ what callers send


def _inputs(old: Contract, new: Contract) -> Iterator[Change]:
    if old.tensors or new.tensors:
        yield from _tensors(Side.INPUT, old.tensors, new.tensors, _kind(old), _kind(new))
        return
    if bool(old.names) != bool(new.names):
        why = "Requests name their columns in one, and count them in the other."
        yield Change(Side.INPUT, "", _kind(old), _kind(new), is_breaking=True, why=why)
        return
    if not old.names:
        yield from _by_position(old.columns, new.columns)
        return
    before, after = {c.name: c for c in old.columns}, {c.name: c for c in new.columns}
    for name, column in before.items():
        yield from _input_column(column, after.get(name))
    for name, column in after.items():
        if name not in before:
            yield _added_column(column, is_second=len(old.columns) == 1)


def _input_column(old: Column, new: Column | None) -> Iterator[Change]:
    name, was = str(old.name or ""), _of(old)
    if new is None:
        why = "Callers may go on sending it; it is not used any more."
        yield Change(Side.INPUT, name, was, "", is_breaking=False, why=why)
        return
    if old == new:
        return
    if new.required and not old.required:
        why = "Callers could leave it out, and cannot any more."
        yield Change(Side.INPUT, name, was, _of(new), is_breaking=True, why=why)
    elif old.required and not new.required and old.type == new.type:
        why = "Callers may leave it out now."
        yield Change(Side.INPUT, name, was, _of(new), is_breaking=False, why=why)
    for path, inner, becomes, why in _narrowed(old.type, new.type, name):
        yield Change(Side.INPUT, path, inner, becomes, is_breaking=bool(why), why=why or "It takes all that it took.")


def _added_column(column: Column, *, is_second: bool) -> Change:
    if column.required:
        why, is_breaking = "Callers do not send it.", True
    elif is_second:
        why, is_breaking = "A list of bare values fits models of one column only.", True
    else:
        why, is_breaking = "Callers need not send it.", False
    return Change(Side.INPUT, str(column.name), "", _of(column), is_breaking, why)


def _by_position(old: Sequence[Column], new: Sequence[Column]) -> Iterator[Change]:
    if len(old) != len(new):
        was, becomes = (f"{len(each)} unnamed columns" if each else "anything" for each in (old, new))
        why = "Values are told apart by their place." if new else "It takes all that it took."
        yield Change(Side.INPUT, "", was, becomes, is_breaking=bool(new), why=why)
        return
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        yield from _input_column(replace(before, name=str(at)), replace(after, name=str(at)))


def _narrowed(old: Type, new: Type, path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield where types differ: path, old, new, and why the new one does not take all of the old; "" where it does."""
    if old == new:
        return
    if new.kind == "any":
        yield path, type_text(old), "any", ""
    elif old.kind != new.kind:
        why = "" if new.kind in WIDER.get(old.kind, ()) else f"Not each {old.kind} is a {new.kind}."
        yield path, type_text(old), type_text(new), why
    elif old.kind == "object":
        yield from _narrowed_fields(old, new, path)
    elif old.items is not None and new.items is not None:
        if old.kind == "array" and old.items.kind in NULLABLE and not _takes_null(new.items):
            yield path, type_text(old), type_text(new), "Its items could be null, and cannot any more."
        yield from _narrowed(old.items, new.items, path + ("[]" if old.kind == "array" else ".*"))


def _takes_null(item: Type) -> bool:
    return item.kind in NULLABLE or item.kind == "any"


def _narrowed_fields(old: Type, new: Type, path: str) -> Iterator[tuple[str, str, str, str]]:
    before = {name: (inner, needed) for name, inner, needed in old.fields}
    after = {name: (inner, needed) for name, inner, needed in new.fields}
    for name, (inner, needed) in before.items():
        here, was = f"{path}.{name}", type_text(inner, required=needed)
        if name not in after:
            yield here, was, "", "Objects with fields that are not known are refused."
            continue
        other, is_needed = after[name]
        becomes = type_text(other, required=is_needed)
        if is_needed and not needed:
            yield here, was, becomes, "Callers could leave it out, and cannot any more."
        elif needed and not is_needed and inner == other:
            yield here, was, becomes, ""
        yield from _narrowed(inner, other, here)
    for name, (inner, needed) in after.items():
        if name not in before:
            why = "Callers do not send it." if needed else ""
            yield f"{path}.{name}", "", type_text(inner, required=needed), why


def _params(old: Sequence[Param], new: Sequence[Param]) -> Iterator[Change]:
    before, after = {param.name: param for param in old}, {param.name: param for param in new}
    for name in {**before, **after}:
        was, becomes = before.get(name), after.get(name)
        if was == becomes:
            continue
        texts = _param_text(was), _param_text(becomes)
        if was is None:
            why, is_breaking = "It has a default.", False
        elif becomes is None:
            why, is_breaking = "Who sends it would be passed over in silence.", True
        elif was.is_list != becomes.is_list or _is_narrower(was.kind, becomes.kind):
            why, is_breaking = "Values that callers send do not fit any more.", True
        elif was.default != becomes.default:
            why, is_breaking = "Who does not send it gets another default.", True
        else:
            why, is_breaking = "It takes all that it took.", False
        yield Change(Side.PARAM, name, *texts, is_breaking, why)


def _is_narrower(old: str, new: str) -> bool:
    return old != new and new not in WIDER.get(old, ())


def _param_text(param: Param | None) -> str:
    if param is None:
        return ""
    kind = f"array<{param.kind}>" if param.is_list else param.kind
    return f"{kind} = {param.default!r}"[:80]


# ------------------------------------------------------------------ what callers read


def _outputs(old: Contract, new: Contract) -> Iterator[Change]:
    if not (old.outputs or old.output_tensors):
        if new.outputs or new.output_tensors:
            why = "Nothing was promised."
            yield Change(Side.OUTPUT, "", "unknown", _kind_of_answer(new), is_breaking=False, why=why)
        return
    if not (new.outputs or new.output_tensors):
        why = "Nothing is promised any more."
        yield Change(Side.OUTPUT, "", _kind_of_answer(old), "unknown", is_breaking=True, why=why)
        return
    if old.output_tensors or new.output_tensors:
        kinds = _kind_of_answer(old), _kind_of_answer(new)
        yield from _tensors(Side.OUTPUT, old.output_tensors, new.output_tensors, *kinds)
        return
    names = [[column.name for column in each.outputs if column.name is not None] for each in (old, new)]
    if bool(names[0]) != bool(names[1]):
        why = "An answer's values have names in one, and none in the other."
        yield Change(Side.OUTPUT, "", _kind_of_answer(old), _kind_of_answer(new), is_breaking=True, why=why)
    elif names[0]:
        after = {column.name: column for column in new.outputs}
        for column in old.outputs:
            yield from _output_column(str(column.name), column, after.pop(column.name, None))
        for name, column in after.items():
            why = "Callers may pass it over."
            yield Change(Side.OUTPUT, str(name), "", _of(column), is_breaking=False, why=why)
    else:
        for at, (before, now) in enumerate(zip_longest(old.outputs, new.outputs)):
            name = "" if len(old.outputs) == len(new.outputs) == 1 else str(at)
            if before is None:
                why = "An answer has more values than before."
                yield Change(Side.OUTPUT, name, "", _of(now), is_breaking=True, why=why)
            else:
                yield from _output_column(name, before, now)


def _output_column(name: str, old: Column, new: Column | None) -> Iterator[Change]:
    if new is None:
        yield Change(Side.OUTPUT, name, _of(old), "", is_breaking=True, why="Callers read it.")
    elif old != new:
        # What is read is the other way round: each new value must be one that there could be before.
        why = next((why for *_, why in _narrowed(new.type, old.type, name) if why), "")
        if old.required and not new.required:
            why = "It could not be missing, and can be now."
        is_breaking = bool(why)
        why = why or "Callers read nothing that there was not before."
        yield Change(Side.OUTPUT, name, _of(old), _of(new), is_breaking, why)


# ------------------------------------------------------------------ tensors


def _tensors(
    side: Side, old: Sequence[Tensor], new: Sequence[Tensor], was_kind: str, new_kind: str
) -> Iterator[Change]:
    if bool(old) != bool(new):
        why = "One is made of tensors, the other of columns."
        yield Change(side, "", was_kind, new_kind, is_breaking=True, why=why)
        return
    before, after = {tensor.name: tensor for tensor in old}, {tensor.name: tensor for tensor in new}
    for name in {**before, **after}:
        was, becomes = before.get(name), after.get(name)
        if was == becomes:
            continue
        texts = _tensor_text(was), _tensor_text(becomes)
        narrow, wide = (was, becomes) if side is Side.INPUT else (becomes, was)
        fits = was is not None and becomes is not None and _fits(narrow, wide)
        why = "Its shape leaves room for what there was." if fits else "Tensors must be the same, or of a freer shape."
        yield Change(side, str(name or ""), *texts, not fits, why)


def _fits(narrow: Tensor | None, wide: Tensor | None) -> bool:
    """Tell whether each tensor of the one is one of the other."""
    if narrow is None or wide is None or narrow.dtype != wide.dtype or len(narrow.shape) != len(wide.shape):
        return False
    return all(there in (-1, here) for here, there in zip(narrow.shape, wide.shape, strict=True))


def _tensor_text(tensor: Tensor | None) -> str:
    return "" if tensor is None else f"{tensor.dtype}[{', '.join(map(str, tensor.shape))}]"


# ------------------------------------------------------------------ words


def _of(column: Column) -> str:
    return type_text(column.type, required=column.required)


def _kind(contract: Contract) -> str:
    if contract.tensors:
        return "tensors"
    return ("columns with names" if contract.names else "columns without names") if contract.columns else "anything"


def _kind_of_answer(contract: Contract) -> str:
    if contract.output_tensors:
        return "tensors"
    return "values with names" if any(column.name for column in contract.outputs) else "values without names"
