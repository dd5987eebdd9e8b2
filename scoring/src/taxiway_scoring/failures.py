"""Why a pod cannot serve a model: what is reported, and whether trying again may help."""

from __future__ import annotations


class LoadFailed(Exception):
    """The model could not be loaded: CamelCase reason, a sentence, what to do, whether trying again may help."""

    def __init__(self, reason: str, message: str, hint: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.retryable = retryable
