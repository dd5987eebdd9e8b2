"""The words of the HTTP API: what it takes and returns, shared by the API and the Python client. No logic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class In(BaseModel):
    """What is taken: exactly the declared fields, of exactly the declared types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Out(BaseModel):
    """What is returned. A client ignores what a newer server adds."""

    model_config = ConfigDict(extra="ignore", frozen=True)
