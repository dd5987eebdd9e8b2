"""What a model asks to be installed: ``requirements.txt`` and ``conda.yaml`` → PEP 508 lines. Pure.

Read is what MLflow writes. Everything that would take packages from elsewhere, or run something, is refused by the
number of its line: options, URLs, version control, local paths. A line itself is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from taxiway.domain.errors import MalformedModel, UnsupportedRequirements
from taxiway.registry.yamls import BadYaml, read_yaml

MOST_LINES = 2000
MOST_LETTERS = 1000
CONSTRAINTS = "constraints.txt"
_COMMENT = re.compile(r"(^|\s)#.*$")
_CONSTRAINT_OPTION = re.compile(r"(?:-c\s*|--constraint[=\s]\s*)(\S+)\Z")
_PATH_OR_URL = re.compile(
    r"\.{0,2}/|[A-Za-z][A-Za-z0-9+.-]*:|~|.*\.(?:whl|zip|tar\.gz|tgz|tar\.bz2)\Z|\.{1,2}\Z|[^\s;@\[]*/"
)
_CONDA = re.compile(r"(?:[^:\s]+::)?\s*([A-Za-z0-9_.-]+)\s*(.*)\Z", re.DOTALL)
_CONDA_PYTHON = re.compile(r"={1,2}\s*(\d+\.\d+(?:\.\d+)?)(?:\.\*|=[^=]*)?\Z")
_OURS = frozenset({"python", "pip"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaEnvironment:
    """What a ``conda.yaml`` says: pip's part, and the Python version where it names one exactly."""

    pip: tuple[str, ...]
    python_version: str | None


def read_requirements(text: str, *, file: str, constraints: str | None = None) -> tuple[str, ...]:
    """Return a requirements file's lines. Raises UnsupportedRequirements, which names file and line.

    ``-c constraints.txt``, which MLflow writes, is followed: a constraint narrows the requirement of that name, and
    one of another package becomes a requirement, since it is there for what is installed along.
    """
    found, constrains = _read_lines(text.splitlines(), _line_of(file), may_constrain=True)
    if not constrains:
        return tuple(str(requirement) for requirement in found)
    if constraints is None:
        raise MalformedModel(
            f"{file} refers to {CONSTRAINTS}, which the logged model does not have.", hint="Log the model again."
        )
    limits, _ = _read_lines(constraints.splitlines(), _line_of(CONSTRAINTS), may_constrain=False)
    return _constrained(found, limits)


def read_pip_part(lines: Sequence[str], *, constraints: str | None = None) -> tuple[str, ...]:
    """Return the requirements of the pip part of a ``conda.yaml``. Raises as ``read_requirements`` does."""
    found, constrains = _read_lines(lines, lambda number: f"pip package {number} of conda.yaml", may_constrain=True)
    limits: list[Requirement] = []
    if constrains and constraints is not None:
        limits, _ = _read_lines(constraints.splitlines(), _line_of(CONSTRAINTS), may_constrain=False)
    return _constrained(found, limits)


def read_conda(content: bytes) -> CondaEnvironment:
    """Read a ``conda.yaml``. Raises MalformedModel, or UnsupportedRequirements naming conda packages."""
    try:
        data = read_yaml(content)
    except BadYaml as error:
        raise MalformedModel(f"conda.yaml cannot be read: {error}.", hint="Log the model again.") from error
    entries = data.get("dependencies", []) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise MalformedModel("conda.yaml has no list of dependencies.", hint="Log the model again.")
    pip: list[str] = []
    packages: list[str] = []
    python_version = None
    for entry in entries:
        if isinstance(entry, str):
            name, version = _conda_package(entry)
            packages += [] if name in _OURS else [name]
            if name == "python" and (exact := _CONDA_PYTHON.match(version)):
                python_version = exact[1]
        else:
            pip += _pip_lines(entry)
    if packages:
        named = ", ".join(sorted(set(packages))[:10])
        raise UnsupportedRequirements(
            f"The model asks for conda packages, which are not installed: {named}.",
            hint="Log the model with pip_requirements, with packages of PyPI that do the same.",
        )
    return CondaEnvironment(pip=tuple(pip), python_version=python_version)


def _conda_package(entry: str) -> tuple[str, str]:
    match = _CONDA.match(entry.strip())
    if match is None or len(entry) > MOST_LETTERS:
        raise MalformedModel("conda.yaml has a dependency that is not understood.", hint="Log the model again.")
    return match[1].lower(), match[2].strip()


def _pip_lines(entry: Any) -> list[str]:
    lines = entry.get("pip") if isinstance(entry, dict) and set(entry) == {"pip"} else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise MalformedModel("conda.yaml has a dependency that is not understood.", hint="Log the model again.")
    return lines


def _line_of(file: str) -> Callable[[int], str]:
    return lambda number: f"{file}, line {number}"


def _read_lines(
    lines: Sequence[str], where: Callable[[int], str], *, may_constrain: bool
) -> tuple[list[Requirement], bool]:
    if len(lines) > MOST_LINES:
        raise UnsupportedRequirements(
            f"The model asks for more than {MOST_LINES} lines of requirements.", hint="Name only what it needs."
        )
    found, constrains = [], False
    for number, line in enumerate(lines, start=1):
        content = _COMMENT.sub("", line).strip()
        if not content:
            continue
        option = _CONSTRAINT_OPTION.match(content)
        if may_constrain and option is not None and option[1] == CONSTRAINTS:
            constrains = True
        else:
            found.append(_read_line(content, where(number)))
    return found, constrains


def _read_line(content: str, where: str) -> Requirement:
    """Read one requirement; says what a line is that is none."""
    if len(content) > MOST_LETTERS or not content.isprintable():
        raise _unsupported(where, "is too long or has unprintable letters")
    if content.startswith("-"):
        raise _unsupported(where, "is an option of pip")
    if re.search(r"\s--?[A-Za-z]", content):
        raise _unsupported(where, "has options of pip behind the package")
    if content.endswith("\\"):
        raise _unsupported(where, "goes on in the next line")
    # Installers take 'x.whl' for a file, although it could be a package's name.
    if _PATH_OR_URL.match(content):
        raise _unsupported(where, "is a URL or a path")
    try:
        requirement = Requirement(content)
    except InvalidRequirement as error:
        raise _unsupported(where, "is not a requirement") from error
    if requirement.url is not None:
        raise _unsupported(where, "takes a package from a URL")
    return requirement


def _unsupported(where: str, what: str) -> UnsupportedRequirements:
    return UnsupportedRequirements(
        f"{where} {what}; only packages of the index, with versions, extras and markers, are installed.",
        hint="Log the model with pip_requirements that name packages; put code of your own into code_paths.",
    )


def _constrained(found: Sequence[Requirement], limits: Sequence[Requirement]) -> tuple[str, ...]:
    asked = {canonicalize_name(requirement.name) for requirement in found}
    by_name: dict[str, list[Requirement]] = {}
    for limit in limits:
        by_name.setdefault(canonicalize_name(limit.name), []).append(limit)
    lines = []
    for requirement in found:
        for limit in by_name.get(canonicalize_name(requirement.name), []):
            # A constraint for other platforms is no constraint here; one with a marker keeps a line of its own.
            if limit.marker is None:
                requirement.specifier &= limit.specifier
            else:
                lines.append(str(limit))
        lines.append(str(requirement))
    lines += [str(limit) for name, some in by_name.items() if name not in asked for limit in some]
    return tuple(lines)
