"""The program that compiles what was installed into a model environment. Standard library only.

Run by the host's Python as ``python -I -S compiling.py <store> <site-packages> <list>``, never by the environment's:
that one runs the ``.pth`` files of packages when it starts, so code that somebody else chose, outside a pod. Reading
and compiling a source runs nothing of it.

Compiling is most of a build's time (15 of 19 seconds of CPU for scikit-learn, pandas and MLflow), and environments
mostly hold the same packages. So what was compiled once is kept in a store by the SHA-256 of its source and linked
from there; environments then share these pages in memory too. What is new is listed for ``compiled.publish``.

Unchecked hashes (PEP 552): what is sealed never changes, so a start compares no times, and a copy of the data
directory with other times starts as fast.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import py_compile
import sys
from concurrent.futures import ProcessPoolExecutor

_MODE = py_compile.PycInvalidationMode.UNCHECKED_HASH


def find_sources(packages: str) -> list[str]:
    """List the sources below site-packages, but for tests: a third of all files, and nobody imports them."""
    found = []
    for parent, directories, files in os.walk(packages):
        directories[:] = [name for name in directories if name not in ("tests", "__pycache__")]
        found += [os.path.join(parent, name) for name in files if name.endswith(".py")]  # noqa: PTH118
    return sorted(found)


def place_in_store(store: str, digest: str) -> str:
    """Return where the compiled form of a source lies, for this very version of Python."""
    kind = f"{sys.implementation.cache_tag}-{importlib.util.MAGIC_NUMBER.hex()}"
    return f"{store}/{kind}/{digest[:2]}/{digest}.pyc"


def take_from_store(kept: str, target: str) -> bool:
    """Link what is in the store; False where it is not, or no more links to it can be made."""
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        if os.path.lexists(target):
            os.unlink(target)  # noqa: PTH108 - wheels may bring compiled files; only ours are known to be true
        os.link(kept, target)
    except OSError:
        return False
    return True


def compile_one(job: tuple[str, str]) -> bool:
    """Compile a source; False where it is for another Python, or no Python at all."""
    source, name = job
    try:
        py_compile.compile(source, dfile=name, doraise=True, invalidation_mode=_MODE)
    except (py_compile.PyCompileError, ValueError, RecursionError, MemoryError, OSError):
        return False
    return True


def main(store: str, packages: str, listed: str) -> int:
    """Compile all; 1 where some sources could not be."""
    missing: list[tuple[str, str, str]] = []
    for source in find_sources(packages):
        with open(source, "rb") as file:  # noqa: PTH123
            digest = hashlib.sha256(file.read()).hexdigest()
        kept, target = place_in_store(store, digest), importlib.util.cache_from_source(source)
        if not take_from_store(kept, target):
            missing.append((source, target, kept))
    # Imports put the true path in the place of this one, which must hold in every environment.
    jobs = [(source, os.path.relpath(source, packages)) for source, _, _ in missing]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(compile_one, jobs, chunksize=8))
    with open(listed, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        for (_, target, kept), is_compiled in zip(missing, done):
            if is_compiled and "\n" not in target:
                file.write(f"{target}\n{kept}\n")
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
