"""Password hashes: argon2id with the parameters of RFC 9106 for little memory (64 MiB, three passes)."""

from __future__ import annotations

import asyncio
import unicodedata

import argon2
from argon2.profiles import RFC_9106_LOW_MEMORY

AT_ONCE = 2
"""Hashes that are computed at the same time: a flood of log-ins takes 128 MiB, and waits."""


class PasswordHasher:
    """Hashes and checks passwords in threads."""

    def __init__(self, parameters: argon2.Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = argon2.PasswordHasher.from_parameters(parameters)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _encoded(password))

    async def check(self, kept: str | None, password: str) -> bool:
        """Tell whether this is the password. Nothing kept: it is not, which takes as long to find out."""
        if kept is None:
            await self.hash(password)
            return False
        async with self._turns:
            return await asyncio.to_thread(self._verify, kept, password)

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a password should be hashed anew, since the parameters are others today."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _encoded(password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _encoded(password: str) -> bytes:
    # The same characters, however the keyboard composes them.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
