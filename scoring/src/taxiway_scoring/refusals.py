"""How a request is refused: a status, a reason, a sentence that names row and column and echoes no value."""

from __future__ import annotations

from collections.abc import Sequence


class Refused(Exception):
    """A request that is answered with a problem: status, CamelCase reason, a sentence that echoes no value."""

    def __init__(self, status: int, reason: str, message: str, **places: object) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.places = places
        """``row`` (from 0) and ``column``, where there is one place to name."""
        self.is_of_protocol = False
        """Answered as the Open Inference Protocol wants it, with a member ``error``."""


class ModelFailed(Refused):
    """The model's own code raised; the log says where."""

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        super().__init__(500, "PredictionFailed", f"The model raised {self.kind}; its log says where.")


def malformed(message: str) -> Refused:
    """Make a refusal of a body that is not what its content type says."""
    return Refused(400, "MalformedBody", message)


def violation(message: str, **places: object) -> Refused:
    """Make a refusal of values that do not fit the contract."""
    return Refused(422, "ContractViolation", message, **places)


def listed(names: Sequence[str | None]) -> str:
    """Return columns' names for a sentence, at most ten."""
    shown = ", ".join(f"'{name}'" for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"column{'s' if len(names) > 1 else ''} {shown}{more}"
