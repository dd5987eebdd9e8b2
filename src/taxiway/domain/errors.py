"""Every error that Taxiway raises on purpose.

Each class has a ``reason``: a CamelCase constant that is the API's problem type, the reason of a condition
and the label of a metric. The message says what happened to which object, the hint says the next command
or step. Facts are numbers and names for programs. None of them ever carries request data or a secret.
"""

from __future__ import annotations

from typing import ClassVar


class TaxiwayError(Exception):
    """The root of all errors with a reason; raised only through its subclasses."""

    reason: ClassVar[str] = "Internal"

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts


class InvalidInput(TaxiwayError):
    """A value that a person or program gave is not acceptable. ``field`` is a JSON pointer where one fits."""

    reason = "InvalidInput"

    def __init__(self, message: str, *, hint: str | None = None, field: str | None = None, **facts: object) -> None:
        super().__init__(message, hint=hint, **facts)
        self.field = field


class InvalidFilter(InvalidInput):
    """A filter that cannot be understood. ``place`` is where the wrong part begins and ends, in letters from 0."""

    def __init__(self, message: str, *, hint: str, place: tuple[int, int] | None) -> None:
        super().__init__(message, hint=hint, field="/filter")
        self.place = place


class NotFound(TaxiwayError):
    """There is no such object, or the asker may not know of it."""

    reason = "NotFound"


class NotSignedIn(TaxiwayError):
    """No session or token, or one that no longer counts."""

    reason = "NotSignedIn"


class NotAllowed(TaxiwayError):
    """The asker is known and lacks the permission."""

    reason = "NotAllowed"


class NotReady(TaxiwayError):
    """No pod of the deployment answers at the moment."""

    reason = "NotReady"


class Conflict(TaxiwayError):
    """The object is in a state, or of a generation, in which this cannot be done."""

    reason = "Conflict"


class GenerationMismatch(TaxiwayError):
    """The object was changed since the asker looked; the generation that was named is not the present one."""

    reason = "GenerationMismatch"


class TooManyRequests(TaxiwayError):
    """A rate limit was reached; ``retry_after_seconds`` says when to come back."""

    reason = "TooManyRequests"

    def __init__(self, message: str, *, retry_after_seconds: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class LimitReached(TaxiwayError):
    """A quota or a size limit would be exceeded."""

    reason = "LimitReached"


class GatesFailed(TaxiwayError):
    """Some gates of a promotion do not hold; nothing was changed."""

    reason = "GatesFailed"


class TrackingUnavailable(TaxiwayError):
    """MLflow does not answer at the moment; nothing was changed."""

    reason = "TrackingUnavailable"


class DatabaseUnavailable(TaxiwayError):
    """Taxiway's own database does not answer at the moment; nothing was changed."""

    reason = "DatabaseUnavailable"


class StoreUnavailable(TaxiwayError):
    """Production's object store does not answer, or not in time."""

    reason = "StoreUnavailable"


class StoreRefused(TaxiwayError):
    """Production's object store answers and refuses: credentials, rights, bucket or region are not right."""

    reason = "StoreRefused"


class NoSignature(TaxiwayError):
    """The logged model has no signature, so that there is no contract to serve it by."""

    reason = "NoSignature"


class MalformedModel(TaxiwayError):
    """The ``MLmodel`` file or a file beside it cannot be understood."""

    reason = "MalformedModel"


class UnsupportedRequirements(TaxiwayError):
    """The model asks for packages in a way that is not built: conda packages, URLs, local paths, options."""

    reason = "UnsupportedRequirements"


class NoInterpreter(TaxiwayError):
    """No Python of the model's minor version is installed on this host."""

    reason = "NoInterpreter"


class EnvironmentFailed(TaxiwayError):
    """The model environment could not be resolved or installed."""

    reason = "EnvironmentFailed"


class ArtifactDigestMismatch(TaxiwayError):
    """A file of a snapshot is missing, added or changed; the message names it."""

    reason = "ArtifactDigestMismatch"


class OutOfDisk(TaxiwayError):
    """There is not enough room on the disk; says need and have."""

    reason = "OutOfDisk"


class IsolationUnavailable(TaxiwayError):
    """The demanded isolation level cannot be had on this host."""

    reason = "IsolationUnavailable"


class GatewayRejected(TaxiwayError):
    """Envoy refused a routing table; the last good one stays in force."""

    reason = "GatewayRejected"


class LeaseLost(TaxiwayError):
    """Another control plane holds the lease now; this one must not act."""

    reason = "LeaseLost"
