"""``taxiway login`` and the commands about users, projects, API tokens and the audit log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from taxiway.cli.output import AsJson, ExitCode, answered, connected, fail, print_json, say, show_table

user = typer.Typer(help="Users (administrators only).", no_args_is_help=True)
project = typer.Typer(help="Projects and their members.", no_args_is_help=True)
token = typer.Typer(help="API tokens: what programs show to the control API and to MLflow.", no_args_is_help=True)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
Limit = Annotated[int, typer.Option(help="At most so many.")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="File with the password; else asked for.")]


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.command("login")(login)
    application.command("whoami")(whoami)
    application.add_typer(user, name="user")
    application.add_typer(project, name="project")
    application.add_typer(token, name="token")
    application.add_typer(audit, name="audit")


def _read_password(file: Path | None, prompt: str = "Password") -> str:
    if file is not None:
        try:
            return file.read_text().rstrip("\r\n")
        except OSError as error:
            fail(f"{file} cannot be read: {error.strerror}.", code=ExitCode.USAGE)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt(prompt, hide_input=True, err=True))


def login(
    name: Annotated[str, typer.Option("--user", "-u", help="Your user name.")] = "admin",
    url: Annotated[str | None, typer.Option(help="Where Taxiway is; else the profile's.")] = None,
    password_file: PasswordFile = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Project for later commands.")] = None,
    profile: Annotated[str, typer.Option(help="Keep it under this name.")] = "default",
    days: Annotated[float, typer.Option(help="How long the token lives.")] = 30,
) -> None:
    """Sign in and keep an API token in a file that only you can read."""
    import socket

    from taxiway.client.connection import Profile, find_profile, save_profile
    from taxiway.client.signing_in import sign_in

    target = (url or find_profile(profile).url).rstrip("/")
    password = _read_password(password_file)
    with answered():
        secret = sign_in(
            target,
            user=name,
            password=password,
            token_name=f"taxiway login on {socket.gethostname()}"[:80],
            days=days,
            project=project,
        )
    file = save_profile(Profile(url=target, token=secret, project=project), name=profile)
    say(f"Signed in to {target} as {name}; the token is in {file}.")


def whoami(as_json: AsJson = False) -> None:
    """Show who one is, and the projects that one is a member of."""
    from taxiway.client import calls

    with connected() as client:
        me = client.send(calls.plain("GET", "session"))
    print_json(me) if as_json else _show_me(me)


def _show_me(me: dict[str, object]) -> None:
    for key in ("name", "role", "projects", "home", "method"):
        value = me[key]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if shown:
            typer.echo(f"{key:<10}  {shown}")


@user.command("create")
def create_user(
    name: UserName,
    administrator: Annotated[bool, typer.Option("--administrator", help="May do everything.")] = False,
    password_file: PasswordFile = None,
) -> None:
    """Make a user."""
    from taxiway.client import calls

    role = "administrator" if administrator else "data-scientist"
    body = {"name": name, "role": role, "password": _read_password(password_file, f"Password for {name}")}
    with connected() as client:
        client.send(calls.plain("POST", "users", body=body))
    say(f"User {name} was made.")


@user.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List users."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "users", limit=1000))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("NAME", lambda u: u["name"]),
            ("ROLE", lambda u: u["role"]),
            ("DISABLED", lambda u: "yes" if u["is_disabled"] else ""),
        ],
        empty="No users.",
    )


@project.command("create")
def create_project(name: ProjectName, description: Annotated[str, typer.Option(help="What it is for.")] = "") -> None:
    """Make a project: a space of its own for experiments and models."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("POST", "projects", body={"name": name, "description": description}))
    say(f"Project {name} was made.")


@project.command("list")
def list_projects(as_json: AsJson = False) -> None:
    """List the projects that one sees."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "projects", limit=1000))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[("NAME", lambda p: p["name"]), ("DESCRIPTION", lambda p: p["description"])],
        empty="No projects yet. An administrator makes one: `taxiway project create NAME`.",
    )


@project.command("add-member")
def add_member(name: ProjectName, user_name: UserName) -> None:
    """Let a user into a project."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("PUT", "projects", name, "members", user_name))
    say(f"{user_name} is a member of {name}.")


@project.command("remove-member")
def remove_member(name: ProjectName, user_name: UserName) -> None:
    """Take a user out of a project."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("DELETE", "projects", name, "members", user_name))
    say(f"{user_name} is no member of {name} any more.")


@token.command("create")
def create_token(
    name: Annotated[str, typer.Option("--name", "-n", help="What it is for.")],
    home: Annotated[str | None, typer.Option("--project", "-p", help="Project of its MLflow calls.")] = None,
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Make an API token; it is printed this once. Use it as MLFLOW_TRACKING_TOKEN or TAXIWAY_TOKEN."""
    from taxiway.client import calls

    body = {"name": name, "days": days} | ({"project": home} if home else {})
    with connected() as client:
        made = client.send(calls.plain("POST", "tokens", body=body))
    print_json(made) if as_json else typer.echo(made["token"])


@token.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List one's own API tokens."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "tokens"))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("ID", lambda t: t["id"]),
            ("NAME", lambda t: t["name"]),
            ("PROJECT", lambda t: t["project"]),
            ("EXPIRES", lambda t: (t["expires_at"] or "")[:16]),
            ("REVOKED", lambda t: (t["revoked_at"] or "")[:16]),
        ],
        empty="No tokens yet.",
    )


@token.command("revoke")
def revoke_token(
    token_id: Annotated[str, typer.Argument(help="Its id, as `taxiway token list` shows it.")],
) -> None:
    """Make an API token count no longer, at once."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("DELETE", "tokens", token_id))
    say(f"Token {token_id} is revoked.")


@audit.command("list")
def list_audit(
    actor: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, for example model.convert.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List audit entries, newest first (administrators only)."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "audit", actor=actor, action=action, limit=limit))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("SEQ", lambda e: e["sequence"]),
            ("TIME", lambda e: e["at"][:19].replace("T", " ")),
            ("WHO", lambda e: e["actor"]),
            ("ACTION", lambda e: e["action"]),
            ("OBJECT", lambda e: e["object"]),
            ("OUTCOME", lambda e: e["outcome"]),
        ],
        empty="Nothing found.",
    )


@audit.command("verify")
def verify_audit(as_json: AsJson = False) -> None:
    """Check that no entry of the audit log was changed, added or removed (administrators only)."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "audit", "verify"))
    if as_json:
        print_json(answer)
    if not answer["is_intact"]:
        fail(f"The chain is broken at entry {answer['broken_at']}.", hint="Compare with a backup of the database.")
    if not as_json:
        say(f"{answer['entries']} entries are intact; the last hash is {answer['head']}.")
