"""What the control API returns when it refuses: RFC 9457 problem details."""

from __future__ import annotations

from pydantic import Field

from taxiway.wire import Out


class ProblemErrorOut(Out):
    """One value that is not acceptable, named but never repeated."""

    location: str = Field(description="Where it was given: body, query, path or header.", examples=["body"])
    pointer: str = Field(description="JSON pointer to it; '' is the whole.", examples=["/memory"])
    detail: str = Field(examples=["Memory must be a number with a unit of k, M, G, T, Ki, Mi, Gi or Ti."])
    begins: int | None = Field(None, description="Where in a text the wrong part begins, in letters from 0.")
    ends: int | None = Field(None, description="And ends; the letter there is right again.")


class ProblemOut(Out):
    """Why a request was refused, and what to do next."""

    type: str = Field(examples=["urn:taxiway:problem:NotFound"])
    title: str = Field(examples=["There is no such object"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened, in one sentence.", examples=["There is no such project."])
    reason: str = Field(description="A word for programs.", examples=["NotFound"])
    hint: str = Field("", description="The next thing to do.", examples=["List them with `taxiway project list`."])
    instance: str = Field(description="The request's id, as in X-Request-Id.", examples=["019a8f6e2c41"])
    errors: list[ProblemErrorOut] = Field(default_factory=list)
