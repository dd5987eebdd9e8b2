"""``taxiway up``, ``down``, ``status``, ``doctor`` and others: the platform on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import AsJson, ExitCode, fail, print_json, say

if TYPE_CHECKING:
    from taxiway.settings import Settings

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Everything that Taxiway keeps.")]
SettingsFile = Annotated[
    Path | None,
    # Absolute: the control plane reads it again, from another working directory.
    typer.Option("--settings", resolve_path=True, help="TOML file; else taxiway.toml in the data directory."),
]


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.command("up")(up)
    application.command("down")(down)
    application.command("status")(status)
    application.command("doctor")(doctor)
    application.command("platform-log")(platform_log)
    application.command("reset-password")(reset_password)


def read_settings_of(data_dir: Path | None, file: Path | None, **server: object) -> Settings:
    """Read the settings; what is given here counts before all else."""
    from taxiway.settings import read_settings

    overrides: dict[str, object] = {}
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    given = {key: value for key, value in server.items() if value is not None}
    if given:
        overrides["server"] = given
    return read_settings(file, **overrides)


def _running(data_dir: Path | None, file: Path | None) -> Settings:
    """Read the settings as the platform runs with them, which may have been given another port."""
    from taxiway.app import platform

    port = platform.running_port(read_settings_of(data_dir, file))
    return read_settings_of(data_dir, file, port=port)


def up(
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
    port: Annotated[int | None, typer.Option(help="Port that people use; else 8080.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is up.")] = False,
    admin_password_file: Annotated[
        Path | None, typer.Option(help="Password of the first administrator, instead of a random one.")
    ] = None,
) -> None:
    """Bring Taxiway up: control plane, MLflow and Envoy, on one port and one data directory.

    Stays until Ctrl-C, which takes it down; with --detach it returns, and `taxiway down` takes it down.
    """
    from taxiway.app import platform
    from taxiway.app.first_start import first_start

    os.umask(0o077)
    settings = read_settings_of(data_dir, settings_file, port=port)
    if platform.is_up(settings):
        port = platform.running_port(settings)
        settings = read_settings_of(data_dir, settings_file, port=port)
        platform.wait_until_up(settings, _tell)
        say(f"Taxiway is up already: {settings.public_url}")
    else:
        password = asyncio.run(first_start(settings, admin_password_file))
        try:
            platform.bring_up(settings, settings_file, _tell, port=port)
        finally:
            _show_first_password(password, is_generated=admin_password_file is None)
        say(f"Taxiway is up: {settings.public_url}  (data in {settings.data})")
        say(f"Sign in with `taxiway login --url {settings.public_url} --user admin`.")
    if not detach:
        _stay(settings, settings_file, port)


def _tell(text: str) -> None:
    say(f"… {text}")


def _show_first_password(password: str | None, *, is_generated: bool) -> None:
    """Show it also when the platform did not come up: the user is made, and it is kept nowhere."""
    if password is not None:
        shown = f"password {password}  — shown this once" if is_generated else "the password from the file"
        say(f"First start: user admin, {shown}.")


def _stay(settings: Settings, settings_file: Path | None, port: int | None) -> None:
    """Stay in the foreground: bring the control plane back when even its stub is killed; go down on Ctrl-C."""
    from taxiway.app import platform

    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: asked.append(received))
    say("Press Ctrl-C to stop it.")
    while not asked:
        if not platform.is_up(settings):
            say("… the control plane is gone; it is started again")
            platform.begin(settings, settings_file, port=port)
        time.sleep(0.5)
    asyncio.run(platform.take_down(settings, _tell))
    say("Taxiway is down.")


def down(data_dir: DataDir = None, settings_file: SettingsFile = None) -> None:
    """Take Taxiway down; what should serve comes back with the next `taxiway up`."""
    from taxiway.app import platform

    settings = read_settings_of(data_dir, settings_file)
    asyncio.run(platform.take_down(settings, _tell))
    say("Taxiway is down.")


def status(data_dir: DataDir = None, settings_file: SettingsFile = None, as_json: AsJson = False) -> None:
    """Tell whether the parts of Taxiway run, and how many deployments have which status.

    Ends with 1 when a part does not run.
    """
    from dataclasses import asdict

    from taxiway.app import platform

    settings = _running(data_dir, settings_file)
    engines = platform.engine_status(settings)
    answers = platform.gateway_answers(settings)
    deployments = platform.deployments_by_status(settings)
    if as_json:
        shown = [asdict(engine) for engine in engines]
        print_json({"url": settings.public_url, "answers": answers, "engines": shown, "deployments": deployments})
    else:
        typer.echo(f"{settings.public_url}  {'answers' if answers else 'does not answer'}")
        for engine in engines:
            typer.echo(f"{engine.name:<8}  {engine.phase:<9}  restarts {engine.restarts}  {engine.message}".rstrip())
        if deployments:
            typer.echo("deployments: " + ", ".join(f"{count} {status}" for status, count in deployments.items()))
    if not answers or not all(engine.is_alive for engine in engines):
        raise typer.Exit(ExitCode.FAILED)


def doctor(data_dir: DataDir = None, settings_file: SettingsFile = None, as_json: AsJson = False) -> None:
    """Check this host and the data directory, and say what to do about what is amiss."""
    from dataclasses import asdict

    from taxiway.app.doctor import examine

    findings = examine(read_settings_of(data_dir, settings_file))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        marks = {"good": "✓", "note": "•", "bad": "✗"}
        for finding in findings:
            typer.echo(f"{marks[finding.verdict]} {finding.what}: {finding.message}")
            if finding.hint:
                typer.echo(f"    {finding.hint}")
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def platform_log(
    engine: Annotated[str, typer.Argument(help="control, mlflow or envoy")],
    tail: Annotated[int, typer.Option(help="The last so many lines.")] = 50,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Show the log of the control plane, of MLflow or of Envoy."""
    from taxiway.app.platform import ENGINES
    from taxiway.stub import children

    if engine not in ENGINES:
        fail(f"Choose one of {', '.join(ENGINES)}.", code=ExitCode.USAGE)
    directory = read_settings_of(data_dir, settings_file).data / "children" / engine
    for line in children.tail_log(directory, limit=tail).lines:
        typer.echo(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.text}")


def reset_password(
    name: Annotated[str, typer.Argument(metavar="USER", help="An administrator.")] = "admin",
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Give an administrator a new random password, printed this once; for when nobody can sign in any more.

    Works on the host itself with the data directory, whether Taxiway is up or down.
    """
    from taxiway.app import recovery

    os.umask(0o077)
    password = asyncio.run(recovery.reset_password(read_settings_of(data_dir, settings_file), name))
    say(f"The new password of {name}, shown this once; open sessions have ended:")
    typer.echo(password)
