"""What a model environment must hold, as lines for uv. Pure.

Three things come together: the model's own requirements, the scoring server's, and MLflow where the model's own
leave it out. Nothing but PEP 508 lines without URLs ever reaches uv.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import UnsupportedRequirements

OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version that Taxiway itself runs on."""
MLFLOW = frozenset({"mlflow", "mlflow-skinny"})
MLFLOW_NEEDS = ("pandas", "numpy")
"""What MLflow's pyfunc imports and ``mlflow-skinny`` does not bring."""
MLFLOW_FALLBACK = "mlflow-skinny>=2"
BUILT_FOR_NUMPY_1 = {"pandas": "2.2.2", "scikit-learn": "1.4.2", "scipy": "1.13", "pyarrow": "16"}
"""Releases before these were compiled for NumPy 1 and mostly do not say so; NumPy 2 breaks them at import."""
NEEDS_NO_SETUPTOOLS = Version("2.16")
SETUPTOOLS = "setuptools<81"
"""Later ones have no ``pkg_resources``. Environments that MLflow made itself always held some setuptools."""
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
_PYTHON = re.compile(r"(\d+)\.(\d+)(?:\.|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Lines to resolve, and a sentence for the build log where it is not the first attempt."""

    lines: tuple[str, ...]
    note: str = ""


def check_requirements(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines in their normal form. Raises UnsupportedRequirements for what is no plain requirement."""
    checked = []
    for number, line in enumerate(lines, start=1):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            raise UnsupportedRequirements(
                f"Requirement {number} of the model is not a package with versions.",
                hint="Only names, extras, versions and markers are built; no options, paths or URLs.",
            ) from None
        if requirement.url is not None:
            raise UnsupportedRequirements(
                f"The model's requirement {requirement.name} (number {number}) is a URL.",
                hint="Put the package into the package index or the wheel store, and log the model with its version.",
            )
        checked.append(str(requirement))
    return tuple(checked)


def minor_of(python_version: str) -> str:
    """Return ``major.minor`` of a logged Python version. Raises UnsupportedRequirements for anything else."""
    match = _PYTHON.match(python_version)
    if match is None:
        raise UnsupportedRequirements(
            "The model does not say which Python it was logged with.",
            hint="Log it again with an MLflow that writes python_env.yaml.",
        )
    return f"{match[1]}.{match[2]}"


def logged_with(mlflow_version: str | None) -> str | None:
    """Return the MLflow version in its normal form; None where it is none."""
    try:
        return str(Version(mlflow_version)) if mlflow_version else None
    except InvalidVersion:
        return None


def scoring_requirements() -> tuple[str, ...]:
    """Return what the scoring server needs, from its own metadata, without extras."""
    declared = [Requirement(line) for line in metadata.requires("taxiway-scoring") or []]
    return tuple(str(line) for line in declared if line.marker is None or "extra" not in str(line.marker))


def scoring_pythons() -> SpecifierSet:
    """Return which Pythons the scoring server runs on."""
    return SpecifierSet(str(metadata.metadata("taxiway-scoring").json.get("requires_python", "")))


def this_platform() -> str:
    """Return what decides, beside the Python version, which wheels fit: system, machine and C library."""
    return "-".join(part for part in (sys.platform, platform.machine(), platform.libc_ver()[0]) if part)


def attempts(request: EnvironmentRequest) -> tuple[Attempt, ...]:
    """Return what to resolve, in the order in which it is tried until one fits.

    Raises UnsupportedRequirements as ``check_requirements`` does: a request may come from the database.
    """
    own = check_requirements(request.requirements) + check_requirements(request.scoring_requirements)
    if MLFLOW & _named(own, request.python):
        return (Attempt(lines=own),)
    version = logged_with(request.mlflow_version)
    newest = (*own, MLFLOW_FALLBACK, *MLFLOW_NEEDS)
    if version is None:
        return (Attempt(lines=newest),)
    return (
        Attempt(lines=(*own, f"mlflow-skinny=={version}", *MLFLOW_NEEDS)),
        Attempt(
            lines=newest,
            note=f"MLflow {version}, which logged the model, does not go with the model's requirements; "
            "the newest MLflow that does is taken.",
        ),
    )


def completed(request: EnvironmentRequest, attempt: Attempt, lock: str) -> Attempt | None:
    """Return the attempt with what old releases need and do not ask for; None where nothing is amiss.

    NumPy 1, where the lock pairs NumPy 2 with a package that was compiled for NumPy 1; setuptools, where it has an
    MLflow that imports it. What the model itself names it gets as it asks.
    """
    pinned, named = read_lock(lock), _named(request.requirements, request.python)
    lines, notes = list[str](), list[str]()
    old = [name for name, first in BUILT_FOR_NUMPY_1.items() if name in pinned and pinned[name] < Version(first)]
    if old and "numpy" not in named and pinned.get("numpy", Version("0")).major >= 2:
        lines.append("numpy<2")
        notes.append(f"{old[0]} {pinned[old[0]]} was compiled for NumPy 1; NumPy 2 is left out.")
    mlflow = pinned.get("mlflow-skinny") or pinned.get("mlflow")
    if mlflow is not None and mlflow < NEEDS_NO_SETUPTOOLS and "setuptools" not in pinned:
        lines.append(SETUPTOOLS)
        notes.append(f"MLflow {mlflow} imports pkg_resources; setuptools, which brings it, is added.")
    return Attempt(lines=(*attempt.lines, *lines), note=" ".join(notes)) if lines else None


def read_lock(lock: str) -> Mapping[str, Version]:
    """Read the packages of a lock that uv wrote: canonical name to version."""
    matches = [match for line in lock.splitlines() if (match := _PINNED.match(line))]
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches}


def _named(lines: Sequence[str], python: str) -> set[str]:
    """Return the canonical names that the lines ask for with this Python on this host."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    requirements = [Requirement(line) for line in lines]
    return {
        canonicalize_name(line.name)
        for line in requirements
        if line.marker is None or line.marker.evaluate(environment)
    }
