"""The last line of defence against model code in the control plane: unpickling ends in an error.

The import contracts keep every unpickler out of our own code; this catches one that a library would use.
"""

from __future__ import annotations

import sys

import structlog

log = structlog.get_logger()

_FORBIDDEN = "pickle.find_class"
"""Python's audit event for a class that a pickle asks for; the C and the Python unpickler both raise it."""


class UnpicklingRefused(RuntimeError):
    """Something in the control plane tried to unpickle."""


def refuse_unpickling() -> None:
    """Make every pickle that names a class or function fail in this process, from now on and for good."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == _FORBIDDEN:
        log.critical("unpickling refused", wanted=".".join(str(part) for part in arguments[1:]))
        raise UnpicklingRefused("The control plane does not unpickle.")
