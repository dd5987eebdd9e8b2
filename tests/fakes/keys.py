"""Signer in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping


class FakeSigner:
    """Signs with nothing but a word; ``read`` tells what was signed."""

    def sign(self, claims: Mapping[str, str | int]) -> str:
        body = base64.urlsafe_b64encode(json.dumps(dict(claims), sort_keys=True).encode()).decode().rstrip("=")
        return f"fake.{body}.signed"

    def read(self, token: str) -> Mapping[str, str | int]:
        """Return the claims of a token that ``sign`` made."""
        body = token.split(".")[1]
        claims: dict[str, str | int] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return claims

    def public_keys(self) -> Mapping[str, bytes]:
        return {"first": b"\1" * 32, "second": b"\2" * 32}
