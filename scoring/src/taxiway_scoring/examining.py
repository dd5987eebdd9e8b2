"""Examines a model in a pod that ends: what loading it does, and whether its owner's invariants hold.

Invariants are functions ``check_…(predict, example)`` of a module ``taxiway_invariants.py`` that was logged with the
model (``code_paths``). One that returns holds; one that raises does not, and the error's text says why.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from taxiway_scoring.contract import Contract
from taxiway_scoring.payload import JSON_TYPE, read_request
from taxiway_scoring.predictor import PyfuncPredictor

MODULE = "taxiway_invariants"
PREFIX = "check_"
MAX_BYTES = 3_500
"""Of a report's detail; a longer one would not be taken."""
MAX_TEXT = 200
MAX_ACTS = 20
_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn"}
)
_CONNECTIONS = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})
_CHANGES = {"os.remove": "deleted", "os.rename": "renamed", "os.chmod": "changed", "os.symlink": "linked",
            "os.link": "linked", "shutil.rmtree": "deleted", "os.kill": "sent a signal to"}  # fmt: skip
log = logging.getLogger("taxiway")


@dataclass
class Watch:
    """Notes what happens while it is open: what pickles name, and what is done besides reading.

    By the interpreter's own audit events (PEP 578), which C code raises too. A hook cannot be taken away again; once
    closed it notes nothing.
    """

    names: set[tuple[str, str]] = field(default_factory=set)
    acts: dict[str, None] = field(default_factory=dict)
    _is_open: bool = False

    def open(self) -> None:
        """Begin to note."""
        self._is_open = True
        sys.addaudithook(self._note)

    def close(self) -> None:
        """Note nothing more."""
        self._is_open = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_open:
            return
        if event == "pickle.find_class":
            self.names.add((str(arguments[0]), str(arguments[1])))
            return
        act = describe(event, arguments)
        if act is not None and len(self.acts) < MAX_ACTS:
            self.acts[act[:MAX_TEXT]] = None

    def packages(self) -> list[list[Any]]:
        """List the packages whose classes and functions were named, with how many of each; the most named first."""
        counts: dict[str, int] = {}
        for module, _ in self.names:
            package = module.partition(".")[0]
            counts[package] = counts.get(package, 0) + 1
        return [[package, count] for package, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def describe(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Say what an audit event did to the world; None for what only reads. Names programs and files, no contents."""
    if event in _PROGRAMS:
        program = arguments[0] if arguments and isinstance(arguments[0], (str, bytes, os.PathLike)) else ""
        words = os.fsdecode(program).split()
        return f"began a program {words[0] if words else ''}".strip()
    if event in _CONNECTIONS:
        return f"used the network ({event.partition('.')[2]})"
    if event in _CHANGES:
        return f"{_CHANGES[event]} {_path(arguments)}"
    if event == "open" and _writes(arguments) and not _is_of_its_own(_path(arguments)):
        return f"wrote {_path(arguments)}"
    return None


def _path(arguments: tuple[Any, ...]) -> str:
    return (
        os.fsdecode(arguments[0]) if arguments and isinstance(arguments[0], (str, bytes, os.PathLike)) else "something"
    )


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_of_its_own(path: str) -> bool:
    """Tell whether a file is a temporary one or a device, which libraries use all the time."""
    return path.startswith((os.environ.get("TMPDIR", "/tmp"), "/dev/", "/proc/self/"))  # noqa: S108


def find_invariants(files: Path, metadata: Mapping[str, Any]) -> Path | None:
    """Return the file with a model's invariants; None where it was logged without."""
    flavor = (metadata.get("flavors") or {}).get("python_function") or {}
    folder = str(flavor.get("code") or "")
    path = files / folder / f"{MODULE}.py"
    return path if path.is_file() and path.resolve().is_relative_to(files.resolve()) else None


def examine(
    files: Path,
    metadata: Mapping[str, Any],
    contract: Contract,
    predictor: PyfuncPredictor,
    example: bytes | None,
    watch: Watch,
) -> dict[str, Any]:
    """Return what was found, as a report says it. Raises nothing."""
    found, trouble = [], ""
    path = find_invariants(files, metadata)
    if path is not None:
        try:
            found = try_all(load_module(path), predictor.model.predict, _frame(contract, predictor, example))
        except BaseException as error:
            log.warning("the invariants cannot be tried", exc_info=True)
            trouble = f"{type(error).__name__}: {_first_line(error)}"
        if not found and not trouble:
            trouble = f"{MODULE}.py defines no function {PREFIX}…"
    return _fit({"invariants": found, "trouble": trouble, "acts": list(watch.acts), "packages": watch.packages()})


def load_module(path: Path) -> ModuleType:
    """Import a file as the module of invariants."""
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def try_all(module: ModuleType, predict: Callable[[Any], Any], example: Any) -> list[dict[str, Any]]:
    """Call every invariant with ``predict`` and a copy of the example; those that do not hold come first."""
    found = []
    for name, function in vars(module).items():
        if not (name.startswith(PREFIX) and callable(function) and getattr(function, "__module__", "") == MODULE):
            continue
        told = name.removeprefix(PREFIX).replace("_", " ")
        try:
            function(predict, example.copy() if hasattr(example, "copy") else example)
        except Exception as error:
            log.warning("%s does not hold", name, exc_info=True)
            why = (
                _first_line(error)
                if isinstance(error, AssertionError)
                else f"{type(error).__name__}: {_first_line(error)}"
            )
            found.append({"name": told, "holds": False, "message": why})
        else:
            found.append({"name": told, "holds": True, "message": ""})
    return sorted(found, key=lambda item: bool(item["holds"]))


def _frame(contract: Contract, predictor: PyfuncPredictor, example: bytes | None) -> Any:
    """Return the model's input example as the model gets it; None where there is none."""
    if example is None:
        return None
    return predictor.convert(read_request(contract, example, JSON_TYPE, is_typed=predictor.is_typed))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_TEXT] if lines else "no reason was given"


def _fit(document: dict[str, Any]) -> dict[str, Any]:
    """Shorten the lists from their ends until a report takes the document."""
    while len(json.dumps(document)) > MAX_BYTES:
        longest = max(("packages", "acts", "invariants"), key=lambda name: len(json.dumps(document[name])))
        document[longest] = document[longest][:-1]
    return document
