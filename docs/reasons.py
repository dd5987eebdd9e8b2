"""Finds the reasons that the code gives, by reading it: those of failures and those of endpoints' answers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from taxiway.domain import errors
from taxiway.domain.errors import TaxiwayError
from taxiway.domain.revisions import RevisionState
from taxiway.gateway.answers import ANSWERS

CHECKOUT = Path(__file__).parent.parent
TAXIWAY = CHECKOUT / "src" / "taxiway"
SCORING = CHECKOUT / "scoring" / "src" / "taxiway_scoring"
FAILING = frozenset({"Failure", "_rule", "_Rule", "_trouble", "Failed", "LoadFailed"})
"""What makes a failure: its reason is an argument of that name, or the first one."""
REFUSING = frozenset({"Refused", "_refuse", "_problem"})
"""What makes an endpoint's refusal: its first arguments are status and reason."""
COMING = (RevisionState.QUEUED, RevisionState.PREPARING, RevisionState.STARTING, RevisionState.READY)
"""States of a revision that are themselves the reason of a status: it is coming up."""


@dataclass(slots=True, kw_only=True)
class EndpointAnswer:
    """With which statuses a reason comes, and who says it."""

    statuses: list[int] = field(default_factory=list)
    by: list[str] = field(default_factory=list)

    def add(self, status: int, by: str) -> None:
        """Add one."""
        self.statuses = sorted({*self.statuses, status})
        self.by = sorted({*self.by, by})


def endpoint_answers() -> dict[str, EndpointAnswer]:
    """Return what an endpoint can refuse with, by reason, in order of status."""
    found: dict[str, EndpointAnswer] = {}
    for answer in ANSWERS:
        found.setdefault(answer.reason, EndpointAnswer()).add(answer.status, "gateway")
    for status, reason in _refusals():
        found.setdefault(reason, EndpointAnswer()).add(status, "pod")
    return dict(sorted(found.items(), key=lambda item: (item[1].statuses, item[0])))


def failure_reasons() -> set[str]:
    """Return every reason that the code gives to a failure by name."""
    made = {reason for tree in _trees(TAXIWAY, SCORING) for reason in _failures(tree)}
    chosen = {reason for tree in _trees(TAXIWAY / "domain") for reason in _chosen(tree)}
    reported = {reason for tree in _trees(SCORING) for reason in _reported(tree)}
    return made | chosen | reported


def status_reasons() -> set[str]:
    """Return every reason that a status without a failure gives by name."""
    tree = _parse(TAXIWAY / "domain" / "deployments.py")
    given = {_word(value) for call in _calls(tree, frozenset({"Verdict"})) for value in _given(call)}
    return (given | {str(state) for state in COMING}) - {""}


def error_reasons() -> set[str]:
    """Return the reason of every class of errors, wherever it is."""
    found = set()
    for tree in _trees(TAXIWAY):
        for kind in ast.walk(tree):
            if isinstance(kind, ast.ClassDef):
                for line in kind.body:
                    match line:
                        case ast.Assign(targets=[ast.Name(id="reason")], value=value) if value is not None:
                            found.add(_word(value))
                        case ast.AnnAssign(target=ast.Name(id="reason"), value=value) if value is not None:
                            found.add(_word(value))
    return found - {""}


def meaning_of(reason: str, title: str) -> str:
    """Return the words of the error's own class; ``title`` where no class of the domain has this reason."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TaxiwayError)]
    found = next((kind for kind in classes if kind.__dict__.get("reason") == reason and kind is not TaxiwayError), None)
    return found.__doc__ if found is not None and found.__doc__ else f"{title}."


def _trees(*roots: Path) -> Iterator[ast.Module]:
    for root in roots:
        for file in sorted(root.rglob("*.py")):
            yield _parse(file)


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _calls(tree: ast.AST, names: frozenset[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in names:
                yield node


def _given(call: ast.Call) -> list[ast.expr]:
    return [keyword.value for keyword in call.keywords if keyword.arg == "reason"] or call.args[:1]


def _failures(tree: ast.Module) -> Iterator[str]:
    constants: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                constants[name] = text
    for call in _calls(tree, FAILING):
        for value in _given(call):
            match value:
                case ast.Name(id=name) if name in constants:
                    yield constants[name]
                case ast.Attribute(value=ast.Name(id=name), attr="reason") if hasattr(errors, name):
                    yield getattr(errors, name).reason
                case _ if word := _word(value):
                    yield word


def _chosen(tree: ast.Module) -> Iterator[str]:
    """Yield words that an expression chooses for a name ``reason``."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id="reason")], value=ast.IfExp(body=body, orelse=otherwise)):
                yield from (word for part in (body, otherwise) if (word := _word(part)))


def _reported(tree: ast.Module) -> Iterator[str]:
    """Yield words that stand under the key ``reason`` of a dictionary."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "reason" and (word := _word(value)):
                    yield word


def _refusals() -> Iterator[tuple[int, str]]:
    for tree in _trees(SCORING):
        for call in _calls(tree, REFUSING):
            match call.args:
                case [ast.Constant(value=int(status)), ast.Constant(value=str(reason)), *_]:
                    yield status, reason


def _word(node: ast.expr) -> str:
    """Return the CamelCase word that a node is; '' for anything else."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) and value.isalnum() and value[:1].isupper() else ""
