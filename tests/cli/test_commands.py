"""What the command says and how it ends when something is amiss, and where MLflow is told to log."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
import typer
import typer.testing

from taxiway.cli import application
from taxiway.cli.output import ExitCode, answered
from taxiway.client import ApiError, Client, Unreachable
from taxiway.client.connection import is_passing
from taxiway.wire.models import AccessTokenIn

RUNNER = typer.testing.CliRunner()


def refused(status: int, **fields: str) -> ApiError:
    return ApiError(status=status, reason="Refused", message="It cannot be: amount.", hint="Try less.", fields=fields)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(400), ExitCode.USAGE),
        (refused(422), ExitCode.FAILED),
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


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    ended = RUNNER.invoke(application, ["model", "predict", "fraud/1", "--file", str(tmp_path / "none.json")])

    assert ended.exit_code == ExitCode.USAGE
    assert ended.stderr == f"Error: {tmp_path / 'none.json'} cannot be read: No such file or directory.\n"


def test_what_the_client_refuses_is_told_in_one_line_without_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, answered():
        AccessTokenIn(caller="till", days=4321)

    assert ended.value.exit_code == ExitCode.USAGE
    assert capsys.readouterr().err == "Error: days: Input should be less than or equal to 366.\n"


@pytest.mark.parametrize(
    ("error", "is_waited_for"),
    [(Unreachable("No answer."), True), (refused(503), True), (refused(429), True), (refused(404), False)],
)
def test_who_waits_for_a_model_outlives_a_restart_of_the_control_plane(error: Exception, is_waited_for: bool) -> None:
    assert is_passing(error) is is_waited_for


def test_waiting_goes_on_after_the_gateway_said_that_the_control_plane_is_away() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        problem = {"detail": "Not now.", "reason": "Unavailable"} if len(asked) == 1 else {"detail": "No."}
        return httpx2.Response(503 if len(asked) == 1 else 404, json=problem)

    with (
        Client("http://taxiway", token="t", project="shop", transport=httpx2.MockTransport(answer)) as client,
        pytest.raises(ApiError) as ended,
    ):
        client.wait("fraud", 1)

    assert (ended.value.status, len(asked)) == (404, 2)
