"""What the command says and how it ends when something is amiss, and where MLflow is told to log."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import typer.testing

from taxiway.cli import application
from taxiway.cli.output import ExitCode, answered
from taxiway.client import ApiError, Unreachable

RUNNER = typer.testing.CliRunner()


def refused(status: int, **fields: str) -> ApiError:
    return ApiError(status=status, reason="Refused", message="It cannot be: amount.", hint="Try less.", fields=fields)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(400), ExitCode.FAILED),
        (refused(401), ExitCode.NOT_ALLOWED),
        (refused(404), ExitCode.NOT_FOUND),
        (refused(412), ExitCode.CONFLICT),
        (refused(503), ExitCode.UNREACHABLE),
        (Unreachable("No answer."), ExitCode.UNREACHABLE),
        (TimeoutError("still Starting"), ExitCode.TIMED_OUT),
        (ValueError("Say which project."), ExitCode.USAGE),
    ],
)
def test_an_error_ends_with_its_code(error: Exception, code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, answered():
        raise error

    assert ended.value.exit_code == code
    assert capsys.readouterr().err.startswith(f"Error: {error}")


def test_a_field_is_named_unless_the_message_says_it_already(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), answered():
        raise refused(400, **{"/memory": "Give a unit.", "/cpus": "amount"})

    said = capsys.readouterr().err
    assert "  /memory: Give a unit.\n" in said
    assert "/cpus" not in said


def test_login_tells_in_one_line_what_is_amiss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "password").write_text("secret words")

    ended = RUNNER.invoke(application, ["login", "--url", "http://[::", "--password-file", str(tmp_path / "password")])

    assert ended.exit_code == ExitCode.USAGE
    assert "That is no URL" in ended.stderr
    assert not (tmp_path / ".config").exists()


def test_tracking_prints_a_line_for_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TAXIWAY_URL", "http://models:8080/")
    monkeypatch.setenv("TAXIWAY_PROJECT", "shop")

    ended = RUNNER.invoke(application, ["tracking"])

    assert ended.stdout == "export MLFLOW_TRACKING_URI=http://models:8080/mlflow\n"
    assert "--project shop" in ended.stderr


def test_a_missing_project_is_told_in_the_words_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TAXIWAY_PROJECT", raising=False)

    ended = RUNNER.invoke(application, ["experiment", "list"])

    assert ended.exit_code == ExitCode.USAGE
    assert "--project" in ended.stderr
    assert "project=" not in ended.stderr
