"""What `taxiway production scrub` says, waits for and ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import typer.testing

from taxiway.cli import application, scrubs
from taxiway.cli.output import ExitCode
from taxiway.client import ApiError
from taxiway.wire.scrubs import DamageOut, ScrubList, ScrubOut

RUNNER = typer.testing.CliRunner()
AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def a_scrub(**changes: Any) -> ScrubOut:
    fields: dict[str, Any] = {
        "id": "s1", "asked_at": AT, "asked_by": "admin", "began_at": AT, "ended_at": AT, "snapshots": 2,
        "bytes_read": 3_000_000, "damages": [], "trouble": "",
    }  # fmt: skip
    return ScrubOut.model_validate(fields | changes)


def damage(*, is_mended: bool = False) -> DamageOut:
    return DamageOut(
        environment="production", snapshot="ab" * 32, path="model.pkl", place="store",
        message="model.pkl was changed.", is_mended=is_mended,
    )  # fmt: skip


class FakeClient:
    """Answers what it was given, one after the other; an error is raised."""

    def __init__(self, *answers: ScrubOut | Exception | None) -> None:
        self.answers = list(answers)

    def scrubs(self, *, limit: int = 10) -> ScrubList:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return ScrubList(items=[] if answer is None else [answer])

    def run_scrub(self) -> ScrubOut:
        return a_scrub(began_at=None, ended_at=None)


def run(monkeypatch: pytest.MonkeyPatch, client: FakeClient, *arguments: str) -> tuple[int, str]:
    @contextmanager
    def connected() -> Iterator[FakeClient]:
        yield client

    monkeypatch.setattr(scrubs, "connected", connected)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    ended = RUNNER.invoke(application, ["production", "scrub", *arguments])
    return ended.exit_code, ended.output


def test_the_last_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, FakeClient(a_scrub()))
    assert (code, "3.0 MB" in said, "by admin" in said) == (0, True, True)
    code, said = run(monkeypatch, FakeClient(None))
    assert (code, "no scrub yet" in said) == (0, True)


def test_damage_is_named_and_ends_with_one_unless_it_was_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, FakeClient(a_scrub(damages=[damage()])))
    assert (code, "abababababab" in said, "model.pkl was changed" in said) == (ExitCode.FAILED, True, True)
    code, said = run(monkeypatch, FakeClient(a_scrub(damages=[damage(is_mended=True)])))
    assert (code, "Made whole again" in said) == (0, True)
    code, said = run(monkeypatch, FakeClient(a_scrub(trouble="The store is away.")))
    assert (code, "The store is away." in said) == (ExitCode.FAILED, True)


def test_it_waits_also_while_the_control_plane_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    away = ApiError(status=503, reason="Unavailable", message="It does not answer.", hint="", fields={})
    code, said = run(monkeypatch, FakeClient(a_scrub(ended_at=None), away, away, a_scrub()), "--run")
    assert (code, "2 snapshots" in said) == (0, True)
    refused = ApiError(status=403, reason="NotAllowed", message="That is not allowed.", hint="", fields={})
    with pytest.raises(ApiError):
        scrubs._wait(FakeClient(refused), "s1", 10)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        scrubs._wait(FakeClient(a_scrub(ended_at=None)), "s1", 0)  # type: ignore[arg-type]
